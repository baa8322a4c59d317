//! Bounds for every text, number, list and map of a spec in the generated definitions, also of the
//! types that are Kubernetes' own: an object that the API server accepts is small enough for
//! whoever reads it, and each name in it can be put into a request's path.

use serde_json::{Map, Value, json};

use crate::name;

/// Characters of a text for which nothing else is said: a sentence, a path, a key.
const TEXT_CHARS_MAX: u64 = 1024;

/// Characters of an environment variable's value, or an annotation's: a few settings, not a file.
const VALUE_CHARS_MAX: u64 = 8192;

/// Entries of a list for which nothing else is said: rules of an affinity, and the like.
const ITEMS_MAX: u64 = 16;

/// Entries of a map: labels, annotations, resources.
const PROPERTIES_MAX: u64 = 64;

/// Characters of a map's key: a label's with its prefix (Kubernetes documentation, "Labels").
const KEY_CHARS_MAX: u64 = 317;

/// Members whose member `name` is the name of an object.
const REFERENCES: [&str; 5] =
    ["configMap", "configMapKeyRef", "imagePullSecrets", "secretKeyRef", "secret"];

/// Members that are themselves the name of an object.
const NAMES: [&str; 3] = ["secretName", "claimName", "priorityClassName"];

/// Members whose texts may be long.
const LONG: [&str; 2] = ["value", "annotations"];

/// Seconds that fit into the nanoseconds of Go's `time.Duration`, in which Kubernetes counts them.
const SECONDS_MAX: i64 = i64::MAX / 1_000_000_000;

/// Numbers of Kubernetes' own types, by the member and what it is within: their least and their
/// greatest value, which the API server checks no earlier than in a pod
/// (pkg/apis/core/validation/validation.go).
const NUMBERS: [(&str, Option<&str>, Option<i64>, i64); 7] = [
    ("weight", None, Some(1), 100),
    ("defaultMode", None, Some(0), 0o777),
    ("mode", Some("emptyDir"), Some(0), 0o1777),
    ("mode", None, Some(0), 0o777),
    ("defaultUser", None, Some(0), i32::MAX as i64),
    ("user", None, Some(0), i32::MAX as i64),
    // One below 0 counts as 0.
    ("tolerationSeconds", None, None, SECONDS_MAX),
];

/// Bounds the spec of a custom resource definition.
pub fn apply(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        let spec = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        bound(spec, "spec", "");
    }
}

/// Bounds a schema: of a member, within another.
fn bound(schema: &mut Value, member: &str, within: &str) {
    let Some(fields) = schema.as_object_mut() else { return };
    match fields.get("type").and_then(Value::as_str) {
        Some("string") => bound_text(fields, member, within),
        Some("integer") => bound_number(fields, member, within),
        Some("array") => {
            fields.entry("maxItems").or_insert(json!(ITEMS_MAX));
            if let Some(items) = fields.get_mut("items") {
                // An entry is a member of what the list is a member of, by the list's name.
                bound(items, member, within);
            }
        }
        Some(_) | None => {}
    }
    if let Some(values) = fields.get_mut("additionalProperties").filter(|v| v.is_object()) {
        bound(values, member, within);
        bound_map(fields);
    }
    for (name, property) in
        fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        bound(property, name, member);
    }
}

fn bound_text(fields: &mut Map<String, Value>, member: &str, within: &str) {
    let is_name = NAMES.contains(&member) || member == "name" && REFERENCES.contains(&within);
    if is_name {
        fields.entry("pattern").or_insert(json!(name::PATTERN));
        fields.entry("maxLength").or_insert(json!(name::CHARS_MAX));
    }
    if fields.contains_key("enum") {
        return;
    }
    let chars = if LONG.contains(&member) { VALUE_CHARS_MAX } else { TEXT_CHARS_MAX };
    fields.entry("maxLength").or_insert(json!(chars));
}

fn bound_number(fields: &mut Map<String, Value>, member: &str, within: &str) {
    let is_it = |bound: &&(&str, Option<&str>, Option<i64>, i64)| {
        bound.0 == member && bound.1.is_none_or(|parent| parent == within)
    };
    let Some((_, _, least, greatest)) = NUMBERS.iter().find(is_it) else { return };
    if let Some(least) = least {
        fields.entry("minimum").or_insert(json!(least));
    }
    fields.entry("maximum").or_insert(json!(greatest));
}

fn bound_map(fields: &mut Map<String, Value>) {
    fields.entry("maxProperties").or_insert(json!(PROPERTIES_MAX));
    if fields["additionalProperties"].get("type").is_none() {
        // The API server has no rules for maps whose values are of more than one type.
        return;
    }
    let rule = json!({
        "rule": format!("self.all(key, size(key) <= {KEY_CHARS_MAX})"),
        "message": format!("a key has at most {KEY_CHARS_MAX} characters"),
    });
    let rules = fields.entry("x-kubernetes-validations").or_insert(json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions;

    /// What a spec has without a bound, by its path.
    fn unbounded(schema: &Value, path: &str, found: &mut Vec<String>) {
        let has = |key: &str| schema.get(key).is_some();
        let type_ = schema["type"].as_str();
        let open = match type_ {
            Some("string") => !has("maxLength") && !has("enum"),
            Some("array") => !has("maxItems"),
            Some("object") => has("additionalProperties") && !has("maxProperties"),
            Some("integer" | "number") => !has("maximum"),
            Some("boolean") => false,
            None if has("enum") => false,
            None if has("x-kubernetes-int-or-string") => !has("maxLength"),
            _ => true,
        };
        let preserved = schema["x-kubernetes-preserve-unknown-fields"] == true && !has("enum");
        if open || preserved {
            found.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            unbounded(property, &format!("{path}.{name}"), found);
        }
        for part in ["items", "additionalProperties"] {
            if schema[part].is_object() {
                unbounded(&schema[part], &format!("{path}.{part}"), found);
            }
        }
    }

    fn spec_of(definition: &Value) -> &Value {
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    }

    #[test]
    fn nothing_of_a_spec_is_unbounded() {
        for definition in definitions() {
            let mut found = Vec::new();
            unbounded(spec_of(&definition), "spec", &mut found);
            assert_eq!(found, Vec::<String>::new());
        }
    }

    #[test]
    fn each_name_of_an_object_has_its_pattern() {
        let all = definitions();
        let check = |kind: usize, path: &str| {
            let pointer = format!("/properties/{}", path.replace('.', "/properties/"));
            let pointer = pointer.replace("/properties/items", "/items");
            let schema = spec_of(&all[kind]).pointer(&pointer).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(schema["pattern"], name::PATTERN, "{path}: {schema}");
            assert_eq!(schema["maxLength"], name::CHARS_MAX, "{path}");
        };
        for path in [
            "target.name",
            "dependsOn.items.name",
            "script.configMap.name",
            "script.env.items.valueFrom.secretKeyRef.name",
            "script.env.items.valueFrom.configMapKeyRef.name",
            "container.env.items.valueFrom.secretKeyRef.name",
            "podTemplate.imagePullSecrets.items.name",
            "podTemplate.priorityClassName",
            "podTemplate.volumes.items.configMap.name",
            "podTemplate.volumes.items.secret.secretName",
            "podTemplate.volumes.items.persistentVolumeClaim.claimName",
        ] {
            check(0, path);
        }
        for path in [
            "credentials.secret.name",
            "credentials.serviceAccount.name",
            "dryRunCredentials.secret.name",
            "archive.credentials.secret.name",
            "imagePullSecrets.items.name",
            "archive.volume.persistentVolumeClaim.claimName",
        ] {
            check(1, path);
        }
    }
}
