//! A report as it is printed for programs: the file as it is, with what was compared and checked.

use serde::Serialize;

use crate::Content;
use crate::checks::Violation;
use crate::compare::Comparison;
use crate::file::RunReport;

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Printed<'a> {
    #[serde(flatten)]
    report: &'a RunReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
    #[serde(skip_serializing_if = "<[Violation]>::is_empty")]
    failed_checks: &'a [Violation],
}

impl<'a> Printed<'a> {
    /// What is printed of this content.
    pub fn of(content: &Content<'a>) -> Self {
        Self {
            report: content.report,
            comparison: content.comparison,
            failed_checks: content.violations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::violations;
    use crate::compare::compare;
    use crate::items::Listing;
    use crate::samples;
    use serde_json::json;

    #[test]
    fn a_program_reads_the_report_and_what_was_found() {
        let report = samples::dry_run();
        let mut before = report.clone();
        before.result.tables[0].updated = 1;
        let comparison = compare(&before, &report);
        let violations = violations(&report, &["deletes".parse().unwrap()]);
        let content = Content {
            report: &report,
            listing: &Listing::default(),
            comparison: Some(&comparison),
            violations: &violations,
        };
        let printed = json!(Printed::of(&content));
        assert_eq!(
            printed["failedChecks"],
            json!([{"check": "deletes", "why": "2 items or tables would be deleted."}])
        );
        assert_eq!(
            printed["comparison"],
            json!({
                "differences": [
                    {"table": "cars", "what": "items updated", "before": "1", "after": "406"},
                ],
                "leftOut": 0, "sameEffects": true,
            })
        );
        let read = RunReport::from_json(printed.to_string().as_bytes()).unwrap();
        assert_eq!(read, report, "it can be read again as a report");
    }
}
