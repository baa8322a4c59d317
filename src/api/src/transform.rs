//! `spec.transform`: a migration that is declared instead of programmed
//! (docs/reference/transforms.md).

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files::FilesConfigMap;

/// A migration that is declared and has no program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.keepOriginal || has(self.to) || has(self.rekey) && \
                            size(self.rekey) > 0")
        .field_path(".keepOriginal").message("only an item that moves (rekey, to) has an original")
)]
pub struct TransformSource {
    /// Name of the table whose items change.
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[a-zA-Z0-9_.-]+$"))]
    pub table: String,
    /// Index to scan instead of the table, for a filter that few items meet. Its projection must be
    /// ALL. Default: the table is scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[a-zA-Z0-9_.-]+$"))]
    pub index: Option<String>,
    /// The condition that an item meets to be changed, for example
    /// `attribute_not_exists(price) AND weight > 1000`. Default: every item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// Expressions, by the path that they set, for example `price: weight / 2`. A string in an
    /// expression is in single quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Expression>")]
    pub set: BTreeMap<String, String>,
    /// Expressions by path, as in `set`, for paths that are absent. Other paths keep their value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Expression>")]
    pub default: BTreeMap<String, String>,
    /// New paths by old paths. An item that has both fails.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Path>")]
    pub rename: BTreeMap<String, String>,
    /// Types by path: S, N, L, SS, NS, M (from JSON text), json, iso8601 or epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub convert: BTreeMap<String, ConvertTo>,
    /// Paths to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub remove: Vec<String>,
    /// Whether the items are deleted. Default: false.
    #[serde(default)]
    pub delete: bool,
    /// Expressions for key attributes, by attribute name. The item moves in one transaction, if its
    /// new key is free.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Expression>")]
    pub rekey: BTreeMap<String, String>,
    /// Table that the items move to. Default: their own table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TargetTable>,
    /// Whether an item that moves also stays under its old key. Default: false.
    #[serde(default)]
    pub keep_original: bool,
    /// ConfigMap with the files that `lookup` reads, `.csv` or `.json`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<FilesConfigMap>,
}

impl TransformSource {
    /// Returns what a run carries out, as its guard reads it: everything but where the files are.
    pub fn declaration(&self, on_item_error: OnItemError) -> Value {
        // Strings, lists and string maps: nothing that JSON cannot hold.
        let mut transform = json!(self);
        if let Some(fields) = transform.as_object_mut() {
            fields.remove("configMap");
        }
        json!({"version": 1, "onItemError": on_item_error, "transform": transform})
    }
}

// The schema of an expression: `inner` has no effect on the values of a map.
#[derive(JsonSchema)]
struct Expression(
    #[schemars(length(min = 1, max = 4096))]
    #[allow(dead_code)]
    String,
);

// The schema of a path.
#[derive(JsonSchema)]
struct Path(
    #[schemars(length(min = 1, max = 1024))]
    #[allow(dead_code)]
    String,
);

/// A type that values are converted to, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenType")]
pub struct ConvertTo(pub String);

/// What YAML makes of such a name: kubectl reads a bare `N` as the truth value false, as YAML 1.1
/// has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenType {
    Name(String),
    Truth(bool),
}

impl TryFrom<WrittenType> for ConvertTo {
    type Error = &'static str;

    fn try_from(written: WrittenType) -> Result<Self, Self::Error> {
        match written {
            WrittenType::Name(name) => Ok(Self(name)),
            WrittenType::Truth(false) => Ok(Self("N".into())),
            WrittenType::Truth(true) => {
                Err("true is no type; give S, N, L, SS, NS, M, json, iso8601 or epoch")
            }
        }
    }
}

impl JsonSchema for ConvertTo {
    fn schema_name() -> Cow<'static, str> {
        "ConvertTo".into()
    }

    /// Without a type, because a bare `N` arrives as a truth value.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = ["S", "N", "L", "SS", "NS", "M", "json", "iso8601", "epoch"];
        let names = names.into_iter().map(Value::from).chain([Value::from(false)]);
        let names: Vec<Value> = names.collect();
        json_schema!({"x-kubernetes-preserve-unknown-fields": true, "enum": names})
    }
}

/// A table that items go to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct TargetTable {
    /// Name of the table.
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[a-zA-Z0-9_.-]+$"))]
    pub table: String,
}

/// What happens to the run if a transform cannot change an item.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum OnItemError {
    /// The run stops and fails.
    #[default]
    Stop,
    /// The other items are changed, and the run ends as partially failed.
    Continue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_n_is_the_type_of_numbers() {
        let read = |json: Value| {
            let source = json!({"table": "cars", "convert": {"year": json}});
            let source = serde_json::from_value::<TransformSource>(source);
            source.map(|source| source.convert["year"].0.clone()).map_err(|error| error.to_string())
        };
        assert_eq!(read(json!("N")).unwrap(), "N");
        // As kubectl sends `year: N`.
        assert_eq!(read(json!(false)).unwrap(), "N");
        assert!(read(json!(true)).unwrap_err().contains("true is no type"));
        assert!(read(json!(1)).is_err());
    }

    #[test]
    fn a_declaration_has_names_of_types() {
        let source = json!({"table": "cars", "convert": {"year": false, "tags": "SS"}});
        let source: TransformSource = serde_json::from_value(source).unwrap();
        let declared = source.declaration(OnItemError::Stop);
        assert_eq!(declared["transform"]["convert"], json!({"year": "N", "tags": "SS"}));
    }
}
