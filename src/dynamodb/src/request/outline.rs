//! What a body says of its request, whether or not the body is right: the tables that it names, the
//! items that it writes, what its answer may hold. Checks nothing.
//!
//! This is the only reader of bodies besides the decoder. A call that only passes to the database
//! is not decoded, because the database checks it; and a policy must see the tables of requests
//! that the decoder rejects or does not know. The tests compare both readers on random requests.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::members::{given, text};
use super::{ACTIONS, one_action};
use crate::item_write::ChangeKind;
use crate::operation::Operation;
use crate::table_name::plain_name;

/// Parameters that name a table, by name or ARN, in any operation of the service model.
const TABLE_PARAMETERS: [&str; 6] = [
    "TableName",
    "TableArn",
    "TargetTableName",
    "SourceTableName",
    "SourceTableArn",
    "GlobalTableName",
];

/// Parameters whose ARN lies below a table's (`…:table/NAME/backup/…`). `StreamArn` is not among
/// them: it is a stream of Kinesis (API reference, DisableKinesisStreamingDestination).
const RESOURCE_PARAMETERS: [&str; 5] =
    ["ResourceArn", "BackupArn", "ExportArn", "ImportArn", "BulkOperationArn"];

/// The parameter of every data operation that asks for the consumed capacity.
pub const RETURN_CAPACITY: &str = "ReturnConsumedCapacity";

/// The outline of one request.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'b> {
    operation: Operation,
    body: &'b Map<String, Value>,
}

/// The items that an answer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    Nothing,
    Item,
    /// A page of at most this many items, if the request limits it.
    Page(Option<usize>),
    /// At most this many items of a batch.
    Batch(usize),
    /// At most this many items of a transaction.
    Transaction(usize),
}

/// A read whose answer holds whole items of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WholeItems<'b> {
    One(&'b str),
    /// A page of items of one table.
    Page(&'b str),
    /// Items of these tables.
    Batch(Vec<&'b str>),
}

impl<'b> Outline<'b> {
    pub fn of(operation: Operation, body: &'b Map<String, Value>) -> Self {
        Self { operation, body }
    }

    /// Returns whether the body has this member; null is as if absent.
    pub fn gives(self, member: &str) -> bool {
        given(self.body, member).is_some()
    }

    /// Returns the names of the members that the body has.
    pub fn members(self) -> impl Iterator<Item = &'b str> {
        self.body.iter().filter(|(_, value)| !value.is_null()).map(|(member, _)| member.as_str())
    }

    /// Returns the `TableName`.
    pub fn table(self) -> Option<&'b str> {
        text(self.body, "TableName")
    }

    /// Returns the tables that the request names, as it names them, each once. Parameters that the
    /// operation does not have count too: one name too many is at worst a denial.
    pub fn tables(self) -> Vec<&'b str> {
        let mut names: Vec<&str> = Vec::new();
        let mut add = |name| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        for (member, value) in self.body {
            match (member.as_str(), value) {
                (parameter, Value::String(name))
                    if TABLE_PARAMETERS.contains(&parameter)
                        || RESOURCE_PARAMETERS.contains(&parameter) =>
                {
                    add(name);
                }
                ("RequestItems", Value::Object(items)) => items.keys().for_each(|name| add(name)),
                (ACTIONS, Value::Array(actions)) => {
                    let actions = actions.iter().filter_map(Value::as_object);
                    actions.flat_map(Map::values).filter_map(table_in).for_each(&mut add);
                }
                _ => {}
            }
        }
        names
    }

    /// Returns the tables that the request changes, by their plain names. What a table is restored
    /// from is only read.
    pub fn tables_changed(self) -> BTreeSet<String> {
        let named = match self.operation {
            Operation::RestoreTableFromBackup | Operation::RestoreTableToPointInTime => {
                text(self.body, "TargetTableName").into_iter().collect()
            }
            _ => self.tables(),
        };
        named.into_iter().map(|table| plain_name(table).to_owned()).collect()
    }

    /// Returns the table that a request of the control plane creates, changes or deletes. Backups
    /// are not part of their table, and what is restored from one is a separate table.
    pub fn table_changed(self) -> Option<&'b str> {
        let member = match self.operation {
            Operation::RestoreTableFromBackup | Operation::RestoreTableToPointInTime => {
                "TargetTableName"
            }
            Operation::CreateBackup
            | Operation::DeleteBackup
            | Operation::CancelBulkOperation
            | Operation::ExportTableToPointInTime => return None,
            Operation::TagResource | Operation::UntagResource => "ResourceArn",
            _ => "TableName",
        };
        text(self.body, member)
    }

    /// Returns the writes and checks that the request asks for, each with its table. Statements are
    /// not among them.
    pub fn writes(self) -> Vec<(&'b str, ChangeKind)> {
        let one = |kind| vec![(self.table().unwrap_or_default(), kind)];
        match self.operation {
            Operation::PutItem => one(ChangeKind::Put),
            Operation::UpdateItem => one(ChangeKind::Update),
            Operation::DeleteItem => one(ChangeKind::Delete),
            Operation::BatchWriteItem => {
                let writes = self.request_items().flat_map(|(name, requests)| {
                    let kind = |request: &Value| match request.get("PutRequest") {
                        None | Some(Value::Null) => ChangeKind::Delete,
                        Some(_) => ChangeKind::Put,
                    };
                    let requests = requests.as_array().into_iter().flatten();
                    requests.map(move |request| (name.as_str(), kind(request)))
                });
                writes.collect()
            }
            Operation::TransactWriteItems => self
                .elements(ACTIONS)
                .filter_map(|action| one_action(action.as_object()?).ok())
                .map(|(kind, parameters)| (text(parameters, "TableName").unwrap_or_default(), kind))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Returns how many items the request writes or checks.
    pub fn items_written(self) -> usize {
        match self.operation {
            Operation::TransactWriteItems => self.elements(ACTIONS).count(),
            Operation::BatchExecuteStatement => self.elements("Statements").count(),
            Operation::ExecuteTransaction => self.elements("TransactStatements").count(),
            Operation::ExecuteStatement => 1,
            _ => self.writes().len(),
        }
    }

    /// Returns the tables of a TransactGetItems, one for each item; empty where it names none.
    pub fn tables_of_gets(self) -> impl Iterator<Item = &'b str> {
        let gets = self.elements(ACTIONS).map(|action| action.get("Get").and_then(table_in));
        gets.map(Option::unwrap_or_default)
    }

    /// Returns whether the request asks for its consumed capacity. It does, too, if the member has
    /// a wrong type: the database rejects it.
    pub fn asks_for_capacity(self) -> bool {
        match given(self.body, RETURN_CAPACITY) {
            None => false,
            Some(Value::String(level)) => level != "NONE",
            Some(_) => true,
        }
    }

    /// Returns which items the answer may hold.
    pub fn returned(self) -> Returned {
        match self.operation {
            Operation::GetItem => Returned::Item,
            Operation::Query | Operation::Scan => {
                let limit = given(self.body, "Limit").and_then(Value::as_u64);
                Returned::Page(limit.and_then(|limit| usize::try_from(limit).ok()))
            }
            Operation::SearchVectors | Operation::ExecuteStatement => Returned::Page(None),
            Operation::BatchGetItem => {
                let asked = self.request_items();
                let keys = asked.filter_map(|(_, asked)| asked.get("Keys")?.as_array());
                Returned::Batch(keys.map(Vec::len).sum())
            }
            Operation::BatchExecuteStatement => {
                Returned::Batch(self.elements("Statements").count())
            }
            Operation::TransactGetItems => Returned::Transaction(self.elements(ACTIONS).count()),
            Operation::ExecuteTransaction => {
                Returned::Transaction(self.elements("TransactStatements").count())
            }
            Operation::PutItem | Operation::UpdateItem | Operation::DeleteItem => {
                let returned = text(self.body, "ReturnValues");
                if returned.is_some_and(|returned| returned != "NONE") {
                    Returned::Item
                } else {
                    Returned::Nothing
                }
            }
            _ => Returned::Nothing,
        }
    }

    /// Returns the tables whose whole items the answer holds. `None` for a request whose answer
    /// holds no items, parts of items, or items of an index.
    pub fn whole_items(self) -> Option<WholeItems<'b>> {
        match self.operation {
            Operation::GetItem if is_whole(self.body) => Some(WholeItems::One(self.table()?)),
            Operation::Query | Operation::Scan if is_whole(self.body) => {
                Some(WholeItems::Page(self.table()?))
            }
            Operation::BatchGetItem => {
                let whole = |keys: &Value| keys.as_object().is_some_and(is_whole);
                let whole = self.request_items().filter(|(_, keys)| whole(keys));
                Some(WholeItems::Batch(whole.map(|(name, _)| name.as_str()).collect()))
            }
            _ => None,
        }
    }

    fn request_items(self) -> impl Iterator<Item = (&'b String, &'b Value)> {
        self.body.get("RequestItems").and_then(Value::as_object).into_iter().flatten()
    }

    fn elements(self, name: &str) -> impl Iterator<Item = &'b Value> + use<'b> {
        self.body.get(name).and_then(Value::as_array).into_iter().flatten()
    }
}

fn table_in(parameters: &Value) -> Option<&str> {
    parameters.get("TableName").and_then(Value::as_str)
}

fn is_whole(parameters: &Map<String, Value>) -> bool {
    let parts = ["ProjectionExpression", "AttributesToGet", "IndexName"];
    let select = text(parameters, "Select");
    parts.iter().all(|name| given(parameters, name).is_none())
        && select.is_none_or(|select| select == "ALL_ATTRIBUTES")
}

#[cfg(test)]
mod tests;
