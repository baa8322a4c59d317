//! What a program may refer to, and what of it makes another program.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use serde_json::{Value, json};

use super::*;
use crate::identified::Target;
use crate::samples;

fn on(target: Value) -> Target {
    samples::target(target)
}

fn settled(spec: Value, target: Value, found: &References) -> Result<Runnable, Problem> {
    let migration = samples::migration(json!({"spec": spec}));
    let runnable = Runnable { target: on(target), ..samples::runnable() };
    let pod = migration.spec.pod_template.clone();
    settle(&migration, Runnable { pod, ..runnable }, found)
}

fn refused(spec: Value, target: Value, found: &References, parts: &[&str]) {
    let problem = settled(spec, target, found).expect_err("it is refused");
    assert_eq!(problem.reason, Reason::InvalidSpec);
    for part in parts {
        assert!(problem.message.contains(part), "{}", problem.message);
    }
}

fn volume(volume: Value) -> Value {
    let mut one = json!({"name": "v"});
    one.as_object_mut().unwrap().extend(volume.as_object().unwrap().clone());
    json!({"podTemplate": {"volumes": [one]}})
}

fn variable(secret: &str) -> Value {
    let from = json!({"secretKeyRef": {"name": secret, "key": "k"}});
    json!({"script": {"env": [{"name": "KEY", "valueFrom": from}]}})
}

fn all_allowed() -> Value {
    json!({"policy": {"programs": {"secrets": ["*"], "persistentVolumeClaims": ["*"]}}})
}

/// The own target, and another team's with an archive on a volume.
fn two_targets() -> References {
    let other = json!({
        "credentials": {"secret": {"name": "other-aws"}},
        "dryRunCredentials": {"secret": {"name": "other-read"}},
        "archive": {
            "url": "file:///archive", "volume": {"persistentVolumeClaim": {"claimName": "disk"}},
        },
    });
    let mut other = on(other);
    other.metadata.name = Some("other".into());
    let bucket = json!({"archive": {
        "url": "s3://archive", "credentials": {"secret": {"name": "archive-keys"}},
    }});
    References {
        targets: [on(bucket), other].iter().map(|one| MigrationTarget::clone(one)).collect(),
        ..References::default()
    }
}

#[test]
fn no_program_gets_a_secret_or_claim_of_any_target() {
    let found = two_targets();
    for (secret, target) in
        [("aws", "dev"), ("archive-keys", "dev"), ("other-aws", "other"), ("other-read", "other")]
    {
        let field = "volumes[0].secret.secretName";
        let mounted = volume(json!({"secret": {"secretName": secret}}));
        refused(mounted, all_allowed(), &found, &[field, &format!("MigrationTarget {target}")]);
        let field = "spec.script.env[0].valueFrom.secretKeyRef.name";
        refused(variable(secret), all_allowed(), &found, &[field, target]);
    }
    let claim = volume(json!({"persistentVolumeClaim": {"claimName": "disk"}}));
    let field = "volumes[0].persistentVolumeClaim.claimName";
    refused(claim, all_allowed(), &found, &[field, "MigrationTarget other"]);
}

#[test]
fn another_secret_or_claim_needs_the_word_of_the_targets_owner() {
    let found = two_targets();
    let secret = || volume(json!({"secret": {"secretName": "mail-password"}}));
    let claim = || volume(json!({"persistentVolumeClaim": {"claimName": "scratch-1"}}));
    refused(secret(), json!({}), &found, &["does not let", "policy.programs.secrets"]);
    refused(variable("mail-password"), json!({}), &found, &["policy.programs.secrets"]);
    refused(claim(), json!({}), &found, &["policy.programs.persistentVolumeClaims"]);
    let some = || {
        json!({"policy": {"programs": {
            "secrets": ["mail-*"], "persistentVolumeClaims": ["scratch-?"],
        }}})
    };
    for spec in [secret(), variable("mail-password"), claim()] {
        assert!(settled(spec, some(), &found).is_ok());
    }
    refused(variable("db"), some(), &found, &["policy.programs.secrets"]);
}

#[test]
fn the_owner_bounds_where_and_how_a_pod_runs() {
    let none = References::default();
    let pod = |settings: Value| json!({"podTemplate": settings});
    let policy = |programs: Value| json!({"policy": {"programs": programs}});
    let cases = [
        (json!({"priorityClassName": "high"}), "priorityClasses", "low", "high"),
        (
            json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}),
            "tolerations",
            "a*",
            "g?u",
        ),
        (json!({"tolerations": [{"operator": "Exists"}]}), "tolerations", "gpu", "*"),
        (json!({"metadata": {"labels": {"team": "x"}}}), "labels", "app", "team"),
        (json!({"metadata": {"annotations": {"a/b": "x"}}}), "annotations", "b/*", "a/*"),
    ];
    for (settings, list, other, matching) in cases {
        let field = format!("policy.programs.{list}");
        refused(pod(settings.clone()), policy(json!({list: [other]})), &none, &[&field]);
        refused(pod(settings.clone()), policy(json!({list: []})), &none, &[&field]);
        assert!(settled(pod(settings.clone()), policy(json!({list: [matching]})), &none).is_ok());
        assert!(settled(pod(settings), json!({}), &none).is_ok(), "unset: all are allowed");
    }
}

#[test]
fn keys_that_give_an_identity_are_never_an_authors() {
    for key in [
        "datamigration.dev/run",
        "eks.amazonaws.com/skip-containers",
        "karpenter.sh/do-not-disrupt",
        "azure.workload.identity/use",
    ] {
        for kind in ["labels", "annotations"] {
            let pod = json!({"podTemplate": {"metadata": {kind: {key: "x"}}}});
            refused(pod, json!({}), &References::default(), &[key, "may set keys that begin with"]);
        }
    }
}

#[test]
fn all_that_a_pod_runs_with_is_in_the_digest() {
    let digest = |spec: Value, maps: &[(&str, Value)]| {
        let config_maps = maps.iter().map(|(name, map)| {
            ((*name).to_owned(), serde_json::from_value::<Option<ConfigMap>>(map.clone()).unwrap())
        });
        let found = References { config_maps: config_maps.collect(), ..References::default() };
        settled(spec, all_allowed(), &found).unwrap().digest
    };
    let plain = digest(json!({}), &[]);
    assert_eq!(plain, samples::runnable().digest, "an older operator's digest stays good");
    for same in [json!({"podTemplate": {"resources": {"limits": {"memory": "1Gi"}}}}), json!({})] {
        assert_eq!(digest(same, &[]), plain);
    }
    let map = |data: Value| json!({"data": data});
    let rates = || volume(json!({"configMap": {"name": "rates"}}));
    let mounted = json!({"podTemplate": {
        "volumes": [{"name": "v", "configMap": {"name": "rates"}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }});
    let all = [
        plain,
        digest(json!({"podTemplate": {"runAsUser": 1000}}), &[]),
        digest(volume(json!({"emptyDir": {}})), &[]),
        digest(volume(json!({"secret": {"secretName": "a"}})), &[]),
        digest(rates(), &[("rates", map(json!({"a": "1"})))]),
        digest(rates(), &[("rates", map(json!({"a": "2"})))]),
        digest(
            volume(json!({"configMap": {"name": "rates", "optional": true}})),
            &[("rates", Value::Null)],
        ),
        digest(mounted, &[("rates", map(json!({"a": "1"})))]),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "{index}");
    }
}

#[test]
fn the_configmaps_of_variables_and_volumes_are_looked_for() {
    let migration = samples::migration(json!({"spec": {
        "script": {"env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b"}}},
        ]},
        "podTemplate": {"volumes": [{"name": "v", "configMap": {"name": "rates"}}]},
    }}));
    assert_eq!(config_maps(&migration).into_iter().collect::<Vec<_>>(), ["rates", "settings"]);
    assert!(!needs_targets(&migration));
}
