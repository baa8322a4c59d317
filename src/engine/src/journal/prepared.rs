//! One write of one item, read from a request: what it makes of an image, and as what it is sent so
//! that it can only change that very image.
//!
//! A request with expressions is sent as it is, with a condition of ours beside its own. Older
//! parameters and statements cannot have one beside them: they are sent as the change that they make
//! of the image, with a condition on all of it.

mod request;

use std::collections::BTreeSet;
use std::sync::Arc;

use dm_core::error::ServiceError;
use dm_core::expression::{Condition, Update, UpdateOutcome};
use dm_core::parameters::{Parameters, RequestKind};
use dm_core::partiql::{ItemChange, ItemStatement, Presence, Remaining, Returning};
use dm_core::schema::{ItemKey, TableSchema};
use dm_core::value::{Item, item_from_json};
use serde_json::{Map, Value};

use crate::operation::Operation;

/// Parameters that expressions have replaced.
const OLDER: [&str; 3] = ["Expected", "AttributeUpdates", "ConditionalOperator"];

/// The error of a condition that was not met.
pub const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// A write that has passed all checks which do not need the item.
#[derive(Debug)]
pub struct Prepared {
    /// The table.
    pub table: Arc<TableSchema>,
    /// The item's key.
    pub key: ItemKey,
    /// The program's request: of a PutItem, UpdateItem or DeleteItem, or such an action.
    body: Map<String, Value>,
    change: Change,
    condition: Option<Condition>,
    form: Form,
    returned: Returned,
    shows_on_failure: bool,
}

/// What a write does to its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It replaces it.
    Put,
    /// It changes some of it.
    Update,
    /// It takes it away.
    Delete,
}

#[derive(Debug)]
enum Change {
    Put(Item),
    Update(Update),
    Delete,
    /// A statement's EXISTS: nothing, in a transaction.
    Check,
}

/// As what it is sent.
#[derive(Debug)]
enum Form {
    /// As the program's request.
    Own,
    /// As the change itself. These attributes matter although the image may not have them.
    Rewritten(BTreeSet<String>),
    /// As a change that only an existing item can have (PartiQL's UPDATE), or only a missing one (its
    /// INSERT).
    Statement(Presence),
}

/// Which image the program wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returned {
    None,
    AllOld,
    AllNew,
    UpdatedOld,
    UpdatedNew,
}

/// What a write makes of an image.
#[derive(Debug)]
pub struct Made {
    /// The item afterwards.
    pub after: Option<Item>,
    outcome: Option<UpdateOutcome>,
}

/// A request ready to be sent.
#[derive(Debug)]
pub struct Sent {
    /// Its operation.
    pub operation: Operation,
    /// Its parameters.
    pub body: Map<String, Value>,
    /// Whether the answer tells the whole item as it was, to be compared with the image.
    pub tells_old: bool,
    /// Whether the condition compares every attribute of the image, so that the image need not be the
    /// newest.
    pub bound: bool,
    /// Whether it comes to the same when it is carried out twice.
    pub repeatable: bool,
}

type Result<T> = std::result::Result<T, ServiceError>;

impl Prepared {
    /// PutItem, UpdateItem or DeleteItem, or such an action of a transaction or a batch.
    pub fn read(
        operation: Operation,
        table: Arc<TableSchema>,
        body: &Map<String, Value>,
    ) -> Result<Self> {
        let request = Value::Object(body.clone());
        let required = |name: &str| {
            let there = body.get(name).filter(|value| !value.is_null());
            there.ok_or_else(|| missing(name)).and_then(item_from_json)
        };
        let (key, change, condition) = match operation {
            Operation::PutItem => {
                let item = required("Item")?;
                let key = table.check_item(&item)?;
                let parameters = Parameters::read(RequestKind::Write, &request)?;
                (key, Change::Put(item), parameters.condition)
            }
            Operation::UpdateItem => {
                let key = ItemKey::from_key(&table, &required("Key")?)?;
                let parameters = Parameters::read(RequestKind::Update, &request)?;
                let update = parameters.update.unwrap_or_else(Update::nothing);
                update.check_keys(&table)?;
                (key, Change::Update(update), parameters.condition)
            }
            _ => {
                let key = ItemKey::from_key(&table, &required("Key")?)?;
                let parameters = Parameters::read(RequestKind::Write, &request)?;
                (key, Change::Delete, parameters.condition)
            }
        };
        if let Some(condition) = &condition {
            condition.check_key_paths(&table)?;
        }
        let older = OLDER.iter().any(|name| body.get(*name).is_some_and(|value| !value.is_null()));
        let form = if older { Form::Rewritten(named(body)) } else { Form::Own };
        let returned = Returned::of(body.get("ReturnValues"))?;
        if operation != Operation::UpdateItem
            && ![Returned::None, Returned::AllOld].contains(&returned)
        {
            return Err(ServiceError::validation("Return values set to invalid value"));
        }
        let shows_on_failure = shows_on_failure(body);
        Ok(Self {
            table,
            key,
            body: body.clone(),
            change,
            condition,
            form,
            returned,
            shows_on_failure,
        })
    }

    /// A statement on one item. `body` has the parameters that the answer depends on.
    pub fn of_statement(
        statement: ItemStatement,
        table: Arc<TableSchema>,
        body: &Map<String, Value>,
    ) -> Result<Self> {
        statement.check_keys(&table)?;
        let ItemStatement { key, change, condition, presence, returning } = statement;
        let change = match change {
            ItemChange::Put(item) => Change::Put(item),
            ItemChange::Update(update) => Change::Update(update),
            ItemChange::Delete => Change::Delete,
            ItemChange::Check => Change::Check,
        };
        let returned = match returning {
            None => Returned::None,
            Some(Returning::AllOld) => Returned::AllOld,
            Some(Returning::AllNew) => Returned::AllNew,
            Some(Returning::ModifiedOld) => Returned::UpdatedOld,
            Some(Returning::ModifiedNew) => Returned::UpdatedNew,
        };
        let form = Form::Statement(presence);
        let shows_on_failure = shows_on_failure(body);
        Ok(Self {
            table,
            key,
            body: body.clone(),
            change,
            condition,
            form,
            returned,
            shows_on_failure,
        })
    }

    /// What it makes of an image, or why it does not.
    pub fn evaluate(&self, before: Option<&Item>) -> Result<Made> {
        if let Form::Statement(presence) = self.form
            && presence.check(before.is_some())? == Remaining::Nothing
        {
            return Ok(Made { after: None, outcome: None });
        }
        let absent = Item::new();
        let seen = before.unwrap_or(&absent);
        if self.condition.as_ref().is_some_and(|condition| !condition.matches(seen)) {
            let shown = before.filter(|_| self.shows_on_failure).cloned();
            return Err(ServiceError::conditional_check_failed(shown));
        }
        match &self.change {
            Change::Put(item) => Ok(Made { after: Some(item.clone()), outcome: None }),
            Change::Delete => Ok(Made { after: None, outcome: None }),
            Change::Check => Ok(Made { after: before.cloned(), outcome: None }),
            Change::Update(update) => {
                let outcome = match before {
                    Some(item) => update.apply(item)?,
                    None => update.apply(&self.key.to_item())?,
                };
                update.check_outcome(&self.table, &outcome)?;
                Ok(Made { after: Some(outcome.item.clone()), outcome: Some(outcome) })
            }
        }
    }

    /// What it does to its item.
    pub fn kind(&self) -> Kind {
        match self.change {
            Change::Put(_) => Kind::Put,
            Change::Update(_) => Kind::Update,
            // A check stands in transactions only, of which nothing is learnt.
            Change::Delete | Change::Check => Kind::Delete,
        }
    }

    /// What the program wants to see of the item, of a write that was made of this image.
    pub fn returned(&self, before: Option<&Item>, made: &Made) -> Option<Item> {
        let image = match (self.returned, &made.outcome) {
            (Returned::AllOld, _) => before.cloned(),
            (Returned::AllNew, _) => made.after.clone(),
            (Returned::UpdatedOld, Some(outcome)) => {
                before.map(|before| outcome.updated_old(before))
            }
            (Returned::UpdatedNew, Some(outcome)) => Some(outcome.updated_new()),
            (Returned::None, _) | (Returned::UpdatedOld | Returned::UpdatedNew, None) => None,
        };
        image.filter(|image| !image.is_empty())
    }

    /// Whether the program wants to see the item when its condition fails.
    pub fn shows_on_failure(&self) -> bool {
        self.shows_on_failure
    }

    /// Whether it can change the item.
    pub fn changes(&self) -> bool {
        !matches!(self.change, Change::Check)
    }

    /// The name of the action that it is in a transaction.
    pub fn action(&self) -> &'static str {
        match self.change {
            Change::Put(_) => "Put",
            Change::Update(_) => "Update",
            Change::Delete => "Delete",
            Change::Check => "ConditionCheck",
        }
    }

    fn operation(&self) -> Operation {
        match self.change {
            Change::Put(_) => Operation::PutItem,
            Change::Update(_) => Operation::UpdateItem,
            // A check stands in transactions only, where actions have no operation.
            Change::Delete | Change::Check => Operation::DeleteItem,
        }
    }
}

impl Returned {
    fn of(parameter: Option<&Value>) -> Result<Self> {
        match parameter.and_then(Value::as_str) {
            None | Some("NONE") => Ok(Self::None),
            Some("ALL_OLD") => Ok(Self::AllOld),
            Some("ALL_NEW") => Ok(Self::AllNew),
            Some("UPDATED_OLD") => Ok(Self::UpdatedOld),
            Some("UPDATED_NEW") => Ok(Self::UpdatedNew),
            Some(_) => Err(ServiceError::validation("Return values set to invalid value")),
        }
    }
}

fn shows_on_failure(body: &Map<String, Value>) -> bool {
    body.get("ReturnValuesOnConditionCheckFailure").and_then(Value::as_str) == Some("ALL_OLD")
}

/// The attributes that older parameters name.
fn named(body: &Map<String, Value>) -> BTreeSet<String> {
    ["Expected", "AttributeUpdates"]
        .iter()
        .filter_map(|name| body.get(*name).and_then(Value::as_object))
        .flat_map(|members| members.keys().cloned())
        .collect()
}

fn missing(name: &str) -> ServiceError {
    let member = name.to_lowercase();
    ServiceError::validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: \
         Member must not be null"
    ))
}

#[cfg(test)]
mod tests;
