//! One write of one item: parsed and checked, then evaluated against what the item is. The same for
//! a call of its own and for an action of a transaction; nothing is changed here.

use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::{Condition, Update, UpdateOutcome};
use dm_dynamodb::parameters::{Parameters as Expressions, RequestKind};
use dm_dynamodb::partiql::{ItemChange, ItemStatement, Presence, Remaining};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_from_json};

use crate::fault::Fault;
use crate::overlay::parameters::Parameters;
use crate::overlay::state::table::Table;

/// A write that has passed all checks which do not need the item.
#[derive(Debug)]
pub struct Write {
    /// The table.
    pub table: Arc<Table>,
    /// The item's key.
    pub key: ItemKey,
    change: Change,
    condition: Option<Condition>,
    /// Whether the item must be there; a matter of conditions, but in statements.
    presence: Option<Presence>,
    /// Whether a failed condition shows the item.
    shows_on_failure: bool,
}

#[derive(Debug)]
enum Change {
    Put(Item),
    Update(Update),
    Delete,
    /// ConditionCheck: nothing.
    Check,
}

/// What a write makes of an item.
#[derive(Debug)]
pub struct Written {
    /// The item before, if there was one.
    pub before: Option<Item>,
    /// The item after, if there is one.
    pub after: Option<Item>,
    /// The places an update names.
    pub outcome: Option<UpdateOutcome>,
}

impl Write {
    /// PutItem's parameters.
    pub fn put(table: Arc<Table>, parameters: Parameters<'_>) -> Result<Self, Fault> {
        let item = item_from_json(parameters.required("Item")?)?;
        let condition = condition(parameters.expressions(RequestKind::Write)?, &table)?;
        let key = table.schema.check_item(&item)?;
        Self::new(table, key, Change::Put(item), condition, parameters)
    }

    /// UpdateItem's parameters.
    pub fn update(table: Arc<Table>, parameters: Parameters<'_>) -> Result<Self, Fault> {
        let mut expressions = parameters.expressions(RequestKind::Update)?;
        let update = expressions.update.take().unwrap_or_else(Update::nothing);
        update.check_keys(&table.schema)?;
        let condition = condition(expressions, &table)?;
        let key = parameters.key(&table)?;
        Self::new(table, key, Change::Update(update), condition, parameters)
    }

    /// DeleteItem's parameters.
    pub fn delete(table: Arc<Table>, parameters: Parameters<'_>) -> Result<Self, Fault> {
        let condition = condition(parameters.expressions(RequestKind::Write)?, &table)?;
        let key = parameters.key(&table)?;
        Self::new(table, key, Change::Delete, condition, parameters)
    }

    /// A transaction's ConditionCheck.
    pub fn check(table: Arc<Table>, parameters: Parameters<'_>) -> Result<Self, Fault> {
        parameters.required("ConditionExpression")?;
        let condition = condition(parameters.expressions(RequestKind::Write)?, &table)?;
        let key = parameters.key(&table)?;
        Self::new(table, key, Change::Check, condition, parameters)
    }

    /// A put or delete of a batch, which has no conditions.
    pub fn of_batch(table: Arc<Table>, key: ItemKey, item: Option<Item>) -> Self {
        let change = item.map_or(Change::Delete, Change::Put);
        Self { table, key, change, condition: None, presence: None, shows_on_failure: false }
    }

    /// A PartiQL statement on one item, with the request's or the member's parameters.
    pub fn of_statement(
        table: Arc<Table>,
        statement: ItemStatement,
        parameters: Parameters<'_>,
    ) -> Result<Self, Fault> {
        statement.check_keys(&table.schema)?;
        let ItemStatement { key, change, condition, presence, .. } = statement;
        let change = match change {
            ItemChange::Put(item) => Change::Put(item),
            ItemChange::Update(update) => Change::Update(update),
            ItemChange::Delete => Change::Delete,
            ItemChange::Check => Change::Check,
        };
        let write = Self::new(table, key, change, condition, parameters)?;
        Ok(Self { presence: Some(presence), ..write })
    }

    fn new(
        table: Arc<Table>,
        key: ItemKey,
        change: Change,
        condition: Option<Condition>,
        parameters: Parameters<'_>,
    ) -> Result<Self, Fault> {
        let choices = [("ALL_OLD", true), ("NONE", false)];
        let shows_on_failure = parameters
            .choice("ReturnValuesOnConditionCheckFailure", &choices, "ALL_OLD, NONE")?
            .unwrap_or(false);
        Ok(Self { table, key, change, condition, presence: None, shows_on_failure })
    }

    /// Whether it can change the item.
    pub fn changes(&self) -> bool {
        !matches!(self.change, Change::Check)
    }

    /// What it makes of the item as it is now.
    pub fn evaluate(&self, now: Option<Item>) -> Result<Written, ServiceError> {
        if let Some(presence) = self.presence
            && presence.check(now.is_some())? == Remaining::Nothing
        {
            return Ok(Written { before: None, after: None, outcome: None });
        }
        let absent = Item::new();
        let seen = now.as_ref().unwrap_or(&absent);
        if self.condition.as_ref().is_some_and(|condition| !condition.matches(seen)) {
            let shown = now.filter(|_| self.shows_on_failure);
            return Err(ServiceError::conditional_check_failed(shown));
        }
        match &self.change {
            Change::Put(item) => {
                Ok(Written { before: now, after: Some(item.clone()), outcome: None })
            }
            Change::Delete => Ok(Written { before: now, after: None, outcome: None }),
            Change::Check => Ok(Written { after: now.clone(), before: now, outcome: None }),
            Change::Update(update) => {
                let outcome = match &now {
                    Some(item) => update.apply(item)?,
                    None => update.apply(&self.key.to_item())?,
                };
                update.check_outcome(&self.table.schema, &outcome)?;
                Ok(Written {
                    before: now,
                    after: Some(outcome.item.clone()),
                    outcome: Some(outcome),
                })
            }
        }
    }
}

fn condition(expressions: Expressions, table: &Table) -> Result<Option<Condition>, ServiceError> {
    if let Some(condition) = &expressions.condition {
        condition.check_key_paths(&table.schema)?;
    }
    Ok(expressions.condition)
}
