//! One run on one table. Before a run's first write to a table it takes the table's lock, and keeps it
//! by a heartbeat; each write is sent only while the lock is known to be its own.
//!
//! An archive knows only to create an object if absent and to overwrite. So the number in a lock's name
//! is the fencing number, and who creates the next one has the lock:
//!
//! - A contender that has seen the same heartbeat for a lease, by its own monotonic clock, creates the
//!   next number. Then it reads the heartbeat again: if it moved after all, it waits for a lease more.
//! - The owner counts a heartbeat from the moment before it was sent, and only if afterwards there is no
//!   next number. When it is older than a lease, less a margin, nothing is written any more.
//!
//! So two never write at once, however long calls take and whatever wall clocks say; only the speed of
//! the two monotonic clocks must agree, within the margin.

mod beat;
mod by_hand;
mod record;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dm_core::limits;
use dm_core::verdict::LockHolder;
use futures::future::join_all;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::archive::{Archive, Created};
use crate::fault::Fault;
use crate::ledger;

pub use by_hand::{Listed, LockState, all, locked, prune, unlock};
pub use record::{LOCK_VERSION, LockError, LockRecord, Look, ReleaseRecord, look};
use record::{json, lock_path, release_path};

/// How long locks last.
#[derive(Clone, Copy, Debug)]
pub struct LockTimes {
    /// How long a heartbeat is good for.
    pub lease: Duration,
    /// How long another's heartbeat must stand still before its lock is taken over: its lease.
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

/// Who takes locks.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The run, as `MIGRATION/NUMBER`.
    pub run: String,
    /// Namespace of the run's object.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Tells this guard from others of the same run; a guard restarted in its pod keeps it.
    pub holder: String,
}

/// A name for a guard that no other has.
pub fn fresh_holder() -> String {
    crate::journal::fresh_name()
}

/// The locks of one run.
#[derive(Debug)]
pub struct TableLocks {
    shared: Arc<Shared>,
    beating: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    archive: Archive,
    owner: Owner,
    times: LockTimes,
    tables: Mutex<BTreeMap<String, Arc<Table>>>,
    told: Mutex<Told>,
}

/// What others are told of locks.
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
    Held { fence: u32, record: LockRecord, until: Instant },
    /// It was ours, and is not any more, for good.
    Lost(String),
}

/// Another's lock, as it stood since a moment of our own clock.
#[derive(Debug)]
struct Seen {
    fence: u32,
    content: Bytes,
    since: Instant,
    /// Whether it was looked at by the write that waits now: what moved before says nothing of today.
    looked_at: bool,
    /// Whether it has moved meanwhile.
    moves: bool,
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

impl TableLocks {
    /// Nothing is asked of the archive yet.
    pub fn new(archive: Archive, owner: Owner, times: LockTimes) -> Self {
        let (tables, told) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { archive, owner, times, tables, told });
        Self { shared, beating: Mutex::default() }
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

    /// Until when writes may be sent; an error when they must not be at all.
    pub fn until(&self) -> Result<Option<Instant>, Fault> {
        let mut until: Option<Instant> = None;
        for table in self.shared.all_tables() {
            match &*locked_state(&table.state) {
                State::None => {}
                State::Held { until: of_this, .. } => {
                    until = Some(until.map_or(*of_this, |other| other.min(*of_this)));
                }
                State::Lost(why) => return Err(lost(why)),
            }
        }
        match until {
            Some(until) if until <= Instant::now() => Err(Fault::NotJournalled(
                "the archive does not take the heartbeat of the table's lock".into(),
            )),
            until => Ok(until),
        }
    }

    /// Who has the table that was waited for last, and what went wrong with locks.
    pub fn told(&self) -> (Option<LockHolder>, Option<String>) {
        let told = locked_state(&self.shared.told);
        (told.waiting.clone(), told.problem.clone())
    }

    /// Gives all locks back. Nothing may be written afterwards.
    pub async fn release(&self) {
        if let Some(task) = locked_state(&self.beating).take() {
            task.abort();
        }
        let releases = self.shared.all_tables().into_iter().map(|table| async move {
            let _gate = table.gate.lock().await;
            let state =
                std::mem::replace(&mut *locked_state(&table.state), State::Lost("it ended".into()));
            let State::Held { fence, .. } = state else { return };
            let record = ReleaseRecord {
                version: LOCK_VERSION,
                forced: false,
                by: self.shared.owner.run.clone(),
                at: ledger::now(),
                reason: None,
            };
            let path = release_path(&table.name, fence);
            let created = self.shared.archive.create(&path, json(&record));
            // It ends by itself when its heartbeat does.
            if !matches!(tokio::time::timeout(limits::LOCK_RELEASE_MAX, created).await, Ok(Ok(_))) {
                tracing::warn!(table = table.name, "a lock could not be given back");
            }
        });
        join_all(releases).await;
    }

    fn beat(&self) {
        let mut beating = locked_state(&self.beating);
        if beating.is_none() {
            *beating = Some(tokio::spawn(beat::run(Arc::downgrade(&self.shared))));
        }
    }
}

impl Drop for TableLocks {
    fn drop(&mut self) {
        if let Some(task) = locked_state(&self.beating).take() {
            task.abort();
        }
    }
}

impl Shared {
    fn table(&self, name: &str) -> Arc<Table> {
        let mut tables = locked_state(&self.tables);
        if let Some(table) = tables.get(name) {
            return Arc::clone(table);
        }
        let (gate, state) = (AsyncMutex::new(None), Mutex::new(State::None));
        let table = Arc::new(Table { name: name.to_owned(), gate, state });
        tables.insert(name.to_owned(), Arc::clone(&table));
        table
    }

    fn all_tables(&self) -> Vec<Arc<Table>> {
        locked_state(&self.tables).values().cloned().collect()
    }

    /// How long a heartbeat that is sent now is good for.
    fn good_until(&self, sent: Instant) -> Instant {
        sent + self.times.lease - self.times.lease / limits::LOCK_MARGIN_PART
    }

    async fn acquire(&self, table: &Table, seen: &mut Option<Seen>) -> Result<(), Fault> {
        let begun = Instant::now();
        if let Some(seen) = seen {
            (seen.looked_at, seen.moves) = (false, false);
        }
        loop {
            let attempt = self.attempt(table, seen).await.map_err(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "taking a table's lock");
                Fault::NotJournalled("the archive does not give the table's lock".into())
            })?;
            let (holder, alive) = match attempt {
                Attempt::Ours => {
                    locked_state(&self.told).waiting = None;
                    *seen = None;
                    return Ok(());
                }
                Attempt::Again => {
                    // Bounds a quarrel over the next number.
                    tokio::time::sleep(limits::LOCK_AGAIN).await;
                    continue;
                }
                Attempt::Wait { holder, alive } => (holder, alive),
            };
            // A dead owner is waited for until it is sure; a living one not for long.
            let longest =
                if alive { self.times.hold } else { self.times.patience + self.times.hold };
            // It may have been lost.
            table.is_ours()?;
            locked_state(&self.told).waiting = Some(holder.clone());
            if begun.elapsed() >= longest {
                return Err(self.refuse(&holder));
            }
            tokio::time::sleep(self.times.patience / limits::LOCK_LOOKS_PER_LEASE).await;
        }
    }

    fn refuse(&self, holder: &LockHolder) -> Fault {
        let LockHolder { table, by, namespace, name, since, .. } = holder;
        let what =
            format!("Table {table} is locked by run {by} of {namespace}/{name} since {since}");
        locked_state(&self.told).problem.get_or_insert(format!("{what}: writes were refused."));
        Fault::refused(
            format!("The guard refuses to write. {what}."),
            "the table is locked by another run",
        )
    }

    async fn attempt(&self, table: &Table, seen: &mut Option<Seen>) -> Result<Attempt, LockError> {
        let state = locked_state(&table.state).clone();
        if let State::Held { fence, record, .. } = state {
            return self.renew(table, fence, record).await;
        }
        match look(&self.archive, &table.name).await? {
            Look::Free { next } => Ok(self.take(table, next).await?),
            Look::Forced { fence, release } => {
                let (content, holder) = (json(&release), self.nobody(table, fence, &release));
                if self.stands_still(seen, fence, &content).0 {
                    return self.take(table, fence + 1).await;
                }
                Ok(Attempt::Wait { holder, alive: false })
            }
            Look::Held { fence, record, .. } if record.holder == self.owner.holder => {
                // The guard that was here before, in the same pod, is gone.
                self.go_on(table, fence, record).await
            }
            Look::Held { fence, record, content } => {
                let holder = record.told(&table.name, fence);
                let (still, alive) = self.stands_still(seen, fence, &content);
                if !still {
                    return Ok(Attempt::Wait { holder, alive });
                }
                tracing::warn!(table = table.name, by = holder.by, "taking over a dead run's lock");
                let Some(state) = self.create(table, fence + 1).await? else {
                    return Ok(Attempt::Again);
                };
                if self.archive.get(&lock_path(&table.name, fence)).await? == Some(content) {
                    *locked_state(&table.state) = state;
                    return Ok(Attempt::Ours);
                }
                // It lived after all: it sees the new number, or its heartbeat runs out.
                tokio::time::sleep(self.times.patience).await;
                match state {
                    State::Held { fence, record, .. } => self.go_on(table, fence, record).await,
                    State::None | State::Lost(_) => Ok(Attempt::Again),
                }
            }
        }
    }

    /// Whether another's lock has stood still for long enough, and whether it was seen to move.
    fn stands_still(&self, seen: &mut Option<Seen>, fence: u32, content: &Bytes) -> (bool, bool) {
        let now = Instant::now();
        let moves = match seen {
            Some(seen) if seen.fence == fence && seen.content == *content => {
                seen.looked_at = true;
                return (now.duration_since(seen.since) >= self.times.patience, seen.moves);
            }
            Some(seen) => seen.fence == fence && seen.looked_at,
            None => false,
        };
        *seen = Some(Seen { fence, content: content.clone(), since: now, looked_at: true, moves });
        (false, moves)
    }

    fn nobody(&self, table: &Table, fence: u32, release: &ReleaseRecord) -> LockHolder {
        LockHolder {
            table: table.name.clone(),
            by: format!("nobody: released by {}", release.by),
            namespace: self.owner.namespace.clone(),
            name: self.owner.name.clone(),
            since: release.at.clone(),
            fence,
        }
    }

    /// Takes the next number, if it is free.
    async fn take(&self, table: &Table, fence: u32) -> Result<Attempt, LockError> {
        let Some(state) = self.create(table, fence).await? else { return Ok(Attempt::Again) };
        *locked_state(&table.state) = state;
        Ok(Attempt::Ours)
    }

    /// Creates a lock's object; what it makes of the lock, if it is ours.
    async fn create(&self, table: &Table, fence: u32) -> Result<Option<State>, LockError> {
        let Owner { run, namespace, name, uid, holder } = self.owner.clone();
        let since = ledger::now();
        let record =
            LockRecord { version: LOCK_VERSION, run, namespace, name, uid, holder, since, beat: 1 };
        let sent = Instant::now();
        match self.archive.create(&lock_path(&table.name, fence), json(&record)).await? {
            Created::New => {
                tracing::info!(table = table.name, fence, "table locked");
                let until = self.good_until(sent);
                Ok(Some(State::Held { fence, record, until }))
            }
            Created::Exists(_) => Ok(None),
        }
    }

    /// After our heartbeat ran out: nobody else may have come meanwhile, which only a number of its own
    /// can tell.
    async fn renew(
        &self,
        table: &Table,
        fence: u32,
        record: LockRecord,
    ) -> Result<Attempt, LockError> {
        let free = matches!(
            look(&self.archive, &table.name).await?,
            Look::Held { fence: there, .. } if there == fence
        );
        if free && matches!(self.take(table, fence + 1).await?, Attempt::Ours) {
            return Ok(Attempt::Ours);
        }
        self.lose(table, "its heartbeat ran out, and others have had it since");
        let holder = record.told(&table.name, fence);
        Ok(Attempt::Wait { holder, alive: true })
    }

    /// Goes on with a lock of this very holder.
    async fn go_on(
        &self,
        table: &Table,
        fence: u32,
        record: LockRecord,
    ) -> Result<Attempt, LockError> {
        let still_ours = self.heartbeat(table, fence, record).await?;
        Ok(if still_ours { Attempt::Ours } else { Attempt::Again })
    }

    /// Writes the heartbeat and looks whether the lock is still ours.
    async fn heartbeat(
        &self,
        table: &Table,
        fence: u32,
        mut record: LockRecord,
    ) -> Result<bool, LockError> {
        record.beat += 1;
        let sent = Instant::now();
        self.archive.replace(&lock_path(&table.name, fence), json(&record)).await?;
        match look(&self.archive, &table.name).await? {
            Look::Held { fence: there, record: by, .. }
                if there == fence && by.holder == self.owner.holder =>
            {
                let until = self.good_until(sent);
                *locked_state(&table.state) = State::Held { fence, record, until };
                return Ok(true);
            }
            Look::Held { fence: there, record: by, .. } => {
                let by = by.told(&table.name, there);
                self.lose(table, &format!("run {} has taken it over, since {}", by.by, by.since));
            }
            Look::Forced { release, .. } => {
                let reason = release.reason.unwrap_or_default();
                self.lose(table, &format!("{} has released it: {reason}", release.by));
            }
            Look::Free { .. } => self.lose(table, "others have had it since"),
        }
        Ok(false)
    }

    fn lose(&self, table: &Table, why: &str) {
        let why = format!("The lock of table {} is lost: {why}", table.name);
        tracing::error!(why, "nothing is written any more");
        locked_state(&self.told).problem = Some(format!("{why}. Nothing was written after that."));
        *locked_state(&table.state) = State::Lost(why);
    }
}

impl Table {
    /// Whether it is ours now; an error if it is lost.
    fn is_ours(&self) -> Result<bool, Fault> {
        match &*locked_state(&self.state) {
            State::None => Ok(false),
            State::Held { until, .. } => Ok(*until > Instant::now()),
            State::Lost(why) => Err(lost(why)),
        }
    }
}

fn lost(why: &str) -> Fault {
    Fault::refused(
        format!("The guard writes nothing any more. {why}."),
        "the lock of a table is lost",
    )
}

fn locked_state<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
