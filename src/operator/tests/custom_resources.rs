//! The custom resources have golden files that show every field of their definitions. Today's
//! program must read what yesterday's wrote, field by field, and write the same.
#![allow(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

use std::path::Path;

use dm_api::{DataMigration, MigrationTarget};
use kube::CustomResourceExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// An object is read from its golden file without losing anything, and the file has every field
/// that its definition has.
fn check_object<T: Serialize + DeserializeOwned>(name: &str, definition: &Value) {
    let text = golden(name);
    let given: Value = serde_json::from_str(&text).unwrap();
    let read: T = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), given, "{name}");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut missing = Vec::new();
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        if schema.is_object() {
            missing_fields(schema, &given[part], part, &mut missing);
        }
    }
    assert!(missing.is_empty(), "{name} lacks {missing:#?}");
}

/// Kubernetes' own types, whose fields are not ours to pin.
const FOREIGN: &[&str] = &[
    "affinity",
    "tolerations",
    "valueFrom",
    "resources",
    "guard",
    "prepare",
    "volumeMounts",
    "configMap",
    "secret",
    "emptyDir",
    "persistentVolumeClaim",
    "imagePullSecrets",
];

fn missing_fields(schema: &Value, value: &Value, path: &str, missing: &mut Vec<String>) {
    if value.is_null() {
        missing.push(path.to_owned());
        return;
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let of_pods = path.contains("podTemplate") || path == "spec.resources";
        let foreign = FOREIGN.contains(&field.as_str()) && of_pods || field == "valueFrom";
        if !foreign && !is_absent_alternative(path, field) {
            missing_fields(schema, &value[field], &format!("{path}.{field}"), missing);
        }
    }
    if schema["items"].is_object() {
        // Together the items of a list show every field.
        let mut all = serde_json::json!({});
        for item in value.as_array().unwrap() {
            for (key, value) in item.as_object().into_iter().flatten() {
                all[key] = value.clone();
            }
        }
        missing_fields(&schema["items"], &all, &format!("{path}[]"), missing);
    }
}

/// Where one of two is given, each golden file shows one.
fn is_absent_alternative(path: &str, field: &str) -> bool {
    matches!(
        (path, field),
        ("spec", "container")
            | ("spec.credentials", "serviceAccount")
            | ("spec.dryRunCredentials", "secret")
    )
}

#[test]
fn a_migration_is_its_golden_file() {
    let definition = serde_json::to_value(DataMigration::crd()).unwrap();
    check_object::<DataMigration>("datamigration.json", &definition);
}

#[test]
fn a_target_is_its_golden_file() {
    let definition = serde_json::to_value(MigrationTarget::crd()).unwrap();
    check_object::<MigrationTarget>("migrationtarget.json", &definition);
}

#[test]
fn a_status_with_the_former_spelling_is_read_and_written_with_the_new_one() {
    let mut given: Value = serde_json::from_str(&golden("datamigration.json")).unwrap();
    given["status"]["runs"][0]["result"] = "Cancelled".into();
    let read: DataMigration = serde_json::from_value(given.clone()).unwrap();
    given["status"]["runs"][0]["result"] = "Canceled".into();
    assert_eq!(serde_json::to_value(&read).unwrap(), given);
}

#[test]
fn defaults_are_filled_in_where_the_server_has_not() {
    let least: DataMigration = serde_json::from_str(
        r#"{
            "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
            "metadata": {"name": "a"},
            "spec": {"target": {"name": "dev"}, "container": {"image": "cars:1"}}
        }"#,
    )
    .unwrap();
    assert!(least.spec.dry_run, "nothing is written unless somebody says so");
    assert_eq!((least.spec.retry, least.spec.backoff_limit, least.spec.suspend), (0, 0, false));
}
