//! GetItem, BatchGetItem and TransactGetItems: items by their keys.

use serde_json::{Map, Value};

use super::duplicate_keys;
use super::members::{self, CapacityLevel, flag, given, listed, mapped, text};
use crate::error::ServiceError;
use crate::expression::Projection;
use crate::parameters::{Parameters, RequestKind, check_combination, check_one_kind};
use crate::value::{Item, item_from_json};

type Result<T> = std::result::Result<T, ServiceError>;

/// Keys of one BatchGetItem (DynamoDB API Reference).
pub const BATCH_GET_KEYS_MAX: usize = 100;

/// A GetItem, or the Get of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Get {
    /// The table as the request names it.
    pub table: String,
    pub key: Item,
    /// What is returned of the item.
    pub projection: Option<Projection>,
    /// Whether the latest state is read.
    pub consistent: bool,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BatchGet {
    /// The tables, in the order of the request.
    pub tables: Vec<TableGet>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

/// The items of one table that a batch reads.
#[derive(Clone, Debug, PartialEq)]
pub struct TableGet {
    /// The table as the request names it.
    pub table: String,
    /// The keys, in the order of the request.
    pub keys: Vec<Item>,
    /// What is returned of each item.
    pub projection: Option<Projection>,
    /// Whether the latest state is read.
    pub consistent: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TransactGet {
    /// The items, in the order of the request.
    pub gets: Vec<Get>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

impl Get {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        Self::with(RequestKind::Get, body)
    }

    fn with(kind: RequestKind, body: &Map<String, Value>) -> Result<Self> {
        check_combination(kind, body)?;
        let key = members::item(body, "Key")?;
        Ok(Self {
            table: text(body, "TableName").unwrap_or_default().to_owned(),
            key,
            projection: Parameters::read_combined(kind, body)?.projection,
            consistent: flag(body, "ConsistentRead")?,
            capacity: CapacityLevel::of(body),
        })
    }
}

impl BatchGet {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let none = Map::new();
        let asked = given(body, "RequestItems").and_then(Value::as_object).unwrap_or(&none);
        let keys = |of_table: &Value| of_table.get("Keys")?.as_array().map(Vec::len);
        let count: usize = asked.values().filter_map(keys).sum();
        if count == 0 || count > BATCH_GET_KEYS_MAX {
            return Err(ServiceError::validation(
                "Too many items requested for the BatchGetItem call",
            ));
        }
        check_one_kind(asked)?;
        let mut tables = Vec::new();
        for (table, of_table) in mapped(body, "RequestItems") {
            let of_table = of_table.as_object().unwrap_or(&none);
            tables.push(TableGet::decode(table, of_table)?);
        }
        Ok(Self { tables, capacity: CapacityLevel::of(body) })
    }
}

impl TableGet {
    fn decode(table: &str, body: &Map<String, Value>) -> Result<Self> {
        let projection = Parameters::read(RequestKind::Get, body)?.projection;
        let mut keys: Vec<Item> = Vec::new();
        for key in given(body, "Keys").and_then(Value::as_array).into_iter().flatten() {
            let key = item_from_json(key)?;
            if keys.contains(&key) {
                return Err(duplicate_keys());
            }
            keys.push(key);
        }
        let consistent = flag(body, "ConsistentRead")?;
        Ok(Self { table: table.to_owned(), keys, projection, consistent })
    }
}

impl TransactGet {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let none = Map::new();
        let decode = |action: Result<&Map<String, Value>>| {
            let get = given(action?, "Get").and_then(Value::as_object).unwrap_or(&none);
            Get::with(RequestKind::TransactGet, get)
        };
        let gets = listed(body, "TransactItems").map(decode).collect::<Result<_>>()?;
        Ok(Self { gets, capacity: CapacityLevel::of(body) })
    }
}
