//! PartiQL: statements that write become conditional writes of their items. Those that read pass
//! by.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::item_write::ItemWrite;
use dm_dynamodb::partiql::{NoItem, Statement, on_item_in_transaction};
use dm_dynamodb::request::{
    self, CapacityLevel, Execute, ExecuteBatch, ExecuteTransaction, Request, STATEMENTS,
    StatementRequest,
};
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::value::{item_to_json, write_json};
use futures::stream::{FuturesOrdered, StreamExt as _};
use serde_json::{Map, Value, json};

use crate::call::{Answer, Call};
use crate::fault::Fault;
use crate::journal::consumed::Consumed;
use crate::journal::prepared::Prepared;
use crate::journal::{Journal, Known};
use crate::operation::Operation;

/// How much of its capacity a request asks for.
const LEVEL: &str = "ReturnConsumedCapacity";

/// Why a statement of a batch was not carried out. Once its item is known, the answer names the
/// table.
struct Refusal {
    table: Option<String>,
    fault: Fault,
}

impl Journal {
    /// Whether a call consists of statements that all only read.
    pub(in crate::journal) fn only_reads(request: &Request) -> bool {
        match request {
            Request::Execute(execute) => execute.one.reads(),
            Request::ExecuteBatch(batch) => batch.statements.iter().all(StatementRequest::reads),
            Request::ExecuteTransaction(transaction) => transaction
                .statements
                .iter()
                .all(|one| matches!(one.statement, Ok(Statement::Select(_)))),
            Request::Write(_)
            | Request::BatchWrite(_)
            | Request::TransactWrite(_)
            | Request::Get(_)
            | Request::BatchGet(_)
            | Request::TransactGet(_)
            | Request::Page(_)
            | Request::Control(_)
            | Request::List(_)
            | Request::Other => false,
        }
    }

    /// ExecuteStatement, of a statement that writes.
    pub(in crate::journal) async fn execute_statement(
        &self,
        Execute { one, .. }: Execute,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let statement = one.statement?;
        let table = self.images.table(statement.table()).await?;
        let write = on_item(statement, &table, one.shows_on_failure).map_err(ServiceError::from)?;
        let prepared = Arc::new(Prepared::of_statement(write, table, body)?);
        let mut answer = self.execute(&prepared).await?;
        let items: Vec<Value> = answer.remove("Item").into_iter().collect();
        answer.insert("Items".into(), Value::Array(items));
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    /// BatchExecuteStatement, unless all its statements read: each for itself.
    pub(in crate::journal) async fn execute_batch(
        &self,
        batch: ExecuteBatch,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let mut understood = batch.statements.iter().filter_map(|one| one.statement.as_ref().ok());
        if understood.all(Statement::is_read) {
            return self.read_batch(&batch, body.clone()).await;
        }
        let mut prepared = Vec::new();
        for (one, part) in batch.statements.into_iter().zip(members(body, "Statements")) {
            prepared.push(self.prepare(one, &with_level(part, body)).await?);
        }
        let mut seen = HashSet::new();
        let mut items = prepared.iter().flatten();
        if !items.all(|one| seen.insert((one.table.name.as_str(), one.write.key.bytes()))) {
            return Err(request::duplicate_keys().into());
        }
        let work = prepared.iter().map(|prepared| self.execute_prepared(prepared));
        // Each future is woken alone: `join_all` would poll all of them whenever one is ready.
        let work: FuturesOrdered<_> = work.collect();
        let mut units = Consumed::default();
        let mut responses = Vec::new();
        for (prepared, result) in prepared.iter().zip(work.collect::<Vec<_>>().await) {
            let mut response = Map::new();
            let table = match (prepared, result) {
                (Ok(prepared), Ok(mut answer)) => {
                    units.add(answer.remove("ConsumedCapacity"));
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
        if batch.capacity != CapacityLevel::None {
            answer.insert("ConsumedCapacity".into(), units.into_json());
        }
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    async fn execute_prepared(
        &self,
        prepared: &Result<Arc<Prepared>, Refusal>,
    ) -> Result<Map<String, Value>, Refusal> {
        match prepared {
            Ok(prepared) => self
                .execute(prepared)
                .await
                .map_err(|fault| Refusal { table: Some(prepared.table.name.clone()), fault }),
            Err(Refusal { table, fault }) => {
                Err(Refusal { table: table.clone(), fault: fault.clone() })
            }
        }
    }

    /// A batch that writes nothing, as far as it is understood. A statement that is not, and is no
    /// SELECT, is answered here: what DynamoDB would make of it is not known, and it could be a
    /// write.
    async fn read_batch(
        &self,
        batch: &ExecuteBatch,
        mut body: Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let mut sent = Vec::new();
        for (one, part) in batch.statements.iter().zip(members(&body, "Statements")) {
            if one.reads() {
                sent.push(Value::Object(part.clone()));
            }
        }
        let mut answer = Map::new();
        if !sent.is_empty() {
            body.insert("Statements".into(), sent.into());
            let call = Call::new(Operation::BatchExecuteStatement, body);
            answer = crate::layers::metering::members(&self.apply.handle(&call).await?)?;
        }
        let read = answer.remove("Responses").unwrap_or_default();
        let mut read = read.as_array().cloned().unwrap_or_default().into_iter();
        let responses = batch.statements.iter().map(|one| match &one.statement {
            Err(error) if one.is_unknown() => json!({"Error": error.to_statement_json()}),
            Ok(_) | Err(_) => read.next().unwrap_or_default(),
        });
        let responses: Vec<Value> = responses.collect();
        answer.insert("Responses".into(), responses.into());
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    async fn prepare(
        &self,
        one: StatementRequest,
        body: &Map<String, Value>,
    ) -> Result<Result<Arc<Prepared>, Refusal>, Fault> {
        let unnamed = |fault| Ok(Err(Refusal { table: None, fault }));
        let statement = match one.statement {
            Ok(statement) => statement,
            Err(error) => return unnamed(error.into()),
        };
        let table = match self.images.table(statement.table()).await {
            Ok(table) => table,
            Err(fault) => return unnamed(fault),
        };
        let name = Some(table.name.clone());
        let named = |error: ServiceError| Refusal { table: name, fault: error.into() };
        match on_item(statement, &table, one.shows_on_failure) {
            Ok(write) => {
                let prepared = Prepared::of_statement(write, table, body);
                Ok(prepared.map(Arc::new).map_err(named))
            }
            Err(NoItem::Unnamed(error)) => unnamed(error.into()),
            Err(NoItem::Unfit(error)) => Ok(Err(named(error))),
        }
    }

    /// ExecuteTransaction, of statements that write: what TransactWriteItems would be.
    pub(in crate::journal) async fn execute_transaction(
        &self,
        transaction: ExecuteTransaction,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let mut statements = Vec::new();
        for one in transaction.statements {
            statements.push((one.statement?, one.shows_on_failure));
        }
        let mut written = Vec::new();
        for (at, ((statement, shows_on_failure), part)) in
            statements.into_iter().zip(members(body, STATEMENTS)).enumerate()
        {
            let table = self.images.table(statement.table()).await?;
            let write = on_item_in_transaction(at, statement, &table)?;
            let prepare = |write| {
                let write = ItemWrite { shows_on_failure, ..write };
                Prepared::of_statement(write, Arc::clone(&table), part)
            };
            written.push(write.and_then(prepare));
        }
        self.write_statements(body, transaction.token, written).await
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
        } else if let Some(image) = prepared.write.image(done.before.as_ref(), &done.made) {
            answer.insert("Item".into(), item_to_json(&image));
        }
        Ok(answer)
    }
}

fn on_item(
    statement: Statement,
    table: &TableSchema,
    shows_on_failure: bool,
) -> Result<ItemWrite, NoItem> {
    let write = statement.on_item(table)?;
    Ok(ItemWrite { shows_on_failure, ..write })
}

fn members<'a>(body: &'a Map<String, Value>, name: &str) -> Vec<&'a Map<String, Value>> {
    let listed = body.get(name).and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_object).collect()
}

/// A batch's statement as a separate request, which returns its capacity as the batch asks for
/// it.
fn with_level(statement: &Map<String, Value>, batch: &Map<String, Value>) -> Map<String, Value> {
    let mut alone = statement.clone();
    let level = batch.get_key_value(LEVEL);
    alone.extend(level.map(|(name, level)| (name.clone(), level.clone())));
    alone
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
