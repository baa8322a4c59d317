//! The indexes that CreateTable and UpdateTable ask for.

use serde_json::{Map, Value, json};

use super::invalid;
use super::keys::{Definitions, KEY_NAME_LENGTH, KeyElement, KeyOf, check_defined, check_key, key};
use super::throughput::{BillingMode, Highest, Units, index_units};
use crate::error::ServiceError;
use crate::request::members::{given, listed, string, structure, text, texts};

/// Local indexes of one table.
const LOCAL_INDEXES_MAX: usize = 5;

/// Global indexes of one table, as long as nobody has asked for more.
const GLOBAL_INDEXES_MAX: usize = 20;

/// Attributes that all indexes of a table together may include.
const INCLUDED_ATTRIBUTES_MAX: usize = 100;

/// Attributes that one index may include.
const INDEX_INCLUDED_ATTRIBUTES_MAX: usize = 20;

type Result<T> = std::result::Result<T, ServiceError>;

#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub name: String,
    pub key: Vec<KeyElement>,
    pub projection: Projection,
    /// Its throughput; none of a local index.
    pub units: Option<Units>,
    pub highest: Option<Highest>,
}

/// The attributes that an index includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// ALL, KEYS_ONLY or INCLUDE.
    pub kind: Option<String>,
    pub included: Vec<String>,
}

impl Index {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let projection = match structure(body, "Projection") {
            None => Projection::default(),
            Some(body) => Projection {
                kind: text(body, "ProjectionType").map(str::to_owned),
                included: texts(body, "NonKeyAttributes")?,
            },
        };
        Ok(Self {
            name: string(body, "IndexName"),
            key: key(body)?,
            projection,
            units: Units::decode(body)?,
            highest: Highest::decode(body)?,
        })
    }

    /// Checks its key, whose attributes must be defined.
    pub fn check_key(&self, of: KeyOf<'_>, definitions: &Definitions) -> Result<()> {
        check_defined(&self.key, definitions)?;
        check_key(&self.key, of)
    }

    /// Checks the throughput of a global index of a table that is billed like this.
    pub fn check_throughput(&self, billing: BillingMode) -> Result<()> {
        index_units(billing, &self.name, self.units)?;
        self.highest.map_or(Ok(()), |highest| highest.check(billing))
    }
}

impl Projection {
    pub fn check(&self) -> Result<()> {
        match (self.kind.as_deref(), self.included.len()) {
            (None, _) => invalid("Unknown ProjectionType: null"),
            (Some("INCLUDE"), 0) => {
                invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
            }
            (Some("INCLUDE"), count) if count > INDEX_INCLUDED_ATTRIBUTES_MAX => invalid(format!(
                "NonKeyAttributes of one index exceed the limit of {INDEX_INCLUDED_ATTRIBUTES_MAX}"
            )),
            (Some("INCLUDE"), _) => {
                let fits = |name: &String| KEY_NAME_LENGTH.contains(&name.chars().count());
                if self.included.iter().all(fits) {
                    return Ok(());
                }
                Err(ServiceError::validation(format!(
                    "Names of key attributes and attributes projected into an index must be \
                     between {} and {} characters, inclusive",
                    KEY_NAME_LENGTH.start(),
                    KEY_NAME_LENGTH.end()
                )))
            }
            (Some(_), 0) => Ok(()),
            (Some(kind), _) => {
                invalid(format!("ProjectionType is {kind}, but NonKeyAttributes is specified"))
            }
        }
    }

    /// The projection as requests and descriptions show it.
    pub fn to_json(&self) -> Value {
        let mut shown = json!({"ProjectionType": self.kind});
        if !self.included.is_empty() {
            shown["NonKeyAttributes"] = self.included.as_slice().into();
        }
        shown
    }
}

/// Reads the local and the global indexes of a new table.
pub(super) fn of_new_table(body: &Map<String, Value>) -> Result<(Vec<Index>, Vec<Index>)> {
    let list = |member: &str| -> Result<Vec<Index>> {
        let indexes = listed(body, member).map(|index| Index::decode(index?));
        let indexes: Vec<_> = indexes.collect::<Result<_>>()?;
        if indexes.is_empty() && given(body, member).is_some() {
            return invalid(format!("List of {member} is empty"));
        }
        Ok(indexes)
    };
    let local = list("LocalSecondaryIndexes")?;
    if local.len() > LOCAL_INDEXES_MAX {
        return invalid(format!(
            "Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}"
        ));
    }
    let global = list("GlobalSecondaryIndexes")?;
    check_global_count(global.len())?;
    Ok((local, global))
}

/// Checks the indexes of a new table with this key.
pub(super) fn check_indexes(
    table: &[KeyElement],
    local: &[Index],
    global: &[Index],
    definitions: &Definitions,
) -> Result<()> {
    if !local.is_empty() && table.len() < 2 {
        return invalid(
            "Table KeySchema does not have a range key, which is required when specifying a \
             LocalSecondaryIndex",
        );
    }
    let partition = table.first().map_or("", |element| &element.name);
    let local = local.iter().map(|index| (index, KeyOf::Local { index: &index.name, partition }));
    let mut names: Vec<&str> = Vec::new();
    let mut included = 0;
    for (index, of) in local.chain(global.iter().map(|index| (index, KeyOf::Global))) {
        if names.contains(&&*index.name) {
            let name = &index.name;
            return invalid(format!("Duplicate index name: {name}"));
        }
        names.push(&index.name);
        index.check_key(of, definitions)?;
        index.projection.check()?;
        included += index.projection.included.len();
        check_included(included)?;
    }
    Ok(())
}

/// Checks how many global indexes a table has.
pub fn check_global_count(count: usize) -> Result<()> {
    if count <= GLOBAL_INDEXES_MAX {
        return Ok(());
    }
    invalid(format!(
        "GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
    ))
}

/// Checks how many attributes all indexes of a table include.
pub fn check_included(count: usize) -> Result<()> {
    if count <= INCLUDED_ATTRIBUTES_MAX {
        return Ok(());
    }
    invalid(format!(
        "Number of NonKeyAttributes over all indexes exceeds the limit of \
         {INCLUDED_ATTRIBUTES_MAX}"
    ))
}
