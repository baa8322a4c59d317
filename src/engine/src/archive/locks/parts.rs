//! The locks of a run that is spread over pods, on two levels with one fencing number. The lock of
//! a table has one number for the whole run: whichever part comes first creates it, and the others
//! join it. It has no heartbeat. Under it each part has its own lock, by the same rules as any.
//!
//! A part writes while its own lock is held and the run's lock stands, which it looks at after each
//! heartbeat. To others the run's lock is unchanged while nothing below it changes, absent locks
//! included. So a part that comes late either finds the next number of the run's lock, or is seen
//! by the run that has just created it.

use crate::archive::ledger;
use crate::archive::locks::record::{
    content, json, lock_path, part_lock, release_path, standings_of_parts,
};
use crate::archive::locks::{
    Attempt, LOCK_VERSION, LockError, LockRecord, Place, ReleaseRecord, Seen, Shared, Standing,
    Table, standing_of, stands,
};
use crate::archive::store::{Archive, Created};

/// What joining the lock of the own run came to.
pub(in crate::archive::locks) enum Joined {
    /// It has this number, and no earlier owner writes any more.
    Under(u32),
    Not(Attempt),
}

impl Shared {
    /// Finds the place of the own lock: for a part, once its run's lock is there.
    pub(in crate::archive::locks) async fn place(
        &self,
        table: &Table,
        seen: &mut Option<Seen>,
    ) -> Result<Result<Place, Attempt>, LockError> {
        let Some(part) = self.part else {
            return Ok(Ok(Place { name: table.name.clone(), under: None }));
        };
        Ok(match self.join(table, part.of, seen).await? {
            Joined::Under(fence) => {
                Ok(Place { name: part_lock(&table.name, fence, part), under: Some(fence) })
            }
            Joined::Not(attempt) => Err(attempt),
        })
    }

    /// Whether it is the lock of the run that this guard does a part of.
    pub(in crate::archive::locks) fn is_own_run(&self, record: &LockRecord) -> bool {
        let parts = self.part.map(|part| part.of);
        parts.is_some()
            && record.parts == parts
            && record.run == self.owner.run
            && record.uid == self.owner.uid
    }

    async fn join(
        &self,
        table: &Table,
        of: u32,
        seen: &mut Option<Seen>,
    ) -> Result<Joined, LockError> {
        let name = &table.name;
        match standing_of(&self.archive, name).await? {
            // There is no earlier owner.
            Standing::Free { next } => self.found(table, next, of).await,
            Standing::Forced { fence, release } => {
                if self.stands_still(seen, name, fence, &json(&release)).0 {
                    return self.found(table, fence + 1, of).await;
                }
                let holder = self.nobody(table, fence, &release);
                Ok(Joined::Not(Attempt::Wait { holder, alive: false }))
            }
            Standing::Held { fence, record, .. } if self.is_own_run(&record) => {
                if record.beat > 0 {
                    return Ok(Joined::Under(fence));
                }
                // Who took over makes sure that the earlier owner has stopped, or is gone.
                if self.stands_still(seen, name, fence, &json(&record)).0 {
                    return self.open(table, fence, record).await;
                }
                let holder = record.told(name, fence);
                Ok(Joined::Not(Attempt::Wait { holder, alive: false }))
            }
            Standing::Held { fence, record, content: before } => {
                let (still, alive) = self.stands_still(seen, name, fence, &before);
                if !still {
                    let holder = record.told(name, fence);
                    return Ok(Joined::Not(Attempt::Wait { holder, alive }));
                }
                tracing::warn!(table = name, by = record.run, "taking over a dead run's lock");
                let record = self.record(0, Some(of));
                let path = lock_path(name, fence + 1);
                let created = self.archive.create(&path, json(&record)).await?;
                if let Created::Exists(_) = created {
                    return Ok(Joined::Not(Attempt::Again));
                }
                if content(&self.archive, name, fence).await? != Some(before) {
                    // It lived after all: it sees the new number, or its heartbeats run out.
                    tokio::time::sleep(self.times.patience).await;
                }
                self.open(table, fence + 1, record).await
            }
        }
    }

    /// Creates the run's lock where no earlier owner can write any more.
    async fn found(&self, table: &Table, fence: u32, of: u32) -> Result<Joined, LockError> {
        let record = self.record(1, Some(of));
        let created = self.archive.create(&lock_path(&table.name, fence), json(&record)).await?;
        Ok(match created {
            Created::New => {
                tracing::info!(table = table.name, fence, parts = of, "table locked for the run");
                Joined::Under(fence)
            }
            Created::Exists(_) => Joined::Not(Attempt::Again),
        })
    }

    /// Notes in the run's lock that no earlier owner writes any more.
    async fn open(
        &self,
        table: &Table,
        fence: u32,
        mut record: LockRecord,
    ) -> Result<Joined, LockError> {
        if stands(&self.archive, &table.name, fence).await?.is_some() {
            return Ok(Joined::Not(Attempt::Again));
        }
        record.beat = 1;
        self.archive.replace(&lock_path(&table.name, fence), json(&record)).await?;
        Ok(Joined::Under(fence))
    }

    /// How the own lock is, if it does not stand, or the run's lock over it.
    pub(in crate::archive::locks) async fn fallen(
        &self,
        table: &Table,
        place: &Place,
        fence: u32,
    ) -> Result<Option<Standing>, LockError> {
        match stands(&self.archive, &place.name, fence).await? {
            None => self.fallen_above(table, place).await,
            fallen => Ok(fallen),
        }
    }

    /// How the run's lock over a part's is, if it does not stand.
    pub(in crate::archive::locks) async fn fallen_above(
        &self,
        table: &Table,
        place: &Place,
    ) -> Result<Option<Standing>, LockError> {
        match place.under {
            Some(fence) => stands(&self.archive, &table.name, fence).await,
            None => Ok(None),
        }
    }
}

/// Gives back the locks of these names that a run with parts has, when all its parts have ended. A
/// part's lock that was not released expires, and with it the run's.
pub async fn release_run(
    archive: &Archive,
    run: &str,
    uid: &str,
    names: &[String],
) -> Result<(), LockError> {
    for name in names {
        let Standing::Held { fence, record, .. } = standing_of(archive, name).await? else {
            continue;
        };
        let own = record.run == run && record.uid == uid;
        let Some(of) = record.parts.filter(|_| own) else { continue };
        let parts = standings_of_parts(archive, name, fence, of).await?;
        if parts.iter().any(|part| !matches!(part, Standing::Free { .. })) {
            continue;
        }
        let release = ReleaseRecord {
            version: LOCK_VERSION,
            forced: false,
            by: run.to_owned(),
            at: ledger::now(),
            reason: None,
        };
        archive.create(&release_path(name, fence), json(&release)).await?;
    }
    Ok(())
}
