//! PartiQL: writing statements become conditional writes of their items. Reading ones pass.

use std::sync::Arc;

use bytes::Bytes;
use dm_core::error::{Extra, ServiceError};
use dm_core::partiql::Statement;
use dm_core::value::{AttributeValue, item_to_json};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::prepared::Prepared;
use super::{Journal, Known};
use crate::call::{Answer, Call};
use crate::fault::Fault;

/// Statements of one batch (DynamoDB API Reference).
const STATEMENTS_MAX: usize = 25;

impl Journal {
    /// ExecuteStatement.
    pub(super) async fn execute_statement(&self, call: Call) -> Result<Bytes, Fault> {
        let statement = parse(&call.body)?;
        if statement.is_read() {
            return self.apply.handle(call).await;
        }
        let mut answer = self.execute(&statement, &call.body).await?;
        let items: Vec<Value> = answer.remove("Item").into_iter().collect();
        answer.insert("Items".into(), Value::Array(items));
        Ok(Bytes::from(Value::Object(answer).to_string()))
    }

    /// BatchExecuteStatement: each statement for itself.
    pub(super) async fn execute_batch(&self, call: Call) -> Result<Bytes, Fault> {
        let asked = call.body.get("Statements").and_then(Value::as_array);
        let asked: Vec<&Map<String, Value>> =
            asked.into_iter().flatten().filter_map(Value::as_object).collect();
        let statements: Vec<Result<Statement, ServiceError>> =
            asked.iter().map(|part| parse(part)).collect();
        if statements.iter().all(|parsed| parsed.as_ref().is_ok_and(Statement::is_read)) {
            return self.apply.handle(call).await;
        }
        if asked.len() > STATEMENTS_MAX {
            return Err(Fault::validation("Too many statements in the batch"));
        }
        if statements.iter().flatten().any(Statement::is_read) {
            return Err(Fault::validation(
                "Batch API cannot have a mix of read and write statements",
            ));
        }
        let mut units = 0.0;
        let work = statements.iter().zip(&asked).map(|(statement, part)| async move {
            match statement {
                Ok(statement) => self.execute(statement, part).await,
                Err(error) => Err(error.clone().into()),
            }
        });
        let mut responses = Vec::new();
        for (statement, result) in statements.iter().zip(join_all(work).await) {
            let table = statement.as_ref().map(Statement::table).unwrap_or_default();
            responses.push(match result {
                Ok(mut answer) => {
                    let used = answer.remove("ConsumedCapacity").unwrap_or_default();
                    units += crate::metering::consumed_units(&used);
                    answer.insert("TableName".into(), table.into());
                    Value::Object(answer)
                }
                Err(fault) => json!({"Error": error_of(fault), "TableName": table}),
            });
        }
        let mut answer = Map::new();
        answer.insert("Responses".into(), Value::Array(responses));
        let level = call.body.get("ReturnConsumedCapacity").and_then(Value::as_str);
        if level.is_some_and(|level| level != "NONE") {
            answer.insert("ConsumedCapacity".into(), json!([{"CapacityUnits": units}]));
        }
        Ok(Bytes::from(Value::Object(answer).to_string()))
    }

    /// ExecuteTransaction: one that reads passes.
    pub(super) async fn execute_transaction(&self, call: Call) -> Result<Bytes, Fault> {
        let asked = call.body.get("TransactStatements").and_then(Value::as_array);
        for part in asked.into_iter().flatten().filter_map(Value::as_object) {
            if !parse(part)?.is_read() {
                return Err(Fault::refused(
                    "The guard cannot journal writes of ExecuteTransaction, and lets none through \
                     without. TransactWriteItems works.",
                    "it cannot be journalled",
                ));
            }
        }
        self.apply.handle(call).await
    }

    /// One writing statement: `Item` of the answer is what it returns.
    async fn execute(
        &self,
        statement: &Statement,
        body: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Fault> {
        let table = self.images.table(statement.table()).await?;
        let prepared = Prepared::of_statement(statement, Arc::clone(&table), body)?;
        let done = self.write(&prepared, Known::Nothing).await?;
        let mut answer = done.answer.clone();
        answer.remove("Attributes");
        if let Some(image) = prepared.returned(done.before.as_ref(), &done.made) {
            answer.insert("Item".into(), item_to_json(&image));
        }
        Ok(answer)
    }
}

fn parse(body: &Map<String, Value>) -> Result<Statement, ServiceError> {
    let text = body.get("Statement").and_then(Value::as_str).unwrap_or_default();
    let parameters = body.get("Parameters").and_then(Value::as_array);
    let parameters: Vec<AttributeValue> = parameters
        .into_iter()
        .flatten()
        .map(AttributeValue::from_json)
        .collect::<Result<_, _>>()?;
    Statement::parse(text, &parameters)
}

/// An error inside a batch's answer.
fn error_of(fault: Fault) -> Value {
    if let Fault::Service(error) = &fault {
        let mut told = json!({"Code": error.code.short_name(), "Message": error.message});
        if let Some(Extra::Item(item)) = error.extra.as_deref() {
            told["Item"] = item_to_json(item);
        }
        return told;
    }
    let answer = Answer::from(fault);
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let name = crate::fault::error_name(&answer.body).unwrap_or_default();
    let message = body.get("message").or_else(|| body.get("Message")).cloned();
    json!({"Code": name.trim_end_matches("Exception"), "Message": message.unwrap_or_default()})
}
