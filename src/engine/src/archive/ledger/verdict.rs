//! Whether a run may begin, by what the ledger says of the runs before it. Pure: the entries are
//! read elsewhere, and nothing is begun here.

use std::collections::BTreeSet;

use dm_contract::identity::{Absent, DatabaseId, Difference, Recorded, Seen};
use dm_contract::plan::OnConflict;
use dm_contract::plan::{Mode, Plan};
use dm_contract::verdict::{Adopted, Differs, RecordedRun, UnknownRun, Verdict};

use crate::archive::RunName;
use crate::archive::ledger::{Begun, Completed, Kind, LedgerEntry, RunOutcome, is_undone};

/// What is asked of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The run that is to begin.
    pub run: &'a RunName,
    pub plan: &'a Plan,
}

impl Question<'_> {
    /// The tables whose ids the answer depends on.
    pub fn tables(&self, entries: &[LedgerEntry]) -> BTreeSet<String> {
        let recorded = standing(entries).into_iter().flat_map(|(entry, ..)| entry.tables.keys());
        let tried = self.plan.tried.iter().flat_map(|tried| tried.tables.keys());
        recorded.chain(tried).cloned().collect()
    }

    /// Whether the answer depends on more of the database than the plan says: its account, or
    /// tables.
    pub fn looks(&self, entries: &[LedgerEntry]) -> bool {
        let knows = |(entry, ..): &Standing<'_>| {
            let recorded = entry.recorded();
            let account = recorded.database.is_some_and(|database| database.account.is_some());
            account || !recorded.tables.is_empty()
        };
        let recorded = standing(entries).iter().any(knows);
        self.plan.restore.is_none() && (self.plan.tried.is_some() || recorded)
    }

    /// The database as far as the plan says.
    pub fn planned(&self) -> Seen {
        let at = &self.plan.upstream;
        let database = DatabaseId::new(&at.region, at.endpoint.as_deref());
        Seen { database, ..Seen::default() }
    }

    /// The answer. `entries` are those of the migration, in order; `now` is the database, where it
    /// was looked at.
    pub fn answer(&self, entries: &[LedgerEntry], now: Option<&Seen>) -> Verdict {
        match (&self.plan.restore, self.plan.mode) {
            (Some(restore), mode) => {
                self.of_restore(entries, restore.run, restore.on_conflict, mode)
            }
            (None, Mode::DryRun) => match self.recorded(entries, now) {
                Ok(Some((entry, completed, None))) => Verdict::Adopt(adopted(entry, completed)),
                Ok(_) | Err(_) => Verdict::Go,
            },
            (None, Mode::Apply) => self.of_apply(entries, now),
        }
    }

    fn of_apply(&self, entries: &[LedgerEntry], now: Option<&Seen>) -> Verdict {
        match self.recorded(entries, now) {
            Ok(Some((entry, completed, None))) => {
                return Verdict::Adopt(adopted(entry, completed));
            }
            // It was partly restored, so the state of the data is unknown.
            Ok(Some((_, _, Some(restore)))) if restore.run.number() > self.overrule() => {
                return Verdict::Unknown(unknown(restore));
            }
            Ok(Some((_, _, Some(_))) | None) => {}
            Err(differs) => return Verdict::Differs(differs),
        }
        let unknown_run = entries.iter().rev().find(|entry| {
            entry.completed.is_none() && !self.is_own(entry) && entry.run.number() > self.overrule()
        });
        if let Some(entry) = unknown_run {
            return Verdict::Unknown(unknown(entry));
        }
        if let Some(difference) = self.untried(now) {
            return Verdict::Differs(Differs { run: None, difference });
        }
        self.number(entries)
    }

    /// The last applied run that stands and is of this program, this database and these tables.
    /// Where the ones that stand are of others, how the last of them differs: unless a person has
    /// decided to run again all the same.
    fn recorded<'e>(
        &self,
        entries: &'e [LedgerEntry],
        now: Option<&Seen>,
    ) -> Result<Option<Standing<'e>>, Differs> {
        let mut other = None;
        for standing in standing(entries) {
            let (entry, ..) = standing;
            // Nobody ran it, and a person has withdrawn what was said of it.
            if entry.begun.baseline && entry.run.number() <= self.overrule() {
                continue;
            }
            let recorded = entry.recorded();
            let accepted = &self.plan.accept;
            let difference = now
                .and_then(|now| recorded.differs_in_place(now, Absent::MayBe, accepted))
                .or_else(|| recorded.differs_in_program(self.plan.program.as_ref(), accepted));
            let Some(difference) = difference else { return Ok(Some(standing)) };
            if other.is_none() && entry.run.number() > self.overrule() {
                other = Some(Differs { run: Some(recorded_run(entry)), difference });
            }
        }
        other.map_or(Ok(None), Err)
    }

    /// How the dry run that must come first differs from what is there now.
    fn untried(&self, now: Option<&Seen>) -> Option<Difference> {
        let tried = self.plan.tried.as_ref()?;
        let (database, tables) = (Some(&tried.database), &tried.tables);
        let recorded = Recorded { database, program: None, tables };
        recorded.differs_in_place(now?, Absent::IsReplaced, &self.plan.accept)
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
                "the archive's ledger has no run {of} of {} to restore",
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
                && !is_undone(entries, entry.run.number())
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

/// An applied run that was not restored; with the restore of it that did not come to its end, if
/// there was one.
type Standing<'e> = (&'e LedgerEntry, &'e Completed, Option<&'e LedgerEntry>);

/// Whether the migration was applied, by whichever run, and not restored since.
pub fn is_applied(entries: &[LedgerEntry]) -> bool {
    !standing(entries).is_empty()
}

/// All of them, the newest first.
fn standing(entries: &[LedgerEntry]) -> Vec<Standing<'_>> {
    entries.iter().rev().filter_map(|entry| stands(entry, entries)).collect()
}

fn stands<'e>(entry: &'e LedgerEntry, entries: &'e [LedgerEntry]) -> Option<Standing<'e>> {
    let completed = entry.completed.as_ref()?;
    if entry.begun.kind != Kind::Apply || completed.outcome != RunOutcome::Succeeded {
        return None;
    }
    if is_undone(entries, entry.run.number()) {
        return None;
    }
    let of_it = Kind::Restore(entry.run.number());
    // One that was itself restored has left nothing.
    let mut unfinished = entries
        .iter()
        .filter(|other| other.begun.kind == of_it && !is_undone(entries, other.run.number()));
    Some((entry, completed, unfinished.next_back()))
}

fn recorded_run(entry: &LedgerEntry) -> RecordedRun {
    let Begun { begun_at, namespace, name, .. } = entry.begun.clone();
    RecordedRun { run: entry.run.number(), begun_at, namespace, name }
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
mod tests;
