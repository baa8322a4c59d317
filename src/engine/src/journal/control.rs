//! Calls that change tables themselves. They have no image, so no restore undoes them; but as any
//! write they have the lock of their table, an entry in the ledger and one in the journal, which a
//! restore and its preview name, and their tables' ids are on record.

use std::collections::BTreeSet;

use bytes::Bytes;
use dm_contract::identity::Seen;
use dm_dynamodb::request;
use dm_dynamodb::schema::table_id;
use serde_json::Value;

use crate::call::Call;
use crate::fault::Fault;
use crate::identity;
use crate::journal::{Journal, Settlement};
use crate::operation::Operation;

impl Journal {
    /// Carries out a call that creates, changes or deletes tables.
    pub(in crate::journal) async fn change_tables(&self, call: Call) -> Result<Bytes, Fault> {
        let operation = call.operation;
        // In one order, so that two who want several never wait for each other.
        let tables: BTreeSet<String> = call.outline().tables_changed();
        let names: Vec<String> = tables.iter().cloned().collect();
        // Before the locks, whose names are the tables': what cannot be a name is the program's
        // mistake, and not the archive's. The rest is left to AWS, which may accept what is not
        // known here.
        request::check_members(operation, call.body())?;
        names.iter().try_for_each(|table| request::check_table_name(table))?;
        // First: a run that gives way must not keep a table from the one that continues.
        self.hold_presence(&names).await?;
        for table in &names {
            self.tables.hold(table).await?;
        }
        let before = self.look_at(&tables).await?;
        let mut touched = before.clone();
        if operation.creates_table() {
            // One that is there is another's, and stays as it is.
            touched.tables.clear();
        }
        self.note(&touched).await?;
        let writer = self.writer().await?;
        let sequence = writer.append_control(operation.name(), names.clone()).await?;
        let answer = self.send(&call).await;
        let after = match &answer {
            Ok(answer) => Some(told(operation, answer, &before)),
            Err(fault) if fault.is_certain() => {
                writer.settle(sequence, Settlement::Refused);
                None
            }
            Err(_) => {
                let now = self.look_at(&tables).await.ok();
                now.filter(|now| is_done(operation, &before, now))
                    .map(|now| if operation.creates_table() { now } else { deleted(&before) })
            }
        };
        if let Some(after) = after {
            writer.settle(sequence, Settlement::Written);
            if operation == Operation::DeleteTable {
                for table in &names {
                    self.effects.table_deleted(table);
                }
            }
            if let Err(fault) = self.note(&after).await {
                tracing::warn!(%fault, "putting a changed table on record");
            }
        }
        self.images.forget_tables();
        answer
    }

    async fn look_at(&self, tables: &BTreeSet<String>) -> Result<Seen, Fault> {
        identity::look(self.images.reader(), &self.run.plan.upstream, tables).await
    }
}

/// What is on record of the tables after a call that was carried out.
fn told(operation: Operation, answer: &[u8], before: &Seen) -> Seen {
    if operation == Operation::DeleteTable {
        return deleted(before);
    }
    let mut after = Seen::default();
    if operation.creates_table() {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let table = answer.get("TableDescription").cloned().unwrap_or_default();
        let name = table.get("TableName").and_then(Value::as_str).map(str::to_owned);
        after.tables.extend(name.map(|name| (name, table_id(&table))));
    }
    after
}

/// Tables that the run deleted: on record without an id, so that a later one of the name is none of
/// them.
fn deleted(before: &Seen) -> Seen {
    let tables = before.tables.keys().map(|table| (table.clone(), Some(String::new()))).collect();
    Seen { tables, ..Seen::default() }
}

/// Whether a call whose answer was lost was carried out, as far as its table says. One that has not
/// come yet may still come.
fn is_done(operation: Operation, before: &Seen, now: &Seen) -> bool {
    before.tables.iter().all(|(table, before)| match (before, now.tables.get(table)) {
        (None, Some(Some(_))) => operation.creates_table(),
        (Some(_), Some(None)) => operation == Operation::DeleteTable,
        _ => false,
    }) && !before.tables.is_empty()
}
