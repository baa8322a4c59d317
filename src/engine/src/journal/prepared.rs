//! One write of one item, read from a request: what it makes of an image, and as what it is sent so
//! that it can only change that very image.
//!
//! A request with expressions is sent as it is, with a condition of ours beside its own. Older
//! parameters and statements cannot have one beside them: they are sent as the change that they make
//! of the image, with a condition on what that depends on. Where the limits of DynamoDB leave no room
//! for that, the program's request is sent as it is, and what it replaced is learnt from the answer.

mod parsed;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::{Condition, Update, UpdateOutcome};
use dm_dynamodb::partiql::{ItemChange, ItemStatement, Presence, Remaining, Returning};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::unchanged::substituted;
use dm_dynamodb::value::{Item, item_size};
use serde_json::{Map, Value};

use crate::operation::Operation;

pub use crate::journal::prepared::parsed::Parsed;
pub use crate::journal::prepared::request::Scope;

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
    /// It leaves it as it is: a ConditionCheck, a statement's EXISTS.
    Check,
}

#[derive(Debug)]
enum Change {
    Put(Item),
    Update(Update),
    Delete,
    /// Nothing, in a transaction.
    Check,
}

/// As what it is sent.
#[derive(Debug)]
enum Form {
    /// As the program's request.
    Own,
    /// As the change itself.
    Rewritten,
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
// Four properties that are asked for one by one.
#[allow(clippy::struct_excessive_bools)]
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
    /// Whether the condition compares all that the entry tells of.
    pub complete: bool,
    /// Bytes of names and values that were added.
    pub added: usize,
}

impl Sent {
    /// Whether nothing makes sure, before or after, that the write meets the image.
    pub fn is_unverified(&self) -> bool {
        !self.complete && !self.tells_old
    }
}

type Result<T> = std::result::Result<T, ServiceError>;

impl Prepared {
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
            Change::Delete => Kind::Delete,
            Change::Check => Kind::Check,
        }
    }

    /// The attributes on which it depends what the write makes of an item.
    fn depends_on(&self) -> BTreeSet<&str> {
        let conditions = self.condition.iter().flat_map(Condition::paths);
        let mut names: BTreeSet<&str> = conditions.map(|path| path.root.as_str()).collect();
        if let Change::Update(update) = &self.change {
            names.extend(update.roots());
        }
        names
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

    /// Bytes of the item or key, names and values in its request, as far as it has them.
    pub fn bytes(&self) -> usize {
        let named = match &self.change {
            Change::Put(item) => item_size(item),
            Change::Update(_) | Change::Delete | Change::Check => item_size(&self.key.to_item()),
        };
        named + substituted(&self.body)
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

fn missing(name: &str) -> ServiceError {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    let member: String = first.into_iter().chain(chars).collect();
    ServiceError::validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: \
         Member must not be null"
    ))
}

#[cfg(test)]
mod tests;
