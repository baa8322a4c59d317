//! An applied run: calls go to the database and are counted on their way. The journal stands
//! between this layer and the writes it sends; reads do not pass it.

use std::sync::Arc;

use bytes::Bytes;
use dm_contract::report::TableChange;
use dm_dynamodb::item_write::ChangeKind;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::request::Outline;
use dm_dynamodb::table_name::plain_name;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::answer_members::Members;
use crate::call::Call;
use crate::fault::Fault;
use crate::layers::metering::Metered;
use crate::layers::tally::{Tally, WriteKind};
use crate::operation::{Class, Operation};
use crate::upstream::{Access, CallTimes, Full, UpstreamCalls};

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

    /// Where it counts.
    pub fn tally(&self) -> &Tally {
        &self.tally
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
    pub fn found(&self, call: &Call) {
        if let Some(nothing) = Members::of(b"{}") {
            self.count_writes(call.operation, call.body(), &nothing);
        }
        self.count_statements(written_by_statements(call).into_iter().flatten());
    }

    /// Sends the call and counts what it did.
    pub async fn handle(&self, call: &Call) -> Result<Bytes, Fault> {
        let operation = call.operation;
        match operation.class() {
            Class::DataRead | Class::DataWrite => {}
            Class::MetadataRead | Class::AlwaysDenied => {
                let body = call.to_json();
                return self.upstream.send(operation, Access::of(operation), body).await;
            }
            Class::ControlPlaneWrite => {
                let body = call.to_json();
                let answer = self.upstream.send(operation, Access::Writes, body).await?;
                if let Some((table, change)) = table_changed(call) {
                    self.tally.table_changed(plain_name(table), change);
                }
                return Ok(answer);
            }
        }
        let statements = written_by_statements(call);
        let metered = Metered::of(call);
        let answer = self.upstream.send(operation, metered.access(), metered.to_json()).await?;
        let members = Members::of(&answer).ok_or_else(crate::layers::metering::not_an_object)?;
        self.count_writes(operation, call.body(), &members);
        self.count_statements(carried_out(statements, &members));
        Ok(metered.finish(&answer, &members, &self.tally))
    }

    fn count_statements(&self, written: impl IntoIterator<Item = Written>) {
        for Written { table, kind, .. } in written {
            self.tally.written(plain_name(&table), kind, 1);
        }
    }

    fn count_writes(
        &self,
        operation: Operation,
        request: &Map<String, Value>,
        answer: &Members<'_>,
    ) {
        let mut unprocessed = Map::new();
        if operation == Operation::BatchWriteItem
            && let Some(items) = answer.get("UnprocessedItems")
        {
            unprocessed.insert("RequestItems".to_owned(), items);
        }
        let mut left = Outline::of(Operation::BatchWriteItem, &unprocessed).writes();
        for write in Outline::of(operation, request).writes() {
            if let Some(at) = left.iter().position(|one| *one == write) {
                left.swap_remove(at);
                continue;
            }
            let kind = match write.1 {
                ChangeKind::Put => WriteKind::Put,
                ChangeKind::Update => WriteKind::Update,
                ChangeKind::Delete => WriteKind::Delete,
                ChangeKind::Check => continue,
            };
            self.tally.written(plain_name(write.0), kind, 1);
        }
    }
}

/// The table that a control-plane call changes, and how. What, only the request says.
fn table_changed(call: &Call) -> Option<(&str, TableChange)> {
    let change = match call.operation {
        operation if operation.creates_table() => TableChange::Created,
        Operation::DeleteTable => TableChange::Deleted,
        _ => TableChange::Updated,
    };
    Some((call.outline().table_changed()?, change))
}

/// What a statement writes.
#[derive(Clone, Debug)]
struct Written {
    table: String,
    kind: WriteKind,
    /// Whether it returns what it deletes, so that one without effect is known.
    returns_deleted: bool,
}

/// What each statement of a call writes, in their order; `None` where it does not.
fn written_by_statements(call: &Call) -> Vec<Option<Written>> {
    let statements = call.statements().unwrap_or_default().iter();
    let written = statements.map(|one| {
        let statement = one.statement.as_ref().ok()?;
        let kind = match statement {
            Statement::Insert(_) => WriteKind::Put,
            Statement::Update(_) => WriteKind::Update,
            Statement::Delete(_) => WriteKind::Delete,
            Statement::Select(_) | Statement::Exists(_) => return None,
        };
        let returns_deleted = matches!(statement, Statement::Delete(delete) if delete.returns_old);
        Some(Written { table: statement.table().to_owned(), kind, returns_deleted })
    });
    written.collect()
}

/// What was written of a call that was answered. In a batch each statement may fail alone.
fn carried_out(
    written: Vec<Option<Written>>,
    answer: &Members<'_>,
) -> impl Iterator<Item = Written> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "Error")]
        error: Option<IgnoredAny>,
        #[serde(rename = "Item")]
        item: Option<IgnoredAny>,
    }
    // Answers to other operations have no errors in them.
    let responses: Vec<Response> = answer.get("Responses").unwrap_or_default();
    let written = written.into_iter().enumerate().filter_map(|(at, write)| Some((at, write?)));
    let done = written.filter(move |(at, write)| {
        responses.get(*at).is_none_or(|response| {
            response.error.is_none() && (response.item.is_some() || !write.returns_deleted)
        })
    });
    done.map(|(_, write)| write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::mock::{Answer, credentials, database};
    use serde_json::json;

    #[tokio::test]
    async fn statements_of_a_batch_that_failed_have_written_nothing() {
        let plan = database(|_, _| {
            let failed = json!({"Error": {"Code": "ConditionalCheckFailed"}});
            let done = json!({"TableName": "cars", "Item": {"id": {"S": "d"}}});
            let without_effect = json!({"TableName": "cars"});
            let responses = [&failed, &without_effect, &failed, &done, &without_effect];
            Answer::new(200, &json!({"Responses": responses}))
        })
        .await;
        let tally = Arc::new(Tally::default());
        let apply = Apply::new(Full::new(&plan, credentials()).unwrap(), Arc::clone(&tally));
        let statement = |text: &str| json!({"Statement": text});
        let Value::Object(batch) = json!({"Statements": [
            statement("UPDATE cars SET price = 1 WHERE id = 'a'"),
            statement("UPDATE cars SET price = 1 WHERE id = 'b'"),
            statement("DELETE FROM cars WHERE id = 'c'"),
            statement("DELETE FROM cars WHERE id = 'd' RETURNING ALL OLD *"),
            statement("DELETE FROM cars WHERE id = 'e' RETURNING ALL OLD *"),
        ]}) else {
            unreachable!()
        };
        apply.handle(&Call::new(Operation::BatchExecuteStatement, batch)).await.unwrap();
        let cars = &tally.counts().tables["cars"];
        assert_eq!((cars.updated, cars.deleted), (1, 1), "e was not there");
    }

    #[test]
    fn a_control_plane_call_counts_for_the_table_that_it_changes() {
        let check = |operation, request: Value, expected: Option<(&str, TableChange)>| {
            let Value::Object(body) = request.clone() else { unreachable!() };
            assert_eq!(table_changed(&Call::new(operation, body)), expected, "{request}");
        };
        let cars = json!({"TableName": "cars"});
        check(Operation::CreateTable, cars.clone(), Some(("cars", TableChange::Created)));
        check(Operation::DeleteTable, cars.clone(), Some(("cars", TableChange::Deleted)));
        for update in [Operation::UpdateTable, Operation::UpdateContinuousBackups] {
            check(update, cars.clone(), Some(("cars", TableChange::Updated)));
        }
        let tag = json!({"ResourceArn": "cars", "Tags": []});
        check(Operation::TagResource, tag, Some(("cars", TableChange::Updated)));
        check(Operation::CreateBackup, json!({"TableName": "cars", "BackupName": "b"}), None);
        check(Operation::DeleteBackup, json!({"BackupArn": "b"}), None);
        let target = json!({"SourceTableName": "cars", "TargetTableName": "copy"});
        let created = Some(("copy", TableChange::Created));
        check(Operation::RestoreTableToPointInTime, target, created);
        let target = json!({"BackupArn": "b", "TargetTableName": "copy"});
        check(Operation::RestoreTableFromBackup, target, created);
    }
}
