//! Whether a run may begin, by what the ledger says of the runs before it. Pure: the entries are read
//! elsewhere, and nothing is begun here.

use dm_core::plan::{Mode, Plan};
use dm_core::restore::OnConflict;
use dm_core::verdict::{Adopted, UnknownRun, Verdict};

use super::{Completed, Kind, LedgerEntry, RunOutcome};
use crate::archive::RunName;

/// What is asked of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The run that is to begin.
    pub run: &'a RunName,
    /// Its plan.
    pub plan: &'a Plan,
}

impl Question<'_> {
    /// The answer. `entries` are those of the migration, in order.
    pub fn answer(&self, entries: &[LedgerEntry]) -> Verdict {
        match (&self.plan.restore, self.plan.mode) {
            (Some(restore), mode) => {
                self.of_restore(entries, restore.run, restore.on_conflict, mode)
            }
            (None, Mode::DryRun) => match standing(entries) {
                Some((entry, completed, None)) => Verdict::Adopt(adopted(entry, completed)),
                Some((_, _, Some(_))) | None => Verdict::Go,
            },
            (None, Mode::Apply) => self.of_apply(entries),
        }
    }

    fn of_apply(&self, entries: &[LedgerEntry]) -> Verdict {
        match standing(entries) {
            Some((entry, completed, None)) => return Verdict::Adopt(adopted(entry, completed)),
            // It was taken back in part: what the data is like now, nobody knows.
            Some((_, _, Some(restore))) if restore.run.number() > self.overrule() => {
                return Verdict::Unknown(unknown(restore));
            }
            Some((_, _, Some(_))) | None => {}
        }
        let unknown_run = entries.iter().rev().find(|entry| {
            entry.completed.is_none() && !self.is_own(entry) && entry.run.number() > self.overrule()
        });
        if let Some(entry) = unknown_run {
            return Verdict::Unknown(unknown(entry));
        }
        self.number(entries)
    }

    fn of_restore(
        &self,
        entries: &[LedgerEntry],
        of: u32,
        on_conflict: OnConflict,
        mode: Mode,
    ) -> Verdict {
        if !entries.iter().any(|entry| entry.run.number() == of) {
            let message = format!(
                "the archive's ledger has no run {of} of {} that could be taken back",
                self.run.migration()
            );
            return Verdict::Unavailable { message };
        }
        if mode == Mode::DryRun {
            return Verdict::Go;
        }
        // Not one that a person wants repeated, nor one that left what is to be overwritten now.
        let done = entries.iter().rev().find_map(|entry| {
            let completed = entry.completed.as_ref()?;
            let clean = completed.conflicts.unwrap_or_default() == 0;
            let same = entry.begun.kind == Kind::Restore(of)
                && completed.outcome == RunOutcome::Succeeded
                && entry.run.number() > self.overrule()
                && (clean || on_conflict == OnConflict::Skip || !self.is_same_object(entry));
            same.then_some((entry, completed))
        });
        match done {
            Some((entry, completed)) => Verdict::Adopt(adopted(entry, completed)),
            None => self.number(entries),
        }
    }

    /// Whether the run's number is free, or its own already.
    fn number(&self, entries: &[LedgerEntry]) -> Verdict {
        let highest = entries.last().map_or(0, |entry| entry.run.number());
        let own = entries.iter().any(|entry| self.is_own(entry) && entry.completed.is_none());
        if own || self.run.number() > highest { Verdict::Go } else { Verdict::Renumber { highest } }
    }

    fn overrule(&self) -> u32 {
        self.plan.archive.as_ref().map_or(0, |archive| archive.overrule)
    }

    fn is_own(&self, entry: &LedgerEntry) -> bool {
        entry.run == *self.run && self.is_same_object(entry)
    }

    fn is_same_object(&self, entry: &LedgerEntry) -> bool {
        entry.begun.uid == self.plan.run.uid
    }
}

/// The last applied run that was not taken back; with the restore of it that did not come to its end,
/// if there was one.
fn standing(entries: &[LedgerEntry]) -> Option<(&LedgerEntry, &Completed, Option<&LedgerEntry>)> {
    entries.iter().rev().find_map(|entry| {
        let completed = entry.completed.as_ref()?;
        if entry.begun.kind != Kind::Apply || completed.outcome != RunOutcome::Succeeded {
            return None;
        }
        let of_it = Kind::Restore(entry.run.number());
        let mut restores = entries.iter().filter(|other| other.begun.kind == of_it);
        let taken_back = restores.clone().any(|restore| {
            restore.completed.as_ref().is_some_and(|end| end.outcome == RunOutcome::Succeeded)
        });
        (!taken_back).then(|| (entry, completed, restores.next_back()))
    })
}

fn adopted(entry: &LedgerEntry, completed: &Completed) -> Adopted {
    let (begun, completed) = (entry.begun.clone(), completed.clone());
    Adopted {
        run: entry.run.number(),
        kind: begun.kind,
        namespace: begun.namespace,
        name: begun.name,
        uid: begun.uid,
        begun_at: begun.begun_at,
        completed_at: completed.completed_at,
        execution_time: completed.execution_time,
        finalization_time: completed.finalization_time,
        conflicts: completed.conflicts,
        message: completed.message,
        summary: completed.summary,
    }
}

fn unknown(entry: &LedgerEntry) -> UnknownRun {
    let begun = entry.begun.clone();
    UnknownRun {
        run: entry.run.number(),
        kind: begun.kind,
        begun_at: begun.begun_at,
        namespace: begun.namespace,
        name: begun.name,
        uid: begun.uid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Begun, LEDGER_VERSION};
    use dm_core::plan::{ArchivePlan, PLAN_VERSION, RestorePlan, RunId, Upstream};

    /// What the ledger has: number, uid, what it does (0: apply), and how it ended.
    type Run = (u32, &'static str, u32, Option<(RunOutcome, Option<u64>)>);

    const OK: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Succeeded, None));
    const CLEAN: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Succeeded, Some(0)));
    const CONFLICTS: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Succeeded, Some(2)));
    const FAILED: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Failed, None));

    fn entry((number, uid, restores, end): Run) -> LedgerEntry {
        let kind = if restores == 0 { Kind::Apply } else { Kind::Restore(restores) };
        LedgerEntry {
            run: RunName::new("m", number).unwrap(),
            begun: Begun {
                version: LEDGER_VERSION,
                kind,
                namespace: "n".into(),
                name: "m".into(),
                uid: uid.into(),
                begun_at: "t".into(),
            },
            completed: end
                .map(|(outcome, conflicts)| Completed { conflicts, ..Completed::now(outcome) }),
        }
    }

    fn plan(number: u32, mode: Mode, restore: Option<RestorePlan>, overrule: u32) -> Plan {
        Plan {
            version: PLAN_VERSION,
            run: RunId { namespace: "n".into(), name: "m".into(), uid: "own".into(), number },
            mode,
            upstream: Upstream { region: "eu-west-1".into(), endpoint: None },
            policy: dm_core::plan::Policy::default(),
            limits: dm_core::plan::RateLimits::default(),
            limits_max: dm_core::plan::RateLimits::default(),
            archive: Some(ArchivePlan {
                migration: "m".into(),
                overrule,
                ..ArchivePlan::default()
            }),
            second_pass: false,
            restore,
        }
    }

    fn answer(runs: &[Run], plan: &Plan) -> String {
        let entries: Vec<LedgerEntry> = runs.iter().copied().map(entry).collect();
        let run = RunName::new("m", plan.run.number).unwrap();
        match (Question { run: &run, plan }).answer(&entries) {
            Verdict::Go => "go".into(),
            Verdict::Adopt(adopted) => format!("adopt {}", adopted.run),
            Verdict::Unknown(unknown) => format!("unknown {}", unknown.run),
            Verdict::Renumber { highest } => format!("renumber {highest}"),
            Verdict::Locked(_) => "locked".into(),
            Verdict::Unavailable { .. } => "unavailable".into(),
        }
    }

    fn check_apply(runs: &[Run], number: u32, overrule: u32, expected: &str) {
        let asked = plan(number, Mode::Apply, None, overrule);
        assert_eq!(answer(runs, &asked), expected, "{runs:?} as {number}, overruling {overrule}");
    }

    #[test]
    fn what_was_applied_is_adopted_and_never_run_again() {
        check_apply(&[], 1, 0, "go");
        check_apply(&[(1, "own", 0, OK)], 1, 0, "adopt 1");
        check_apply(&[(1, "own", 0, OK)], 2, 0, "adopt 1");
        check_apply(&[(1, "other", 0, FAILED), (2, "other", 0, OK)], 1, 0, "adopt 2");
        // Not even when a person overrules: its outcome is known.
        check_apply(&[(1, "other", 0, OK)], 2, 9, "adopt 1");
    }

    #[test]
    fn what_was_taken_back_may_run_anew() {
        for end in [CLEAN, CONFLICTS] {
            check_apply(&[(1, "own", 0, OK), (2, "own", 1, end)], 3, 0, "go");
            check_apply(&[(1, "own", 0, OK), (2, "own", 1, end)], 2, 0, "renumber 2");
        }
        check_apply(&[(1, "x", 0, OK), (2, "x", 1, CLEAN), (3, "x", 0, OK)], 4, 0, "adopt 3");
        check_apply(&[(1, "own", 0, OK), (2, "own", 1, FAILED)], 3, 0, "unknown 2");
        check_apply(&[(1, "own", 0, OK), (2, "own", 1, None)], 3, 0, "unknown 2");
        check_apply(&[(1, "own", 0, OK), (2, "own", 1, None)], 3, 2, "go");
    }

    #[test]
    fn a_run_of_unknown_end_needs_a_person() {
        check_apply(&[(1, "own", 0, None)], 1, 0, "go");
        check_apply(&[(1, "other", 0, None)], 1, 0, "unknown 1");
        check_apply(&[(1, "own", 0, None)], 2, 0, "unknown 1");
        check_apply(&[(1, "own", 0, None)], 2, 1, "go");
        check_apply(&[(1, "other", 0, None)], 1, 1, "renumber 1");
        check_apply(&[(1, "a", 0, None), (2, "b", 0, None)], 3, 1, "unknown 2");
    }

    #[test]
    fn a_number_is_used_once() {
        check_apply(&[(1, "own", 0, FAILED)], 1, 0, "renumber 1");
        check_apply(&[(1, "own", 0, FAILED)], 2, 0, "go");
        check_apply(&[(1, "other", 0, FAILED), (4, "other", 0, FAILED)], 2, 0, "renumber 4");
    }

    #[test]
    fn a_dry_run_of_what_was_applied_is_not_needed() {
        let dry = plan(2, Mode::DryRun, None, 0);
        assert_eq!(answer(&[(1, "other", 0, OK)], &dry), "adopt 1");
        for runs in [
            &[][..],
            &[(1, "other", 0, None)],
            &[(3, "other", 0, FAILED)],
            &[(1, "own", 0, OK), (2, "own", 1, CLEAN)],
            &[(1, "own", 0, OK), (2, "own", 1, FAILED)],
        ] {
            assert_eq!(answer(runs, &dry), "go", "{runs:?}");
        }
    }

    #[test]
    fn a_restore_needs_its_run_and_is_done_once() {
        let restore = |number, mode, on_conflict, overrule| {
            plan(number, mode, Some(RestorePlan { run: 1, on_conflict }), overrule)
        };
        let skip = restore(3, Mode::Apply, OnConflict::Skip, 0);
        let overwrite = restore(3, Mode::Apply, OnConflict::Overwrite, 0);
        let applied: Run = (1, "own", 0, OK);
        assert_eq!(answer(&[], &skip), "unavailable");
        assert_eq!(answer(&[applied], &skip), "go");
        assert_eq!(answer(&[(1, "own", 0, None)], &skip), "go");
        assert_eq!(answer(&[(1, "own", 0, FAILED)], &skip), "go");
        assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &skip), "adopt 2");
        assert_eq!(answer(&[applied, (2, "own", 1, CONFLICTS)], &skip), "adopt 2");
        assert_eq!(answer(&[applied, (2, "own", 1, CONFLICTS)], &overwrite), "go");
        // Of another object nobody knows whether it has overwritten them already.
        assert_eq!(answer(&[applied, (2, "other", 1, CONFLICTS)], &overwrite), "adopt 2");
        assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &overwrite), "adopt 2");
        let wanted = restore(3, Mode::Apply, OnConflict::Skip, 2);
        assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &wanted), "go");
        // Interrupted ones go on, under the same number or another.
        assert_eq!(answer(&[applied, (3, "own", 1, None)], &skip), "go");
        assert_eq!(answer(&[applied, (2, "own", 1, None)], &skip), "go");
        assert_eq!(answer(&[applied, (3, "own", 1, FAILED)], &skip), "renumber 3");
        let preview = restore(3, Mode::DryRun, OnConflict::Skip, 0);
        assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &preview), "go");
        assert_eq!(answer(&[], &preview), "unavailable");
    }
}
