//! Conditions under which a report counts as a failed check:
//! `deletes,refused,not-idempotent,writes>N`.

use std::fmt;
use std::str::FromStr;

use dm_contract::report::{Fidelity, TableChange, TableEffect};

use serde::{Serialize, Serializer};

use crate::file::RunReport;
use crate::numbers::{count, counted, were};
use crate::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// More than this many of something.
    More(Counted, u64),
    /// The program is not known to be safe to run again.
    NotIdempotent,
    /// The run failed, or items of a transform did.
    Failed,
}

/// What a condition counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Items deleted, and tables deleted with all their items.
    Deletes,
    Creates,
    Updates,
    /// Items created, updated and deleted, and tables changed.
    Writes,
    /// Calls that were refused.
    Refused,
    /// Calls that were not answered exactly as DynamoDB would have.
    Approximate,
    /// Calls that were answered with an error.
    Errors,
}

const COUNTED: [(&str, Counted); 7] = [
    ("deletes", Counted::Deletes),
    ("creates", Counted::Creates),
    ("updates", Counted::Updates),
    ("writes", Counted::Writes),
    ("refused", Counted::Refused),
    ("approximate", Counted::Approximate),
    ("errors", Counted::Errors),
];

const NOT_IDEMPOTENT: &str = "not-idempotent";

const FAILED: &str = "failed";

/// A condition that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error(
        "`{0}` is not a condition; use deletes, creates, updates, writes, refused, approximate or \
         errors, each also with a number, in quotes, as in 'writes>1000', or not-idempotent, or \
         failed"
    )]
    Unknown(String),
    #[error("`{0}`: a whole number is needed after `>`, in quotes, as in 'writes>1000'")]
    Number(String),
    /// A number where none belongs.
    #[error("`{0}`: this condition takes no number")]
    NoNumber(String),
}

impl FromStr for Check {
    type Err = CheckError;

    fn from_str(text: &str) -> Result<Self, CheckError> {
        let (name, number) = match text.split_once('>') {
            Some((name, number)) => (name.trim(), Some(number.trim())),
            None => (text.trim(), None),
        };
        for (known, check) in [(NOT_IDEMPOTENT, Self::NotIdempotent), (FAILED, Self::Failed)] {
            if name == known {
                let none = number.is_none().then_some(check);
                return none.ok_or_else(|| CheckError::NoNumber(text.to_owned()));
            }
        }
        let counted = COUNTED.iter().find(|(known, _)| *known == name);
        let counted = counted.ok_or_else(|| CheckError::Unknown(text.to_owned()))?.1;
        let max = number.map_or(Ok(0), str::parse);
        Ok(Self::More(counted, max.map_err(|_| CheckError::Number(text.to_owned()))?))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counted, max) = match self {
            Self::More(counted, max) => (counted, max),
            Self::NotIdempotent => return f.write_str(NOT_IDEMPOTENT),
            Self::Failed => return f.write_str(FAILED),
        };
        let name = COUNTED.iter().find(|(_, known)| known == counted).map_or("", |(name, _)| name);
        match max {
            0 => f.write_str(name),
            max => write!(f, "{name}>{max}"),
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A condition that holds for a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub check: Check,
    /// What the report has, in a sentence.
    pub why: String,
}

/// The conditions that hold, in their order. A condition on counts that the report does not have in
/// full holds as well: nobody knows that it does not.
pub fn violations(report: &RunReport, checks: &[Check]) -> Vec<Violation> {
    let violation = |check: &Check| {
        let why = match *check {
            Check::NotIdempotent => not_idempotent(report)?,
            Check::Failed => failed(report)?,
            Check::More(counted, max) => more(report, counted, max)?,
        };
        Some(Violation { check: *check, why })
    };
    checks.iter().filter_map(violation).collect()
}

fn failed(report: &RunReport) -> Option<String> {
    match report.result.transform.as_ref().map(|done| done.failed) {
        Some(items @ 1..) => Some(format!("{} failed.", counted(items, "item"))),
        Some(0) | None => report.failed().then(|| "The run failed.".into()),
    }
}

fn not_idempotent(report: &RunReport) -> Option<String> {
    let again = words::second_pass(report);
    match again.as_ref().map(|again| again.safe) {
        Some(Some(true)) => None,
        Some(_) => again.map(|again| again.text),
        None => Some(
            "There was no second pass, so it is not known: pass --second-pass to the dry run."
                .into(),
        ),
    }
}

fn more(report: &RunReport, counted: Counted, max: u64) -> Option<String> {
    let found = number(report, counted);
    if report.result.left_out > 0 && found <= max {
        let left_out = report.result.left_out;
        return Some(format!("{left_out} tables or remarks are missing from the report."));
    }
    (found > max).then(|| what(report, counted, found, max))
}

fn sum(report: &RunReport, of: impl Fn(&TableEffect) -> u64) -> u64 {
    report.result.tables.iter().map(of).fold(0, u64::saturating_add)
}

fn number(report: &RunReport, counted: Counted) -> u64 {
    let tables = |table: &TableEffect| u64::from(table.change.is_some());
    let gone = |table: &TableEffect| {
        let gone = matches!(table.change, Some(TableChange::Deleted | TableChange::Replaced));
        u64::from(gone)
    };
    let remarks = |fidelity| {
        let of = report.result.remarks.iter().filter(|remark| remark.fidelity == fidelity);
        of.map(|remark| remark.count).sum()
    };
    match counted {
        Counted::Deletes => sum(report, |table| table.deleted + gone(table)),
        Counted::Creates => sum(report, |table| table.created),
        Counted::Updates => sum(report, |table| table.updated),
        Counted::Writes => {
            sum(report, |table| table.created + table.updated + table.deleted + tables(table))
        }
        Counted::Refused => remarks(Fidelity::Refused),
        Counted::Approximate => remarks(Fidelity::Approximate),
        Counted::Errors => report.result.errors.iter().map(|error| error.count).sum(),
    }
}

fn what(report: &RunReport, of: Counted, found: u64, max: u64) -> String {
    let would = match (report.is_dry_run(), found) {
        (true, _) => "would be",
        (false, 1) => "was",
        (false, _) => "were",
    };
    let what = match of {
        Counted::Deletes => format!("{} {would} deleted", items_or_tables(found)),
        Counted::Creates => format!("{} {would} created", counted(found, "item")),
        Counted::Updates => format!("{} {would} updated", counted(found, "item")),
        Counted::Writes => format!("{} {would} written", items_or_tables(found)),
        Counted::Refused => format!("{} rejected", were(found, "call")),
        Counted::Approximate => format!("{} answered approximately", were(found, "call")),
        Counted::Errors => format!("{} answered with an error", were(found, "call")),
    };
    match max {
        0 => format!("{what}."),
        max => format!("{what}, and at most {} allowed.", are(max)),
    }
}

fn items_or_tables(found: u64) -> String {
    format!("{} or table{}", counted(found, "item"), if found == 1 { "" } else { "s" })
}

fn are(max: u64) -> String {
    format!("{} {}", count(max), if max == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use dm_contract::plan::Mode;
    use dm_contract::report::TransformResult;

    #[test]
    fn conditions_are_read_and_written_alike() {
        for text in
            ["deletes", "refused", "not-idempotent", "failed", "writes>1000", "approximate>2"]
        {
            assert_eq!(text.parse::<Check>().unwrap().to_string(), text);
        }
        assert_eq!(" writes > 5 ".parse(), Ok(Check::More(Counted::Writes, 5)));
        assert_eq!("writes>0".parse(), Ok(Check::More(Counted::Writes, 0)));
    }

    #[test]
    fn a_wrong_condition_says_what_is_right() {
        for (text, expected) in [
            ("delete", "use deletes, creates"),
            ("", "is not a condition"),
            ("writes>many", "a whole number is needed"),
            ("writes>", "a whole number is needed"),
            ("writes>-1", "a whole number is needed"),
            ("not-idempotent>1", "takes no number"),
        ] {
            let error = text.parse::<Check>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    fn check(report: &RunReport, checks: &str, expected: &[&str]) {
        let checks: Vec<Check> = checks.split(',').map(|check| check.parse().unwrap()).collect();
        let found: Vec<String> = violations(report, &checks)
            .into_iter()
            .map(|violation| format!("{}: {}", violation.check, violation.why))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_report_fails_the_conditions_that_hold_for_it() {
        let report = samples::dry_run();
        check(
            &report,
            "deletes,deletes>2,creates,creates>1,writes>408,writes>409,\
             updates>1000,refused,approximate",
            &[
                "deletes: 2 items or tables would be deleted.",
                "creates: 1 item would be created.",
                "writes>408: 409 items or tables would be written, and at most 408 are allowed.",
            ],
        );
        let mut applied = samples::report(Mode::Apply);
        applied.result.remarks = samples::remarks();
        applied.result.errors = samples::errors();
        check(
            &applied,
            "deletes>1,refused,approximate,errors,errors>3",
            &[
                "deletes>1: 2 items or tables were deleted, and at most 1 is allowed.",
                "refused: 1 call was rejected.",
                "approximate: 3 calls were answered approximately.",
                "errors: 3 calls were answered with an error.",
            ],
        );
    }

    #[test]
    fn a_table_that_goes_is_a_delete_and_a_changed_one_a_write() {
        let mut report = samples::dry_run();
        report.result.tables.truncate(1);
        report.result.tables[0] =
            TableEffect { change: Some(TableChange::Deleted), ..TableEffect::default() };
        check(&report, "deletes,writes>1", &["deletes: 1 item or table would be deleted."]);
        report.result.tables[0].change = Some(TableChange::Updated);
        check(&report, "deletes,writes", &["writes: 1 item or table would be written."]);
    }

    #[test]
    fn a_failed_run_and_failed_items_fail_the_check() {
        let mut report = samples::dry_run();
        check(&report, "failed", &[]);
        let done = TransformResult { failed: 2, ..TransformResult::default() };
        report.result.transform = Some(done);
        check(&report, "failed", &["failed: 2 items failed."]);
        report.result.transform = None;
        report.result.problem = Some("x".into());
        check(&report, "failed", &["failed: The run failed."]);
    }

    #[test]
    fn what_is_not_known_fails() {
        let mut report = samples::dry_run();
        report.result.left_out = 3;
        check(
            &report,
            "refused,writes",
            &[
                "refused: 3 tables or remarks are missing from the report.",
                "writes: 409 items or tables would be written.",
            ],
        );
        check(
            &report,
            "not-idempotent",
            &["not-idempotent: There was no second pass, so it is not known: pass --second-pass \
                 to the dry run."],
        );
    }

    #[test]
    fn a_second_pass_decides_whether_it_is_idempotent() {
        let mut report = samples::dry_run();
        samples::second_pass(&mut report, true, Some(5));
        check(&report, "not-idempotent", &[]);
        samples::second_pass(&mut report, false, Some(5));
        check(
            &report,
            "not-idempotent",
            &["not-idempotent: 3 items in cars would change again, not safe to run again"],
        );
        samples::second_pass(&mut report, true, Some(0));
        check(
            &report,
            "not-idempotent",
            &["not-idempotent: the program sent no request, so whether it is safe to run again \
               is not known"],
        );
        report.result.dry_run.as_mut().unwrap().second_pass = None;
        let left = "the program changed done.json, which a new pod has as before";
        report.about.as_mut().unwrap().second_not_run = Some(left.into());
        check(
            &report,
            "not-idempotent",
            &["not-idempotent: not run: the program changed done.json, which a new pod has as \
               before, so whether the program is safe to run again is not known"],
        );
    }
}
