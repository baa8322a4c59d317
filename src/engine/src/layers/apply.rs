//! An applied run: calls go to the database and are counted on their way. The journal will stand
//! between this layer and the writes it sends; reads do not pass it.

use std::sync::Arc;

use bytes::Bytes;
use dm_contract::report::TableChange;
use dm_dynamodb::partiql::Statement;
use serde_json::{Map, Value};

use crate::answer_members::Members;
use crate::call::Call;
use crate::fault::Fault;
use crate::layers::metering::Metered;
use crate::layers::tally::{Tally, WriteKind};
use crate::operation::{Class, Operation};
use crate::tables::{plain_name, statements, table_of};
use crate::upstream::{CallTimes, Full, UpstreamCalls};

/// The layer of an applied run.
#[derive(Debug)]
pub struct Apply {
    upstream: Full,
    tally: Arc<Tally>,
}

impl Apply {
    /// Over a connection that may write.
    pub fn new(upstream: Full, tally: Arc<Tally>) -> Self {
        Self { upstream, tally }
    }

    /// What was sent so far.
    pub fn calls(&self) -> UpstreamCalls {
        self.upstream.calls()
    }

    /// How long calls may take.
    pub fn times(&self) -> CallTimes {
        self.upstream.times()
    }

    /// Other times, before the first call.
    pub fn set_times(&self, times: CallTimes) {
        self.upstream.set_times(times);
    }

    /// Counts a write that was carried out, of which no answer came.
    pub fn found(&self, operation: Operation, request: &Value) {
        if let Some(nothing) = Members::of(b"{}") {
            self.count_writes(operation, request, &nothing);
        }
    }

    /// Sends the call and counts what it did.
    pub async fn handle(&self, call: Call) -> Result<Bytes, Fault> {
        let Call { operation, body, .. } = call;
        match operation.class() {
            Class::DataRead | Class::DataWrite => {}
            Class::MetadataRead | Class::AlwaysDenied => {
                return self.upstream.send(operation, &Value::Object(body)).await;
            }
            Class::ControlPlaneWrite => {
                let request = Value::Object(body);
                let answer = self.upstream.send(operation, &request).await?;
                self.count_table(operation, &request);
                return Ok(answer);
            }
        }
        let metered = Metered::new(operation, Value::Object(body));
        let answer = self.upstream.send(operation, metered.body()).await?;
        let members = Members::of(&answer).ok_or_else(crate::layers::metering::not_an_object)?;
        self.count_writes(operation, metered.body(), &members);
        Ok(metered.finish(&answer, &members, &self.tally))
    }

    /// A call changed a table itself. What of it, only the request knows.
    fn count_table(&self, operation: Operation, request: &Value) {
        let change = match operation {
            Operation::CreateTable => TableChange::Created,
            Operation::DeleteTable => TableChange::Deleted,
            _ => TableChange::Updated,
        };
        let named = ["TableName", "ResourceArn"].iter().find_map(|member| request.get(*member));
        if let Some(table) = named.and_then(Value::as_str) {
            self.tally.table_changed(plain_name(table), change);
        }
    }

    fn count_writes(&self, operation: Operation, request: &Value, answer: &Members<'_>) {
        match operation {
            Operation::PutItem => self.count_one(request, WriteKind::Put),
            Operation::UpdateItem => self.count_one(request, WriteKind::Update),
            Operation::DeleteItem => self.count_one(request, WriteKind::Delete),
            Operation::BatchWriteItem => self.count_batch(request, answer),
            Operation::TransactWriteItems => self.count_transaction(request),
            _ => self.count_statements(operation, request),
        }
    }

    /// Statements that wrote. Those of a batch that failed alone are counted too.
    fn count_statements(&self, operation: Operation, request: &Value) {
        let parsed = request.as_object().map(|body| statements(operation, body));
        for statement in parsed.and_then(Result::ok).unwrap_or_default() {
            let kind = match &statement {
                Statement::Insert(_) => WriteKind::Put,
                Statement::Update(_) => WriteKind::Update,
                Statement::Delete(_) => WriteKind::Delete,
                Statement::Select(_) | Statement::Exists(_) => continue,
            };
            self.tally.written(plain_name(statement.table()), kind, 1);
        }
    }

    fn count_one(&self, request: &Value, kind: WriteKind) {
        self.tally.written(table_of(request), kind, 1);
    }

    fn count_batch(&self, request: &Value, answer: &Members<'_>) {
        let unprocessed: Map<String, Value> = answer.get("UnprocessedItems").unwrap_or_default();
        let asked = request.get("RequestItems").and_then(Value::as_object);
        let count = |requests: Option<&Value>, kind: &str| -> u64 {
            let requests = requests.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            requests.iter().filter(|request| request.get(kind).is_some()).count() as u64
        };
        for (table, requests) in asked.into_iter().flatten() {
            for (kind, name) in
                [(WriteKind::Put, "PutRequest"), (WriteKind::Delete, "DeleteRequest")]
            {
                let left = count(unprocessed.get(table), name);
                let done = count(Some(requests), name).saturating_sub(left);
                if done > 0 {
                    self.tally.written(plain_name(table), kind, done);
                }
            }
        }
    }

    fn count_transaction(&self, request: &Value) {
        let actions = request.get("TransactItems").and_then(Value::as_array);
        for action in actions.into_iter().flatten() {
            for (name, kind) in [
                ("Put", WriteKind::Put),
                ("Update", WriteKind::Update),
                ("Delete", WriteKind::Delete),
            ] {
                if let Some(parameters) = action.get(name) {
                    self.count_one(parameters, kind);
                }
            }
        }
    }
}
