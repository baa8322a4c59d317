//! Earlier attempts of a restore, by their own journals: what they overwrote is as before the run
//! now, and is listed as a conflict all the same.

use std::io;

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::{ItemDigest, MergedEntry};
use dm_dynamodb::restore::decide;

use crate::archive::ledger::{self, Kind};
use crate::archive::{Archive, RunName};
use crate::journal::JournalReader;
use crate::restore::Result;
use crate::restore::partitions::{Merged, Partitions};

/// Attempts that did not come to their end.
#[derive(Debug, Default)]
pub struct Earlier(Vec<Partitions>);

/// Their entries of one part of the keys.
#[derive(Debug, Default)]
pub struct EarlierPart(Vec<Merged>);

impl Earlier {
    /// Those of a restore that overwrites, its entries in as many parts as those of its source. One
    /// that keeps conflicts finds them again.
    pub async fn of(
        archive: &Archive,
        (source, own): (&RunName, &RunName),
        on_conflict: OnConflict,
        parts: usize,
    ) -> Result<Self> {
        if on_conflict == OnConflict::Skip {
            return Ok(Self::default());
        }
        let mut earlier = Vec::new();
        for entry in ledger::entries(archive, Some(source.migration())).await? {
            let is_attempt = entry.begun.kind == Kind::Restore(source.number())
                && entry.completed.is_none()
                && entry.run.number() <= own.number();
            if !is_attempt {
                continue;
            }
            match JournalReader::of_run(archive, &entry.run).await {
                Ok(readers) => earlier.push(Partitions::fill_in(&readers, parts).await?),
                Err(error) if error.problem().is_none() => return Err(error.into()),
                // What is left can be restored all the same. If the journal is the restore's own,
                // its first write shows that.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(run = %entry.run, error, "an earlier attempt cannot be read");
                }
            }
        }
        Ok(Self(earlier))
    }

    /// The entries of the next part.
    pub fn next(&mut self) -> io::Result<EarlierPart> {
        let parts = self.0.iter_mut().map(|attempt| Ok(attempt.next_merged()?.unwrap_or_default()));
        Ok(EarlierPart(parts.collect::<io::Result<_>>()?))
    }
}

impl EarlierPart {
    /// What earlier attempts overwrote of this key, and what is in conflict now.
    pub fn with(&self, entry: &MergedEntry, now: Vec<Conflict>) -> Vec<Conflict> {
        let place = || (entry.table.clone(), ItemDigest::of_item(&entry.key));
        let mut conflicts = now;
        for written in self.0.iter().filter_map(|attempt| attempt.get(&place())) {
            let overwritten = decide(entry, written.first(), OnConflict::Overwrite);
            for conflict in overwritten.conflicts {
                if !conflicts.contains(&conflict) {
                    conflicts.push(conflict);
                }
            }
        }
        conflicts
    }
}
