//! PartiQL: writing statements become conditional writes of their items. Reading ones pass.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::idempotency;
use dm_dynamodb::partiql::{
    BATCH_STATEMENTS_MAX, Statement, TRANSACTION_STATEMENTS_MAX, check_batch, check_count,
    check_transaction, on_item_in_transaction,
};
use dm_dynamodb::value::{item_to_json, write_json};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::call::{Answer, Call};
use crate::fault::Fault;
use crate::journal::prepared::Prepared;
use crate::journal::{Journal, Known};
use crate::tables::statement;

/// Why a statement of a batch was not carried out. Once its item is known, the answer names the table.
struct Refusal {
    table: Option<String>,
    fault: Fault,
}

impl Journal {
    /// ExecuteStatement.
    pub(in crate::journal) async fn execute_statement(&self, call: Call) -> Result<Bytes, Fault> {
        let statement = parse(&call.body)?;
        if statement.is_read() {
            return self.apply.handle(call).await;
        }
        let table = self.images.table(statement.table()).await?;
        let on_item = statement.on_item(&table)?;
        let prepared = Arc::new(Prepared::of_statement(on_item, table, &call.body)?);
        let mut answer = self.execute(&prepared).await?;
        let items: Vec<Value> = answer.remove("Item").into_iter().collect();
        answer.insert("Items".into(), Value::Array(items));
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    /// BatchExecuteStatement: each statement for itself.
    pub(in crate::journal) async fn execute_batch(&self, call: Call) -> Result<Bytes, Fault> {
        let asked = members(&call.body, "Statements");
        let statements: Vec<Result<Statement, ServiceError>> =
            asked.iter().map(|part| parse(part)).collect();
        if statements.iter().flatten().all(Statement::is_read) {
            return self.read_batch(call, &statements).await;
        }
        check_count(asked.len(), "statements", BATCH_STATEMENTS_MAX)?;
        check_batch(&statements)?;
        let mut prepared = Vec::new();
        for (statement, part) in statements.into_iter().zip(asked) {
            prepared.push(self.prepare(statement, part).await?);
        }
        let mut seen = HashSet::new();
        let mut items = prepared.iter().flatten();
        if !items.all(|one| seen.insert((one.table.name.as_str(), one.key.bytes()))) {
            return Err(Fault::validation("Provided list of item keys contains duplicates"));
        }
        let work = prepared.iter().map(|prepared| async move {
            match prepared {
                Ok(prepared) => self
                    .execute(prepared)
                    .await
                    .map_err(|fault| Refusal { table: Some(prepared.table.name.clone()), fault }),
                Err(Refusal { table, fault }) => {
                    Err(Refusal { table: table.clone(), fault: fault.clone() })
                }
            }
        });
        let mut units = 0.0;
        let mut responses = Vec::new();
        for (prepared, result) in prepared.iter().zip(join_all(work).await) {
            let mut response = Map::new();
            let table = match (prepared, result) {
                (Ok(prepared), Ok(mut answer)) => {
                    let used = answer.remove("ConsumedCapacity").unwrap_or_default();
                    units += crate::layers::metering::consumed_units(&used);
                    response.extend(answer);
                    Some(prepared.table.name.clone())
                }
                (_, Err(refusal)) => {
                    response.insert("Error".into(), error_of(refusal.fault));
                    refusal.table
                }
                (Err(_), Ok(_)) => None,
            };
            response.extend(table.map(|table| ("TableName".to_owned(), table.into())));
            responses.push(Value::Object(response));
        }
        let mut answer = Map::new();
        answer.insert("Responses".into(), Value::Array(responses));
        let level = call.body.get("ReturnConsumedCapacity").and_then(Value::as_str);
        if level.is_some_and(|level| level != "NONE") {
            answer.insert("ConsumedCapacity".into(), json!([{"CapacityUnits": units}]));
        }
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    /// A batch that writes nothing, as far as it is understood. A statement that is not is answered
    /// here: what DynamoDB would make of it is not known, and it could be a write.
    async fn read_batch(
        &self,
        mut call: Call,
        statements: &[Result<Statement, ServiceError>],
    ) -> Result<Bytes, Fault> {
        if statements.iter().all(Result::is_ok) {
            return self.apply.handle(call).await;
        }
        check_count(statements.len(), "statements", BATCH_STATEMENTS_MAX)?;
        let sent = members(&call.body, "Statements").into_iter().zip(statements);
        let sent: Vec<Value> = sent
            .filter(|(_, statement)| statement.is_ok())
            .map(|(member, _)| Value::Object(member.clone()))
            .collect();
        let mut answer = Map::new();
        if !sent.is_empty() {
            call.body.insert("Statements".into(), sent.into());
            answer = serde_json::from_slice(&self.apply.handle(call).await?)
                .map_err(|_| crate::layers::metering::not_an_object())?;
        }
        let read = answer.remove("Responses").unwrap_or_default();
        let mut read = read.as_array().cloned().unwrap_or_default().into_iter();
        let responses: Vec<Value> = statements
            .iter()
            .map(|statement| match statement {
                Ok(_) => read.next().unwrap_or_default(),
                Err(error) => json!({"Error": error.to_statement_json()}),
            })
            .collect();
        answer.insert("Responses".into(), responses.into());
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    async fn prepare(
        &self,
        statement: Result<Statement, ServiceError>,
        body: &Map<String, Value>,
    ) -> Result<Result<Arc<Prepared>, Refusal>, Fault> {
        let unnamed = |fault| Ok(Err(Refusal { table: None, fault }));
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => return unnamed(error.into()),
        };
        let table = match self.images.table(statement.table()).await {
            Ok(table) => table,
            Err(fault) => return unnamed(fault),
        };
        match statement.on_item(&table) {
            Ok(on_item) => {
                let named = Some(table.name.clone());
                let prepared = Prepared::of_statement(on_item, table, body);
                Ok(prepared
                    .map(Arc::new)
                    .map_err(|error| Refusal { table: named, fault: error.into() }))
            }
            Err(error) => unnamed(error.into()),
        }
    }

    /// ExecuteTransaction: one that reads passes, one that writes is what TransactWriteItems would be.
    pub(in crate::journal) async fn execute_transaction(&self, call: Call) -> Result<Bytes, Fault> {
        idempotency::token(&call.body)?;
        let asked = members(&call.body, "TransactStatements");
        let statements: Vec<Statement> =
            asked.iter().map(|part| parse(part)).collect::<Result<_, _>>()?;
        let selects = |statement: &Statement| matches!(statement, Statement::Select(_));
        if statements.iter().all(selects) {
            return self.apply.handle(call).await;
        }
        check_count(asked.len(), "transactStatements", TRANSACTION_STATEMENTS_MAX)?;
        check_transaction(&statements)?;
        let mut written = Vec::new();
        for (at, (statement, part)) in statements.iter().zip(asked).enumerate() {
            let table = self.images.table(statement.table()).await?;
            let on_item = on_item_in_transaction(at, statement, &table)?;
            let prepare = |on_item| Prepared::of_statement(on_item, Arc::clone(&table), part);
            written.push(on_item.and_then(prepare));
        }
        self.write_statements(&call.body, written).await
    }

    /// One writing statement: `Item` of the answer is what it returns.
    async fn execute(&self, prepared: &Arc<Prepared>) -> Result<Map<String, Value>, Fault> {
        let done = self.write(prepared, Known::Nothing).await?;
        let mut answer = done.answer.clone();
        answer.remove("Attributes");
        // Of a statement that was sent as it is.
        let returned = answer.remove("Items");
        if let Some(items) = returned {
            let first = items.as_array().and_then(|items| items.first().cloned());
            answer.extend(first.map(|item| ("Item".to_owned(), item)));
        } else if let Some(image) = prepared.returned(done.before.as_ref(), &done.made) {
            answer.insert("Item".into(), item_to_json(&image));
        }
        Ok(answer)
    }
}

fn parse(body: &Map<String, Value>) -> Result<Statement, ServiceError> {
    statement(body.get("Statement"), body.get("Parameters"))
}

fn members<'a>(body: &'a Map<String, Value>, name: &str) -> Vec<&'a Map<String, Value>> {
    let listed = body.get(name).and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_object).collect()
}

/// An error inside a batch's answer.
fn error_of(fault: Fault) -> Value {
    if let Fault::Service(error) = &fault {
        return error.to_statement_json();
    }
    let answer = Answer::from(fault);
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let name = crate::error_name::error_name(&answer.body).unwrap_or_default();
    let message = body.get("message").or_else(|| body.get("Message")).cloned();
    let code = match name.as_str() {
        "ValidationException" => "ValidationError",
        "ThrottlingException" => "ThrottlingError",
        other => other.trim_end_matches("Exception"),
    };
    let mut error = json!({"Code": code, "Message": message.unwrap_or_default()});
    if let Some(item) = body.get("Item") {
        error["Item"] = item.clone();
    }
    error
}
