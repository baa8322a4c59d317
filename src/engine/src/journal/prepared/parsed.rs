//! A write as its request asks for it: all that can be said of it before its table is known.

use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::{Condition, Update};
use dm_dynamodb::parameters::{Parameters, RequestKind};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, check_item_size, item_from_json};
use serde_json::{Map, Value};

use crate::journal::prepared::{
    Change, Form, Kind, Prepared, Result, Returned, missing, shows_on_failure,
};

/// Parameters that expressions have replaced.
const OLDER: [&str; 3] = ["Expected", "AttributeUpdates", "ConditionalOperator"];

/// What an action of a transaction may have; anything else is ignored, as DynamoDB does.
const OF_ACTIONS: [&str; 8] = [
    "TableName",
    "Key",
    "Item",
    "UpdateExpression",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
];

/// A request that has passed all checks which need neither table nor item.
#[derive(Debug)]
pub struct Parsed {
    kind: Kind,
    body: Map<String, Value>,
    /// The request's `Item`, or its `Key`.
    named: Item,
    change: Change,
    condition: Option<Condition>,
    form: Form,
    returned: Returned,
}

impl Parsed {
    /// PutItem, UpdateItem or DeleteItem, or such a request of a batch.
    pub fn read(kind: Kind, body: Map<String, Value>) -> Result<Self> {
        let required = |name: &str| {
            let there = body.get(name).filter(|value| !value.is_null());
            there.ok_or_else(|| missing(name))
        };
        let named = item_from_json(required(if kind == Kind::Put { "Item" } else { "Key" })?)?;
        let asks = if kind == Kind::Update { RequestKind::Update } else { RequestKind::Write };
        let request = Value::Object(body.clone());
        let Parameters { condition, update, .. } = Parameters::read(asks, &request)?;
        let change = match kind {
            Kind::Put => {
                check_item_size(&named)?;
                Change::Put(named.clone())
            }
            Kind::Update => Change::Update(update.unwrap_or_else(Update::nothing)),
            Kind::Delete => Change::Delete,
            Kind::Check => {
                required("ConditionExpression")?;
                Change::Check
            }
        };
        let older = OLDER.iter().any(|name| body.get(*name).is_some_and(|value| !value.is_null()));
        let form = if older { Form::Rewritten } else { Form::Own };
        let returned = Returned::of(body.get("ReturnValues"))?;
        if kind != Kind::Update && ![Returned::None, Returned::AllOld].contains(&returned) {
            return Err(ServiceError::validation("Return values set to invalid value"));
        }
        Ok(Self { kind, body, named, change, condition, form, returned })
    }

    /// An action of a transaction.
    pub fn action(kind: Kind, parameters: &Map<String, Value>) -> Result<Self> {
        let mut body = parameters.clone();
        body.retain(|name, _| OF_ACTIONS.contains(&name.as_str()));
        Self::read(kind, body)
    }

    /// What it does to its item.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The request, of an action without what it cannot have.
    pub fn into_body(self) -> Map<String, Value> {
        self.body
    }

    /// The table as the request names it.
    pub fn table(&self) -> &str {
        self.body.get("TableName").and_then(Value::as_str).unwrap_or_default()
    }

    /// Refuses empty values in keys, which are an error of the request even in a transaction.
    pub fn check_no_empty_keys(&self, table: &TableSchema) -> Result<()> {
        table.check_no_empty_keys(&self.named)
    }

    /// The write of an item of this table.
    pub fn against(self, table: Arc<TableSchema>) -> Result<Prepared> {
        let Self { body, named, change, condition, form, returned, .. } = self;
        let key = match &change {
            Change::Put(item) => table.check_item(item)?,
            Change::Update(update) => {
                let key = ItemKey::from_key(&table, &named)?;
                update.check_keys(&table)?;
                key
            }
            Change::Delete | Change::Check => ItemKey::from_key(&table, &named)?,
        };
        if let Some(condition) = &condition {
            condition.check_key_paths(&table)?;
        }
        let shows_on_failure = shows_on_failure(&body);
        Ok(Prepared { table, key, body, change, condition, form, returned, shows_on_failure })
    }
}
