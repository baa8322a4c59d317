//! One key put back: decided on what it is now, written only if it still is that, and decided again
//! when it is not.

use std::collections::VecDeque;

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
use crate::restore::earlier::EarlierPart;
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
    /// The database rejects what it would leave.
    Rejected,
}

/// How all writes of a key ended that the database did not reject.
struct Written {
    ended: Ended,
    /// Writes that were carried out.
    done: usize,
    /// What the database rejected.
    rejected: Vec<Conflict>,
}

impl Restore {
    /// Puts one key back.
    pub(in crate::restore) async fn restore_key(
        &self,
        table: &TableSchema,
        (entry, earlier): (&MergedEntry, &EarlierPart),
        key: &ItemKey,
        mut now: Option<Item>,
    ) -> Result<(), Fault> {
        for _ in 0..limits::RESTORE_TRIES_MAX {
            let decision = decide(entry, now.as_ref(), self.on_conflict);
            let written = match &self.target {
                Target::Database(journal) => self.write_all(journal, &decision.writes).await?,
                Target::Preview(_) => foresee(table, &decision.writes),
            };
            match written.ended {
                Ended::Done | Ended::Rejected => {
                    let is_left = written.done == 0 && !written.rejected.is_empty();
                    self.count(entry, if is_left { Step::Nothing } else { decision.step });
                    let conflicts = [decision.conflicts, written.rejected].concat();
                    self.note(entry, earlier.with(entry, conflicts));
                    return Ok(());
                }
                Ended::PutBack => {
                    self.count(entry, Step::Nothing);
                    self.note(entry, earlier.with(entry, vec![Conflict::ItemChanged]));
                    return Ok(());
                }
                Ended::Stopped => return Ok(()),
                Ended::Changed => now = self.images().read(table, key).await?,
            }
        }
        // Somebody writes this item all the time: what is decided is a conflict in any case.
        self.count(entry, Step::Nothing);
        self.note(entry, earlier.with(entry, vec![Conflict::ItemChanged]));
        Ok(())
    }

    async fn write_all(
        &self,
        journal: &Journal,
        writes: &[ConditionalWrite],
    ) -> Result<Written, Fault> {
        let mut written = Written { ended: Ended::Done, done: 0, rejected: Vec::new() };
        let mut rest: VecDeque<ConditionalWrite> = writes.to_vec().into();
        while let Some(write) = rest.pop_front() {
            let Some(_turn) = self.speed.may_write().await else {
                return Ok(Written { ended: Ended::Stopped, ..written });
            };
            // After the first part of an update the image is another one.
            let known = if written.done == 0 {
                Known::Read(write.expected().cloned())
            } else {
                Known::Nothing
            };
            let ended = self.write_one(journal, &write, known).await;
            self.observe();
            match ended? {
                Ended::Done => written.done += 1,
                Ended::Rejected => written.reject(&write, &mut rest),
                other => return Ok(Written { ended: other, ..written }),
            }
        }
        Ok(written)
    }
}

impl Written {
    /// Attributes that the database does not reject are restored all the same.
    fn reject(&mut self, write: &ConditionalWrite, rest: &mut VecDeque<ConditionalWrite>) {
        let parts = write.divided();
        if parts.is_empty() {
            self.rejected.push(write.rejected());
        }
        for part in parts.into_iter().rev() {
            rest.push_front(part);
        }
    }
}

/// What would become of writes, as far as the table's schema says.
fn foresee(table: &TableSchema, writes: &[ConditionalWrite]) -> Written {
    let mut written = Written { ended: Ended::Done, done: 0, rejected: Vec::new() };
    let mut rest: VecDeque<ConditionalWrite> = writes.to_vec().into();
    while let Some(write) = rest.pop_front() {
        if write.fits(table) {
            written.done += 1;
        } else {
            written.reject(&write, &mut rest);
        }
    }
    written
}

impl Restore {
    async fn write_one(
        &self,
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
        let answer = match self.patiently(journal, kind, &body, known).await {
            Ok(answer) => answer,
            Err(fault) if is_condition(&fault) => return Ok(Ended::Changed),
            Err(fault) if is_rejection(&fault) => return Ok(Ended::Rejected),
            Err(fault) => return Err(fault),
        };
        if kind == ChangeKind::Delete
            && let Some(old) = deleted(&answer)
            && write.expected() != Some(&old)
        {
            self.put_back(journal, &body, &old).await?;
            return Ok(Ended::PutBack);
        }
        Ok(Ended::Done)
    }

    /// A restore has time: it waits where a program would be told to come back.
    async fn patiently(
        &self,
        journal: &Journal,
        kind: ChangeKind,
        body: &Map<String, Value>,
        known: Known,
    ) -> Result<Bytes, Fault> {
        let mut known = known;
        let mut patience = limits::RESTORE_THROTTLES_MAX;
        loop {
            let fault = match journal.write_known(kind, body, known).await {
                Err(fault) if patience > 0 && may_pass(&fault) => fault,
                result => return result,
            };
            patience -= 1;
            let pause = tokio::time::sleep(limits::UPSTREAM_BACKOFF_MAX);
            // Where the restore has failed in another key, it ends as soon as nothing is under way.
            if self.speed.unless_failed(pause).await.is_none() {
                return Err(fault);
            }
            known = Known::Nothing;
        }
    }

    async fn put_back(
        &self,
        journal: &Journal,
        body: &Map<String, Value>,
        old: &Item,
    ) -> Result<(), Fault> {
        let name = old.keys().next().cloned().unwrap_or_default();
        let key = body.get("Key").and_then(Value::as_object).and_then(|key| key.keys().next());
        let request = json!({
            "TableName": body.get("TableName"),
            "Item": item_to_json(old),
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": {"#k": key.unwrap_or(&name)},
        });
        let Value::Object(request) = request else { return Ok(()) };
        match self.patiently(journal, ChangeKind::Put, &request, Known::Read(None)).await {
            // Another one has taken its place: what stands there is newer.
            Err(fault) if is_condition(&fault) => Ok(()),
            result => result.map(|_| ()),
        }
    }
}

/// Whether the same write may succeed later. Whether one without an answer was carried out shows
/// when it is tried again: its condition depends on it.
fn may_pass(fault: &Fault) -> bool {
    matches!(fault, Fault::Throttled | Fault::NotJournalled(_) | Fault::NotSent(_))
        || !fault.is_certain()
}

fn is_condition(fault: &Fault) -> bool {
    match fault {
        Fault::Service(error) => error.code == ErrorCode::ConditionalCheckFailed,
        other => other.is_upstream("ConditionalCheckFailedException"),
    }
}

/// Whether the database takes no write that leaves just this. A table that is absent, missing
/// permissions and locks are about all items, and are errors.
fn is_rejection(fault: &Fault) -> bool {
    match fault {
        Fault::Service(error) => matches!(
            error.code,
            ErrorCode::Validation
                | ErrorCode::RequestValidation
                | ErrorCode::ItemCollectionSizeLimitExceeded
        ),
        other => {
            other.is_upstream("ValidationException")
                || other.is_upstream("ItemCollectionSizeLimitExceededException")
        }
    }
}

fn deleted(answer: &Bytes) -> Option<Item> {
    let answer: Map<String, Value> = serde_json::from_slice(answer).ok()?;
    item_from_json(answer.get("Attributes")?).ok()
}
