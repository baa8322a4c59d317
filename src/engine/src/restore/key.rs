//! One key put back: decided on what it is now, written only if it still is that, and decided again
//! when it is not.

use crate::limits;
use bytes::Bytes;
use dm_contract::restored::Conflict;
use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::item_write::ChangeKind;
use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::restore::{ConditionalWrite, Step, WriteOperation, decide};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, item_from_json, item_to_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::journal::{Journal, Known};
use crate::restore::{Restore, Target};

/// How a write of a restore ended.
enum Ended {
    Done,
    /// The item is not what it was read as.
    Changed,
    /// It was deleted, and had an attribute that nobody knew of: it is back as it was.
    PutBack,
    /// The restore was told to stop before all of it.
    Stopped,
}

impl Restore {
    /// Puts one key back.
    pub(in crate::restore) async fn restore_key(
        &self,
        table: &TableSchema,
        entry: &MergedEntry,
        key: &ItemKey,
        mut now: Option<Item>,
    ) -> Result<(), Fault> {
        for _ in 0..limits::RESTORE_TRIES_MAX {
            let decision = decide(entry, now.as_ref(), self.on_conflict);
            let Target::Database(journal) = &self.target else {
                self.count(entry, decision.step);
                self.note(entry, decision.conflicts).await;
                return Ok(());
            };
            match self.write_all(journal, &decision.writes).await? {
                Ended::Done => {
                    self.count(entry, decision.step);
                    self.note(entry, decision.conflicts).await;
                    return Ok(());
                }
                Ended::PutBack => {
                    self.count(entry, Step::Nothing);
                    self.note(entry, vec![Conflict::ItemChanged]).await;
                    return Ok(());
                }
                Ended::Stopped => return Ok(()),
                Ended::Changed => now = self.images().read(table, key).await?,
            }
        }
        // Somebody writes this item all the time: what is decided is a conflict in any case.
        self.count(entry, Step::Nothing);
        self.note(entry, vec![Conflict::ItemChanged]).await;
        Ok(())
    }

    async fn write_all(
        &self,
        journal: &Journal,
        writes: &[ConditionalWrite],
    ) -> Result<Ended, Fault> {
        for (at, write) in writes.iter().enumerate() {
            let Some(_turn) = self.speed.may_write().await else { return Ok(Ended::Stopped) };
            // After the first part of an update the image is another one.
            let known =
                if at == 0 { Known::Read(write.expected().cloned()) } else { Known::Nothing };
            let ended = write_one(journal, write, known).await;
            self.observe().await;
            match ended? {
                Ended::Done => {}
                other => return Ok(other),
            }
        }
        Ok(Ended::Done)
    }
}

async fn write_one(
    journal: &Journal,
    write: &ConditionalWrite,
    known: Known,
) -> Result<Ended, Fault> {
    let request = write.request();
    let kind = match request.operation {
        WriteOperation::Put => ChangeKind::Put,
        WriteOperation::Update => ChangeKind::Update,
        WriteOperation::Delete => ChangeKind::Delete,
    };
    let mut body = request.body;
    if kind == ChangeKind::Delete {
        body.insert("ReturnValues".into(), "ALL_OLD".into());
    }
    let answer = match patiently(journal, kind, &body, known).await {
        Ok(answer) => answer,
        Err(fault) if is_condition(&fault) => return Ok(Ended::Changed),
        Err(fault) => return Err(fault),
    };
    if kind == ChangeKind::Delete
        && let Some(old) = deleted(&answer)
        && write.expected() != Some(&old)
    {
        put_back(journal, &body, &old).await?;
        return Ok(Ended::PutBack);
    }
    Ok(Ended::Done)
}

/// A restore has time: it waits where a program would be told to come back.
async fn patiently(
    journal: &Journal,
    kind: ChangeKind,
    body: &Map<String, Value>,
    known: Known,
) -> Result<Bytes, Fault> {
    let mut known = known;
    let mut patience = limits::RESTORE_THROTTLES_MAX;
    loop {
        match journal.write_known(kind, body, known).await {
            Err(Fault::Throttled | Fault::NotJournalled(_)) if patience > 0 => {
                patience -= 1;
                tokio::time::sleep(limits::UPSTREAM_BACKOFF_MAX).await;
            }
            // Whether it was carried out shows when it is tried again: its condition depends on it.
            Err(fault) if patience > 0 && (!fault.is_certain() || is_not_sent(&fault)) => {
                patience -= 1;
                tokio::time::sleep(limits::UPSTREAM_BACKOFF_MAX).await;
            }
            result => return result,
        }
        known = Known::Nothing;
    }
}

fn is_not_sent(fault: &Fault) -> bool {
    matches!(fault, Fault::NotSent(_))
}

fn is_condition(fault: &Fault) -> bool {
    match fault {
        Fault::Service(error) => error.code == ErrorCode::ConditionalCheckFailed,
        other => other.is_upstream("ConditionalCheckFailedException"),
    }
}

fn deleted(answer: &Bytes) -> Option<Item> {
    let answer: Map<String, Value> = serde_json::from_slice(answer).ok()?;
    item_from_json(answer.get("Attributes")?).ok()
}

async fn put_back(journal: &Journal, body: &Map<String, Value>, old: &Item) -> Result<(), Fault> {
    let name = old.keys().next().cloned().unwrap_or_default();
    let key = body.get("Key").and_then(Value::as_object).and_then(|key| key.keys().next());
    let request = json!({
        "TableName": body.get("TableName"),
        "Item": item_to_json(old),
        "ConditionExpression": "attribute_not_exists(#k)",
        "ExpressionAttributeNames": {"#k": key.unwrap_or(&name)},
    });
    let Value::Object(request) = request else { return Ok(()) };
    match patiently(journal, ChangeKind::Put, &request, Known::Read(None)).await {
        // Another one has taken its place: what stands there is newer.
        Err(fault) if is_condition(&fault) => Ok(()),
        result => result.map(|_| ()),
    }
}
