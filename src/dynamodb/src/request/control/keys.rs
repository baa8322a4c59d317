//! Keys and attribute definitions as CreateTable and UpdateTable give them, with the rules of the
//! API reference for them ("CreateTable", "Quotas in DynamoDB").

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::invalid;
use crate::error::ServiceError;
use crate::request::members::{listed, string, text, unexpected};
use crate::schema::KeyType;

/// HASH elements of a global index's key, and RANGE elements.
const INDEX_KEY_PARTS_MAX: usize = 4;

/// Length of a key attribute's name, and of one that an index includes.
pub const KEY_NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=255;

type Result<T> = std::result::Result<T, ServiceError>;

/// Attribute definitions by name.
pub type Definitions = BTreeMap<String, KeyType>;

/// One element of a KeySchema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyElement {
    pub name: String,
    /// Whether it is HASH, and not RANGE.
    pub is_hash: bool,
}

/// What a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOf<'a> {
    Table,
    /// A local index of a table with this partition key.
    Local {
        index: &'a str,
        partition: &'a str,
    },
    Global,
}

impl KeyElement {
    /// The element as requests and descriptions show it.
    pub fn to_json(&self) -> Value {
        let kind = if self.is_hash { "HASH" } else { "RANGE" };
        json!({"AttributeName": self.name, "KeyType": kind})
    }
}

/// Reads the KeySchema of a table or an index.
pub fn key(body: &Map<String, Value>) -> Result<Vec<KeyElement>> {
    let element = |element: Result<&Map<String, Value>>| {
        let element = element?;
        let name = string(element, "AttributeName");
        Ok(KeyElement { name, is_hash: text(element, "KeyType") == Some("HASH") })
    };
    listed(body, "KeySchema").map(element).collect()
}

/// Reads AttributeDefinitions.
pub fn definitions(body: &Map<String, Value>) -> Result<Vec<(String, KeyType)>> {
    let definition = |definition: Result<&Map<String, Value>>| {
        let definition = definition?;
        let name = string(definition, "AttributeName");
        let kind = text(definition, "AttributeType").and_then(KeyType::of);
        Ok((name, kind.ok_or_else(unexpected)?))
    };
    listed(body, "AttributeDefinitions").map(definition).collect()
}

/// Checks attribute definitions against each other.
pub fn definitions_by_name(given: &[(String, KeyType)]) -> Result<Definitions> {
    let mut definitions = Definitions::new();
    for (name, kind) in given {
        if !KEY_NAME_LENGTH.contains(&name.len()) {
            return invalid(format!(
                "AttributeName must be between {} and {} bytes long",
                KEY_NAME_LENGTH.start(),
                KEY_NAME_LENGTH.end()
            ));
        }
        if definitions.insert(name.clone(), *kind).is_some() {
            return invalid(format!(
                "Duplicate AttributeName found in AttributeDefinitions: {name}"
            ));
        }
    }
    Ok(definitions)
}

/// Every attribute of an index's key is defined.
pub fn check_defined(key: &[KeyElement], definitions: &Definitions) -> Result<()> {
    if key.iter().all(|element| definitions.contains_key(&element.name)) {
        return Ok(());
    }
    invalid(format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, \
         AttributeDefinitions: {}",
        in_brackets(key.iter().map(|element| &element.name)),
        in_brackets(definitions.keys())
    ))
}

/// Every attribute of a new table's key is defined. AWS has two ways to say that one is not: which
/// one depends on how many elements the key has.
pub fn check_table_key_defined(key: &[KeyElement], definitions: &Definitions) -> Result<()> {
    let twice = key.len() > 1 && key[0].name == key[1].name;
    match check_defined(key, definitions) {
        Ok(()) if !twice => Ok(()),
        Err(error) if key.len() == 1 && !definitions.is_empty() => Err(error),
        Ok(()) | Err(_) => Err(ServiceError::validation(
            "Invalid KeySchema: Some index key attribute have no definition",
        )),
    }
}

/// Every attribute that is defined is part of some key.
pub fn check_used(keys: &[&[KeyElement]], definitions: &Definitions) -> Result<()> {
    let mut names: Vec<&String> = keys.iter().copied().flatten().map(|key| &key.name).collect();
    if definitions.keys().all(|name| names.contains(&name)) {
        return Ok(());
    }
    if keys.len() == 1 {
        return invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined \
             in AttributeDefinitions",
        );
    }
    names.sort_unstable();
    names.dedup();
    invalid(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
        in_brackets(definitions.keys()),
        in_brackets(names)
    ))
}

/// Checks the elements of a key: HASH before RANGE, and as many as may be.
pub fn check_key(key: &[KeyElement], of: KeyOf<'_>) -> Result<()> {
    let schema = |what: &str| Err(ServiceError::validation(format!("Invalid KeySchema: {what}")));
    let second_hash = "The second KeySchemaElement is not a RANGE key type";
    if key.first().is_none_or(|first| !first.is_hash) {
        return schema("The first KeySchemaElement is not a HASH key type");
    }
    for (at, element) in key.iter().enumerate() {
        let before = &key[..at];
        if before.iter().any(|other| other.name == element.name) {
            return Err(ServiceError::validation(
                "Both the Hash Key and the Range Key element in the KeySchema have the same name",
            ));
        }
        if element.is_hash && before.iter().any(|other| !other.is_hash) {
            return schema(second_hash);
        }
    }
    let partition = key.iter().filter(|element| element.is_hash).count();
    if of != KeyOf::Global && partition > 1 {
        return schema(second_hash);
    }
    let sort = key.len() - partition;
    let parts_max = if of == KeyOf::Global { INDEX_KEY_PARTS_MAX } else { 1 };
    if partition > parts_max || sort > parts_max {
        return schema(&format!(
            "at most {parts_max} HASH and {parts_max} RANGE KeySchemaElements are allowed"
        ));
    }
    let KeyOf::Local { index, partition } = of else { return Ok(()) };
    if sort == 0 {
        return invalid(format!("Index KeySchema does not have a range key for index: {index}"));
    }
    if key[0].name != partition {
        return invalid(format!(
            "Index KeySchema does not have the same leading hash key as table KeySchema for \
             index: {index}. index hash key: {}, table hash key: {partition}",
            key[0].name
        ));
    }
    Ok(())
}

/// Names as DynamoDB lists them.
fn in_brackets<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    format!("[{}]", names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}
