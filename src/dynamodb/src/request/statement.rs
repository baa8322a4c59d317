//! ExecuteStatement, BatchExecuteStatement and ExecuteTransaction: statements, each parsed once.

use serde_json::{Map, Value};

use super::constraints::{is_arn, is_full_name};
use super::members::{CapacityLevel, count, flag, given, listed, shows_on_failure, text};
use crate::error::{ErrorCode, ServiceError};
use crate::idempotency::ClientToken;
use crate::partiql::{
    BATCH_STATEMENTS_MAX, Statement, TRANSACTION_STATEMENTS_MAX, check_batch, check_count,
    check_transaction, in_transaction,
};
use crate::value::AttributeValue;

type Result<T> = std::result::Result<T, ServiceError>;

/// The parameter that lists the statements of a transaction.
pub const STATEMENTS: &str = "TransactStatements";

/// One statement with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementRequest {
    /// The statement, or why it is not understood. In a batch this is not an error of the request.
    pub statement: Result<Statement>,
    /// Whether its text is a SELECT, understood or not.
    selects: bool,
    /// Whether it reads the latest state.
    pub consistent: bool,
    /// Whether the error of a failed condition shows the item.
    pub shows_on_failure: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    pub one: StatementRequest,
    /// How many items are evaluated at most.
    pub limit: Option<u32>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteBatch {
    /// The statements, in its order.
    pub statements: Vec<StatementRequest>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteTransaction {
    /// The statements, in its order.
    pub statements: Vec<StatementRequest>,
    pub token: Option<ClientToken>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

impl StatementRequest {
    fn decode(body: &Map<String, Value>) -> Result<Self> {
        let consistent = flag(body, "ConsistentRead")?;
        let parameters = given(body, "Parameters").and_then(Value::as_array);
        let parameters = parameters.into_iter().flatten().map(AttributeValue::from_json);
        // A value that is wrong is the request's error, in a batch too.
        let parameters: Vec<AttributeValue> = parameters.collect::<Result<_>>()?;
        let text = text(body, "Statement").unwrap_or_default();
        let statement = Statement::parse(text, &parameters).and_then(of_possible_table);
        let selects = is_select(text);
        let shows_on_failure = shows_on_failure(body);
        Ok(Self { statement, selects, consistent, shows_on_failure })
    }

    /// Whether it only reads, as far as it can be told: a SELECT that is not understood does, too.
    pub fn reads(&self) -> bool {
        self.statement.as_ref().map_or(self.selects, Statement::is_read)
    }

    /// Whether it may write, and what, is not understood.
    pub fn is_unknown(&self) -> bool {
        self.statement.is_err() && !self.reads()
    }
}

/// The statement, if its table and index can have their names. An INSERT just finds no such table
/// (DynamoDB Local 3.1.0; AWS's documentation is silent).
fn of_possible_table(statement: Statement) -> Result<Statement> {
    let index = match &statement {
        Statement::Select(select) | Statement::Exists(select) => select.index.as_deref(),
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => None,
    };
    let table = statement.table();
    if (is_arn(table) || is_full_name(table)) && index.is_none_or(is_full_name) {
        return Ok(statement);
    }
    if matches!(statement, Statement::Insert(_)) {
        return Err(ServiceError::table_not_found());
    }
    Err(ServiceError::validation(
        "Table name should be within the length [3, 255] and only contain 'a-z', 'A-Z', '0-9', \
         '-', '_', '.'.",
    ))
}

/// Whether a text is one statement that cannot write. Comments, which others may end elsewhere, and
/// what may be a second statement, leave it open.
fn is_select(text: &str) -> bool {
    let word = text.trim_start().split(|c: char| !c.is_ascii_alphanumeric()).next();
    word.is_some_and(|word| word.eq_ignore_ascii_case("SELECT")) && !text.contains(';')
}

impl Execute {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let one = StatementRequest::decode(body)?;
        Ok(Self { one, limit: count(body, "Limit")?, capacity: CapacityLevel::of(body) })
    }
}

impl ExecuteBatch {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let statements = statements(body, "Statements", BATCH_STATEMENTS_MAX)?;
        check_batch(statements.iter().filter_map(|one| one.statement.as_ref().ok()))?;
        Ok(Self { statements, capacity: CapacityLevel::of(body) })
    }
}

impl ExecuteTransaction {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let mut statements = statements(body, STATEMENTS, TRANSACTION_STATEMENTS_MAX)?;
        for (at, one) in statements.iter_mut().enumerate() {
            if let Err(error) = &one.statement
                && error.code == ErrorCode::Validation
            {
                one.statement = Err(in_transaction(at, &error.message));
            }
        }
        let understood: Vec<&Statement> =
            statements.iter().filter_map(|one| one.statement.as_ref().ok()).collect();
        // A statement that is not understood is what is wrong with the request.
        if understood.len() == statements.len() {
            check_transaction(&understood)?;
        }
        Ok(Self {
            statements,
            token: ClientToken::of(body, STATEMENTS)?,
            capacity: CapacityLevel::of(body),
        })
    }
}

fn statements(
    body: &Map<String, Value>,
    name: &str,
    at_most: usize,
) -> Result<Vec<StatementRequest>> {
    let (first, rest) = name.split_at(1);
    let member = format!("{}{rest}", first.to_ascii_lowercase());
    check_count(listed(body, name).count(), &member, at_most)?;
    listed(body, name).map(|one| StatementRequest::decode(one?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_about_a_table_that_can_be() {
        let long = "x".repeat(256);
        let unnameable = "Table name should be within the length [3, 255] and only contain 'a-z', \
                          'A-Z', '0-9', '-', '_', '.'.";
        for (text, expected) in [
            ("SELECT * FROM cars", None),
            ("SELECT * FROM cars.ix1", None),
            ("SELECT * FROM \"arn:aws:dynamodb:eu-west-1:1:table/cars\"", None),
            ("SELECT * FROM t", Some(unnameable)),
            ("SELECT * FROM cars.i", Some(unnameable)),
            (&format!("SELECT * FROM {long}"), Some(unnameable)),
            ("UPDATE \"a b c\" SET n = 1 WHERE id = 1", Some(unnameable)),
            ("DELETE FROM t WHERE id = 1", Some(unnameable)),
            ("EXISTS(SELECT * FROM t WHERE id = 1 AND n = 1)", Some(unnameable)),
            ("INSERT INTO t VALUE {'id': 1}", Some("Requested resource not found")),
        ] {
            let found = Statement::parse(text, &[]).and_then(of_possible_table);
            assert_eq!(found.err().map(|error| error.message).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_select_is_one_statement_that_begins_as_one() {
        for (text, selects) in [
            ("SELECT * FROM t", true),
            (" \n select(a) FROM t", true),
            ("SELECTED", false),
            ("-- x\rDELETE FROM t\nSELECT * FROM t", false),
            ("/* x */ SELECT * FROM t", false),
            ("SELECT * FROM t; DELETE FROM t", false),
            ("UPDATE t SET select = 1", false),
            ("", false),
        ] {
            assert_eq!(is_select(text), selects, "{text}");
        }
    }
}
