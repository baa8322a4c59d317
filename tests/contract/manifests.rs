//! Manifests in the documentation: each is YAML, and those of our kinds have fields that exist.
//! Values of the chart: each is described.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use dm_api::{DataMigration, MigrationTarget};
use serde_json::Value;

use crate::docs::pages;
use crate::root;
use crate::tidy::none;

/// The schema of a kind of ours.
fn schema(kind: &str) -> Option<&'static Value> {
    static DEFINITIONS: OnceLock<Vec<Value>> = OnceLock::new();
    let all = DEFINITIONS.get_or_init(dm_api::definitions);
    let definition = all.iter().find(|one| one["spec"]["names"]["kind"] == kind)?;
    Some(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
}

/// Fields of a value that its schema does not have, by their paths.
fn unknown(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            for (name, inner) in fields {
                // Every object has these, and no definition describes them.
                if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
                    continue;
                }
                let path = format!("{path}.{name}");
                match properties.get(name) {
                    Some(schema) => unknown(inner, schema, &path, found),
                    None => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                unknown(item, &schema["items"], path, found);
            }
        }
        _ => {}
    }
}

/// What is wrong with a manifest of ours.
fn wrong(manifest: &Value) -> Vec<String> {
    let kind = manifest["kind"].as_str().unwrap_or_default();
    let Some(schema) = schema(kind) else { return Vec::new() };
    let mut found = Vec::new();
    unknown(manifest, schema, "", &mut found);
    // What kustomize patches has only what differs.
    let is_whole = manifest["spec"].get("credentials").is_some()
        || ["script", "container", "transform", "baseline"]
            .iter()
            .any(|one| manifest["spec"].get(one).is_some());
    let read = match kind {
        "DataMigration" => serde_json::from_value::<DataMigration>(manifest.clone()).err(),
        _ => serde_json::from_value::<MigrationTarget>(manifest.clone()).err(),
    };
    found.extend(read.filter(|_| is_whole).map(|error| error.to_string()));
    found
}

#[test]
fn manifests_in_pages_have_fields_that_exist() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for (language, text) in &page.code {
            if language != "yaml" {
                continue;
            }
            let first = text.lines().next().unwrap_or_default();
            for document in text.split("\n---\n") {
                match serde_saphyr::from_str::<Value>(document) {
                    Ok(manifest) => {
                        checked +=
                            usize::from(schema(manifest["kind"].as_str().unwrap_or("")).is_some());
                        let all = wrong(&manifest);
                        broken
                            .extend(all.iter().map(|why| format!("{}: {first}: {why}", page.name)));
                    }
                    Err(error) => broken.push(format!("{}: {first}: {error}", page.name)),
                }
            }
        }
    }
    none("these manifests are wrong", &broken);
    assert!(checked >= 5, "{checked} manifests of ours were checked");
}

#[test]
fn a_field_that_does_not_exist_is_found() {
    let manifest = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
    let unknown_field = "kind: DataMigration\nspec:\n  target: {name: a}\n  dryrun: true\n";
    assert_eq!(wrong(&manifest(unknown_field)), [".spec.dryrun"]);
    let wrong_type = "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
                      metadata: {name: a}\n\
                      spec:\n  target: {name: a}\n  baseline: 1\n";
    assert_eq!(wrong(&manifest(wrong_type)).len(), 1);
}

/// Paths of a chart's values; what holds Kubernetes' own settings is one value.
fn values(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let inner = value.as_object().filter(|fields| !fields.is_empty());
    match inner.filter(|fields| !fields.contains_key("limits")) {
        Some(fields) => {
            for (name, inner) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                values(inner, &format!("{path}{dot}{name}"), found);
            }
        }
        None => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn every_value_of_the_chart_is_described_and_no_other() {
    let text = fs::read_to_string(root().join("charts/datamigration/values.yaml")).unwrap();
    let mut all = BTreeSet::new();
    values(&serde_saphyr::from_str::<Value>(&text).unwrap(), "", &mut all);
    assert!(all.len() > 20, "{all:?}");
    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/how-to/install.md").unwrap();
    let described: BTreeSet<String> = page
        .tables()
        .into_iter()
        .filter(|table| table[0].1[0] == "Value")
        .flat_map(|table| {
            table.into_iter().flat_map(|(_, cells)| crate::markdown::spans(&cells[0]))
        })
        .collect();
    let lost: Vec<String> = all.symmetric_difference(&described).cloned().collect();
    none("docs/how-to/install.md and the chart's values.yaml differ in these", &lost);
}
