//! Key schemas, attribute definitions and indexes as CreateTable and UpdateTable give them, checked
//! by the rules of the API reference ("CreateTable", "Quotas in DynamoDB"). Pure.

use std::collections::BTreeMap;

use dm_dynamodb::error::ServiceError;
use serde_json::{Map, Value};

use crate::overlay::control::parameters::{Parameters, unexpected};
use crate::overlay::control::words::{invalid, listed};

/// Local indexes of one table.
const LOCAL_INDEXES_MAX: usize = 5;

/// Global indexes of one table, as long as nobody has asked for more.
pub const GLOBAL_INDEXES_MAX: usize = 20;

/// HASH elements of a global index's key, and RANGE elements.
const INDEX_KEY_PARTS_MAX: usize = 4;

/// Attributes that all indexes of a table together may include.
const INCLUDED_ATTRIBUTES_MAX: usize = 100;

/// Attributes that one index may include.
const INDEX_INCLUDED_ATTRIBUTES_MAX: usize = 20;

/// Length of a key attribute's name, and of one that an index includes.
const KEY_NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=255;

type Result<T> = std::result::Result<T, ServiceError>;

/// What a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOf<'a> {
    Table,
    /// A local index of this name, of a table with this partition key.
    Local(&'a str, &'a str),
    Global,
}

/// A key's attributes, partition first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub partition: Vec<String>,
    pub sort: Vec<String>,
}

impl Key {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.partition.iter().chain(&self.sort).map(String::as_str)
    }
}

/// The elements of a list that may be left out.
pub fn list<'a>(parameters: Parameters<'a>, name: &str) -> Result<&'a [Value]> {
    parameters
        .get(name)
        .map_or(Ok(&[][..]), |list| list.as_array().map(Vec::as_slice).ok_or_else(unexpected))
}

/// The attribute definitions of a request, by name.
pub fn definitions(parameters: Parameters<'_>) -> Result<BTreeMap<String, String>> {
    let mut definitions = BTreeMap::new();
    for definition in list(parameters, "AttributeDefinitions")? {
        let definition = Parameters::of(definition)?;
        let name = definition.required("AttributeName")?.as_str().ok_or_else(unexpected)?;
        definition.required("AttributeType")?;
        let types = [("S", "S"), ("N", "N"), ("B", "B")];
        let kind = definition.choice("AttributeType", &types, "B, N, S")?.unwrap_or_default();
        if !KEY_NAME_LENGTH.contains(&name.len()) {
            return Err(invalid(format!(
                "AttributeName must be between {} and {} bytes long",
                KEY_NAME_LENGTH.start(),
                KEY_NAME_LENGTH.end()
            )));
        }
        if definitions.insert(name.to_owned(), kind.to_owned()).is_some() {
            return Err(invalid(format!(
                "Duplicate AttributeName found in AttributeDefinitions: {name}"
            )));
        }
    }
    Ok(definitions)
}

/// Every attribute of an index's key is defined.
pub fn check_defined(index: Parameters<'_>, definitions: &BTreeMap<String, String>) -> Result<()> {
    let names = element_names(index)?;
    if names.iter().all(|name| definitions.contains_key(*name)) {
        return Ok(());
    }
    Err(undefined(names, definitions))
}

fn element_names(parameters: Parameters<'_>) -> Result<Vec<&str>> {
    let elements = list(parameters, "KeySchema")?;
    Ok(elements.iter().filter_map(|element| element["AttributeName"].as_str()).collect())
}

/// Every attribute of a new table's key is defined. AWS has two ways to say that one is not: which
/// one depends on how many elements the key has.
pub fn check_table_key_defined(
    parameters: Parameters<'_>,
    definitions: &BTreeMap<String, String>,
) -> Result<()> {
    let names = element_names(parameters)?;
    let twice = names.len() > 1 && names[0] == names[1];
    if !twice && names.iter().all(|name| definitions.contains_key(*name)) {
        return Ok(());
    }
    if definitions.is_empty() || names.len() > 1 {
        return Err(ServiceError::validation(
            "Invalid KeySchema: Some index key attribute have no definition",
        ));
    }
    Err(undefined(names, definitions))
}

fn undefined<'a>(
    names: impl IntoIterator<Item = &'a str>,
    definitions: &BTreeMap<String, String>,
) -> ServiceError {
    invalid(format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, \
         AttributeDefinitions: {}",
        listed(names),
        listed(definitions.keys().map(String::as_str))
    ))
}

/// Every attribute that is defined is part of some key.
pub fn check_used(keys: &[Key], definitions: &BTreeMap<String, String>) -> Result<()> {
    let used = |name: &String| keys.iter().any(|key| key.names().any(|used| used == name));
    if definitions.keys().all(used) {
        return Ok(());
    }
    if keys.len() == 1 {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined \
             in AttributeDefinitions",
        ));
    }
    let mut names: Vec<&str> = keys.iter().flat_map(Key::names).collect();
    names.sort_unstable();
    names.dedup();
    Err(invalid(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
        listed(definitions.keys().map(String::as_str)),
        listed(names)
    )))
}

/// A KeySchema, in its order: HASH before RANGE.
pub fn key(parameters: Parameters<'_>, of: KeyOf<'_>) -> Result<Key> {
    parameters.required("KeySchema")?;
    let mut key = Key { partition: Vec::new(), sort: Vec::new() };
    for element in list(parameters, "KeySchema")? {
        let element = Parameters::of(element)?;
        let name = element.required("AttributeName")?.as_str().ok_or_else(unexpected)?.to_owned();
        element.required("KeyType")?;
        let hash = element.choice("KeyType", &[("HASH", true), ("RANGE", false)], "HASH, RANGE")?;
        if key.names().any(|other| other == name) {
            return Err(ServiceError::validation(
                "Both the Hash Key and the Range Key element in the KeySchema have the same name",
            ));
        }
        match (hash, key.sort.is_empty()) {
            (Some(true), true) => key.partition.push(name),
            (Some(true), false) => {
                return Err(ServiceError::validation(
                    "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
                ));
            }
            (Some(false) | None, _) => {
                if key.partition.is_empty() {
                    return Err(no_hash());
                }
                key.sort.push(name);
            }
        }
    }
    if key.partition.is_empty() {
        return Err(no_hash());
    }
    if of != KeyOf::Global && key.partition.len() > 1 {
        return Err(ServiceError::validation(
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ));
    }
    let parts_max = if of == KeyOf::Global { INDEX_KEY_PARTS_MAX } else { 1 };
    if key.partition.len() > parts_max || key.sort.len() > parts_max {
        return Err(ServiceError::validation(format!(
            "Invalid KeySchema: at most {parts_max} HASH and {parts_max} RANGE KeySchemaElements \
             are allowed"
        )));
    }
    if let KeyOf::Local(index, partition) = of {
        if key.sort.is_empty() {
            return Err(invalid(format!(
                "Index KeySchema does not have a range key for index: {index}"
            )));
        }
        if key.partition.iter().any(|name| name != partition) {
            return Err(invalid(format!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for \
                 index: {index}. index hash key: {}, table hash key: {partition}",
                key.partition.join(", ")
            )));
        }
    }
    Ok(key)
}

fn no_hash() -> ServiceError {
    ServiceError::validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
}

/// The indexes of a request: their keys, and how many attributes they include.
#[derive(Debug, Default)]
pub struct Indexes {
    /// The keys of all.
    pub keys: Vec<Key>,
    names: Vec<String>,
    included: usize,
}

impl Indexes {
    /// Checks one more; its name.
    pub fn add<'a>(
        &mut self,
        index: &'a Value,
        table: &Key,
        local: bool,
        definitions: &BTreeMap<String, String>,
    ) -> Result<&'a str> {
        let index = Parameters::of(index)?;
        let name = index.required("IndexName")?.as_str().ok_or_else(unexpected)?;
        if self.names.iter().any(|other| other == name) {
            return Err(invalid(format!("Duplicate index name: {name}")));
        }
        let of = match table.partition.first() {
            Some(partition) if local => KeyOf::Local(name, partition),
            Some(_) | None => KeyOf::Global,
        };
        check_defined(index, definitions)?;
        let key = key(index, of)?;
        self.included += included(Parameters::of(index.required("Projection")?)?)?;
        if self.included > INCLUDED_ATTRIBUTES_MAX {
            return Err(invalid(format!(
                "Number of NonKeyAttributes over all indexes exceeds the limit of \
                 {INCLUDED_ATTRIBUTES_MAX}"
            )));
        }
        self.keys.push(key);
        self.names.push(name.to_owned());
        Ok(name)
    }

    /// All of a table that is to be created.
    pub fn of_new_table(
        parameters: Parameters<'_>,
        table: &Key,
        definitions: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut indexes = Self::default();
        let local = list(parameters, "LocalSecondaryIndexes")?;
        let global = list(parameters, "GlobalSecondaryIndexes")?;
        for (name, indexes, max) in [
            ("LocalSecondaryIndexes", local, LOCAL_INDEXES_MAX),
            ("GlobalSecondaryIndexes", global, GLOBAL_INDEXES_MAX),
        ] {
            if parameters.get(name).is_some() && indexes.is_empty() {
                return Err(invalid(format!("List of {name} is empty")));
            }
            if indexes.len() > max {
                return Err(invalid(match name {
                    "LocalSecondaryIndexes" => {
                        format!("Number of {name} exceeds per-table limit of {max}")
                    }
                    _ => format!("GlobalSecondaryIndex count exceeds the per-table limit of {max}"),
                }));
            }
        }
        if !local.is_empty() && table.sort.is_empty() {
            return Err(invalid(
                "Table KeySchema does not have a range key, which is required when specifying a \
                 LocalSecondaryIndex",
            ));
        }
        for index in local {
            indexes.add(index, table, true, definitions)?;
        }
        for index in global {
            indexes.add(index, table, false, definitions)?;
        }
        Ok(indexes)
    }
}

/// How many attributes a projection includes by name.
fn included(projection: Parameters<'_>) -> Result<usize> {
    let kinds = [("ALL", 0), ("KEYS_ONLY", 1), ("INCLUDE", 2)];
    let kind = projection.choice("ProjectionType", &kinds, "ALL, INCLUDE, KEYS_ONLY")?;
    let names = list(projection, "NonKeyAttributes")?;
    match (kind, names.len()) {
        (None, _) => Err(invalid("Unknown ProjectionType: null")),
        (Some(2), 0) => {
            Err(invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
        }
        (Some(2), count) if count > INDEX_INCLUDED_ATTRIBUTES_MAX => Err(invalid(format!(
            "NonKeyAttributes of one index exceed the limit of {INDEX_INCLUDED_ATTRIBUTES_MAX}"
        ))),
        (Some(2), count) => {
            let names = names.iter().map(|name| name.as_str().ok_or_else(unexpected));
            let names = names.collect::<Result<Vec<_>>>()?;
            if names.iter().all(|name| KEY_NAME_LENGTH.contains(&name.chars().count())) {
                return Ok(count);
            }
            Err(ServiceError::validation(format!(
                "Names of key attributes and attributes projected into an index must be between {} \
                 and {} characters, inclusive",
                KEY_NAME_LENGTH.start(),
                KEY_NAME_LENGTH.end()
            )))
        }
        (Some(_), 0) => Ok(0),
        (Some(kind), _) => Err(invalid(format!(
            "ProjectionType is {}, but NonKeyAttributes is specified",
            if kind == 0 { "ALL" } else { "KEYS_ONLY" }
        ))),
    }
}

/// Attribute definitions as a description lists them.
pub fn definitions_to_json(definitions: &BTreeMap<String, String>) -> Value {
    definitions
        .iter()
        .map(|(name, kind)| {
            let mut definition = Map::new();
            definition.insert("AttributeName".into(), name.clone().into());
            definition.insert("AttributeType".into(), kind.clone().into());
            Value::Object(definition)
        })
        .collect()
}
