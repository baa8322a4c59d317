//! Earlier attempts of a restore, by their own journals. What one that overwrites has overwritten
//! is as before the run now, and is listed as a conflict all the same. What one that keeps
//! conflicts has deleted by accident is returned.

use std::io;

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::{ItemDigest, MergedEntry};
use dm_dynamodb::restore::decide;

use crate::archive::ledger::{self, Kind, LedgerEntry};
use crate::archive::{Archive, RunName};
use crate::journal::JournalReader;
use crate::restore::Result;
use crate::restore::lost::{Lost, LostItems};
use crate::restore::partitions::{Merged, Partitions};

/// Attempts that did not come to their end.
#[derive(Debug)]
pub struct Earlier {
    on_conflict: OnConflict,
    attempts: Vec<Partitions>,
}

/// What their entries of one part of the keys say.
#[derive(Debug)]
pub enum EarlierPart {
    /// What was overwritten.
    Overwritten(Vec<Merged>),
    /// What was deleted and not returned.
    Lost(LostItems),
}

impl Earlier {
    /// Without attempts.
    pub fn none(on_conflict: OnConflict) -> Self {
        Self { on_conflict, attempts: Vec::new() }
    }

    /// Those of a restore, their entries in as many parts as those of its source.
    pub async fn of(
        archive: &Archive,
        (source, own): (&RunName, &RunName),
        on_conflict: OnConflict,
        parts: usize,
    ) -> Result<Self> {
        let mut earlier = Self::none(on_conflict);
        let entries = ledger::entries(archive, Some(source.migration())).await?;
        for entry in attempts(&entries, (source, own), on_conflict) {
            match JournalReader::of_run(archive, &entry.run).await {
                Ok(readers) => {
                    earlier.attempts.push(Partitions::fill_in(&readers, parts).await?);
                }
                Err(error) if error.problem().is_none() => return Err(error.into()),
                // What is left can be restored all the same. If the journal is the restore's own,
                // its first write shows that.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(run = %entry.run, error, "an earlier attempt cannot be read");
                }
            }
        }
        Ok(earlier)
    }

    /// The entries of the next part.
    pub fn next(&mut self) -> io::Result<EarlierPart> {
        if self.on_conflict == OnConflict::Overwrite {
            let parts = self.attempts.iter_mut();
            let parts = parts.map(|attempt| Ok(attempt.next_merged()?.unwrap_or_default()));
            return Ok(EarlierPart::Overwritten(parts.collect::<io::Result<_>>()?));
        }
        let mut lost = LostItems::default();
        for attempt in &mut self.attempts {
            lost.begin_attempt();
            attempt.next_entries(|entry, outcome| lost.see(entry, outcome))?;
        }
        Ok(EarlierPart::Lost(lost))
    }
}

/// The attempts among the runs of a migration. Behind a restore that came to its end nothing of
/// those before it is left to be returned: what is missing now was deleted by others.
fn attempts<'e>(
    entries: &'e [LedgerEntry],
    (source, own): (&RunName, &RunName),
    on_conflict: OnConflict,
) -> Vec<&'e LedgerEntry> {
    let restores = entries.iter().filter(|entry| {
        entry.begun.kind == Kind::Restore(source.number()) && entry.run.number() <= own.number()
    });
    let mut attempts = Vec::new();
    for entry in restores {
        if entry.completed.is_none() {
            attempts.push(entry);
        } else if on_conflict == OnConflict::Skip {
            attempts.clear();
        }
    }
    attempts
}

impl EarlierPart {
    /// What earlier attempts overwrote of this key, and what is in conflict now.
    pub fn with(&self, entry: &MergedEntry, now: Vec<Conflict>) -> Vec<Conflict> {
        let place = || (entry.table.clone(), ItemDigest::of_item(&entry.key));
        let mut conflicts = now;
        let Self::Overwritten(attempts) = self else { return conflicts };
        for written in attempts.iter().filter_map(|attempt| attempt.get(&place())) {
            let overwritten = decide(entry, written.first(), OnConflict::Overwrite);
            for conflict in overwritten.conflicts {
                if !conflicts.contains(&conflict) {
                    conflicts.push(conflict);
                }
            }
        }
        conflicts
    }
    /// What an earlier attempt deleted of this key and did not return.
    pub fn lost(&self, entry: &MergedEntry) -> Option<&Lost> {
        match self {
            Self::Overwritten(_) => None,
            Self::Lost(lost) => lost.get(&(entry.table.clone(), ItemDigest::of_item(&entry.key))),
        }
    }
}
