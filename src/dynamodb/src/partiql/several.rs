//! What DynamoDB allows in one BatchExecuteStatement or ExecuteTransaction, as far as the
//! statements' own words tell it.

use super::{NoItem, Statement};
use crate::error::ServiceError;
use crate::item_write::ItemWrite;
use crate::schema::TableSchema;

/// Statements of one BatchExecuteStatement (DynamoDB API Reference).
pub const BATCH_STATEMENTS_MAX: usize = 25;

/// Statements of one ExecuteTransaction (DynamoDB API Reference).
pub const TRANSACTION_STATEMENTS_MAX: usize = 100;

/// How many statements there may be, before any of them is read.
pub fn check_count(count: usize, member: &str, at_most: usize) -> Result<(), ServiceError> {
    let bound = match count {
        0 => "greater than or equal to 1".to_owned(),
        count if count > at_most => format!("less than or equal to {at_most}"),
        _ => return Ok(()),
    };
    Err(ServiceError::validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member \
         must have length {bound}"
    )))
}

/// A batch only reads or only writes. What is wrong with single statements is not the batch's
/// error.
pub fn check_batch<'s>(
    mut understood: impl Iterator<Item = &'s Statement>,
) -> Result<(), ServiceError> {
    let first = understood.next().map(Statement::is_read);
    if understood.any(|statement| Some(statement.is_read()) != first) {
        return Err(ServiceError::validation(
            "Read and write requests together in the same batch is not supported.",
        ));
    }
    Ok(())
}

/// A transaction only selects or only writes; EXISTS belongs to the writes. None returns images,
/// and none is about an index.
pub fn check_transaction(statements: &[&Statement]) -> Result<(), ServiceError> {
    let selects = |statement: &&Statement| matches!(statement, Statement::Select(_));
    if statements.iter().any(selects) && !statements.iter().all(selects) {
        return Err(ServiceError::validation(
            "ExecuteTransaction API does not support both read and write operations in the same \
             request.",
        ));
    }
    for (at, statement) in statements.iter().enumerate() {
        if statement.returns_image() {
            let why = "RETURNING clause is not supported in ExecuteTransaction.";
            return Err(in_transaction(at, why));
        }
        match statement {
            Statement::Select(select) if select.index.is_some() => {
                let why = "Reads on indices are not supported within transactions.";
                return Err(in_transaction(at, why));
            }
            Statement::Exists(select) if select.index.is_some() => {
                let why = "Operations on indices are not supported in transactions";
                return Err(in_transaction(at, why));
            }
            Statement::Select(_)
            | Statement::Exists(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_) => {}
        }
    }
    Ok(())
}

/// What a transaction's statement does to its item. What is wrong with a write is a reason for
/// which the transaction is canceled; an empty key of an item that is named, and what is wrong with
/// an EXISTS, are the request's error.
pub fn on_item_in_transaction(
    at: usize,
    statement: Statement,
    table: &TableSchema,
) -> Result<Result<ItemWrite, ServiceError>, ServiceError> {
    let no_empty_keys = statement.check_no_empty_keys(table);
    let exists = matches!(statement, Statement::Exists(_));
    match statement.on_item(table) {
        Err(why) if exists => Err(in_transaction(at, &ServiceError::from(why).message)),
        Err(NoItem::Unnamed(error)) => Ok(Err(error)),
        Err(NoItem::Unfit(error)) => no_empty_keys.map(|()| Err(error)),
        Ok(write) => no_empty_keys.map(|()| Ok(write)),
    }
}

/// An error of one statement that is the whole transaction's.
pub fn in_transaction(at: usize, why: &str) -> ServiceError {
    ServiceError::validation(format!("Validation failed in TransactStatements[{at}]: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Vec<Result<Statement, ServiceError>> {
        texts.iter().map(|text| Statement::parse(text, &[])).collect()
    }

    fn check(texts: &[&str], batch: bool, transaction: bool) {
        let statements = parsed(texts);
        assert_eq!(check_batch(statements.iter().flatten()).is_ok(), batch, "{texts:?}");
        let statements: Vec<&Statement> = statements.iter().flatten().collect();
        assert_eq!(check_transaction(&statements).is_ok(), transaction, "{texts:?}");
    }

    #[test]
    fn reads_and_writes_do_not_mix() {
        let read = "SELECT * FROM t WHERE p = 'a'";
        let write = "DELETE FROM t WHERE p = 'b'";
        let exists = "EXISTS(SELECT * FROM t WHERE p = 'a' AND n = 1)";
        check(&[read, read], true, true);
        check(&[write, write], true, true);
        check(&[write, read], false, false);
        check(&[write, "SELEC"], true, true);
        check(&[exists, write], false, true);
        check(&[exists, read], true, false);
    }

    #[test]
    fn a_transaction_returns_no_images_and_reads_no_indexes() {
        check(&["DELETE FROM t WHERE p = 'b' RETURNING ALL OLD *"], true, false);
        check(&["SELECT * FROM t.i WHERE p = 'b'"], true, false);
        check(&["EXISTS(SELECT * FROM t.i WHERE p = 'a' AND n = 1)"], true, false);
    }

    #[test]
    fn their_number_is_bounded() {
        assert!(check_count(0, "statements", 25).is_err());
        assert!(check_count(25, "statements", 25).is_ok());
        assert!(check_count(26, "statements", 25).is_err());
    }
}
