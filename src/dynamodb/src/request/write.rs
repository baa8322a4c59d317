//! A write of one item, as its request asks for it: PutItem, UpdateItem, DeleteItem, and the
//! actions of a transaction. What can be said of it before its table is known, and then of its
//! table.

use serde_json::{Map, Value};

use super::members::{self, CapacityLevel, collection_metrics, given, shows_on_failure, text};
use crate::error::ServiceError;
use crate::expression::{Condition, Update};
use crate::item_write::{Change, ChangeKind, ItemWrite, Presence, ReturnValues};
use crate::parameters::{Parameters, RequestKind, check_combination};
use crate::schema::{ItemKey, TableSchema};
use crate::value::{Item, check_item_size};

type Result<T> = std::result::Result<T, ServiceError>;

/// Parameters that expressions have replaced.
const OLDER: [&str; 3] = ["Expected", "AttributeUpdates", "ConditionalOperator"];

/// A write that has passed all checks that need neither its table nor its item.
#[derive(Clone, Debug, PartialEq)]
pub struct SingleWrite {
    /// The table as the request names it.
    pub table: String,
    /// Whether older parameters stand in the place of expressions.
    pub is_older: bool,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
    /// Whether the size of its item collection is asked for.
    pub collection_metrics: bool,
    /// The key; empty for a put, whose item has it.
    key: Item,
    change: Change,
    condition: Option<Condition>,
    pub(super) returned: ReturnValues,
    shows_on_failure: bool,
}

impl SingleWrite {
    /// Decodes PutItem, UpdateItem or DeleteItem. Their errors count what they detect, also where
    /// they detect one thing only (dynoxide's authors saw AWS answer so in 2026).
    pub fn decode(kind: ChangeKind, body: &Map<String, Value>) -> Result<Self> {
        let asks =
            if kind == ChangeKind::Update { RequestKind::Update } else { RequestKind::Write };
        let decode = || {
            let write = Self::with(kind, asks, body)?;
            let returned = returned(kind, text(body, "ReturnValues"))?;
            let is_older = OLDER.iter().any(|name| given(body, name).is_some());
            Ok(Self { is_older, returned, ..write })
        };
        decode().map_err(ServiceError::counted)
    }

    /// Decodes an action of a transaction. Parameters that actions do not have are ignored.
    pub(super) fn action(kind: ChangeKind, body: &Map<String, Value>) -> Result<Self> {
        let update = kind == ChangeKind::Update;
        let asks = if update { RequestKind::TransactUpdate } else { RequestKind::TransactWrite };
        Self::with(kind, asks, body)
    }

    fn with(kind: ChangeKind, asks: RequestKind, body: &Map<String, Value>) -> Result<Self> {
        let (key, change, condition) = if kind == ChangeKind::Put {
            let item = members::item(body, "Item")?;
            let condition = Parameters::read(asks, body)?.condition;
            check_item_size(&item)?;
            (Item::new(), Change::Put(item), condition)
        } else {
            check_combination(asks, body)?;
            let key = members::item(body, "Key")?;
            let Parameters { condition, update, .. } = Parameters::read_combined(asks, body)?;
            let change = match kind {
                ChangeKind::Update => Change::Update(update.unwrap_or_else(Update::nothing)),
                ChangeKind::Delete => Change::Delete,
                ChangeKind::Put | ChangeKind::Check => Change::Check,
            };
            (key, change, condition)
        };
        Ok(Self {
            table: text(body, "TableName").unwrap_or_default().to_owned(),
            is_older: false,
            capacity: CapacityLevel::of(body),
            collection_metrics: collection_metrics(body),
            key,
            change,
            condition,
            returned: ReturnValues::None,
            shows_on_failure: shows_on_failure(body),
        })
    }

    /// The kind of its change.
    pub fn kind(&self) -> ChangeKind {
        self.change.kind()
    }

    /// Rejects empty values in keys, which are an error of the request even in a transaction.
    pub fn check_no_empty_keys(&self, table: &TableSchema) -> Result<()> {
        match &self.change {
            Change::Put(item) => table.check_no_empty_keys(item),
            Change::Update(update) => {
                table.check_no_empty_keys(&self.key)?;
                update.check_no_empty_index_keys(table)
            }
            Change::Delete | Change::Check => table.check_no_empty_keys(&self.key),
        }
    }

    /// Returns the write of an item of this table.
    pub fn against(self, table: &TableSchema) -> Result<ItemWrite> {
        let Self { key, change, condition, returned, shows_on_failure, .. } = self;
        if let Change::Update(update) = &change {
            update.check_keys(table)?;
        }
        if let Some(condition) = &condition {
            condition.check_key_paths(table)?;
        }
        let key = match &change {
            Change::Put(item) => table.check_item(item)?,
            Change::Update(_) | Change::Delete | Change::Check => ItemKey::from_key(table, &key)?,
        };
        let presence = Presence::Any;
        Ok(ItemWrite { key, change, condition, presence, returned, shows_on_failure })
    }
}

fn returned(kind: ChangeKind, word: Option<&str>) -> Result<ReturnValues> {
    let returned = match word {
        None | Some("NONE") => Some(ReturnValues::None),
        Some("ALL_OLD") => Some(ReturnValues::AllOld),
        Some("UPDATED_OLD") => Some(ReturnValues::UpdatedOld),
        Some("ALL_NEW") => Some(ReturnValues::AllNew),
        Some("UPDATED_NEW") => Some(ReturnValues::UpdatedNew),
        Some(_) => None,
    };
    let any = kind == ChangeKind::Update;
    let fits =
        |image: &ReturnValues| any || [ReturnValues::None, ReturnValues::AllOld].contains(image);
    returned
        .filter(fits)
        .ok_or_else(|| ServiceError::request("ReturnValues can only be ALL_OLD or NONE"))
}
