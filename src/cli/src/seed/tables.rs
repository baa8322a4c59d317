//! Tables of a seed as requests of CreateTable.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::SeedError;

/// An index of a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexSeed {
    key: Map<String, Value>,
    #[serde(default)]
    projection: Projection,
    /// Whether it is a local index; else it is a global one.
    #[serde(default)]
    local: bool,
}

/// What an index holds beside the keys.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Projection {
    Named(Whole),
    Attributes(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Whole {
    All,
    KeysOnly,
}

impl Default for Projection {
    fn default() -> Self {
        Self::Named(Whole::All)
    }
}

/// A member that is wrong.
#[derive(Debug)]
pub struct WrongTable {
    at: String,
    why: String,
}

impl WrongTable {
    /// The same with the file it is in.
    pub fn in_file(self, file: &Path) -> SeedError {
        SeedError::Member { file: file.to_owned(), at: self.at, why: self.why }
    }
}

/// The request that creates a table.
pub fn create_request(
    name: &str,
    key: &Map<String, Value>,
    indexes: &BTreeMap<String, IndexSeed>,
) -> Result<Value, WrongTable> {
    let mut definitions = BTreeMap::new();
    let schema = key_schema(&format!("tables.{name}.key"), key, &mut definitions)?;
    let (mut local, mut global) = (Vec::new(), Vec::new());
    for (index, seed) in indexes {
        let at = format!("tables.{name}.indexes.{index}.key");
        let described = json!({
            "IndexName": index,
            "KeySchema": key_schema(&at, &seed.key, &mut definitions)?,
            "Projection": seed.projection.to_json(),
        });
        if seed.local { local.push(described) } else { global.push(described) }
    }
    let definition =
        |(name, kind): (&String, &String)| json!({"AttributeName": name, "AttributeType": kind});
    let mut request = json!({
        "TableName": name,
        "KeySchema": schema,
        "AttributeDefinitions": definitions.iter().map(definition).collect::<Value>(),
        "BillingMode": "PAY_PER_REQUEST",
    });
    for (member, indexes) in [("LocalSecondaryIndexes", local), ("GlobalSecondaryIndexes", global)]
    {
        if !indexes.is_empty() {
            request[member] = indexes.into();
        }
    }
    Ok(request)
}

/// A key's schema: the first attribute is the partition key, the second the sort key.
fn key_schema(
    at: &str,
    key: &Map<String, Value>,
    definitions: &mut BTreeMap<String, String>,
) -> Result<Value, WrongTable> {
    let wrong = |why: String| WrongTable { at: at.to_owned(), why };
    if key.is_empty() || key.len() > 2 {
        return Err(wrong(
            "one or two attributes are needed: the partition key, then the sort key".into(),
        ));
    }
    let mut schema = Vec::new();
    for ((name, kind), role) in key.iter().zip(["HASH", "RANGE"]) {
        let kind = kind.as_str().filter(|kind| ["S", "N", "B"].contains(kind));
        let kind = kind.ok_or_else(|| wrong(format!("the type of {name} must be S, N or B")))?;
        let before = definitions.insert(name.clone(), kind.to_owned());
        if before.is_some_and(|before| before != kind) {
            return Err(wrong(format!("{name} has another type in another key of the table")));
        }
        schema.push(json!({"AttributeName": name, "KeyType": role}));
    }
    Ok(schema.into())
}

impl Projection {
    fn to_json(&self) -> Value {
        match self {
            Self::Named(Whole::All) => json!({"ProjectionType": "ALL"}),
            Self::Named(Whole::KeysOnly) => json!({"ProjectionType": "KEYS_ONLY"}),
            Self::Attributes(names) => {
                json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": names})
            }
        }
    }
}
