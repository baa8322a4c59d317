//! One item: evaluated, written under its condition, and read and evaluated again when others were
//! quicker.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dm_contract::report::ItemChange;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, Number, item_size, item_to_json};
use dm_engine::{Call, Engine, Operation, RetryPacing};
use dm_transform::write::Request;
use dm_transform::{Evaluation, ItemError, Statement, Transform};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::going::Going;
use crate::limits::{CONFLICT_PAUSE, CONFLICT_PAUSE_MAX, CONFLICTS_MAX};
use crate::occupied::Occupied;
use crate::page;
use crate::position::{PageCounts, Position};
use crate::queue::Cost;
use crate::request::{RequestError, send, send_paced};
use crate::saving::Saving;
use crate::tables::Described;
use crate::tally::{Happened, Tally, key_of};

/// What all items of a run share.
#[derive(Debug)]
pub(crate) struct Work {
    pub engine: Arc<Engine>,
    pub transform: Transform,
    pub tables: Described,
    pub tally: Tally,
    pub position: Arc<Position>,
    pub saving: Saving,
    pub occupied: Occupied,
    pub going: Going,
    /// Whether an earlier guard has changed items.
    pub is_continued: bool,
    /// Seconds since 1970 that `now()` gives.
    pub now: Number,
    /// Whether several items are written in one request.
    pub batches: AtomicBool,
}

/// A write that an item needs.
#[derive(Debug)]
pub(crate) struct Change {
    pub item: Item,
    pub origin: Origin,
    pub evaluation: Evaluation,
    write: Write,
    /// Write units of the item as it is.
    units: f64,
    /// A digest of its partition key, where other items may have the same.
    partition: Option<u64>,
}

/// How it is written.
#[derive(Debug)]
enum Write {
    /// In a batch, or by the request that does the same.
    Statement(Statement),
    /// Until it is sent.
    Request(Option<Request>),
}

/// What became of a first attempt of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// There was none.
    None,
    /// The item was no longer what was read.
    Conflicted {
        /// Unless it was carried out, which nobody knows.
        is_unsure: bool,
    },
}

/// Why an item is looked at.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// It is in a page of the scan.
    Page(Arc<PageCounts>),
    Failed,
}

impl Work {
    /// Evaluates an item that was read, and counts it unless it needs a write. Returns whether it
    /// failed.
    pub fn look(&self, item: Item, origin: &Origin) -> Result<Option<Change>, ()> {
        match self.decided(item, origin) {
            Ok(Decided::Write(change)) => Ok(Some(*change)),
            Ok(Decided::Nothing(item, what)) => {
                self.happened(&item, origin, what);
                Ok(None)
            }
            Err((item, error)) => {
                self.happened(&item, origin, Happened::Failed(error.to_string()));
                Err(())
            }
        }
    }

    pub fn happened(&self, item: &Item, origin: &Origin, what: Happened) {
        let table = self.tables.tables().table;
        let what = match what {
            // An earlier guard changed it after its last checkpoint.
            Happened::Skipped | Happened::Unchanged if self.was_changed(table, item) => {
                Happened::Changed
            }
            what => what,
        };
        self.tally.happened(table, item, &what);
        match origin {
            Origin::Page(page) => page.happened(&what, || key_of(table, item)),
            Origin::Failed => self.position.revisited(key_of(table, item), &what),
        }
    }

    /// Notes that an item that was to be visited again is no longer there; whether its first visit
    /// is counted.
    pub fn is_gone(&self, key: &Value, is_read: bool) {
        if self.position.is_gone(key) {
            self.tally.is_gone(is_read);
        }
    }

    fn was_changed(&self, table: &TableSchema, item: &Item) -> bool {
        self.is_continued && self.engine.change_of(table, item) == Some(ItemChange::Updated)
    }

    fn decided(&self, item: Item, origin: &Origin) -> Result<Decided, (Item, ItemError)> {
        let evaluation = match self.transform.evaluate(&item, self.now) {
            Ok(evaluation) => evaluation,
            Err(error) => return Err((item, error)),
        };
        match self.write(&item, origin, &evaluation) {
            Ok(Some(write)) => {
                let origin = origin.clone();
                let (units, partition) = (units(&item), self.partition(&item));
                let change = Change { item, origin, evaluation, write, units, partition };
                Ok(Decided::Write(Box::new(change)))
            }
            Ok(None) if evaluation == Evaluation::Skipped => {
                Ok(Decided::Nothing(item, Happened::Skipped))
            }
            Ok(None) => Ok(Decided::Nothing(item, Happened::Unchanged)),
            Err(error) => Err((item, error)),
        }
    }

    /// How an item is written, if it needs to be. Only what the scan of a table returns goes into
    /// batches, so no batch has an item twice.
    fn write(
        &self,
        item: &Item,
        origin: &Origin,
        evaluation: &Evaluation,
    ) -> Result<Option<Write>, ItemError> {
        let tables = self.tables.tables();
        if matches!(origin, Origin::Page(_)) && self.batches.load(Ordering::Relaxed) {
            let statement = self.transform.statement(tables.table, item, evaluation)?;
            if let Some(statement) = statement {
                return Ok(Some(Write::Statement(statement)));
            }
        }
        let request = self.transform.request(tables, item, evaluation)?;
        Ok(request.map(|request| Write::Request(Some(request))))
    }

    /// Of a table without a sort key every item has its own.
    fn partition(&self, item: &Item) -> Option<u64> {
        let keys = &self.tables.tables().table.keys;
        if keys.sort.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        for attribute in &keys.partition {
            item.get(&attribute.name).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Makes one change, of which there may have been a first attempt; whether the item failed.
    pub async fn change(
        &self,
        change: Change,
        first: Attempt,
        pacing: &RetryPacing,
    ) -> Result<bool, RequestError> {
        let (mut change, mut first) = (change, first);
        for conflicts in 0..CONFLICTS_MAX {
            let sent = match std::mem::replace(&mut first, Attempt::None) {
                Attempt::None => self.sent_alone(&mut change, pacing).await,
                Attempt::Conflicted { is_unsure } => Err(RequestError::Conflict { is_unsure }),
            };
            let is_unsure = match sent {
                Ok(()) => {
                    self.happened(&change.item, &change.origin, self.made(&change.evaluation));
                    return Ok(false);
                }
                Err(RequestError::Item(message)) => {
                    let message = format!("the database rejects the item: {message}");
                    self.happened(&change.item, &change.origin, Happened::Failed(message));
                    return Ok(true);
                }
                Err(RequestError::Conflict { is_unsure }) => is_unsure,
                Err(error @ (RequestError::Halted | RequestError::Run { .. })) => {
                    return Err(error);
                }
            };
            let _ = self.going.unless_ended(sleep(conflict_pause(conflicts, random()))).await;
            let table = self.tables.tables().table;
            let Some(now) = self.read(table, &change.item).await? else {
                // Unless this run did, somebody deleted it: there is nothing to change any more.
                let is_made = is_unsure && self.has_left(&change.evaluation).await?;
                let what = if is_made { self.made(&change.evaluation) } else { Happened::Skipped };
                self.happened(&change.item, &change.origin, what);
                return Ok(false);
            };
            match self.decided(now, &change.origin) {
                Ok(Decided::Write(again)) => change = *again,
                Ok(Decided::Nothing(item, what)) => {
                    let is_made = is_unsure && change.evaluation.leaves(&item);
                    let what = if is_made { Happened::Changed } else { what };
                    self.happened(&item, &change.origin, what);
                    return Ok(false);
                }
                Err((item, error)) => {
                    let what = Happened::Failed(error.to_string());
                    self.happened(&item, &change.origin, what);
                    return Ok(true);
                }
            }
            if let Evaluation::Move(after) = &change.evaluation
                && let Some(ended) = self.meets(&change, after, is_unsure, pacing).await?
            {
                return Ok(ended);
            }
        }
        let message = format!("others changed it {CONFLICTS_MAX} times while it was being changed");
        self.happened(&change.item, &change.origin, Happened::Failed(message));
        Ok(true)
    }

    /// Whether an item that is no longer there is gone as an attempt of unknown outcome would have
    /// left it.
    async fn has_left(&self, evaluation: &Evaluation) -> Result<bool, RequestError> {
        match evaluation {
            Evaluation::Delete => Ok(true),
            Evaluation::Move(_) if self.transform.keep_original => Ok(false),
            Evaluation::Move(after) => {
                Ok(self.read(self.tables.tables().to, after).await?.as_ref() == Some(after))
            }
            Evaluation::Update(_) | Evaluation::Skipped | Evaluation::Unchanged => Ok(false),
        }
    }

    /// What is at the new place of an item that could not move there: nothing, the very item, or
    /// another, which fails it. `is_unsure` is whether an attempt may have put it there.
    async fn meets(
        &self,
        change: &Change,
        after: &Item,
        is_unsure: bool,
        pacing: &RetryPacing,
    ) -> Result<Option<bool>, RequestError> {
        let (item, origin) = (&change.item, &change.origin);
        let tables = self.tables.tables();
        let Some(there) = self.read(tables.to, after).await? else { return Ok(None) };
        if there != *after {
            if self.waits(item, after) {
                self.happened(item, origin, Happened::Waits);
                return Ok(Some(false));
            }
            let message = format!("{} has another item under the new key", tables.to.name);
            self.happened(item, origin, Happened::Failed(message));
            return Ok(Some(true));
        }
        if self.transform.keep_original {
            let is_own = self.is_continued
                && self.engine.change_of(tables.to, after) == Some(ItemChange::Created);
            let what = if is_own || is_unsure { Happened::Changed } else { Happened::Unchanged };
            self.happened(item, origin, what);
            return Ok(Some(false));
        }
        match self.sent(&self.transform.deletion(tables, item), pacing).await {
            Ok(()) => {
                self.happened(item, origin, Happened::Moved);
                Ok(Some(false))
            }
            Err(RequestError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an item waits for the place of another: the same transform may move that one, too.
    fn waits(&self, item: &Item, after: &Item) -> bool {
        let tables = self.tables.tables();
        if self.transform.keep_original || tables.to.name != tables.table.name {
            return false;
        }
        let keys = key_of(tables.table, item).zip(key_of(tables.to, after));
        keys.is_some_and(|(key, place)| self.occupied.wait(&key, &place))
    }

    /// What an item became by its write.
    pub fn made(&self, evaluation: &Evaluation) -> Happened {
        match evaluation {
            Evaluation::Move(_) if self.transform.keep_original => Happened::Changed,
            Evaluation::Move(_) | Evaluation::Delete => Happened::Moved,
            Evaluation::Update(_) | Evaluation::Skipped | Evaluation::Unchanged => {
                Happened::Changed
            }
        }
    }

    /// Sends the request of a change. The one that was made when the item was looked at is sent as
    /// it is; it is made again for each further attempt.
    async fn sent_alone(
        &self,
        change: &mut Change,
        pacing: &RetryPacing,
    ) -> Result<(), RequestError> {
        let mut made = match &mut change.write {
            Write::Request(request) => request.take(),
            Write::Statement(_) => None,
        };
        let Change { item, evaluation, .. } = change;
        let operation = match evaluation {
            Evaluation::Update(_) => Operation::UpdateItem,
            Evaluation::Delete => Operation::DeleteItem,
            Evaluation::Move(_) => Operation::TransactWriteItems,
            // Those need no write.
            Evaluation::Skipped | Evaluation::Unchanged => return Ok(()),
        };
        let again =
            || self.transform.request(self.tables.tables(), item, evaluation).ok().flatten();
        // What an index holds of an item may not be all of it, and a database that is written to
        // directly asks for none.
        let is_image = self.transform.index.is_none() && !self.engine.writes_directly();
        let call = || {
            let body = made.take().or_else(again).map(|it| it.body).unwrap_or_default();
            let call = Call::new(operation, body);
            if is_image { call.of_read_item(&self.transform.table, item.clone()) } else { call }
        };
        let (engine, going) = (&self.engine, &self.going);
        send_paced(engine, going, call, Some(pacing)).await.map(drop)
    }

    async fn sent(&self, request: &Request, pacing: &RetryPacing) -> Result<(), RequestError> {
        let Some(operation) = Operation::named(request.operation) else {
            let message = "it is not an operation of DynamoDB".to_owned();
            let (operation, name) = (request.operation, "UnknownOperation".to_owned());
            return Err(RequestError::Run { operation, name, message });
        };
        let call = || Call::new(operation, request.body.clone());
        let (engine, going) = (&self.engine, &self.going);
        send_paced(engine, going, call, Some(pacing)).await.map(drop)
    }

    /// Reads the item with the same key, in its current state.
    async fn read(&self, table: &TableSchema, item: &Item) -> Result<Option<Item>, RequestError> {
        let key = ItemKey::of(&table.keys, item).map(|key| key.to_item()).unwrap_or_default();
        self.read_at(table, item_to_json(&key)).await
    }

    /// Reads the item of the table with this key, in DynamoDB's JSON.
    pub async fn read_key(&self, key: &Value) -> Result<Option<Item>, RequestError> {
        self.read_at(self.tables.tables().table, key.clone()).await
    }

    async fn read_at(&self, table: &TableSchema, key: Value) -> Result<Option<Item>, RequestError> {
        let parameters = || {
            Map::from_iter([
                ("TableName".to_owned(), Value::from(table.name.as_str())),
                ("Key".to_owned(), key.clone()),
                ("ConsistentRead".to_owned(), true.into()),
            ])
        };
        let answer = send(&self.engine, &self.going, Operation::GetItem, parameters).await?;
        let found: Found<'_> = serde_json::from_slice(&answer)
            .map_err(|_| page::not_understood(Operation::GetItem, "its answer"))?;
        found.item.map(|item| page::item(item, Operation::GetItem)).transpose()
    }
}

impl Change {
    /// What it takes in a queue, with this many bytes of text.
    pub fn cost(&self, bytes: usize) -> Cost {
        Cost { bytes, units: self.units, partition: self.partition }
    }

    /// The statement that makes it in a batch.
    pub fn statement(&self) -> Option<&Statement> {
        match &self.write {
            Write::Statement(statement) => Some(statement),
            Write::Request(_) => None,
        }
    }
}

/// The pause before an item that others changed is read again: none the first time, then up to
/// twice as long each time.
fn conflict_pause(conflicts: u32, random: f64) -> Duration {
    if conflicts == 0 {
        return Duration::ZERO;
    }
    let longest = CONFLICT_PAUSE.saturating_mul(1 << conflicts.min(16)).min(CONFLICT_PAUSE_MAX);
    longest.mul_f64(random)
}

/// A number from 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without one all pauses are the shortest.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

/// Write units of an item (DynamoDB Developer Guide, "Read and write units").
fn units(item: &Item) -> f64 {
    u32::try_from(item_size(item).div_ceil(1024)).map_or(f64::MAX, f64::from)
}

/// What is to be done about an item.
enum Decided {
    Nothing(Item, Happened),
    Write(Box<Change>),
}

/// An answer to a GetItem.
#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow, default, rename = "Item")]
    item: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_others_change_is_read_again_after_growing_pauses() {
        let longest = |conflicts| conflict_pause(conflicts, 1.0);
        assert_eq!(longest(0), Duration::ZERO);
        assert_eq!((longest(1), longest(2)), (CONFLICT_PAUSE * 2, CONFLICT_PAUSE * 4));
        assert_eq!(longest(CONFLICTS_MAX), CONFLICT_PAUSE_MAX);
        assert_eq!(conflict_pause(7, 0.0), Duration::ZERO);
        let all: Duration = (0..CONFLICTS_MAX).map(longest).sum();
        assert!(all > Duration::from_secs(5), "a busy item is given time: {all:?}");
        assert!(all < Duration::from_secs(15), "and holds no writer for long: {all:?}");
    }
}
