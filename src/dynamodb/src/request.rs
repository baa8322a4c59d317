//! What can be told of a request without its table: AWS checks a request before it looks for the
//! table, first the JSON types of all members, then the limits of each, then values, expressions, and
//! how the members go together.
//!
//! Nothing is read into types here, and nothing is decided about tables or items.

mod constraints;
mod content;
mod items;
mod model;
mod tables;
mod types;

use serde_json::{Map, Value};

pub use content::{check_select, check_start_key, segment};

use crate::error::ServiceError;
use model::Member;
use types::Depth;

type Result<T> = std::result::Result<T, ServiceError>;

/// What is checked before the limits of all members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Nothing,
    /// A table's name that is wrong is told alone.
    TableAlone,
    /// The map RequestItems must not be empty.
    RequestItems,
    /// The name of a table that is to be created.
    NewTable,
    /// The name of a table that is described, changed or deleted.
    Table,
}

/// Checks types and limits of an operation's members. Attribute values are not looked into; who reads
/// them checks them. An operation that is not known here passes.
pub fn check_members(operation: &str, body: &Map<String, Value>) -> Result<()> {
    check_model(operation, body, Depth::Members)
}

/// Checks all that can be told without the table, in AWS's order. To be asked what AWS says of a
/// request that was found to be wrong: it may be wrong in a way that AWS finds earlier.
pub fn check(operation: &str, body: &Value) -> Result<()> {
    let Some(members) = body.as_object() else {
        return Err(ServiceError::serialization("Unexpected value type in payload"));
    };
    check_model(operation, members, Depth::Values)?;
    content::check(operation, body)
}

fn check_model(operation: &str, body: &Map<String, Value>, depth: Depth) -> Result<()> {
    let Some((first, members)) = model_of(operation) else { return Ok(()) };
    types::check(members, body, depth)?;
    check_first(first, operation, body)?;
    constraints::check(members, body)
}

fn check_first(first: First, operation: &str, body: &Map<String, Value>) -> Result<()> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let table = given("TableName").and_then(Value::as_str);
    match (first, table) {
        (First::Nothing, _) => Ok(()),
        (First::TableAlone, _) => constraints::check(&[model::TABLE], body),
        (First::RequestItems, _) => match given("RequestItems").and_then(Value::as_object) {
            Some(items) if items.is_empty() => Err(ServiceError::validation(format!(
                "The requestItems parameter is required for {operation}"
            ))),
            Some(_) | None => Ok(()),
        },
        (First::NewTable | First::Table, None) => Err(ServiceError::validation(
            "The parameter 'TableName' is required but was not present in the request",
        )),
        (_, Some(name)) if name.starts_with("arn:") => Ok(()),
        (First::NewTable, Some(name)) => constraints::check_new_table(name),
        (First::Table, Some(name)) if (3..=255).contains(&name.len()) => Ok(()),
        (First::Table, Some(_)) => Err(ServiceError::validation(
            "TableName must be at least 3 characters long and at most 255 characters long",
        )),
    }
}

fn model_of(operation: &str) -> Option<(First, &'static [Member])> {
    Some(match operation {
        "PutItem" => (First::TableAlone, items::PUT),
        "UpdateItem" => (First::TableAlone, items::UPDATE),
        "DeleteItem" => (First::Nothing, items::DELETE),
        "GetItem" => (First::Nothing, items::GET),
        "Query" => (First::Nothing, items::QUERY),
        "Scan" => (First::Nothing, items::SCAN),
        "BatchGetItem" => (First::RequestItems, items::BATCH_GET),
        "BatchWriteItem" => (First::RequestItems, items::BATCH_WRITE),
        "TransactWriteItems" => (First::Nothing, items::TRANSACT_WRITE),
        "TransactGetItems" => (First::Nothing, items::TRANSACT_GET),
        "ExecuteStatement" => (First::Nothing, items::STATEMENT_ALONE),
        "BatchExecuteStatement" => (First::Nothing, items::STATEMENTS),
        "ExecuteTransaction" => (First::Nothing, items::STATEMENTS_TOGETHER),
        "CreateTable" => (First::NewTable, tables::CREATE),
        "UpdateTable" => (First::Table, tables::UPDATE),
        "DeleteTable" | "DescribeTable" | "DescribeTimeToLive" | "DescribeContinuousBackups" => {
            (First::Table, tables::NAMED)
        }
        "UpdateTimeToLive" => (First::Table, tables::TIME_TO_LIVE),
        "ListTables" => (First::Nothing, tables::LIST),
        "TagResource" => (First::Nothing, tables::TAG),
        "UntagResource" => (First::Nothing, tables::UNTAG),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
