//! Earlier restores of a run, by their own journals. What an earlier restore restored no longer
//! belongs to the run. What an unfinished one overwrote now has its state from before the run, and
//! is still listed as a conflict; what it deleted by accident is written again.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::{ItemDigest, MergedEntry};
use dm_dynamodb::restore::decide;

use crate::archive::ledger::{self, Kind, LedgerEntry};
use crate::archive::{Archive, RunName};
use crate::journal::JournalReader;
use crate::restore::Result;
use crate::restore::lost::{Lost, LostItems};
use crate::restore::partitions::{Merged, Partitions, Place};
use crate::restore::settled::Settled;

/// Earlier restores that stand.
#[derive(Debug)]
pub struct Earlier {
    on_conflict: OnConflict,
    restores: Vec<(Partitions, Reach)>,
    /// What the last one that came to its end has left of the run.
    settled: Option<Arc<Settled>>,
}

/// How far a restore came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// To its end, or a later one came to its end: what it left is known and listed.
    Whole,
    Part,
}

/// What their entries of one part of the keys say.
#[derive(Debug)]
pub struct EarlierPart {
    on_conflict: OnConflict,
    /// What each has written.
    written: Vec<(Merged, Reach)>,
    /// What was deleted by accident and not returned.
    lost: LostItems,
    settled: Option<Arc<Settled>>,
}

impl Earlier {
    /// Those up to the run of a number, their entries in as many parts as those of its source.
    pub async fn of(
        archive: &Archive,
        (source, last): (&RunName, u32),
        on_conflict: OnConflict,
        parts: usize,
    ) -> Result<Self> {
        let mut earlier = Self { on_conflict, restores: Vec::new(), settled: None };
        let entries = ledger::entries(archive, Some(source.migration())).await?;
        let standing = standing(&entries, (source, last));
        if let Some(whole) = last_whole(&entries, &standing, source) {
            earlier.settled = Settled::of(archive, whole).await?.map(Arc::new);
        }
        for (entry, reach) in standing {
            match JournalReader::of_run(archive, &entry.run).await {
                Ok(readers) => {
                    let partitions = Partitions::fill_in(&readers, parts).await?;
                    earlier.restores.push((partitions, reach));
                }
                Err(error) if error.problem().is_none() => return Err(error.into()),
                // The rest can still be restored. If the journal is the restore's own, its first
                // write shows that.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(run = %entry.run, error, "an earlier restore cannot be read");
                }
            }
        }
        Ok(earlier)
    }

    /// Begins with the first part again.
    pub fn rewind(&mut self) {
        self.restores.iter_mut().for_each(|(restore, _)| restore.rewind());
    }

    /// The entries of the next part.
    pub fn next(&mut self) -> io::Result<EarlierPart> {
        let (mut written, mut lost) = (Vec::new(), LostItems::default());
        for (restore, reach) in &mut self.restores {
            lost.begin_attempt();
            let merged = restore.next_merged(|entry, outcome| {
                if *reach == Reach::Part {
                    lost.see(entry, outcome);
                }
            })?;
            written.push((merged.unwrap_or_default(), *reach));
        }
        let (on_conflict, settled) = (self.on_conflict, self.settled.clone());
        Ok(EarlierPart { on_conflict, written, lost, settled })
    }
}

/// The restores among the runs of a migration that were not themselves restored, not even in part.
/// Behind one that came to its end nothing of those before it is left to be returned: what is
/// missing now was deleted by others.
fn standing<'e>(
    entries: &'e [LedgerEntry],
    (source, last): (&RunName, u32),
) -> Vec<(&'e LedgerEntry, Reach)> {
    let restores = entries.iter().filter(|entry| {
        let number = entry.run.number();
        entry.begun.kind == Kind::Restore(source.number())
            && number <= last
            && entries.iter().all(|other| other.begun.kind != Kind::Restore(number))
    });
    let restores: Vec<_> = restores.collect();
    let ended = restores.iter().rposition(|entry| entry.completed.is_some());
    let reach =
        |at| if ended.is_some_and(|ended| at <= ended) { Reach::Whole } else { Reach::Part };
    restores.into_iter().enumerate().map(|(at, entry)| (entry, reach(at))).collect()
}

/// The last of these restores that completed, unless a later run of the migration, or a restore of
/// this one, was restored since: that may have rewritten what this run had left.
fn last_whole<'e>(
    entries: &[LedgerEntry],
    standing: &[(&'e LedgerEntry, Reach)],
    source: &RunName,
) -> Option<&'e LedgerEntry> {
    let whole = standing.iter().rev().map(|(entry, _)| *entry);
    let whole = whole.into_iter().find(|entry| entry.completed.is_some())?;
    let may_bring_back = |entry: &LedgerEntry| match entry.begun.kind {
        Kind::Restore(of) => entry.run.number() > whole.run.number() && of > source.number(),
        Kind::Apply => false,
    };
    (!entries.iter().any(may_bring_back)).then_some(whole)
}

impl EarlierPart {
    /// What is known of this key besides the run's own entries.
    pub fn restored<'e>(&self, entry: &'e MergedEntry) -> Cow<'e, MergedEntry> {
        let mut entry = Cow::Borrowed(entry);
        let place = place(&entry);
        for by in self.written.iter().filter_map(|(merged, _)| merged.get(&place)) {
            entry.to_mut().restored(by);
        }
        if self.settled.as_ref().is_some_and(|settled| settled.includes(&place, &entry)) {
            entry.to_mut().settled();
        }
        entry
    }

    /// What interrupted restores overwrote of this key, and what is in conflict now.
    pub fn with(&self, entry: &MergedEntry, now: Vec<Conflict>) -> Vec<Conflict> {
        let (mut conflicts, place) = (now, place(entry));
        let interrupted = self.written.iter().filter(|(_, reach)| *reach == Reach::Part);
        for written in interrupted.filter_map(|(merged, _)| merged.get(&place)) {
            let overwritten = decide(entry, written.first(), OnConflict::Overwrite);
            for conflict in overwritten.conflicts {
                // Another attribute was left, and is still in conflict, or not any more.
                let is_written = match &conflict {
                    Conflict::AttributeChanged(name) => written.touches(name),
                    _ => true,
                };
                if is_written && !conflicts.contains(&conflict) {
                    conflicts.push(conflict);
                }
            }
        }
        conflicts
    }

    /// Whether an interrupted restore sent a deletion of this key whose outcome its journal does
    /// not have.
    pub fn is_unconfirmed(&self, entry: &MergedEntry) -> bool {
        self.lost.is_unconfirmed(&place(entry))
    }

    /// What an interrupted restore deleted of this key by accident and did not return. One that
    /// overwrites discards it.
    pub fn lost(&self, entry: &MergedEntry) -> Option<&Lost> {
        let is_kept = self.on_conflict == OnConflict::Skip;
        self.lost.get(&place(entry)).filter(|_| is_kept)
    }
}

fn place(entry: &MergedEntry) -> Place {
    (entry.table.clone(), ItemDigest::of_item(&entry.key))
}
