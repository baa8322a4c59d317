//! One run on one table. Before a run's first write to a table it takes the table's lock, and keeps
//! it by a heartbeat; each write is sent only while the lock is known to be its own.
//!
//! An archive knows only to create an object if absent and to overwrite. So the number in a lock's
//! name is the fencing number, and who creates the next one has the lock:
//!
//! - A contender that has seen the same heartbeat for a lease, by its own boot-time clock, creates
//!   the next number. Then it reads the heartbeat again: if it moved after all, it waits for a
//!   lease more.
//! - The owner counts a heartbeat from the moment before it was sent, and only if afterwards there
//!   is no next number. When it is older than a lease, less a margin, no further write is sent.
//!
//! So two never write at once, however long calls take, whatever wall clocks say and whichever
//! machine is suspended in the meantime; only the speed of the two boot-time clocks must agree,
//! within the margin.

mod acquire;
mod beat;
mod by_hand;
pub(crate) mod clock;
mod parts;
mod record;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::limits;
use bytes::Bytes;
use dm_contract::part::Part;
use dm_contract::verdict::LockHolder;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;

use crate::archive::ledger;
use crate::archive::store::Archive;
use crate::fault::Fault;

pub use crate::archive::locks::by_hand::{
    Listed, LockState, all, locked, note_pruned, prune, unlock,
};
pub(crate) use crate::archive::locks::clock::Moment;
pub use crate::archive::locks::parts::release_run;
pub use crate::archive::locks::record::{
    LOCK_VERSION, LockError, LockRecord, ReleaseRecord, Standing, standing_of, stands,
};
use crate::archive::locks::record::{json, release_path};

/// How long locks last.
#[derive(Clone, Copy, Debug)]
pub struct LockTimes {
    /// How long a heartbeat is good for.
    pub lease: Duration,
    /// How long another run's heartbeat must not change before its lock is taken over: its lease.
    pub patience: Duration,
    /// How long a write is held for a lock whose owner lives.
    pub hold: Duration,
}

impl Default for LockTimes {
    fn default() -> Self {
        let (lease, hold) = (limits::LOCK_LEASE, limits::LOCK_HOLD_MAX);
        Self { lease, patience: lease, hold }
    }
}

#[derive(Clone, Debug)]
pub struct Owner {
    /// The run, as `MIGRATION/NUMBER`.
    pub run: String,
    /// Namespace of the run's object.
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Tells this guard from others of the same run; a guard restarted in its pod keeps it.
    pub holder: String,
}

/// A name for a guard that no other has.
pub fn fresh_holder() -> String {
    crate::fresh_name::fresh_name()
}

/// The locks of one run.
#[derive(Debug)]
pub struct TableLocks {
    shared: Arc<Shared>,
    beating: Mutex<Option<JoinHandle<()>>>,
    /// Writes that are being sent under these locks.
    sending: AtomicUsize,
    /// Whether they are being released.
    ended: watch::Sender<bool>,
}

/// A write that is being sent.
#[derive(Debug)]
pub struct Sending<'a>(&'a TableLocks);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Shared {
    archive: Archive,
    owner: Owner,
    /// The part of the run that this guard does, if it is not the whole.
    part: Option<Part>,
    times: LockTimes,
    tables: Mutex<BTreeMap<String, Arc<Table>>>,
    told: Mutex<Told>,
}

/// What others see of locks.
#[derive(Debug, Default)]
struct Told {
    waiting: Option<LockHolder>,
    problem: Option<String>,
}

#[derive(Debug)]
struct Table {
    name: String,
    /// Held by who works on this table's lock, with what it has seen of another's.
    gate: AsyncMutex<Option<Seen>>,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
enum State {
    /// Not asked for yet.
    None,
    /// Ours, until this moment.
    Held { place: Place, fence: u32, record: LockRecord, until: Moment },
    /// It was ours, and is not any more, for good.
    Lost(String),
}

/// Where a guard's own lock of a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The name of the lock: the table's, or that of a part's.
    name: String,
    /// The number of the run's lock, where this one is a part's.
    under: Option<u32>,
}

/// What one attempt came to.
enum Attempt {
    Ours,
    /// Somebody was quicker: look again.
    Again,
    Wait {
        holder: LockHolder,
        alive: bool,
    },
}

/// Another's lock, as it stood since a moment of our own clock.
#[derive(Debug)]
struct Seen {
    name: String,
    fence: u32,
    content: Bytes,
    since: Moment,
    /// Whether it was looked at by the write that waits now: what moved before says nothing of
    /// today.
    looked_at: bool,
    /// Whether it has moved in the meantime.
    moves: bool,
}

impl Seen {
    fn is_of(&self, name: &str, fence: u32) -> bool {
        self.name == name && self.fence == fence
    }
}

impl TableLocks {
    /// Nothing is asked of the archive yet.
    pub fn new(archive: Archive, owner: Owner, times: LockTimes) -> Self {
        Self::of_part(archive, owner, None, times)
    }

    /// The same for a guard that does one part of the run.
    pub fn of_part(archive: Archive, owner: Owner, part: Option<Part>, times: LockTimes) -> Self {
        let (tables, told) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { archive, owner, part, times, tables, told });
        let (sending, ended) = (AtomicUsize::new(0), watch::Sender::new(false));
        Self { shared, beating: Mutex::default(), sending, ended }
    }

    /// Notes that a write is about to be sent: to be called before [`Self::until`].
    pub fn sending(&self) -> Sending<'_> {
        self.sending.fetch_add(1, Ordering::SeqCst);
        Sending(self)
    }

    /// Returns when the locks are being released: writes under way must end.
    pub async fn ended(&self) {
        // The sender is in `self`, so it cannot be gone.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Has a table's lock, or says who has it. To be called before a write is prepared.
    pub async fn hold(&self, table: &str) -> Result<(), Fault> {
        let table = self.shared.table(table);
        if table.is_ours()? {
            return Ok(());
        }
        let mut seen = table.gate.lock().await;
        if table.is_ours()? {
            return Ok(());
        }
        // Seldom, and large: it must not make every write's future as large.
        Box::pin(self.shared.acquire(&table, &mut seen)).await?;
        self.beat();
        Ok(())
    }

    /// Has a lock as [`Self::hold`] does. While it waits it watches the locks that are asked for
    /// next, so that a dead owner of several is waited for once: what stood still in the meantime
    /// is taken over without another lease.
    pub async fn hold_before(&self, first: &str, next: &[String]) -> Result<(), Fault> {
        let watched = async {
            join_all(next.iter().map(|table| self.shared.watch(table))).await;
            std::future::pending().await
        };
        tokio::select! {
            biased;
            held = self.hold(first) => held,
            never = watched => match never {},
        }
    }

    /// Until when writes may be sent; an error when they must not be at all.
    pub fn until(&self) -> Result<Option<Moment>, Fault> {
        if *self.ended.borrow() {
            return Err(lost("It has ended"));
        }
        let mut until: Option<Moment> = None;
        for table in self.shared.all_tables() {
            match &*table.state.lock() {
                State::None => {}
                State::Held { until: of_this, .. } => {
                    until = Some(until.map_or(*of_this, |other| other.min(*of_this)));
                }
                State::Lost(why) => return Err(lost(why)),
            }
        }
        match until {
            Some(until) if until <= Moment::now() => Err(Fault::NotJournaled(
                "the archive does not take the heartbeat of the table's lock".into(),
            )),
            until => Ok(until),
        }
    }

    /// Who has the table that was waited for last.
    pub fn holder(&self) -> Option<LockHolder> {
        self.shared.told.lock().waiting.clone()
    }

    /// What went wrong with locks.
    pub fn problem(&self) -> Option<String> {
        self.shared.told.lock().problem.clone()
    }

    /// Gives all locks back. Nothing is written afterwards; what is being sent now may still be
    /// carried out, and then the locks are left to run out.
    pub async fn release(&self) {
        self.ended.send_replace(true);
        let is_sending = self.sending.load(Ordering::SeqCst) > 0;
        if let Some(task) = self.beating.lock().take() {
            task.abort();
        }
        let releases = self.shared.all_tables().into_iter().map(|table| async move {
            let gate = tokio::time::timeout(limits::LOCK_RELEASE_MAX, table.gate.lock()).await;
            let state = std::mem::replace(&mut *table.state.lock(), State::Lost("it ended".into()));
            let State::Held { place, fence, .. } = state else { return };
            if is_sending || gate.is_err() {
                tracing::warn!(table = table.name, "a write is under way: its lock runs out");
                return;
            }
            let record = ReleaseRecord {
                version: LOCK_VERSION,
                forced: false,
                by: self.shared.owner.run.clone(),
                at: ledger::now(),
                reason: None,
            };
            let path = release_path(&place.name, fence);
            let created = self.shared.archive.create(&path, json(&record));
            // It ends by itself when its heartbeat does.
            if !matches!(tokio::time::timeout(limits::LOCK_RELEASE_MAX, created).await, Ok(Ok(_))) {
                tracing::warn!(table = table.name, "a lock could not be given back");
            }
        });
        join_all(releases).await;
    }

    fn beat(&self) {
        let mut beating = self.beating.lock();
        if beating.is_none() {
            *beating = Some(tokio::spawn(beat::run(Arc::downgrade(&self.shared))));
        }
    }
}

impl Drop for TableLocks {
    fn drop(&mut self) {
        if let Some(task) = self.beating.lock().take() {
            task.abort();
        }
    }
}

impl Shared {
    fn table(&self, name: &str) -> Arc<Table> {
        let mut tables = self.tables.lock();
        if let Some(table) = tables.get(name) {
            return Arc::clone(table);
        }
        let (gate, state) = (AsyncMutex::new(None), Mutex::new(State::None));
        let table = Arc::new(Table { name: name.to_owned(), gate, state });
        tables.insert(name.to_owned(), Arc::clone(&table));
        table
    }

    fn all_tables(&self) -> Vec<Arc<Table>> {
        self.tables.lock().values().cloned().collect()
    }
}

impl Table {
    /// Whether it is ours now; an error if it is lost.
    fn is_ours(&self) -> Result<bool, Fault> {
        match &*self.state.lock() {
            State::None => Ok(false),
            State::Held { until, .. } => Ok(*until > Moment::now()),
            State::Lost(why) => Err(lost(why)),
        }
    }
}

fn lost(why: &str) -> Fault {
    Fault::refused(
        format!("The guard rejects all further writes. {why}."),
        "the lock of a table is lost",
    )
}
