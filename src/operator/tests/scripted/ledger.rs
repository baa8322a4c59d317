//! A fake of an archive's ledger, and of the two tasks of the guard's program that ask and tell it.
//! It keeps to what docs/reference/archive.md says: what was begun is never forgotten, and what was
//! applied is adopted.

use std::collections::{BTreeMap, BTreeSet};

use dm_contract::plan::Plan;
use dm_contract::verdict::{
    Adopted, EXIT_CONTRADICTED, LedgerKind, LedgerVerdict, RunOutcome, UnknownRun, Verdict,
};
use serde_json::Value;

/// A time of the ledger: its entries are not about times.
const TIME: &str = "2026-10-01T10:00:00.000Z";

/// One run, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Uid of the object that began it.
    pub uid: String,
    /// How it ended, if that was told.
    pub completed: Option<RunOutcome>,
}

/// The ledger of one migration.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The runs by their number.
    pub entries: BTreeMap<u32, Entry>,
    /// The parts of each run that ended well.
    pub parts: BTreeMap<u32, BTreeSet<u32>>,
    /// Runs that were restored: they are not adopted.
    pub restored: BTreeSet<u32>,
    /// Whether the archive does not answer.
    pub unreachable: bool,
    /// Whether the journals of its runs are gone.
    pub journals_gone: bool,
}

impl Ledger {
    /// What the ledger says to a run; one that may begin is begun.
    pub fn ask(&mut self, plan: &Plan) -> LedgerVerdict {
        LedgerVerdict::new(self.verdict(plan))
    }

    fn verdict(&mut self, plan: &Plan) -> Verdict {
        if self.unreachable {
            return Verdict::Unavailable { message: "no answer in time".into() };
        }
        let (number, uid) = (plan.run.number, plan.run.uid.clone());
        let overrule = plan.archive.as_ref().unwrap().overrule;
        let own = |run: u32, entry: &Entry| run == number && entry.uid == uid;
        let succeeded = |entry: &Entry| entry.completed == Some(RunOutcome::Succeeded);
        let applied =
            |(run, entry): &(&u32, &Entry)| succeeded(entry) && !self.restored.contains(run);
        if let Some((run, entry)) = self.entries.iter().rev().find(applied) {
            return Verdict::Adopt(adopted(plan, *run, &entry.uid));
        }
        let unknown = |(run, entry): &(&u32, &Entry)| {
            entry.completed.is_none() && **run > overrule && !own(**run, entry)
        };
        if let Some((run, entry)) = self.entries.iter().rev().find(unknown) {
            return Verdict::Unknown(UnknownRun {
                run: *run,
                kind: LedgerKind::Apply,
                begun_at: TIME.into(),
                namespace: plan.run.namespace.clone(),
                name: plan.run.name.clone(),
                uid: entry.uid.clone(),
            });
        }
        match self.entries.last_key_value() {
            Some((run, entry)) if *run >= number && !own(*run, entry) => {
                Verdict::Renumber { highest: *run }
            }
            _ => {
                self.entries.entry(number).or_insert(Entry { uid, completed: None });
                Verdict::Go
            }
        }
    }

    /// Notes how a run ended; whether the archive took it.
    pub fn complete(&mut self, run: u32, outcome: RunOutcome) -> bool {
        if self.unreachable {
            return false;
        }
        let entry = self.entries.get_mut(&run).expect("only what was begun is completed");
        assert!(entry.completed.is_none_or(|before| before == outcome), "completed otherwise");
        entry.completed = Some(outcome);
        true
    }

    /// What a guard notes at the end of its run, or of its part of it; whether it noted something.
    /// A failure that may be repeated is not the run's end.
    pub fn end(&mut self, plan: &Plan, part: Option<u32>, outcome: RunOutcome) -> bool {
        let repeatable = plan.archive.as_ref().is_some_and(|archive| archive.repeatable);
        if repeatable && outcome == RunOutcome::Failed {
            return false;
        }
        let (Some(part), Some(parts)) = (part, plan.parts) else {
            return self.complete(plan.run.number, outcome);
        };
        if self.unreachable {
            return false;
        }
        let ended = self.parts.entry(plan.run.number).or_default();
        ended.insert(part);
        if ended.len() == usize::try_from(parts).unwrap() {
            self.complete(plan.run.number, outcome);
        }
        true
    }

    /// What the Job does that notes a run's end: its exit code.
    pub fn record(&mut self, plan: &Plan, args: &Value) -> u8 {
        let args: Vec<&str> =
            args.as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let outcome = match args[..3] {
            ["record", "--outcome", "Succeeded"] => RunOutcome::Succeeded,
            ["record", "--outcome", "Failed"] => RunOutcome::Failed,
            _ => panic!("not as the guard's program takes it: {args:?}"),
        };
        let run = plan.run.number;
        let before = self.entries.get(&run).and_then(|entry| entry.completed);
        if before.is_some_and(|before| before != outcome) {
            return EXIT_CONTRADICTED;
        }
        u8::from(!self.complete(run, outcome))
    }
}

fn adopted(plan: &Plan, run: u32, uid: &str) -> Adopted {
    Adopted {
        run,
        kind: LedgerKind::Apply,
        namespace: plan.run.namespace.clone(),
        name: plan.run.name.clone(),
        uid: uid.into(),
        begun_at: TIME.into(),
        completed_at: TIME.into(),
        execution_time: Some(TIME.into()),
        finalization_time: Some(TIME.into()),
        conflicts: None,
        message: None,
        summary: None,
    }
}
