//! YAML that is wrong: the API server refuses it and names the field, or the migration stands still
//! and its message does. Objects are sent as `kubectl apply` sends them: fields nobody knows are
//! errors.

use dm_api::condition::{Reason, types};
use dm_tests::cluster::{Bed, CREDENTIALS, Written, condition, target};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// A migration that is right, to be made wrong.
fn right() -> Written {
    Written::shell("m", "echo done\n")
}

/// The API server refuses a change of a migration in words that contain `named`.
async fn refused(bed: &Bed, change: impl FnOnce(&mut Value), named: &str) {
    let mut object = right().object;
    change(&mut object);
    let error = bed.try_apply(&object).await.expect_err(&format!("{object} must be refused"));
    assert!(error.contains(named), "{named:?} is not in: {error}");
}

#[tokio::test]
async fn numbers_beyond_what_a_pod_may_have_are_refused() {
    let bed = Bed::new("wrong-numbers").await;
    bed.apply(&right().files().unwrap()).await;
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        json!({"volumes": [volume]})
    };
    let toleration = |seconds: i64| json!({"tolerations": [{"tolerationSeconds": seconds}]});
    let secret = |mode: i32| volume(json!({"secret": {"secretName": "s", "defaultMode": mode}}));
    for (pod, field) in [
        (toleration(9_223_372_037), "tolerationSeconds"),
        (secret(512), "defaultMode"),
        (json!({"runAsUser": 2_147_483_648_i64}), "runAsUser"),
        (json!({"terminationGracePeriodSeconds": 86_401}), "terminationGracePeriodSeconds"),
    ] {
        refused(&bed, |m| m["spec"]["podTemplate"] = pod, field).await;
    }
    for (field, number) in [
        ("activeDeadlineSeconds", json!(31_536_001)),
        ("activeDeadlineSeconds", json!(9_223_372_037_i64)),
        ("parallelism", json!(65)),
        ("backoffLimit", json!(11)),
        ("retry", json!(1_000_001)),
    ] {
        refused(&bed, |m| m["spec"][field] = number, &format!("spec.{field}")).await;
    }
    // The greatest are taken.
    let mut most = right().object;
    most["spec"]["activeDeadlineSeconds"] = json!(31_536_000);
    most["spec"]["podTemplate"] = toleration(9_223_372_036);
    most["spec"]["suspend"] = json!(true);
    bed.apply(&most).await;
    bed.done().await;
}

#[tokio::test]
async fn a_status_that_no_operator_could_read_is_refused() {
    let bed = Bed::new("wrong-status").await;
    bed.submit(&right().set("suspend", json!(true))).await;
    bed.reason("m", Reason::Suspended).await;
    let run = |changes: Value| {
        let mut run = json!({
            "number": 1, "kind": "Apply", "result": "Failed", "job": "j", "programDigest": "d",
            "requestedAt": "2026-12-01T10:00:00Z",
        });
        run.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"status": {"lastRun": 1, "runs": [run]}})
    };
    for (status, field) in [
        (json!({"status": {"lastRun": 4_294_967_296_i64}}), "status.lastRun"),
        (json!({"status": {"lastRun": -1}}), "status.lastRun"),
        (json!({"status": {"phase": "Nonsense"}}), "status.phase"),
        (run(json!({"number": 4_294_967_296_i64})), "status.runs[0].number"),
        (run(json!({"parallelism": 65})), "status.runs[0].parallelism"),
        (run(json!({"requestedAt": "2026-12-01T10:00:00"})), "status.runs[0].requestedAt"),
        (run(json!({"requestedAt": "9999-12-31T23:59:59Z"})), "status.runs[0].requestedAt"),
    ] {
        let patched = bed
            .migrations()
            .patch_status("m", &PatchParams::default(), &Patch::Merge(&status))
            .await;
        let error = patched.expect_err(&format!("{status} must be refused")).to_string();
        assert!(error.contains(field), "{field:?} is not in: {error}");
    }
    bed.done().await;
}

// A list, one refusal each.
#[allow(clippy::too_many_lines)]
#[tokio::test]
async fn what_the_api_server_refuses() {
    let bed = Bed::new("wrong").await;
    bed.apply(&right().files().unwrap()).await;
    refused(
        &bed,
        |m| m["spec"]["script"] = Value::Null,
        "exactly one source: script, container or transform",
    )
    .await;
    refused(
        &bed,
        |m| m["spec"]["container"] = json!({"image": "a:1"}),
        "exactly one source: script, container or transform",
    )
    .await;
    refused(
        &bed,
        |m| {
            m["spec"]["script"] = Value::Null;
            m["spec"]["container"] = json!({"image": "a:1"});
            m["spec"]["secondPass"] = json!(true);
        },
        "a program in an image needs a command",
    )
    .await;
    refused(&bed, |m| m["spec"]["dryrun"] = json!(false), ".spec.dryrun").await;
    refused(&bed, |m| m["spec"]["dryRun"] = json!("no"), "spec.dryRun").await;
    refused(&bed, |m| m["spec"]["target"] = Value::Null, "spec.target").await;
    refused(&bed, |m| m["spec"]["target"] = json!("local"), "spec.target").await;
    refused(&bed, |m| m["spec"]["script"]["image"] = Value::Null, "spec.script.image").await;
    refused(&bed, |m| m["spec"]["script"]["image"] = json!("a b"), "spec.script.image").await;
    refused(
        &bed,
        |m| m["spec"]["script"]["imagePullPolicy"] = json!("Sometimes"),
        "spec.script.imagePullPolicy",
    )
    .await;
    refused(&bed, |m| m["spec"]["backoffLimit"] = json!(-1), "spec.backoffLimit").await;
    refused(&bed, |m| m["spec"]["retry"] = json!("again"), "spec.retry").await;
    refused(&bed, |m| m["spec"]["activeDeadlineSeconds"] = json!(0), "spec.activeDeadlineSeconds")
        .await;
    refused(
        &bed,
        |m| m["spec"]["limits"] = json!({"writesPerSecond": 0}),
        "spec.limits.writesPerSecond",
    )
    .await;
    // The last two the API server takes for times, and the operator could not read them.
    for time in ["tomorrow", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00+99:00"] {
        refused(&bed, |m| m["spec"]["startAt"] = json!(time), "spec.startAt").await;
    }
    refused(&bed, |m| m["spec"]["dependsOn"] = json!(["first"]), "spec.dependsOn[0]").await;
    for path in ["../main.sh", "/main.sh", "a/../b", ""] {
        refused(
            &bed,
            |m| m["spec"]["script"]["configMap"]["items"] = json!([{"key": "a", "path": path}]),
            "spec.script.configMap.items[0].path",
        )
        .await;
    }
    for user in [0, 65533] {
        refused(
            &bed,
            |m| m["spec"]["podTemplate"] = json!({"runAsUser": user}),
            "spec.podTemplate.runAsUser",
        )
        .await;
    }
    for name in ["my config", "../secrets/creds", "t?x=1"] {
        refused(&bed, |m| m["spec"]["target"]["name"] = json!(name), "spec.target.name").await;
        refused(
            &bed,
            |m| m["spec"]["script"]["configMap"]["name"] = json!(name),
            "spec.script.configMap.name",
        )
        .await;
    }
    for limits in [json!({"memory": "lots"}), json!({"cpu": "-1"})] {
        refused(
            &bed,
            |m| m["spec"]["podTemplate"] = json!({"resources": {"limits": limits}}),
            "spec.podTemplate.resources.limits",
        )
        .await;
    }
    refused(
        &bed,
        |m| m["spec"]["podTemplate"] = json!({"priorityClassName": "nobody has it"}),
        "spec.podTemplate.priorityClassName",
    )
    .await;
    refused(
        &bed,
        |m| {
            m["spec"]["podTemplate"] =
                json!({"volumes": [{"name": "n", "hostPath": {"path": "/"}}]});
        },
        "hostPath",
    )
    .await;
    refused(
        &bed,
        |m| m["spec"]["podTemplate"] = json!({"volumes": [{"name": "dm-bin", "emptyDir": {}}]}),
        "spec.podTemplate.volumes[0].name",
    )
    .await;
    refused(
        &bed,
        |m| m["metadata"]["name"] = json!("a".repeat(64)),
        "metadata.name must have at most 63 characters",
    )
    .await;
    bed.done().await;
}

fn volume() -> Value {
    json!({"persistentVolumeClaim": {"claimName": "disk"}})
}

/// An archive on a volume.
fn archive(url: &str) -> Value {
    json!({"archive": {"url": url, "volume": volume()}})
}

#[tokio::test]
async fn what_the_api_server_refuses_of_a_target() {
    let bed = Bed::new("wrong-target").await;
    let cases = [
        (json!({"credentials": null}), "spec.credentials"),
        (json!({"credentials": {}}), "exactly one of secret and serviceAccount"),
        (
            json!({"credentials": {"secret": {"name": "a"}, "serviceAccount": {"name": "b"}}}),
            "exactly one of secret and serviceAccount",
        ),
        (json!({"region": "Europe"}), "spec.region"),
        (json!({"endpoint": "dynamodb:8000"}), "spec.endpoint"),
        (json!({"endpoint": "http://user:word@host"}), "spec.endpoint"),
        (json!({"policy": {"tables": ["cars; drop"]}}), "spec.policy.tables[0]"),
        (json!({"policy": {"table": ["cars"]}}), ".spec.policy.table"),
        (json!({"archive": {"url": "gs://bucket"}}), "spec.archive.url"),
        (json!({"archive": {"url": "s3://key:word@bucket"}}), "spec.archive.url"),
        (json!({"archive": {"url": "file:///archive"}}), "a file:// archive needs volume"),
        (archive("s3://bucket/prod"), "a file:// archive needs volume"),
        (archive("file:///archive/../etc"), "a path has no parts . and .."),
        (archive("file:///usr/bin"), "belongs to the guard's image or to the system"),
        (archive("file:///dm"), "belongs to the guard's image or to the system"),
        (
            json!({"archive": {"url": "file:///archive", "region": "eu-west-1",
                "volume": volume()}}),
            "endpoint, region and credentials belong to an s3:// archive",
        ),
    ];
    let fine = [
        archive("file:///archive/prod/"),
        json!({"archive": {"url": "s3://bucket/a/b", "credentials": {"secret": {"name": "s3"}}}}),
    ];
    for (number, change) in fine.into_iter().enumerate() {
        bed.apply(&target(&format!("right{number}"), &change)).await;
    }
    for (change, named) in cases {
        let object = target("wrong", &change);
        let error = bed.try_apply(&object).await.expect_err(&format!("{change} must be refused"));
        assert!(error.contains(named), "{named:?} is not in: {error}");
    }
    bed.done().await;
}

#[tokio::test]
async fn what_the_operator_finds_wrong() {
    let bed = Bed::new("stalled").await;
    let variable = |name: &str| json!([{"name": name, "value": "x"}]);
    let cases = [
        (right().set("script.file", json!("none.sh")), "spec.script.file"),
        (right().file("other.sh", "").set("script.file", json!("x/main.sh")), "spec.script.file"),
        (right().set("script.env", variable("AWS_ENDPOINT_URL")), "spec.script.env[0].name"),
        (right().set("script.env", variable("AWS_REGION")), "spec.script.env[0].name"),
        (
            right().set(
                "script.env",
                json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {
                    "name": CREDENTIALS, "key": "AWS_ACCESS_KEY_ID"}}}]),
            ),
            "spec.script.env[0].valueFrom.secretKeyRef.name",
        ),
        (
            right().set(
                "podTemplate.volumes",
                json!([{"name": "keys", "secret": {"secretName": CREDENTIALS}}]),
            ),
            "spec.podTemplate.volumes[0].secret.secretName",
        ),
        (
            right().set("podTemplate.volumeMounts", json!([{"name": "n", "mountPath": "/n"}])),
            "spec.podTemplate.volumeMounts[0].name",
        ),
        (
            right()
                .set("podTemplate.volumes", json!([{"name": "n", "emptyDir": {}}]))
                .set("podTemplate.volumeMounts", json!([{"name": "n", "mountPath": "/dm/bin"}])),
            "spec.podTemplate.volumeMounts[0].mountPath",
        ),
        (
            right().set("script.configMap.items", json!([{"key": "missing", "path": "a"}])),
            "spec.script.configMap.items[0].key",
        ),
        (
            right().set(
                "script.configMap.items",
                json!([{"key": "main.sh", "path": "a"}, {"key": "main.sh", "path": "a"}]),
            ),
            "spec.script.configMap.items[1].path",
        ),
    ];
    for (number, (mut migration, named)) in cases.into_iter().enumerate() {
        let name = format!("m{number}");
        migration.object["metadata"]["name"] = json!(name);
        bed.submit(&migration).await;
        let message = bed.reason(&name, Reason::InvalidSpec).await;
        assert!(message.starts_with(&format!("{named}: ")), "{named}: {message}");
        let found = bed.migrations().get(&name).await.unwrap();
        assert!(condition(&found, types::STALLED).is_some(), "{name}");
    }
    assert!(bed.jobs().await.is_empty(), "nothing has run");
    bed.done().await;
}

#[tokio::test]
async fn what_only_kubernetes_finds_wrong_in_the_pod() {
    let bed = Bed::new("refused").await;
    // The API server knows what a Job's template may hold; its words are passed on.
    let cases = [
        (
            right().set("podTemplate.nodeSelector", json!({"a b": "c"})),
            "spec.template.spec.nodeSelector",
        ),
        (
            right().set(
                "podTemplate.resources",
                json!({"requests": {"memory": "2Mi"}, "limits": {"memory": "1Mi"}}),
            ),
            "resources.requests",
        ),
    ];
    for (number, (mut migration, named)) in cases.into_iter().enumerate() {
        let name = format!("m{number}");
        migration.object["metadata"]["name"] = json!(name);
        bed.submit(&migration).await;
        let message = bed.reason(&name, Reason::ObjectRefused).await;
        assert!(message.contains(named), "{named}: {message}");
    }
    bed.done().await;
}
