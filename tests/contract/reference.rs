//! What the reference pages must say, by the code: every field of a custom resource, reason, metric
//! and AWS action. The command line is checked in `commands`, how pages are written in `docs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use dm_api::condition::Reason;
use dm_api::target_condition::TargetReason;
use dm_engine::operation::{Class, Operation};
use serde_json::Value;

use crate::docs::{DENIED, holds};
use crate::markdown::Page;
use crate::root;
use crate::tidy::none;

fn page(name: &str) -> Page {
    Page::parse(name, &fs::read_to_string(root().join(name)).unwrap())
}

/// Fields whose own fields are Kubernetes' and described by `kubectl explain`, by the end of their
/// path.
const OF_KUBERNETES: &[&str] = &[
    ".env",
    ".affinity",
    ".tolerations",
    ".imagePullSecrets",
    ".volumeMounts",
    ".podTemplate.resources",
    ".resources.guard",
    ".resources.prepare",
    ".volumes.configMap",
    ".volumes.secret",
    ".volumes.emptyDir",
    ".volumes.persistentVolumeClaim",
    ".conditions",
];

/// Paths of fields that hold no further fields of ours, in a schema.
fn fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    let inner = if schema["type"] == "array" { &schema["items"] } else { schema };
    let of_kubernetes = OF_KUBERNETES.iter().any(|end| path.ends_with(end));
    match inner["properties"].as_object().filter(|_| !of_kubernetes) {
        Some(properties) => {
            for (name, property) in properties {
                fields(property, &format!("{path}.{name}"), found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

/// Fields of a kind that its page describes in no table: `name` below a heading with the path
/// before it.
fn missing(kind: &str, name: &str) -> Vec<String> {
    let definitions = dm_api::definitions();
    let definition =
        definitions.iter().find(|definition| definition["spec"]["names"]["kind"] == kind).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut all = Vec::new();
    for part in ["spec", "status"] {
        if schema[part].is_object() {
            fields(&schema[part], part, &mut all);
        }
    }
    assert!(all.len() > 20, "{kind} has {} fields", all.len());
    let mut described = BTreeSet::new();
    for (scopes, field) in page(name).defined() {
        described.extend(scopes.iter().map(|scope| format!("{scope}.{field}")));
    }
    let lost = all.into_iter().filter(|path| !described.contains(path));
    lost.map(|path| format!("{name}: a row for {path}, below a heading with its beginning"))
        .collect()
}

#[test]
fn every_field_of_both_kinds_is_described() {
    let broken = [
        missing("DataMigration", "docs/reference/datamigration.md"),
        missing("MigrationTarget", "docs/reference/migrationtarget.md"),
    ];
    none("these fields are not described", &broken.concat());
}

#[test]
fn every_reason_and_condition_is_described() {
    let described: BTreeSet<String> =
        page("docs/reference/reasons.md").defined().into_iter().map(|(_, name)| name).collect();
    let read = |name: &str| fs::read_to_string(root().join("src/api/src").join(name)).unwrap();
    let text = read("condition.rs") + &read("target_condition.rs");
    let types = text.lines().filter_map(|line| {
        line.trim().strip_prefix("pub const ")?.split_once(": &str = \"")?.1.strip_suffix("\";")
    });
    let types: Vec<&str> = types.collect();
    assert!(types.len() > 5, "{types:?}");
    let all = Reason::ALL.iter().map(|reason| reason.as_str()).chain(types);
    let all = all.chain(TargetReason::ALL.iter().map(|reason| reason.as_str()));
    let lost: Vec<String> =
        all.filter(|name| !described.contains(*name)).map(str::to_owned).collect();
    none("docs/reference/reasons.md has no row for these", &lost);
    let known = |name: &String| {
        text.contains(&format!(" {name},")) || text.contains(&format!("\"{name}\""))
    };
    let gone: Vec<String> = described.iter().filter(|name| !known(name)).cloned().collect();
    none("docs/reference/reasons.md has rows for words that the code does not know", &gone);
}

/// The file of that name below a folder.
fn below(folder: PathBuf, name: &str) -> Option<PathBuf> {
    let mut open = vec![folder];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with(name) {
                return Some(path);
            }
        }
    }
    None
}

#[test]
fn every_metric_of_the_operator_is_described() {
    let read = |name: &str| {
        fs::read_to_string(below(root().join("src/operator/src"), name).unwrap()).unwrap()
    };
    let (registered, collected) = (read("metrics.rs"), read("metrics/states.rs"));
    let name =
        |call: &str| call.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned);
    let mut names: Vec<String> = registered.split("register(").skip(1).filter_map(name).collect();
    names.extend(collected.split("gauge(&mut encoder,").skip(1).filter_map(name));
    names.extend(collected.split("gauge(\n            &mut encoder,").skip(1).filter_map(name));
    assert!(names.len() >= 10, "{names:?}");
    let text = fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
    let lost: Vec<String> = names
        .into_iter()
        .map(|name| format!("datamigration_{name}"))
        .filter(|name| !text.contains(&format!("`{name}")))
        .collect();
    none("docs/reference/metrics.md does not describe these", &lost);
}

#[test]
fn the_gitops_page_shows_the_charts_health_checks() {
    let folder = root().join("charts/datamigration/files/gitops");
    let page = fs::read_to_string(root().join("docs/how-to/gitops.md")).unwrap();
    let shown: BTreeSet<&str> = page.lines().map(str::trim).collect();
    let lua = fs::read_to_string(folder.join("argocd-health.lua")).unwrap();
    let flux = fs::read_to_string(folder.join("flux-health.yaml")).unwrap();
    // Which of its two expressions for `current` is right, depends on who waits for it.
    let flux = flux.split_once("  current:").unwrap().0;
    let lines = lua.lines().filter(|line| !line.starts_with("--"));
    let lines = lines.chain(flux.lines().filter(|line| !line.starts_with('#')));
    let lost: Vec<String> =
        lines.map(str::trim).filter(|line| !shown.contains(line)).map(str::to_owned).collect();
    none("docs/how-to/gitops.md lacks these lines of the chart's health checks", &lost);
}

/// Actions of IAM that are no operations: PartiQL's, and the check in a transaction (AWS, Service
/// Authorization Reference, "Actions, resources, and condition keys for Amazon DynamoDB").
const ACTIONS_ONLY: &[&str] =
    &["ConditionCheckItem", "PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"];

/// The actions by which AWS authorizes an operation (the same page).
fn actions(operation: Operation) -> Vec<&'static str> {
    match operation {
        Operation::TransactGetItems => vec!["GetItem"],
        Operation::TransactWriteItems => {
            vec!["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"]
        }
        Operation::ExecuteStatement
        | Operation::BatchExecuteStatement
        | Operation::ExecuteTransaction => {
            vec!["PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"]
        }
        other => vec![other.name()],
    }
}

#[test]
fn policies_to_paste_allow_what_the_guard_sends() {
    let page = page("docs/how-to/credentials.md");
    let json = page.code.iter().filter(|(language, _)| language == "json");
    let mut allowed = BTreeSet::new();
    for (_, text) in json {
        let policy: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let statements =
            policy.get("Statement").cloned().unwrap_or_else(|| policy.clone().into_list());
        for statement in statements.as_array().unwrap() {
            let all = statement["Action"].clone().into_list();
            allowed
                .extend(all.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()));
        }
    }
    let mut wanted: BTreeSet<String> = ["GetObject", "PutObject", "ListBucket", "DeleteObject"]
        .map(|name| format!("s3:{name}"))
        .into();
    wanted.insert("dynamodb:DescribeTable".into());
    // The guard answers a search with a refusal in dry runs, and no journal reads with it.
    let data = |operation: &&Operation| {
        matches!(operation.class(), Class::DataRead | Class::DataWrite)
            && **operation != Operation::SearchVectors
    };
    for operation in Operation::ALL.iter().filter(data) {
        wanted.extend(actions(*operation).into_iter().map(|name| format!("dynamodb:{name}")));
    }
    let lost: Vec<String> = wanted.difference(&allowed).cloned().collect();
    none("no policy in docs/how-to/credentials.md allows these", &lost);
    let known = |action: &&String| match action.strip_prefix("dynamodb:") {
        Some(name) => Operation::named(name).is_some() || ACTIONS_ONLY.contains(&name),
        None => {
            action.starts_with("s3:") || action.starts_with("sts:") || action.starts_with("kms:")
        }
    };
    let unknown: Vec<String> = allowed.iter().filter(|one| !known(one)).cloned().collect();
    none("these actions of docs/how-to/credentials.md do not exist", &unknown);
}

/// IAM takes a single value for a list of one.
trait IntoList {
    fn into_list(self) -> Value;
}

impl IntoList for Value {
    fn into_list(self) -> Value {
        if self.is_array() { self } else { Value::Array(vec![self]) }
    }
}

#[test]
fn descriptions_of_fields_use_the_words_of_the_glossary() {
    let mut broken = Vec::new();
    for definition in dm_api::definitions() {
        let kind = definition["spec"]["names"]["kind"].clone();
        descriptions(&definition, &mut |text| {
            let text = text.to_lowercase();
            broken.extend(
                DENIED.iter().filter(|phrase| holds(&text, phrase)).map(|p| format!("{kind}: {p}")),
            );
        });
    }
    none("say these in other words, see docs/reference/glossary.md", &broken);
}

/// Calls `found` with each description in a schema.
fn descriptions(schema: &Value, found: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(fields) => {
            if let Some(text) = fields.get("description").and_then(Value::as_str) {
                found(text);
            }
            fields.values().for_each(|inner| descriptions(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| descriptions(inner, found)),
        _ => {}
    }
}
