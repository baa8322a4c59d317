//! How one write of one item is sent, so that it can only change the image that was read.
//!
//! A request with expressions is sent as it is, with a condition of ours beside its own. Older
//! parameters and statements cannot have one beside them: they are sent as the change that they
//! make of the image, with a condition on what that depends on. Where the limits of DynamoDB leave
//! no room for that, the program's request is sent as it is, and what it replaced is learnt from
//! the answer.
//!
//! What a write asks for is decoded and evaluated in `dm-dynamodb`.

mod request;

use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::item_write::{ChangeKind, ItemWrite, Made};
use dm_dynamodb::request::{ACTION_MEMBERS, BatchPart, SingleWrite};
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::unchanged::substituted;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::operation::Operation;

pub use crate::journal::prepared::request::Scope;

/// The error of a condition that was not met.
pub const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// What belongs to a write of a batch alone.
const OF_PARTS: [&str; 2] = ["Item", "Key"];

/// A write that has passed all checks that do not need the item.
#[derive(Debug)]
pub struct Prepared {
    pub table: Arc<TableSchema>,
    /// What is done to an item of it.
    pub write: ItemWrite,
    /// The program's request: of a PutItem, UpdateItem or DeleteItem, or such an action.
    body: Map<String, Value>,
    form: Form,
}

/// As what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As the program's request.
    Own,
    /// As the change itself.
    Rewritten,
    /// As the change itself, of a statement.
    Statement,
}

/// A request ready to be sent.
#[derive(Debug)]
// Four properties that are asked for one by one.
#[allow(clippy::struct_excessive_bools)]
pub struct Sent {
    /// The request.
    pub call: Call,
    /// Whether the answer tells the whole item as it was, to be compared with the image.
    pub returns_old: bool,
    /// Whether the condition compares every attribute of the image, so that the image need not be
    /// the newest.
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
        !self.complete && !self.returns_old
    }
}

type Result<T> = std::result::Result<T, ServiceError>;

impl Prepared {
    /// A PutItem, UpdateItem or DeleteItem.
    pub fn of_request(
        request: SingleWrite,
        table: Arc<TableSchema>,
        body: Map<String, Value>,
    ) -> Result<Self> {
        let form = if request.is_older { Form::Rewritten } else { Form::Own };
        let write = request.against(&table)?;
        Ok(Self { table, write, body, form })
    }

    /// An action of a transaction; what its body has beside an action's parameters is left out.
    pub fn of_action(
        action: SingleWrite,
        table: Arc<TableSchema>,
        parameters: &Map<String, Value>,
    ) -> Result<Self> {
        Self::of_request(action, table, only(parameters, &ACTION_MEMBERS))
    }

    /// A write of a batch, which is sent as a separate request, with a level of capacity.
    pub fn of_part(
        part: BatchPart,
        table: Arc<TableSchema>,
        request: &Value,
        level: Option<&Value>,
    ) -> Result<Self> {
        let write = part.against(&table)?;
        let member =
            if write.change.kind() == ChangeKind::Put { "PutRequest" } else { "DeleteRequest" };
        let parameters = request.get(member).and_then(Value::as_object);
        let mut body = parameters.map(|given| only(given, &OF_PARTS)).unwrap_or_default();
        body.insert("TableName".into(), table.name.as_str().into());
        body.extend(level.map(|level| ("ReturnConsumedCapacity".to_owned(), level.clone())));
        Ok(Self { table, write, body, form: Form::Own })
    }

    /// A statement on one item. `body` has the parameters that the answer depends on.
    pub fn of_statement(
        write: ItemWrite,
        table: Arc<TableSchema>,
        body: &Map<String, Value>,
    ) -> Result<Self> {
        write.check_keys(&table)?;
        Ok(Self { table, write, body: body.clone(), form: Form::Statement })
    }

    /// What it makes of an image, or why it does not.
    pub fn evaluate(&self, before: Option<&Item>) -> Result<Made> {
        self.write.evaluate(&self.table, before)
    }

    /// What it does to its item.
    pub fn kind(&self) -> ChangeKind {
        self.write.change.kind()
    }

    /// Bytes of the item or key, names and values in its request, as far as it has them.
    pub fn bytes(&self) -> usize {
        self.write.named_size() + substituted(&self.body)
    }

    /// The name of the action that it is in a transaction.
    pub fn action(&self) -> &'static str {
        match self.kind() {
            ChangeKind::Put => "Put",
            ChangeKind::Update => "Update",
            ChangeKind::Delete => "Delete",
            ChangeKind::Check => "ConditionCheck",
        }
    }

    fn operation(&self) -> Operation {
        match self.kind() {
            ChangeKind::Put => Operation::PutItem,
            ChangeKind::Update => Operation::UpdateItem,
            // A check stands in transactions only, where actions have no operation.
            ChangeKind::Delete | ChangeKind::Check => Operation::DeleteItem,
        }
    }
}

fn only(parameters: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let kept = names.iter().filter_map(|name| parameters.get_key_value(*name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
