//! Fields of a manifest against the schema of its kind, before it is read as one: the API server
//! drops an unknown field or rejects a wrong type, and `filter` misspelled must not delete every
//! item here. Pure.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::layout::counted;

/// Fields listed for a name that resembles none of them. More would hide the message.
const LISTED_MAX: usize = 16;

/// Characters of a value that a message repeats.
const REPEATED_CHARS_MAX: usize = 40;

/// A field that its kind does not have, or not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// Its path: `spec.transform.filter`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for WrongField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Returns what is wrong with the names and the spec of a manifest of this kind.
pub fn wrong(manifest: &Value, kind: &str) -> Vec<WrongField> {
    let definitions = dm_api::definitions();
    let of_kind = |definition: &&Value| definition["spec"]["names"]["kind"] == kind;
    let Some(definition) = definitions.iter().find(of_kind) else { return Vec::new() };
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    for name in ["name", "namespace"] {
        if let Some(value) = manifest["metadata"].get(name) {
            check(&format!("metadata.{name}"), value, &json!({"type": "string"}), &mut found);
        }
    }
    if let (Some(spec), Some(schema)) = (manifest.get("spec"), schema["properties"].get("spec")) {
        check("spec", spec, schema, &mut found);
    }
    found
}

fn check(path: &str, value: &Value, schema: &Value, found: &mut Vec<WrongField>) {
    let mut wrong = |message: String| found.push(WrongField { path: path.to_owned(), message });
    if value.is_null() && (schema["nullable"] == true || schema.get("default").is_some()) {
        return;
    }
    if let Some(all) = schema["enum"].as_array() {
        if !all.contains(value) {
            let names: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            wrong(format!("{} is not one of {}", shown(value), names.join(", ")));
        }
        return;
    }
    if let Some(message) = out_of_bounds(value, schema) {
        return wrong(message);
    }
    let Some(kind) = schema["type"].as_str() else { return };
    match (kind, value) {
        ("object", Value::Object(members)) => object(path, members, schema, found),
        ("array", Value::Array(elements)) => {
            for (at, element) in elements.iter().enumerate() {
                check(&format!("{path}[{at}]"), element, &schema["items"], found);
            }
        }
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("integer" | "number", Value::Number(_)) => {}
        ("string", Value::Bool(_) | Value::Number(_)) => {
            // What was written is not known here: YAML reads n as false, and cuts long numbers.
            let what = in_words(value);
            wrong(format!("a string is needed, and YAML reads this as {what}; put it in quotes"));
        }
        (kind, _) => wrong(format!("{} is needed, found {}", needed(kind), in_words(value))),
    }
}

/// What of a value is more or less than its schema allows.
fn out_of_bounds(value: &Value, schema: &Value) -> Option<String> {
    let (what, count, least, most) = match value {
        Value::String(text) => ("character", text.chars().count(), "minLength", "maxLength"),
        Value::Array(elements) => ("element", elements.len(), "minItems", "maxItems"),
        Value::Object(members) => ("name", members.len(), "minProperties", "maxProperties"),
        Value::Number(number) => {
            let (number, bound) = (number.as_f64()?, |name: &str| schema[name].as_f64());
            let low = bound("minimum").filter(|least| number < *least);
            let high = bound("maximum").filter(|most| number > *most);
            return low
                .map(|least| format!("the minimum is {least}"))
                .or_else(|| high.map(|most| format!("the maximum is {most}")));
        }
        Value::Null | Value::Bool(_) => return None,
    };
    let count = count as u64;
    let low = schema[least].as_u64().filter(|least| count < *least);
    let high = schema[most].as_u64().filter(|most| count > *most);
    let has = counted(count, what);
    low.map(|least| format!("it has {has}; the minimum is {least}"))
        .or_else(|| high.map(|most| format!("it has {has}; the maximum is {most}")))
}

fn object(path: &str, members: &Map<String, Value>, schema: &Value, found: &mut Vec<WrongField>) {
    if let Some(each) = schema.get("additionalProperties").filter(|each| each.is_object()) {
        for (name, value) in members {
            check(&format!("{path}.{name}"), value, each, found);
        }
        return;
    }
    let Some(known) = schema["properties"].as_object() else { return };
    for (name, value) in members {
        let path = format!("{path}.{name}");
        match known.get(name) {
            Some(schema) => check(&path, value, schema, found),
            None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
            None => found.push(WrongField { path, message: unknown(name, known) }),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            let description = known.get(name).and_then(|field| field["description"].as_str());
            let first = description.and_then(|text| text.split(". ").next()).unwrap_or_default();
            let meaning = first.trim_end_matches('.').replace('\n', " ");
            let message = if meaning.is_empty() {
                "it is missing".to_owned()
            } else {
                format!("it is missing: {meaning}")
            };
            found.push(WrongField { path: format!("{path}.{name}"), message });
        }
    }
}

fn unknown(name: &str, known: &Map<String, Value>) -> String {
    let names = || known.keys().map(String::as_str);
    let lower = name.to_ascii_lowercase();
    let near = names()
        .map(|known| (distance(&lower, &known.to_ascii_lowercase()), known))
        .filter(|(distance, known)| *distance <= 2 && *distance < known.len())
        .min();
    match near {
        Some((_, near)) => format!("there is no such field; did you mean {near}?"),
        None if known.len() <= LISTED_MAX => {
            let all: Vec<&str> = names().collect();
            format!("there is no such field; there are {}", all.join(", "))
        }
        None => "there is no such field; see kubectl explain".to_owned(),
    }
}

/// How many letters have to be added, removed, replaced, or exchanged with their neighbor.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best =
                (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}

fn needed(kind: &str) -> &'static str {
    match kind {
        "object" => "a map of names and values",
        "array" => "a list, such as [a, b],",
        "boolean" => "true or false, without quotes,",
        "string" => "a string",
        _ => "a number",
    }
}

fn in_words(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A value as it is written, if it is short.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Array(_) | Value::Object(_) => return in_words(value).to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= REPEATED_CHARS_MAX { text } else { "this text".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
    fn check(spec: Value, expected: &[&str]) {
        let manifest = json!({"kind": "DataMigration", "spec": spec});
        let found = super::wrong(&manifest, "DataMigration");
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{manifest}");
    }

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
    fn transform(transform: Value) -> Value {
        json!({"target": {"name": "dev"}, "transform": transform})
    }

    #[test]
    fn a_right_spec_has_no_wrong_field() {
        check(
            json!({
                "target": {"name": "dev"}, "dryRun": true, "description": null,
                "limits": {"writesPerSecond": 5},
                "transform": {
                    "table": "cars", "convert": {"a": "N", "b": false}, "remove": ["c"],
                    "set": {"any": "1"}, "configMap": {"name": "x"},
                },
                "podTemplate": {"nodeSelector": {"a": "b"}},
            }),
            &[],
        );
    }

    #[test]
    fn bounds_of_the_api_are_checked() {
        let many: Vec<String> = (0..65).map(|n| format!("a{n}")).collect();
        check(
            transform(json!({"table": "cars", "remove": many})),
            &["spec.transform.remove: it has 65 elements; the maximum is 64"],
        );
        let mut spec = transform(json!({"table": "cars", "remove": ["a"]}));
        spec["parallelism"] = json!(65);
        check(spec, &["spec.parallelism: the maximum is 64"]);
    }

    #[test]
    fn a_name_is_a_text() {
        let manifest = json!({"metadata": {"name": 20_261_129}});
        let found = super::wrong(&manifest, "DataMigration");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].to_string(),
            "metadata.name: a string is needed, and YAML reads this as a number; put it in quotes"
        );
    }

    #[test]
    fn unknown_fields_are_named_with_the_field_that_was_meant() {
        for (name, meant) in [
            ("fliter", "filter"),
            ("Filter", "filter"),
            ("sett", "set"),
            ("keeporiginal", "keepOriginal"),
        ] {
            check(
                transform(json!({"table": "cars", "delete": true, name: "x"})),
                &[&format!("spec.transform.{name}: there is no such field; did you mean {meant}?")],
            );
        }
        check(
            transform(json!({"table": "cars", "to": {"table": "other", "region": "x"}})),
            &["spec.transform.to.region: there is no such field; there are table"],
        );
        check(
            json!({"target": {"name": "dev"}, "onError": "x"}),
            &["spec.onError: there is no such field; see kubectl explain"],
        );
    }

    #[test]
    fn values_of_another_type_are_named_with_what_to_write() {
        check(
            transform(json!({"table": "cars", "set": {"a": 4, "b": true, "c": null, "d": {}}})),
            &[
                "spec.transform.set.a: a string is needed, and YAML reads this as a number; put it \
                 in quotes",
                "spec.transform.set.b: a string is needed, and YAML reads this as a truth value; \
                 put it in quotes",
                "spec.transform.set.c: a string is needed, found nothing",
                "spec.transform.set.d: a string is needed, found a map",
            ],
        );
        check(
            transform(json!({"table": "cars", "remove": "a", "set": [], "delete": "yes"})),
            &[
                "spec.transform.remove: a list, such as [a, b], is needed, found a string",
                "spec.transform.set: a map of names and values is needed, found a list",
                "spec.transform.delete: true or false, without quotes, is needed, found a string",
            ],
        );
        check(
            transform(json!({"convert": {"year": "number"}})),
            &[
                "spec.transform.convert.year: number is not one of S, N, L, SS, NS, M, json, \
                 iso8601, epoch",
                "spec.transform.table: it is missing: Name of the table whose items change",
            ],
        );
    }
}
