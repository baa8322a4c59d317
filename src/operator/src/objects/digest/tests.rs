//! What makes it another program, and what does not.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use serde_json::{Value, json};

use crate::runnable::Runnable;
use crate::samples::*;
use crate::validate;

fn run(migration: &Migration, target_spec: Value, data: Value) -> Runnable {
    validate::validate(migration, Some(&target(target_spec)), None, &files(data)).unwrap()
}

/// Whether a change to the migration, the target or the files makes it another program.
fn check(spec: Value, target_spec: Value, data: Value, other: bool) {
    let base = json!({"spec": {"script": {
        "file": "a.py", "args": ["1"], "env": [{"name": "A", "value": "1"}],
    }}});
    let before = run(&migration(base.clone()), json!({}), json!({"a.py": "1", "b.csv": "2"}));
    let changed = with(&migration(base), json!({"spec": spec}));
    let after = run(&changed, target_spec, data);
    assert_eq!(before.digest != after.digest, other, "{spec}");
    assert!(after.digest.starts_with("sha256:") && after.digest.len() == 71);
}

fn same_files() -> Value {
    json!({"b.csv": "2", "a.py": "1"})
}

#[test]
fn what_the_program_does_changes_it() {
    for spec in [
        json!({"script": {"image": "python:3.13"}}),
        json!({"script": {"args": ["2"]}}),
        json!({"script": {"args": ["1", ""]}}),
        json!({"script": {"command": ["python3"]}}),
        json!({"script": {"file": "b.csv"}}),
        json!({"script": {"env": [{"name": "A", "value": "2"}]}}),
        json!({"script": {"env": []}}),
    ] {
        check(spec, json!({}), same_files(), true);
    }
}

#[test]
fn every_byte_and_name_of_its_files_changes_it() {
    for data in [
        json!({"a.py": "1", "b.csv": "3"}),
        json!({"a.py": "1"}),
        json!({"a.py": "1", "c.csv": "2"}),
        json!({"a.py": "2", "b.csv": "1"}),
        json!({"a.py": "1", "b.csv": "2", "c": ""}),
    ] {
        check(json!({}), json!({}), data, true);
    }
}

#[test]
fn where_it_works_changes_it() {
    check(json!({}), json!({"region": "eu-west-2"}), same_files(), true);
    check(json!({}), json!({"endpoint": "http://db:8000"}), same_files(), true);
    let renamed = with(&target(json!({})), json!({"metadata": {"name": "production"}}));
    let data = files(json!({"main.py": "print('cars')"}));
    let other = validate::validate(&migration(json!({})), Some(&renamed), None, &data).unwrap();
    assert_ne!(runnable().digest, other.digest);
}

#[test]
fn what_surrounds_it_does_not() {
    for spec in [
        json!({}),
        json!({"description": "Another sentence."}),
        json!({"dryRun": false, "retry": 3, "suspend": true, "backoffLimit": 2}),
        json!({"limits": {"writesPerSecond": 5}}),
        json!({"podTemplate": {"nodeSelector": {"disk": "ssd"}}}),
        json!({"script": {"imagePullPolicy": "Always"}}),
        json!({"script": {"configMap": {"name": "files-of-another-name"}}}),
        json!({"dependsOn": [{"name": "0000"}], "startAt": time(5)}),
    ] {
        check(spec, json!({}), same_files(), false);
    }
    check(json!({}), json!({"policy": {"tables": ["cars"]}}), same_files(), false);
    let credentials = json!({"credentials": {"secret": {"name": "other"}}});
    check(json!({}), credentials, same_files(), false);
    let archive = json!({"archive": {"url": "s3://archive/prod"}});
    check(json!({}), archive.clone(), same_files(), false);
    let settings = |target_spec| run(&migration(json!({})), target_spec, same_files_of_one());
    assert_ne!(settings(json!({})).settings_digest, settings(archive).settings_digest);
}

fn same_files_of_one() -> Value {
    json!({"main.py": "print('cars')"})
}

#[test]
fn a_digest_stays_what_it_was_in_an_earlier_version() {
    // Whoever was tried or approved yesterday must be recognised by tomorrow's controller.
    let expected = "sha256:5999767d";
    assert!(runnable().digest.starts_with(expected), "{}", runnable().digest);
}

#[test]
fn a_container_is_told_from_a_script_and_by_all_it_says() {
    let digest = |container: Value| {
        let source = json!({"spec": {"script": null, "container": container}});
        run(&migration(source), json!({}), json!({})).digest
    };
    let all = [
        json!({"image": "cars:1"}),
        json!({"image": "cars:2"}),
        json!({"image": "cars:1", "command": ["a"]}),
        json!({"image": "cars:1", "args": ["a"]}),
        json!({"image": "cars:1", "workingDir": "/a"}),
        json!({"image": "cars:1", "env": [{"name": "A"}]}),
    ];
    let digests: std::collections::BTreeSet<String> = all.into_iter().map(digest).collect();
    assert_eq!(digests.len(), 6);
}
