//! Each problem names the field and what to do.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use dm_api::MigrationTarget;
use serde_json::{Value, json};

use super::*;
use crate::read::references::{self, References};
use crate::samples::*;

/// The problem of a migration with this spec, on a target with that one.
fn check(spec: Value, target_spec: Value, reason: Reason, field: &str) {
    let data = files(json!({"main.py": "print('cars')"}));
    let migration = migration(json!({"spec": spec}));
    let target = target(target_spec);
    let found = validate(&migration, Some(&target), None, &data);
    // Secrets and claims are looked at with all targets of the namespace.
    let all =
        References { targets: vec![MigrationTarget::clone(&target)], ..References::default() };
    let found = found.and_then(|runnable| references::settle(&migration, runnable, &all));
    let problem = found.expect_err("it is a problem");
    assert_eq!(problem.reason, reason, "{}", problem.message);
    assert!(problem.message.starts_with(field), "{}", problem.message);
}

fn invalid_spec(spec: Value, field: &str) {
    check(spec, json!({}), Reason::InvalidSpec, field);
}

#[test]
fn what_is_right_becomes_what_is_run() {
    let runnable = runnable();
    let Program::Script { files, file, .. } = &runnable.program else { panic!("no script") };
    assert_eq!(file.as_deref(), Some("main.py"));
    assert_eq!(files["main.py"], b"print('cars')");
    let migration = migration(json!({"spec": {"script": null, "container": {"image": "cars:1"}}}));
    let found = validate(&migration, Some(&target(json!({}))), None, &FilesFound::NotNeeded);
    assert!(matches!(found.unwrap().program, Program::Container(_)));
}

/// A spec with this transform.
fn of_transform(transform: Value) -> Value {
    json!({"script": null, "transform": transform})
}

#[test]
fn a_transform_is_checked_to_its_last_column() {
    let right = json!({
        "table": "cars", "set": {"origin": "lookup('origins.csv', origin, 'name')"},
        "configMap": {"name": "files"},
    });
    let found = |transform: Value, data: &FilesFound| {
        let migration = migration(json!({"spec": of_transform(transform)}));
        validate(&migration, Some(&target(json!({}))), None, data)
    };
    let origins = files(json!({"origins.csv": "origin,name\nUSA,United States\n"}));
    let runnable = found(right.clone(), &origins).unwrap();
    let names: Vec<&String> = runnable.program.files().unwrap().keys().collect();
    assert_eq!(names, ["origins.csv", "transform.json"]);
    let declared = &runnable.program.files().unwrap()["transform.json"];
    let declared: Value = serde_json::from_slice(declared).unwrap();
    assert_eq!(declared["version"], 1);
    assert_eq!(declared["onItemError"], "Stop");
    assert_eq!(declared["transform"]["table"], "cars");
    let other = files(json!({"origins.csv": "origin,name\nUSA,U.S.\n"}));
    assert_ne!(found(right.clone(), &other).unwrap().digest, runnable.digest, "files count");

    let set = |text: &str| of_transform(json!({"table": "cars", "set": {"price": text}}));
    for (spec, message) in [
        (
            set("1 + rond_to(weight)"),
            "spec.transform.set.price, column 5: there is no function rond_to; did",
        ),
        (set("weight +"), "spec.transform.set.price, column 9: expected a value, found the end"),
        (
            set("lookup('x.csv', a, 'b')"),
            "spec.transform.set.price, column 8: there is no file x.csv",
        ),
        (
            of_transform(json!({"table": "cars", "convert": {"year": "BOOL"}})),
            "spec.transform.convert.year: nothing is converted to BOOL",
        ),
        (
            of_transform(json!({"table": "cars", "filter": "weight", "delete": true})),
            "spec.transform.filter, column 1: expected a condition",
        ),
    ] {
        invalid_spec(spec, message);
    }
    let problem = found(right.clone(), &FilesFound::Missing).unwrap_err();
    assert_eq!(problem.reason, Reason::ConfigMapNotFound);
    assert!(
        problem.message.starts_with("spec.transform.configMap.name: there is no ConfigMap files")
    );
    let taken = files(json!({"origins.csv": "origin,name\n", "transform.json": "{}"}));
    let problem = found(right, &taken).unwrap_err();
    assert!(problem.message.contains("transform.json is the operator's"), "{}", problem.message);
}

#[test]
fn a_missing_target_configmap_or_account_is_named() {
    let data = files(json!({"main.py": ""}));
    let missing = |target: Option<&Target>, account: Option<&str>, files: &FilesFound| {
        validate(&migration(json!({})), target, account, files).expect_err("it is a problem")
    };
    let problem = missing(None, None, &data);
    assert_eq!(problem.reason, Reason::TargetNotFound);
    assert!(problem.message.starts_with("spec.target.name: there is no MigrationTarget dev"));
    let there = target(json!({}));
    let problem = missing(Some(&there), None, &FilesFound::Missing);
    assert_eq!(problem.reason, Reason::ConfigMapNotFound);
    assert!(problem.message.starts_with("spec.script.configMap.name: there is no ConfigMap files"));
    let problem = missing(Some(&there), Some("writer"), &data);
    assert_eq!(problem.reason, Reason::ServiceAccountNotFound);
    assert!(problem.message.contains("writer"), "{}", problem.message);
}

#[test]
fn what_cannot_be_a_name_is_refused_by_its_field() {
    for name in ["my config", "../secrets/creds", "t?x=1", "", "a/b"] {
        invalid_spec(json!({"target": {"name": name}}), "spec.target.name: ");
        invalid_spec(json!({"dependsOn": [{"name": name}]}), "spec.dependsOn[0].name: ");
        let script = json!({"script": {"configMap": {"name": name}}});
        invalid_spec(script, "spec.script.configMap.name: ");
        let account = json!({"secret": null, "serviceAccount": {"name": name}});
        let target = json!({"credentials": account});
        let field = "target dev: spec.credentials.serviceAccount.name";
        check(json!({}), target, Reason::InvalidSpec, field);
    }
}

#[test]
fn a_program_is_not_the_guards_user_and_leaves_it_time() {
    invalid_spec(json!({"podTemplate": {"runAsUser": 65533}}), "spec.podTemplate.runAsUser: 65533");
    let archive = json!({"archive": {"url": "s3://archive"}});
    let spec = json!({"podTemplate": {"terminationGracePeriodSeconds": 0}});
    let field = "spec.podTemplate.terminationGracePeriodSeconds: ";
    check(spec.clone(), archive, Reason::InvalidSpec, field);
    let without = migration(json!({"spec": spec}));
    let data = files(json!({"main.py": ""}));
    validate(&without, Some(&target(json!({}))), None, &data).unwrap();
}

#[test]
fn exactly_one_source_is_given() {
    invalid_spec(json!({"script": null}), "spec.script: give exactly one source");
    invalid_spec(json!({"container": {"image": "cars:1"}}), "spec.script: give exactly one source");
}

#[test]
fn variables_of_the_operator_cannot_be_set() {
    for name in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ACCESS_KEY_ID", "AWS_REGION"] {
        let env = json!([{"name": "MINE"}, {"name": name}]);
        invalid_spec(json!({"script": {"env": env}}), "spec.script.env[1].name: AWS_");
        let container = json!({"image": "cars:1", "env": [{"name": name}]});
        let spec = json!({"script": null, "container": container});
        invalid_spec(spec, "spec.container.env[0].name: AWS_");
    }
}

#[test]
fn the_targets_credentials_are_only_the_guards() {
    let env = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "K"}}}]);
    let field = "spec.script.env[0].valueFrom.secretKeyRef.name";
    invalid_spec(json!({"script": {"env": env}}), field);
    let volumes = json!([
        {"name": "mine", "secret": {"secretName": "mine"}},
        {"name": "theirs", "secret": {"secretName": "readonly"}},
    ]);
    let target_spec = json!({"dryRunCredentials": {"secret": {"name": "readonly"}}});
    let spec = json!({"podTemplate": {"volumes": volumes}});
    let field = "spec.podTemplate.volumes[1].secret.secretName";
    check(spec, target_spec, Reason::InvalidSpec, field);
}

#[test]
fn the_targets_archive_is_only_the_guards() {
    let volumes = json!([
        {"name": "mine", "persistentVolumeClaim": {"claimName": "mine"}},
        {"name": "theirs", "persistentVolumeClaim": {"claimName": "disk"}},
    ]);
    let volume = json!({"persistentVolumeClaim": {"claimName": "disk"}});
    let target_spec = json!({"archive": {"url": "file:///archive", "volume": volume}});
    let spec = json!({"podTemplate": {"volumes": volumes}});
    let field = "spec.podTemplate.volumes[1].persistentVolumeClaim.claimName";
    check(spec, target_spec, Reason::InvalidSpec, field);
    let env = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "K"}}}]);
    let credentials = json!({"secret": {"name": "s3"}});
    let target_spec = json!({"archive": {"url": "s3://archive", "credentials": credentials}});
    let field = "spec.script.env[0].valueFrom.secretKeyRef.name";
    check(json!({"script": {"env": env}}), target_spec, Reason::InvalidSpec, field);
}

#[test]
fn mounts_stay_clear_of_the_operators_and_name_a_volume() {
    let mounts = |path: &str, name: &str| {
        json!({"podTemplate": {
            "volumes": [{"name": "data", "emptyDir": {}}],
            "volumeMounts": [{"name": name, "mountPath": path}],
        }})
    };
    let field = "spec.podTemplate.volumeMounts[0]";
    invalid_spec(mounts("/dm", "data"), &format!("{field}.mountPath: /dm is the operator's"));
    invalid_spec(mounts("/dm/bin", "data"), &format!("{field}.mountPath"));
    invalid_spec(mounts("/data", "other"), &format!("{field}.name: there is no volume other"));
    for wrong in ["//dm/bin", "/data/../dm", "/a//b", "/./dm", "/", "", "data", "/dm/", "/data/.."]
    {
        invalid_spec(mounts(wrong, "data"), &format!("{field}.mountPath: "));
    }
    let data = files(json!({"main.py": ""}));
    for fine in ["/dmx", "/data/", "/a/..b", "/a/dm"] {
        let fine = migration(json!({"spec": mounts(fine, "data")}));
        validate(&fine, Some(&target(json!({}))), None, &data).unwrap();
    }
}

#[test]
fn files_have_to_be_there_and_fit_one_object() {
    invalid_spec(json!({"script": {"file": "other.py"}}), "spec.script.file: there is no file");
    let items = json!({"items": [{"key": "other", "path": "a.py"}]});
    let spec = json!({"script": {"configMap": items}});
    invalid_spec(spec, "spec.script.configMap.items[0].key: ConfigMap files has no key other");
    let big = files(json!({"main.py": "x".repeat(limits::FILES_BYTES_MAX)}));
    let found = validate(&migration(json!({})), Some(&target(json!({}))), None, &big);
    let message = found.unwrap_err().message;
    assert!(message.starts_with("spec.script.configMap: the files have"), "{message}");
}

#[test]
fn a_command_needs_no_file_to_run() {
    let spec = json!({"spec": {"script": {"command": ["python3", "-m", "cars"]}}});
    let data = files(json!({"a.py": "", "b.py": ""}));
    let found = validate(&migration(spec), Some(&target(json!({}))), None, &data).unwrap();
    assert!(matches!(found.program, Program::Script { file: None, .. }));
}
