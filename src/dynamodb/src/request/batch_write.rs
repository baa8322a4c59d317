//! BatchWriteItem: puts and deletes without conditions, by table.

use serde_json::{Map, Value};

use super::members::{CapacityLevel, collection_metrics, given, item, mapped};
use super::{duplicate_keys, one_kind_each};
use crate::error::ServiceError;
use crate::item_write::{Change, ItemWrite, Presence, ReturnValues};
use crate::schema::{ItemKey, TableSchema};
use crate::value::{Item, check_item_size};

type Result<T> = std::result::Result<T, ServiceError>;

/// Requests of one BatchWriteItem (DynamoDB API Reference).
pub const BATCH_WRITES_MAX: usize = 25;

#[derive(Clone, Debug, PartialEq)]
pub struct BatchWrite {
    /// The tables as the request names them, in its order, each with its writes.
    pub tables: Vec<(String, Vec<BatchPart>)>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
    /// Whether the sizes of item collections are asked for.
    pub collection_metrics: bool,
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchPart {
    /// The item that is put.
    Put(Item),
    /// The key of the item that is deleted.
    Delete(Item),
}

impl BatchWrite {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let requests = |requests: &Value| requests.as_array().map_or(0, Vec::len);
        let asked = || mapped(body, "RequestItems");
        let count: usize = asked().map(|(_, of_table)| requests(of_table)).sum();
        if count == 0 {
            return Err(ServiceError::validation(
                "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy \
                 constraint: Member must have length greater than or equal to 1",
            ));
        }
        if count > BATCH_WRITES_MAX {
            return Err(ServiceError::validation(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        let mut tables = Vec::new();
        for (name, of_table) in asked() {
            let mut parts = Vec::new();
            for request in of_table.as_array().into_iter().flatten() {
                let part = BatchPart::decode(request)?;
                if matches!(part, BatchPart::Delete(_)) && parts.contains(&part) {
                    return Err(duplicate_keys());
                }
                parts.push(part);
            }
            tables.push((name.clone(), parts));
        }
        let (capacity, collection_metrics) = (CapacityLevel::of(body), collection_metrics(body));
        Ok(Self { tables, capacity, collection_metrics })
    }
}

impl BatchPart {
    fn decode(request: &Value) -> Result<Self> {
        let request = request.as_object().ok_or_else(one_kind_each)?;
        let structure = |name: &str| given(request, name).map(Value::as_object);
        match (structure("PutRequest"), structure("DeleteRequest")) {
            (Some(Some(put)), None) => {
                let item = item(put, "Item")?;
                check_item_size(&item)?;
                Ok(Self::Put(item))
            }
            (None, Some(Some(delete))) => Ok(Self::Delete(item(delete, "Key")?)),
            _ => Err(one_kind_each()),
        }
    }

    /// Returns the write of an item of this table.
    pub fn against(self, table: &TableSchema) -> Result<ItemWrite> {
        let (key, change) = match self {
            Self::Put(item) => (table.check_batch_item(&item)?, Change::Put(item)),
            Self::Delete(key) => (ItemKey::from_key(table, &key)?, Change::Delete),
        };
        Ok(ItemWrite {
            key,
            change,
            condition: None,
            presence: Presence::Any,
            returned: ReturnValues::None,
            shows_on_failure: false,
        })
    }
}
