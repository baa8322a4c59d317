//! What may go from an archive: runs that are old and many. Never the ledger, which is what keeps a
//! migration from running twice, and never the journal of a run that can still be restored, unless
//! that was asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::RunName;
use crate::archive::ledger::{self, LedgerEntry};
use crate::archive::store::{Archive, ArchiveError, Listed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Runs whose last object is younger than this stay.
    pub age_s_max: i64,
    /// The last runs of each migration stay, this many of them.
    pub runs_kept: usize,
    /// Whether a journal goes although its run was not restored.
    pub journals_too: bool,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Runs of which something went.
    pub runs: BTreeSet<RunName>,
    pub paths: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Those of the runs that were restored.
    pub restored: BTreeSet<RunName>,
}

impl Retention {
    /// Which of these objects may go, at this time, by what the ledger says of their runs. Journals
    /// of runs that were completely restored are no longer needed; those that are in use stay.
    pub fn choose(&self, objects: &[Listed], entries: &[LedgerEntry], now_s: i64) -> Collected {
        let (restored, in_use) = (ledger::restored(entries), ledger::in_use(entries));
        let mut runs: BTreeMap<RunName, Vec<&Listed>> = BTreeMap::new();
        for object in objects.iter().filter(|object| object.path.starts_with("runs/")) {
            if let Some(run) = RunName::of_path(&object.path) {
                runs.entry(run).or_default().push(object);
            }
        }
        let mut collected = Collected::default();
        for (run, objects) in &runs {
            let younger = runs
                .keys()
                .filter(|other| other.migration() == run.migration() && *other > run)
                .count();
            let written_at_s = objects.iter().map(|object| object.written_at_s).max();
            let old = written_at_s.is_some_and(|at| now_s - at > self.age_s_max);
            if !old || younger < self.runs_kept {
                continue;
            }
            let wanted = self.journals_too || restored.contains(run);
            let journal_goes = wanted && !in_use.contains(run);
            for object in objects {
                let of_journal = RunName::is_of_journal(&object.path);
                if !of_journal || journal_goes {
                    collected.runs.insert(run.clone());
                    if restored.contains(run) {
                        collected.restored.insert(run.clone());
                    }
                    collected.bytes += object.bytes;
                    collected.paths.push(object.path.clone());
                }
            }
        }
        collected
    }
}

impl Archive {
    /// Deletes these objects. Journals go only by [`crate::archive::ledger::collect`], which leaves
    /// a record.
    pub(crate) async fn delete_all(&self, paths: &[String]) -> Result<(), ArchiveError> {
        for path in paths {
            self.delete(path).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ledger::{Begun, Completed, Kind};

    fn object(path: String, written_at_s: i64) -> Listed {
        Listed { path, bytes: 10, written_at_s }
    }

    fn entry(run: &RunName, kind: Kind, is_over: bool) -> LedgerEntry {
        let begun = Begun { kind, ..ledger::begun_by("u") };
        let completed = Completed {
            conflicts: Some(0),
            ..Completed::now(dm_contract::verdict::RunOutcome::Succeeded)
        };
        LedgerEntry {
            run: run.clone(),
            tables: begun.tables.clone(),
            begun,
            completed: is_over.then_some(completed),
        }
    }

    /// The runs, which are over, and their restores.
    fn ledger_of(runs: &[RunName], restored: &[RunName]) -> Vec<LedgerEntry> {
        let applies = runs.iter().map(|run| entry(run, Kind::Apply, true));
        let later = (10..).zip(restored).map(|(number, run)| {
            let own = RunName::new(run.migration(), number).unwrap();
            entry(&own, Kind::Restore(run.number()), true)
        });
        applies.chain(later).collect()
    }

    #[test]
    fn the_journal_of_a_run_without_an_end_stays_and_so_does_that_of_an_open_restores_source() {
        let run = |number| RunName::new("m", number).unwrap();
        let objects: Vec<Listed> =
            (1..=4).map(|number| object(run(number).segment(1), 0)).collect();
        let entries = [
            entry(&run(1), Kind::Apply, true),
            entry(&run(2), Kind::Apply, true),
            entry(&run(3), Kind::Apply, false),
            entry(&run(4), Kind::Restore(2), false),
        ];
        let retention = Retention { age_s_max: 1, runs_kept: 0, journals_too: true };
        let collected = retention.choose(&objects, &entries, 1000);
        assert_eq!(collected.runs, BTreeSet::from([run(1)]));
    }

    fn check(retention: Retention, restored: &[u32], expected: &[&str]) {
        let run = |number| RunName::new("m", number).unwrap();
        let objects: Vec<Listed> = (1..=3)
            .flat_map(|number| {
                let at = i64::from(number) * 100;
                [
                    object(run(number).segment(1), at),
                    object(run(number).report(), at),
                    object(run(number).begun(), at),
                ]
            })
            .collect();
        let restored: Vec<RunName> = restored.iter().map(|number| run(*number)).collect();
        let entries = ledger_of(&[run(1), run(2), run(3)], &restored);
        let collected = retention.choose(&objects, &entries, 1000);
        let short: Vec<String> =
            collected.paths.iter().map(|path| path.replace("runs/m/00000", "")).collect();
        assert_eq!(short, expected);
    }

    #[test]
    fn the_journals_of_all_parts_stay_as_long_as_they_are_needed() {
        let run = RunName::new("m", 1).unwrap();
        let objects: Vec<Listed> = dm_contract::part::Part::all(2)
            .map(|part| run.in_part(part))
            .flat_map(|part| [object(part.segment(1), 0), object(part.report(), 0)])
            .collect();
        let retention = Retention { age_s_max: 1, runs_kept: 0, journals_too: false };
        let collected = |restored: &[RunName]| {
            retention.choose(&objects, &ledger_of(std::slice::from_ref(&run), restored), 1000)
        };
        assert_eq!(collected(&[]).paths.len(), 2, "the reports");
        let all = collected(std::slice::from_ref(&run));
        assert_eq!((all.paths.len(), all.runs), (4, BTreeSet::from([run])));
    }

    #[test]
    fn old_runs_go_but_for_the_last_ones_the_ledger_and_journals_still_needed() {
        let retention = Retention { age_s_max: 750, runs_kept: 1, journals_too: false };
        check(retention, &[], &["1/report.json", "2/report.json"]);
        let segment = "1/journal/00000001.ndjson.zst";
        check(retention, &[1], &[segment, "1/report.json", "2/report.json"]);
        check(Retention { runs_kept: 2, ..retention }, &[1], &[segment, "1/report.json"]);
        check(Retention { age_s_max: 850, ..retention }, &[], &["1/report.json"]);
        check(
            Retention { age_s_max: 850, journals_too: true, ..retention },
            &[],
            &[segment, "1/report.json"],
        );
    }
}
