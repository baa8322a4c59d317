//! Merges the reports of a run's parts into one.

use dm_contract::part::Part;
use dm_contract::report::{Timeline, TimelineStep, merged};
use dm_report::file::RunReport;

/// Returns the report of the run from those of its parts. A part without a report is named as a
/// problem.
pub fn together(mut reports: Vec<RunReport>) -> Option<RunReport> {
    if reports.len() < 2 && reports.first()?.result.part.is_none() {
        return reports.pop();
    }
    let missing = missing(&reports);
    let timelines: Vec<Timeline> =
        reports.iter().filter_map(|report| report.timeline.clone()).collect();
    let about = reports.iter().find_map(|report| report.about.clone());
    let mut result = merged(reports.into_iter().map(|report| report.result).collect())?;
    if !missing.is_empty() {
        let missing = format!("No report is left of {}.", missing.join(", "));
        result.problem =
            Some(result.problem.map_or(missing.clone(), |own| format!("{own} {missing}")));
    }
    Some(RunReport { result, about, timeline: timeline(&timelines) })
}

fn missing(reports: &[RunReport]) -> Vec<String> {
    let known: Vec<Part> = reports.iter().filter_map(|report| report.result.part).collect();
    let of = known.iter().map(|part| part.of).max().unwrap_or(0);
    Part::all(of).filter(|part| !known.contains(part)).map(|part| part.to_string()).collect()
}

/// Adds up what the parts used over time. A part that ran longer has longer steps, and each of the
/// longest holds several of the others.
fn timeline(parts: &[Timeline]) -> Option<Timeline> {
    let step_ms = parts.iter().map(|part| part.step_ms).max().filter(|step| *step > 0)?;
    let mut steps: Vec<TimelineStep> = Vec::new();
    for part in parts {
        for (number, step) in (0_u64..).zip(&part.steps) {
            let at = usize::try_from(number * part.step_ms / step_ms).ok()?;
            if steps.len() <= at {
                steps.resize(at + 1, TimelineStep::default());
            }
            steps[at].read_units += step.read_units;
            steps[at].write_units += step.write_units;
            steps[at].throttles += step.throttles;
        }
    }
    Some(Timeline { step_ms, steps })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report(index: Option<u32>, read: u64) -> RunReport {
        let part = index.map_or(Value::Null, |index| json!({"index": index, "of": 3}));
        let report = json!({
            "version": 1, "mode": "Apply", "requests": 1, "writeCallsUpstream": 1,
            "readCallsUpstream": 1, "itemsRead": read, "readUnits": 1.0, "writeUnits": 1.0,
            "tables": [], "effectsDigest": "", "part": part,
        });
        RunReport::from_json(report.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn reports_of_parts_are_one_and_a_missing_one_is_named() {
        let whole = together(vec![report(Some(0), 2), report(Some(1), 3), report(Some(2), 4)]);
        let result = whole.unwrap().result;
        assert_eq!((result.items_read, result.problem, result.part), (9, None, None));
        let result = together(vec![report(Some(0), 2), report(Some(2), 4)]).unwrap().result;
        assert_eq!(result.problem.as_deref(), Some("No report is left of part-001."));
        let result = together(vec![report(Some(1), 2)]).unwrap().result;
        assert_eq!(result.problem.as_deref(), Some("No report is left of part-000, part-002."));
        assert_eq!(together(vec![report(None, 7)]).unwrap().result.items_read, 7);
        assert_eq!(together(vec![]), None);
    }

    #[test]
    fn what_parts_used_over_time_is_added_up() {
        let part = |step_ms, units: &[f64]| Timeline {
            step_ms,
            steps: units
                .iter()
                .map(|units| TimelineStep { write_units: *units, ..TimelineStep::default() })
                .collect(),
        };
        let sum = timeline(&[part(1_000, &[1.0, 2.0, 3.0]), part(2_000, &[10.0, 20.0])]).unwrap();
        let units: Vec<f64> = sum.steps.iter().map(|step| step.write_units).collect();
        assert_eq!((sum.step_ms, units), (2_000, vec![13.0, 23.0]));
        assert_eq!(timeline(&[]), None);
    }
}
