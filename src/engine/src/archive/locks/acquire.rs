//! Getting a table's lock, keeping it, and losing it: what an owner and a contender do with the
//! objects of one lock. Who asks for it, and when, is the module above's.

use std::time::Duration;

use crate::limits;
use bytes::Bytes;
use dm_contract::verdict::LockHolder;

use crate::archive::ledger;
use crate::archive::locks::clock::Moment;
use crate::archive::locks::record::{content, json, lock_path, part_lock};
use crate::archive::locks::{
    Attempt, LOCK_VERSION, LockError, LockRecord, Owner, Place, ReleaseRecord, Seen, Shared,
    Standing, State, Table, standing_of,
};
use crate::archive::store::Created;
use crate::fault::Fault;

impl Shared {
    /// How long a heartbeat that is sent now is good for.
    fn good_until(&self, sent: Moment) -> Moment {
        sent + self.times.lease - self.times.lease / limits::LOCK_MARGIN_PART
    }

    pub(in crate::archive::locks) async fn acquire(
        &self,
        table: &Table,
        seen: &mut Option<Seen>,
    ) -> Result<(), Fault> {
        let begun = Moment::now();
        if let Some(seen) = seen {
            (seen.looked_at, seen.moves) = (false, false);
        }
        loop {
            let attempt = self.attempt(table, seen).await.map_err(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "taking a table's lock");
                Fault::NotJournaled("the archive does not give the table's lock".into())
            })?;
            let (holder, alive) = match attempt {
                Attempt::Ours => {
                    self.told.lock().waiting = None;
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
                if alive { self.times.hold } else { self.of_the_dead() + self.times.hold };
            // It may have been lost.
            table.is_ours()?;
            self.told.lock().waiting = Some(holder.clone());
            if begun.elapsed() >= longest {
                return Err(self.refuse(&holder));
            }
            tokio::time::sleep(self.times.patience / limits::LOCK_LOOKS_PER_LEASE).await;
        }
    }

    /// How long the lock of a dead owner is waited for. A part may wait for a sibling that died
    /// while it took over the run's lock, and for that lock's owner before.
    fn of_the_dead(&self) -> Duration {
        if self.part.is_some() { self.times.patience * 2 } else { self.times.patience }
    }

    /// Records since when a lock's heartbeat has not changed, and takes nothing. Ends when nothing
    /// waits for it any more.
    pub(in crate::archive::locks) async fn watch(&self, name: &str) {
        let table = self.table(name);
        if !matches!(table.is_ours(), Ok(false)) {
            return;
        }
        let mut seen = table.gate.lock().await;
        loop {
            match self.standing_in_the_way(&table.name).await {
                Ok((name, Standing::Held { fence, content, .. })) => {
                    self.stands_still(&mut seen, &name, fence, &content);
                }
                Ok((name, Standing::Forced { fence, release })) => {
                    self.stands_still(&mut seen, &name, fence, &json(&release));
                }
                Ok((_, Standing::Free { .. })) => *seen = None,
                // Who takes the lock reports it.
                Err(_) => {}
            }
            tokio::time::sleep(self.times.patience / limits::LOCK_LOOKS_PER_LEASE).await;
        }
    }

    /// Looks at the lock that would have to be waited for: the table's, or under that of the own
    /// run the part's.
    async fn standing_in_the_way(&self, table: &str) -> Result<(String, Standing), LockError> {
        let there = standing_of(&self.archive, table).await?;
        if let (Standing::Held { fence, record, .. }, Some(part)) = (&there, self.part)
            && self.is_own_run(record)
        {
            let name = part_lock(table, *fence, part);
            let there = standing_of(&self.archive, &name).await?;
            return Ok((name, there));
        }
        Ok((table.to_owned(), there))
    }

    fn refuse(&self, holder: &LockHolder) -> Fault {
        let LockHolder { table, by, since, .. } = holder;
        let owner = holder.owner();
        let what = format!("Table {table} is locked by run {by} of {owner} since {since}");
        self.told.lock().problem.get_or_insert(format!("{what}: writes were rejected."));
        Fault::refused(
            format!("The guard rejects this write. {what}."),
            "the table is locked by another run",
        )
    }

    async fn attempt(&self, table: &Table, seen: &mut Option<Seen>) -> Result<Attempt, LockError> {
        let state = table.state.lock().clone();
        if let State::Held { place, fence, record, .. } = state {
            return self.renew(table, &place, fence, record).await;
        }
        match self.place(table, seen).await? {
            Ok(place) => self.attempt_at(table, &place, seen).await,
            Err(attempt) => Ok(attempt),
        }
    }

    async fn attempt_at(
        &self,
        table: &Table,
        place: &Place,
        seen: &mut Option<Seen>,
    ) -> Result<Attempt, LockError> {
        let name = &place.name;
        match standing_of(&self.archive, name).await? {
            Standing::Free { next } => Ok(self.take(table, place, next).await?),
            Standing::Forced { fence, release } => {
                let (content, holder) = (json(&release), self.nobody(table, fence, &release));
                if self.stands_still(seen, name, fence, &content).0 {
                    return self.take(table, place, fence + 1).await;
                }
                Ok(Attempt::Wait { holder, alive: false })
            }
            Standing::Held { fence, record, .. } if record.holder == self.owner.holder => {
                // The guard that was here before, in the same pod, is gone.
                self.go_on(table, place, fence, record).await
            }
            Standing::Held { fence, record, content: before } => {
                let holder = record.told(&table.name, place.under.unwrap_or(fence));
                let (still, alive) = self.stands_still(seen, name, fence, &before);
                if !still {
                    return Ok(Attempt::Wait { holder, alive });
                }
                tracing::warn!(table = table.name, by = holder.by, "taking over a dead run's lock");
                let Some(state) = self.create(place, fence + 1).await? else {
                    return Ok(Attempt::Again);
                };
                // What cannot be read may have moved: the number is ours already, and asking again
                // would not wait any more.
                let read = content(&self.archive, name, fence).await;
                if read.is_ok_and(|now| now == Some(before)) {
                    return self.keep(table, place, state).await;
                }
                // It lived after all: it sees the new number, or its heartbeat runs out.
                tokio::time::sleep(self.times.patience).await;
                match state {
                    State::Held { fence, record, .. } => {
                        self.go_on(table, place, fence, record).await
                    }
                    State::None | State::Lost(_) => Ok(Attempt::Again),
                }
            }
        }
    }

    /// Whether another's lock has stood still for long enough, and whether it was seen to move.
    pub(in crate::archive::locks) fn stands_still(
        &self,
        seen: &mut Option<Seen>,
        name: &str,
        fence: u32,
        content: &Bytes,
    ) -> (bool, bool) {
        let now = Moment::now();
        let moves = match seen {
            Some(seen) if seen.is_of(name, fence) && seen.content == *content => {
                seen.looked_at = true;
                return (now - seen.since >= self.times.patience, seen.moves);
            }
            Some(seen) => seen.is_of(name, fence) && seen.looked_at,
            None => false,
        };
        let (name, content) = (name.to_owned(), content.clone());
        *seen = Some(Seen { name, fence, content, since: now, looked_at: true, moves });
        (false, moves)
    }

    pub(in crate::archive::locks) fn nobody(
        &self,
        table: &Table,
        fence: u32,
        release: &ReleaseRecord,
    ) -> LockHolder {
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
    async fn take(&self, table: &Table, place: &Place, fence: u32) -> Result<Attempt, LockError> {
        let Some(state) = self.create(place, fence).await? else { return Ok(Attempt::Again) };
        self.keep(table, place, state).await
    }

    /// Has a lock that was created. That of a part counts only if its run's lock still stands when
    /// it is there.
    async fn keep(&self, table: &Table, place: &Place, state: State) -> Result<Attempt, LockError> {
        if self.fallen_above(table, place).await?.is_some() {
            return Ok(Attempt::Again);
        }
        *table.state.lock() = state;
        Ok(Attempt::Ours)
    }

    /// A record of this owner.
    pub(in crate::archive::locks) fn record(&self, beat: u64, parts: Option<u32>) -> LockRecord {
        let Owner { run, namespace, name, uid, holder } = self.owner.clone();
        let (version, since) = (LOCK_VERSION, ledger::now());
        LockRecord { version, run, namespace, name, uid, holder, since, beat, parts }
    }

    /// Creates a lock's object; what it makes of the lock, if it is ours.
    async fn create(&self, place: &Place, fence: u32) -> Result<Option<State>, LockError> {
        let record = self.record(1, None);
        let sent = Moment::now();
        match self.archive.create(&lock_path(&place.name, fence), json(&record)).await? {
            Created::New => {
                tracing::info!(lock = place.name, fence, "table locked");
                let (place, until) = (place.clone(), self.good_until(sent));
                Ok(Some(State::Held { place, fence, record, until }))
            }
            Created::Exists(_) => Ok(None),
        }
    }

    /// After the own heartbeat ran out: no other run may have taken the lock in between, which only
    /// a new number proves.
    pub(in crate::archive::locks) async fn renew(
        &self,
        table: &Table,
        place: &Place,
        fence: u32,
        record: LockRecord,
    ) -> Result<Attempt, LockError> {
        let free = match standing_of(&self.archive, &place.name).await? {
            // It was created, and the answer was lost.
            Standing::Held { fence: there, record, .. }
                if there == fence + 1 && record.holder == self.owner.holder =>
            {
                return self.go_on(table, place, there, record).await;
            }
            Standing::Held { fence: there, .. } => there == fence,
            Standing::Free { .. } | Standing::Forced { .. } => false,
        };
        if free && matches!(self.take(table, place, fence + 1).await?, Attempt::Ours) {
            return Ok(Attempt::Ours);
        }
        self.lose(table, "its lease expired, and another run has held it since");
        let holder = record.told(&table.name, place.under.unwrap_or(fence));
        Ok(Attempt::Wait { holder, alive: true })
    }

    /// Continues with a lock of this very holder.
    async fn go_on(
        &self,
        table: &Table,
        place: &Place,
        fence: u32,
        record: LockRecord,
    ) -> Result<Attempt, LockError> {
        let still_ours = self.heartbeat(table, place, fence, record).await?;
        Ok(if still_ours { Attempt::Ours } else { Attempt::Again })
    }

    /// Writes the heartbeat and looks whether the lock is still ours.
    pub(in crate::archive::locks) async fn heartbeat(
        &self,
        table: &Table,
        place: &Place,
        fence: u32,
        mut record: LockRecord,
    ) -> Result<bool, LockError> {
        record.beat += 1;
        let sent = Moment::now();
        self.archive.replace(&lock_path(&place.name, fence), json(&record)).await?;
        match self.fallen(table, place, fence).await? {
            None => {
                let until = self.good_until(sent);
                let place = place.clone();
                *table.state.lock() = State::Held { place, fence, record, until };
                return Ok(true);
            }
            Some(Standing::Held { fence: there, record: by, .. }) => {
                let by = by.told(&table.name, there);
                self.lose(table, &format!("run {} has held it since {}", by.by, by.since));
            }
            Some(Standing::Forced { release, .. }) => {
                let reason = release.reason.unwrap_or_default();
                self.lose(table, &format!("{} has released it: {reason}", release.by));
            }
            Some(Standing::Free { .. }) => self.lose(table, "another run has held it since"),
        }
        Ok(false)
    }

    fn lose(&self, table: &Table, why: &str) {
        let why = format!("The lock of table {} is lost: {why}", table.name);
        tracing::error!(why, "no further write is sent");
        self.told.lock().problem = Some(format!("{why}. Nothing was written after that."));
        *table.state.lock() = State::Lost(why);
    }
}
