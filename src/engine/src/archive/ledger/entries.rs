//! The ledger's entries, read together. A listing says where to look; where listings are late, as
//! those of a folder on NFS, names decide.

use std::collections::BTreeSet;

use crate::limits;

use crate::archive::RunName;
use crate::archive::ledger::{
    Kind, LedgerEntry, LedgerError, Result, RunOutcome, begun, completed, more_tables,
};
use crate::archive::store::Archive;

/// All runs of a migration, or of all, in order.
pub async fn entries(archive: &Archive, migration: Option<&str>) -> Result<Vec<LedgerEntry>> {
    let (entries, damaged) = readable(archive, migration).await?;
    damaged.into_iter().next().map_or(Ok(entries), Err)
}

/// The same, with the errors of the runs whose entries cannot be read beside the others.
pub async fn readable(
    archive: &Archive,
    migration: Option<&str>,
) -> Result<(Vec<LedgerEntry>, Vec<LedgerError>)> {
    let runs = begun_runs(archive, migration).await?;
    let (mut entries, mut damaged) = (Vec::with_capacity(runs.len()), Vec::new());
    for run in runs {
        match entry(archive, run).await {
            Ok(entry) => entries.extend(entry),
            Err(error @ (LedgerError::Entry { .. } | LedgerError::Version(_))) => {
                damaged.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((entries, damaged))
}

/// The first restore of this run, if one was begun. Runs before it are not read: a restore has a
/// higher number than its run.
pub async fn restore_of(archive: &Archive, run: &RunName) -> Result<Option<RunName>> {
    let all = begun_runs(archive, Some(run.migration())).await?;
    for later in all.into_iter().filter(|other| other.number() > run.number()) {
        let begun = begun(archive, &later).await?;
        if begun.is_some_and(|begun| begun.kind == Kind::Restore(run.number())) {
            return Ok(Some(later));
        }
    }
    Ok(None)
}

/// The names of all runs of a migration, or of all, that were begun.
async fn begun_runs(archive: &Archive, migration: Option<&str>) -> Result<BTreeSet<RunName>> {
    let folder = migration.map_or("ledger".to_owned(), |name| format!("ledger/{name}"));
    let mut runs: BTreeSet<RunName> = BTreeSet::new();
    for object in archive.list(&folder).await? {
        runs.extend(RunName::of_path(&object.path).filter(|run| object.path == run.begun()));
    }
    if let (Some(migration), true) = (migration, archive.lists_late()) {
        let highest = runs.last().map_or(0, RunName::number);
        for number in 1..=highest.saturating_add(limits::LEDGER_LOOKED_AHEAD) {
            let Ok(run) = RunName::new(migration, number) else { break };
            if !runs.contains(&run) && archive.exists(&run.begun()).await? {
                runs.insert(run);
            }
        }
    }
    Ok(runs)
}

async fn entry(archive: &Archive, run: RunName) -> Result<Option<LedgerEntry>> {
    let Some(begun) = begun(archive, &run).await? else { return Ok(None) };
    let completed = completed(archive, &run).await?;
    let mut tables = begun.tables.clone();
    if completed.is_none() || begun.parts.is_none() {
        tables.extend(more_tables(archive, &run, begun.parts).await?);
    }
    tables.extend(completed.iter().flat_map(|completed| completed.tables.clone()));
    Ok(Some(LedgerEntry { run, begun, completed, tables }))
}

/// The runs that were restored, with nothing left in conflict, and whose restore stands.
pub fn restored(entries: &[LedgerEntry]) -> BTreeSet<RunName> {
    let runs = entries.iter().map(|entry| &entry.run);
    runs.filter(|run| restored_by(entries, run).is_some()).cloned().collect()
}

/// The runs whose journals somebody may be writing or reading: those without an end on record, and
/// those that a restore without an end is of.
pub fn in_use(entries: &[LedgerEntry]) -> BTreeSet<RunName> {
    let open = entries.iter().filter(|entry| entry.completed.is_none());
    let runs = open.flat_map(|entry| {
        let source = match entry.begun.kind {
            Kind::Restore(number) => RunName::new(entry.run.migration(), number).ok(),
            Kind::Apply => None,
        };
        source.into_iter().chain([entry.run.clone()])
    });
    runs.collect()
}

/// Whether a restore of this run succeeded that was not itself restored since.
pub fn is_undone(entries: &[LedgerEntry], run: u32) -> bool {
    entries.iter().any(|entry| {
        let succeeded =
            entry.completed.as_ref().is_some_and(|end| end.outcome == RunOutcome::Succeeded);
        // Each restore has a higher number than its run, so this ends.
        let of_it = entry.begun.kind == Kind::Restore(run) && entry.run.number() > run;
        of_it && succeeded && !is_undone(entries, entry.run.number())
    })
}

/// The last restore of a run that left no conflict, unless a restore of that one was begun which
/// was not itself restored in the same way: it may have applied again what the run had done.
pub fn restored_by<'e>(entries: &'e [LedgerEntry], run: &RunName) -> Option<&'e LedgerEntry> {
    let by = entries.iter().rev().find(|entry| {
        let ended = entry.completed.as_ref();
        entry.run.migration() == run.migration()
            && entry.begun.kind == Kind::Restore(run.number())
            && ended
                .is_some_and(|end| end.outcome == RunOutcome::Succeeded && end.conflicts == Some(0))
    })?;
    let is_of_it = |entry: &&LedgerEntry| {
        entry.run.migration() == by.run.migration()
            && entry.begun.kind == Kind::Restore(by.run.number())
            // Each restore has a higher number than its run, so this ends.
            && entry.run.number() > by.run.number()
    };
    let mut reverts = entries.iter().filter(is_of_it);
    let later = by.run.number() > run.number();
    (later && reverts.all(|entry| restored_by(entries, &entry.run).is_some())).then_some(by)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::archive::ledger::{Begun, Completed, LEDGER_VERSION, begin, complete};
    use crate::archive::store::late::Late;
    use std::sync::Arc;

    fn restore(number: u32, of: u32, conflicts: Option<u64>) -> LedgerEntry {
        let kind = if of == 0 { Kind::Apply } else { Kind::Restore(of) };
        let completed = conflicts.map(|conflicts| Completed {
            conflicts: Some(conflicts),
            ..Completed::now(RunOutcome::Succeeded)
        });
        let begun = Begun { kind, ..begun("a") };
        let (run, tables) = (RunName::new("m", number).unwrap(), begun.tables.clone());
        LedgerEntry { run, begun, completed, tables }
    }

    #[test]
    fn a_run_counts_as_restored_only_while_its_restore_stands_whole() {
        let is_restored =
            |entries: &[LedgerEntry]| restored(entries).contains(&RunName::new("m", 1).unwrap());
        let mut entries = vec![restore(1, 0, Some(0)), restore(2, 1, Some(0))];
        assert!(is_restored(&entries));
        // Interrupted, with a conflict, and whole: each applies again a part or all.
        for conflicts in [None, Some(1), Some(0)] {
            entries.push(restore(3, 2, conflicts));
            assert!(!is_restored(&entries), "{conflicts:?}");
            entries.push(restore(4, 3, Some(1)));
            assert!(!is_restored(&entries), "{conflicts:?}, and partly undone");
            entries.pop();
            entries.push(restore(4, 3, Some(0)));
            assert!(is_restored(&entries), "{conflicts:?}, and undone");
            entries.truncate(2);
        }
        entries.push(restore(5, 1, Some(2)));
        assert!(is_restored(&entries), "a later restore with conflicts changes nothing of it");
    }

    pub fn begun(uid: &str) -> Begun {
        Begun {
            version: LEDGER_VERSION,
            kind: Kind::Apply,
            namespace: "n".into(),
            name: "m".into(),
            uid: uid.into(),
            begun_at: "t".into(),
            database: None,
            program: None,
            tables: dm_contract::identity::TableIds::new(),
            baseline: false,
            accepted: Vec::new(),
            overrules: 0,
            parts: None,
        }
    }

    #[tokio::test]
    async fn an_old_listing_hides_no_run_and_no_end() {
        let store = Late::new();
        let archive = Archive::listing_late(Arc::new(store.clone()));
        let run = |number| RunName::new("m", number).unwrap();
        begin(&archive, &run(2), &begun("a")).await.unwrap();
        store.freeze().await;
        begin(&archive, &run(5), &begun("b")).await.unwrap();
        for number in [2, 5] {
            let end = Completed::now(RunOutcome::Succeeded);
            complete(&archive, &run(number), &end).await.unwrap();
        }
        let known = entries(&archive, Some("m")).await.unwrap();
        let known: Vec<_> =
            known.iter().map(|entry| (entry.run.number(), entry.completed.is_some())).collect();
        assert_eq!(known, [(2, true), (5, true)]);
    }
}
