//! The writes of one key, each with its entry in the restore's own journal, and how they end.

use std::collections::VecDeque;

use bytes::Bytes;
use dm_contract::restored::Conflict;
use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::item_write::ChangeKind;
use dm_dynamodb::restore::{ConditionalWrite, WriteOperation};
use dm_dynamodb::value::{Item, item_from_json};
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::journal::{Journal, Known};
use crate::limits;
use crate::restore::Restore;

/// How a write of a restore ended.
pub enum Ended {
    Done,
    /// The item is not what it was read as.
    Changed,
    /// It was deleted, and had an attribute that nobody knew of: this is what it was.
    DeletedMore(Item),
    /// The restore was asked to stop before all of it.
    Stopped,
    /// The database rejects what it would leave.
    Rejected,
}

/// How all writes of a key ended that the database did not reject.
pub struct Written {
    pub ended: Ended,
    /// Writes that were carried out.
    pub done: usize,
    /// Whether the outcome of one is unknown. Its condition fails afterwards if it was carried out.
    pub in_doubt: bool,
    /// What the database rejected.
    pub rejected: Vec<Conflict>,
}

/// When a write may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the restore's rate, and not after it was asked to stop.
    Limited,
    /// Immediately: what was deleted by accident is missing until then.
    Immediate,
}

impl Written {
    pub fn nothing() -> Self {
        Self { ended: Ended::Done, done: 0, in_doubt: false, rejected: Vec::new() }
    }

    /// Attributes that the database does not reject are restored all the same.
    pub fn reject(&mut self, write: &ConditionalWrite, rest: &mut VecDeque<ConditionalWrite>) {
        let parts = write.divided();
        if parts.is_empty() {
            self.rejected.push(write.rejected());
        }
        for part in parts.into_iter().rev() {
            rest.push_front(part);
        }
    }
}

impl Restore {
    /// Sends the writes of one key, one after the other.
    pub(in crate::restore) async fn write_all(
        &self,
        journal: &Journal,
        writes: &[ConditionalWrite],
        pace: Pace,
    ) -> Result<Written, Fault> {
        let mut written = Written::nothing();
        let mut rest: VecDeque<ConditionalWrite> = writes.to_vec().into();
        while let Some(write) = rest.pop_front() {
            let slot = match pace {
                Pace::Limited => self.speed.may_write().await,
                Pace::Immediate => None,
            };
            if slot.is_none() && pace == Pace::Limited {
                return Ok(Written { ended: Ended::Stopped, ..written });
            }
            // After the first part of an update the image is another one.
            let known = if written.done == 0 {
                Known::Read(write.expected().cloned())
            } else {
                Known::Nothing
            };
            let ended = self.write_one(journal, &write, known, &mut written.in_doubt).await;
            drop(slot);
            self.observe();
            match ended? {
                Ended::Done => written.done += 1,
                Ended::Rejected => written.reject(&write, &mut rest),
                other => return Ok(Written { ended: other, ..written }),
            }
        }
        Ok(written)
    }

    async fn write_one(
        &self,
        journal: &Journal,
        write: &ConditionalWrite,
        known: Known,
        in_doubt: &mut bool,
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
        let (answer, is_found) = match self.patiently(journal, kind, &body, known, in_doubt).await {
            Ok(answer) => answer,
            Err(fault) if is_condition(&fault) => return Ok(Ended::Changed),
            Err(fault) if is_rejection(&fault) => return Ok(Ended::Rejected),
            Err(fault) => return Err(fault),
        };
        if is_found && kind == ChangeKind::Delete {
            self.count_unconfirmed();
        }
        Ok(match deleted(&answer) {
            Some(old) if kind == ChangeKind::Delete && write.expected() != Some(&old) => {
                Ended::DeletedMore(old)
            }
            Some(_) | None => Ended::Done,
        })
    }

    /// A restore has time: it waits where a program would be asked to retry.
    async fn patiently(
        &self,
        journal: &Journal,
        kind: ChangeKind,
        body: &Map<String, Value>,
        known: Known,
        in_doubt: &mut bool,
    ) -> Result<(Bytes, bool), Fault> {
        let mut known = known;
        let mut patience = limits::RESTORE_THROTTLES_MAX;
        loop {
            let fault = match journal.write_known(kind, body, known).await {
                Err(fault) if patience > 0 && may_pass(&fault) => fault,
                result => return result,
            };
            *in_doubt |= !fault.is_certain();
            patience -= 1;
            let pause = tokio::time::sleep(limits::UPSTREAM_BACKOFF_MAX);
            // Where the restore has failed in another key, it ends as soon as nothing is under way.
            if self.speed.unless_failed(pause).await.is_none() {
                return Err(fault);
            }
            known = Known::Nothing;
        }
    }
}

/// Whether the same write may succeed later. Whether one without an answer was carried out shows
/// when it is tried again: its condition depends on it.
fn may_pass(fault: &Fault) -> bool {
    matches!(fault, Fault::Throttled | Fault::NotJournaled(_) | Fault::NotSent(_))
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
