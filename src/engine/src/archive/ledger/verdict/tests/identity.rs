//! The identity matrix: what differs between a recorded run and the one that asks, and what the
//! ledger says to each kind of run. docs/reference/identity.md has it in words.

use super::*;
use dm_contract::identity::{DatabaseId, Mismatch, ProgramId, TableIds, TriedOn};

const ACCOUNT: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/cars";
const OTHER_ACCOUNT: &str = "arn:aws:dynamodb:eu-west-1:444455556666:table/cars";

/// What is there now, and who asks.
#[derive(Clone)]
struct Now {
    uid: &'static str,
    program: &'static str,
    image: &'static str,
    region: &'static str,
    arn: &'static str,
    table: &'static str,
}

/// As it was when run 1 was applied, by the object that applied it.
const SAME: Now = Now {
    uid: "own",
    program: "sha256:program",
    image: "sha256:image",
    region: "eu-west-1",
    arn: ACCOUNT,
    table: "id-1",
};

impl Now {
    fn database(&self) -> DatabaseId {
        DatabaseId::new(self.region, None).with_arn(self.arn)
    }

    fn program(&self) -> ProgramId {
        let images = [("program".to_owned(), self.image.to_owned())].into();
        ProgramId { digest: self.program.into(), images }
    }

    fn tables(&self) -> TableIds {
        [("cars".to_owned(), self.table.to_owned())].into()
    }

    fn seen(&self) -> Seen {
        let tables = [("cars".to_owned(), Some(self.table.to_owned()))].into();
        Seen { database: self.database(), tables, is_empty: false }
    }

    fn plan(&self, number: u32, mode: Mode) -> Plan {
        let plan = plan(number, mode, None, 0);
        let run = RunId { uid: self.uid.into(), ..plan.run };
        Plan { run, program: Some(self.program()), ..plan }
    }

    /// The ledger's entry of a run under these circumstances.
    fn entry(&self, number: u32) -> LedgerEntry {
        let entry = entry((number, "own", 0, OK));
        let begun = Begun {
            database: Some(self.database()),
            program: Some(self.program()),
            tables: self.tables(),
            ..entry.begun
        };
        LedgerEntry { begun, tables: self.tables(), ..entry }
    }
}

fn answer_now(entries: &[LedgerEntry], plan: &Plan, now: &Now) -> String {
    let run = RunName::new("m", plan.run.number).unwrap();
    word(Question { run: &run, plan }.answer(entries, Some(&now.seen())))
}

/// An apply with nothing on record, on a target that wants a dry run first, which was of `SAME`.
fn apply_after_dry_run(now: &Now) -> String {
    let tried = TriedOn { database: SAME.database(), tables: SAME.tables() };
    let plan = Plan { tried: Some(tried), ..now.plan(2, Mode::Apply) };
    answer_now(&[], &plan, now)
}

/// A restore of run 1, which was of `SAME`.
fn restore(now: &Now) -> String {
    let entry = SAME.entry(1);
    let differs = entry.recorded().differs_in_place(&now.seen(), Absent::IsReplaced, &[]);
    differs.map_or("go".into(), |differs| format!("{:?}", differs.reason))
}

/// An apply that finds run 1 on record, which was of `SAME`.
fn adopt(now: &Now) -> String {
    answer_now(&[SAME.entry(1)], &now.plan(2, Mode::Apply), now)
}

/// The row of a situation: dry run, apply after a dry run, restore, adoption.
fn check(what: &str, now: &Now, expected: [&str; 4]) {
    // A dry run writes nothing, and is never kept from anything.
    let dry_run = answer_now(&[], &now.plan(2, Mode::DryRun), now);
    let found = [dry_run, apply_after_dry_run(now), restore(now), adopt(now)];
    assert_eq!(found, expected, "{what}");
}

#[test]
fn each_cell_of_the_identity_matrix_passes_or_stops_with_its_reason() {
    let (database, table) = ("OtherDatabase", "TableReplaced");
    check("nothing differs", &SAME, ["go", "go", "go", "adopt 1"]);
    // The operator refuses to apply it: the dry run was of another digest (`DryRunRequired`).
    let edited = Now { program: "sha256:edited", ..SAME };
    check("program edited", &edited, ["go", "go", "go", "OtherProgram"]);
    let moved = Now { image: "sha256:moved", ..SAME };
    check("image tag moved", &moved, ["go", "go", "go", "OtherProgram"]);
    let replaced = Now { table: "id-2", ..SAME };
    check("table re-created", &replaced, ["go", table, table, table]);
    check("table restored under its name", &replaced, ["go", table, table, table]);
    let region = Now { region: "us-east-1", table: "id-2", ..SAME };
    check("other region", &region, ["go", database, database, database]);
    let account = Now { arn: OTHER_ACCOUNT, table: "id-2", ..SAME };
    check("other account", &account, ["go", database, database, database]);
    let created = Now { uid: "re-created", ..SAME };
    check("object re-created", &created, ["go", "go", "go", "adopt 1"]);
    check("cluster lost", &created, ["go", "go", "go", "adopt 1"]);
}

#[test]
fn of_two_clusters_at_once_the_second_is_told_of_the_first() {
    let begun = LedgerEntry { completed: None, ..SAME.entry(1) };
    let second = Now { uid: "other cluster", ..SAME };
    let asked = |entries: &[LedgerEntry], mode| answer_now(entries, &second.plan(2, mode), &second);
    // `datamigration-guard ledger` makes `Locked` of it where the first one's lock beats.
    assert_eq!(asked(std::slice::from_ref(&begun), Mode::Apply), "unknown 1");
    assert_eq!(asked(std::slice::from_ref(&begun), Mode::DryRun), "go");
    assert_eq!(asked(&[SAME.entry(1)], Mode::Apply), "adopt 1");
}

#[test]
fn what_a_person_accepts_is_adopted_and_what_is_overruled_runs() {
    let replaced = Now { table: "id-2", ..SAME };
    let (edited, region) =
        (Now { program: "other", ..SAME }, Now { region: "us-east-1", table: "id-2", ..SAME });
    for (now, reason) in [
        (replaced, Mismatch::TableReplaced),
        (edited, Mismatch::OtherProgram),
        (region, Mismatch::OtherDatabase),
    ] {
        let accepts = Plan { accept: vec![reason], ..now.plan(2, Mode::Apply) };
        assert_eq!(answer_now(&[SAME.entry(1)], &accepts, &now), "adopt 1", "{reason:?}");
        let mut overrules = now.plan(2, Mode::Apply);
        overrules.archive.as_mut().unwrap().overrule = 1;
        assert_eq!(answer_now(&[SAME.entry(1)], &overrules, &now), "go", "{reason:?}");
        // A run since that is of this very place is found behind, or before, one that is not.
        let both = [now.entry(1), SAME.entry(2)];
        assert_eq!(answer_now(&both, &now.plan(3, Mode::Apply), &now), "adopt 1", "{reason:?}");
    }
}

#[test]
fn old_entries_are_adopted_as_they_were() {
    let replaced = Now { table: "id-2", region: "us-east-1", ..SAME };
    let old = entry((1, "other", 0, OK));
    assert_eq!(answer_now(&[old], &replaced.plan(2, Mode::Apply), &replaced), "adopt 1");
}
