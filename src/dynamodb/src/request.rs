//! A request, decoded once: what it asks for, as far as that can be said without its table. AWS
//! checks a request before it looks for the table, first the JSON types of all members, then the
//! limits of each, then values, expressions, and how the members go together; so does this, in its
//! order and its words.
//!
//! Each family of operations has a file. Nothing is decided here about tables or items.

mod batch_write;
mod constraints;
pub mod control;
mod get;
mod items;
mod members;
mod model;
mod outline;
mod page;
mod statement;
mod tables;
mod transaction;
mod types;
mod write;

use serde_json::{Map, Value};

pub use batch_write::{BATCH_WRITES_MAX, BatchPart, BatchWrite};
pub use constraints::is_name;
pub use get::{BatchGet, Get, TableGet, TransactGet};
pub use members::CapacityLevel;
pub use outline::{Outline, RETURN_CAPACITY, Returned, WholeItems};
pub use page::{Page, Select};
pub use statement::{Execute, ExecuteBatch, ExecuteTransaction, STATEMENTS, StatementRequest};
pub use transaction::{ACTION_MEMBERS, ACTIONS, TransactWrite, one_action};
pub use write::SingleWrite;

use crate::error::{ErrorCode, ServiceError};
use crate::item_write::ChangeKind;
use crate::operation::Operation;
use control::{Control, Listing};
use model::Member;
use types::Depth;

type Result<T> = std::result::Result<T, ServiceError>;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// PutItem, UpdateItem or DeleteItem.
    Write(SingleWrite),
    BatchWrite(BatchWrite),
    TransactWrite(TransactWrite),
    Execute(Execute),
    ExecuteBatch(ExecuteBatch),
    ExecuteTransaction(ExecuteTransaction),
    Get(Get),
    BatchGet(BatchGet),
    TransactGet(TransactGet),
    Page(Page),
    /// A call that changes tables or their settings.
    Control(Control),
    /// ListTables or ListTagsOfResource.
    List(Listing),
    /// Any other, of which only types and limits are known.
    Other,
}

impl Request {
    pub fn decode(operation: Operation, body: &Map<String, Value>) -> Result<Self> {
        let checked = check_members(operation, body);
        let decoded = checked.and_then(|()| Self::decode_checked(operation, body));
        let understood = |request: &Self| request.statements().iter().all(|s| s.statement.is_ok());
        if !decoded.as_ref().is_ok_and(understood) {
            // Wrong types of attribute values come before anything else that is wrong. Costs as
            // much as reading the values again, so only a request that is wrong is gone through
            // twice.
            check_model(operation, body, Depth::Values)?;
        }
        decoded
    }

    fn decode_checked(operation: Operation, body: &Map<String, Value>) -> Result<Self> {
        Ok(match operation {
            Operation::PutItem => Self::Write(SingleWrite::decode(ChangeKind::Put, body)?),
            Operation::UpdateItem => Self::Write(SingleWrite::decode(ChangeKind::Update, body)?),
            Operation::DeleteItem => Self::Write(SingleWrite::decode(ChangeKind::Delete, body)?),
            Operation::BatchWriteItem => Self::BatchWrite(BatchWrite::decode(body)?),
            Operation::TransactWriteItems => Self::TransactWrite(TransactWrite::decode(body)?),
            Operation::ExecuteStatement => Self::Execute(Execute::decode(body)?),
            Operation::BatchExecuteStatement => Self::ExecuteBatch(ExecuteBatch::decode(body)?),
            Operation::ExecuteTransaction => {
                Self::ExecuteTransaction(ExecuteTransaction::decode(body)?)
            }
            Operation::GetItem => Self::Get(Get::decode(body)?),
            Operation::BatchGetItem => Self::BatchGet(BatchGet::decode(body)?),
            Operation::TransactGetItems => Self::TransactGet(TransactGet::decode(body)?),
            Operation::Query => Self::Page(Page::query(body)?),
            Operation::Scan => Self::Page(Page::scan(body)?),
            Operation::ListTables => Self::List(Listing::tables(body)?),
            Operation::ListTagsOfResource => Self::List(Listing::tags(body)),
            _ => Control::decode(operation, body)?.map_or(Self::Other, Self::Control),
        })
    }

    /// Returns the statements, in their order; none for other operations.
    pub fn statements(&self) -> &[StatementRequest] {
        match self {
            Self::Execute(execute) => std::slice::from_ref(&execute.one),
            Self::ExecuteBatch(batch) => &batch.statements,
            Self::ExecuteTransaction(transaction) => &transaction.statements,
            Self::Write(_)
            | Self::BatchWrite(_)
            | Self::TransactWrite(_)
            | Self::Get(_)
            | Self::BatchGet(_)
            | Self::TransactGet(_)
            | Self::Page(_)
            | Self::Control(_)
            | Self::List(_)
            | Self::Other => &[],
        }
    }
}

/// What is checked before the limits of all members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Nothing,
    /// A wrong table name is reported alone.
    TableAlone,
    /// The map RequestItems must not be empty.
    RequestItems,
    /// The name of a table that is to be created.
    NewTable,
    /// The name of a table that is described, changed or deleted.
    Table,
    /// The ARN of a table whose tags are read or changed.
    Resource,
}

/// Checks types and limits of an operation's members. Attribute values are left to what reads them.
/// An operation that is not known here passes.
pub fn check_members(operation: Operation, body: &Map<String, Value>) -> Result<()> {
    check_model(operation, body, Depth::Members)
}

fn check_model(operation: Operation, body: &Map<String, Value>, depth: Depth) -> Result<()> {
    let Some((first, members)) = model_of(operation) else { return Ok(()) };
    types::check(members, body, depth)?;
    check_first(first, operation, body)?;
    constraints::check(members, body)
}

/// Checks what is the name of a table, in the words of the parameter `TableName`.
pub fn check_table_name(name: &str) -> Result<()> {
    let mut body = Map::new();
    body.insert("TableName".to_owned(), name.into());
    constraints::check(&[model::TABLE], &body)
}

/// The error of a table's ARN that is none.
pub fn no_table_arn() -> ServiceError {
    ServiceError::validation(
        "Valid ARN format is 'arn:<awsPartition>:<vendor>:<region>:<subscriber>:\
         resourceType/resourceName', where Resource name must have length less than or equal to \
         255, Resource name must have length greater than or equal to 3, Resource name must \
         satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
    )
}

/// The error of two writes, or two reads, of one item in a batch.
pub fn duplicate_keys() -> ServiceError {
    ServiceError::validation("Provided list of item keys contains duplicates")
}

/// A write of a batch that is neither a put nor a delete, or both.
fn one_kind_each() -> ServiceError {
    ServiceError::validation(
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the \
         supported datatypes",
    )
}

fn check_first(first: First, operation: Operation, body: &Map<String, Value>) -> Result<()> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let table = given("TableName").and_then(Value::as_str);
    match (first, table) {
        (First::Nothing, _) => Ok(()),
        (First::Resource, _) => match given("ResourceArn").and_then(Value::as_str) {
            None => Err(ServiceError::validation("Invalid TableArn")),
            Some(arn) if is_table_arn(arn) => Ok(()),
            Some(arn) => Err(ServiceError::validation(format!(
                "Invalid TableArn: Invalid ResourceArn provided as input {arn:.MESSAGE_ARN_CHARS$}"
            ))),
        },
        (First::TableAlone, _) => constraints::check(&[model::TABLE], body),
        (First::RequestItems, _) => match given("RequestItems").and_then(Value::as_object) {
            Some(items) if items.is_empty() => Err(ServiceError::validation(format!(
                "The requestItems parameter is required for {}",
                operation.name()
            ))),
            Some(_) | None => Ok(()),
        },
        (First::NewTable | First::Table, None) => Err(ServiceError::validation(
            "The parameter 'TableName' is required but was not present in the request",
        )),
        (_, Some(name)) if name.starts_with("arn:") => Ok(()),
        (First::NewTable, Some(name)) => constraints::check_new_table(name),
        (First::Table, Some(name)) => check_name_length(name),
    }
}

/// The error of a call about a table that does not exist. Operations on items have
/// [`ServiceError::table_not_found`].
pub fn no_table(operation: Operation, name: &str) -> ServiceError {
    match operation {
        // Those about backups have their own (API Reference, DescribeContinuousBackups).
        Operation::DescribeContinuousBackups | Operation::UpdateContinuousBackups => {
            ServiceError::new(ErrorCode::TableNotFound, format!("Table not found: {name}"))
        }
        _ => ServiceError::new(
            ErrorCode::ResourceNotFound,
            format!("Requested resource not found: Table: {name} not found"),
        ),
    }
}

/// Checks the length of a table's name. Operations on items do so when they look for the table.
pub fn check_name_length(name: &str) -> Result<()> {
    if constraints::NAME_LENGTH.contains(&name.len()) {
        return Ok(());
    }
    Err(ServiceError::validation(
        "TableName must be at least 3 characters long and at most 255 characters long",
    ))
}

/// Characters of an ARN that a message repeats: the longest ARN (API Reference, TagResource).
const MESSAGE_ARN_CHARS: usize = 1_283;

/// Whether a text is the ARN of a table, and of nothing below it: only tables have tags.
fn is_table_arn(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service) = (next(), next(), next());
    let (region, account, resource) = (next(), next(), next());
    let is_number = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = resource.strip_prefix("table/").unwrap_or_default();
    arn == "arn"
        && !partition.is_empty()
        && service == "dynamodb"
        && !region.is_empty()
        && is_number
        && constraints::NAME_LENGTH.contains(&name.len())
        && constraints::is_name(name)
}

fn model_of(operation: Operation) -> Option<(First, &'static [Member])> {
    Some(match operation {
        Operation::PutItem => (First::TableAlone, items::PUT),
        Operation::UpdateItem => (First::TableAlone, items::UPDATE),
        Operation::DeleteItem => (First::Nothing, items::DELETE),
        Operation::GetItem => (First::Nothing, items::GET),
        Operation::Query => (First::Nothing, items::QUERY),
        Operation::Scan => (First::Nothing, items::SCAN),
        Operation::BatchGetItem => (First::RequestItems, items::BATCH_GET),
        Operation::BatchWriteItem => (First::RequestItems, items::BATCH_WRITE),
        Operation::TransactWriteItems => (First::Nothing, items::TRANSACT_WRITE),
        Operation::TransactGetItems => (First::Nothing, items::TRANSACT_GET),
        Operation::ExecuteStatement => (First::Nothing, items::STATEMENT_ALONE),
        Operation::BatchExecuteStatement => (First::Nothing, items::STATEMENTS),
        Operation::ExecuteTransaction => (First::Nothing, items::STATEMENTS_TOGETHER),
        Operation::CreateTable => (First::NewTable, tables::CREATE),
        Operation::UpdateTable => (First::Table, tables::UPDATE),
        Operation::DeleteTable
        | Operation::DescribeTable
        | Operation::DescribeTimeToLive
        | Operation::DescribeContinuousBackups => (First::Table, tables::NAMED),
        Operation::UpdateTimeToLive => (First::Table, tables::TIME_TO_LIVE),
        Operation::UpdateContinuousBackups => (First::Table, tables::BACKUPS),
        Operation::ListTables => (First::Nothing, tables::LIST),
        Operation::TagResource => (First::Resource, tables::TAG),
        Operation::UntagResource => (First::Resource, tables::UNTAG),
        Operation::ListTagsOfResource => (First::Resource, tables::LIST_TAGS),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
