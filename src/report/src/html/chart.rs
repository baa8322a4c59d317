//! How fast a run went: units a second as a chart, throttles below it, and the same as a table.

use std::fmt::Write as _;

use dm_contract::plan::Mode;
use dm_contract::report::{Timeline, TimelineStep};
use maud::{Markup, html};

use crate::file::RunReport;
use crate::numbers::{count, span, units};

/// The drawing's own units.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 160.0;

/// Rows of the table: steps are put together until there are no more.
const ROWS_MAX: usize = 24;

/// The section; nothing where the report has no history, or one of a single step.
pub fn section(report: &RunReport) -> Markup {
    let Some(timeline) = report.timeline.as_ref().filter(|line| line.steps.len() > 1) else {
        return html! {};
    };
    let steps = &timeline.steps;
    let throttles: u64 = steps.iter().map(|step| step.throttles).sum();
    let top = highest(timeline);
    let whole = timeline.step_ms.saturating_mul(steps.len() as u64) / 1000;
    let label = format!(
        "Up to {} units a second; {} throttles. The table has the numbers.",
        units(top),
        count(throttles)
    );
    let writes =
        if report.result.mode == Mode::DryRun { "Write units of the apply" } else { "Write units" };
    html! {
        section.card aria-labelledby="rate" {
            h2 #rate { "Rate" }
            ul.legend {
                li { span.line.updated aria-hidden="true" {} (writes) " a second" }
                li { span.line.reads aria-hidden="true" {} "Read units a second" }
                @if throttles > 0 {
                    li {
                        span.line.deleted aria-hidden="true" {}
                        (count(throttles)) " throttles by the database"
                    }
                }
            }
            p.top aria-hidden="true" { (units(top)) }
            svg.chart role="img" aria-label=(label) viewBox="0 0 1000 170"
                preserveAspectRatio="none" {
                @let writes = line(timeline, top, |step| step.write_units);
                path.area d=(format!("{writes} L1000 160 L0 160 Z")) {}
                path.stroke.updated d=(writes) {}
                path.stroke.reads d=(line(timeline, top, |step| step.read_units)) {}
                @for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.throttles > 0) {
                    rect.deleted x=(place(at, steps.len())) y="163" height="7"
                        width=(format!("{:.1}", (WIDTH / number(steps.len())).max(2.0))) {
                        title { (count(step.throttles)) " throttles" }
                    }
                }
            }
            p.span aria-hidden="true" {
                span { "0" } span { (span(i64::try_from(whole).unwrap_or(i64::MAX))) }
            }
            details {
                summary { "The numbers as a table" }
                (table(timeline))
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "small: steps and milliseconds of a chart")]
fn number(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(units: f64, ms: u64) -> f64 {
    units * 1000.0 / (ms.max(1) as f64)
}

fn highest(timeline: &Timeline) -> f64 {
    let rates = timeline.steps.iter().flat_map(|step| [step.read_units, step.write_units]);
    rates
        .map(|units| per_second(units, timeline.step_ms))
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE)
}

fn place(at: usize, steps: usize) -> String {
    format!("{:.1}", number(at) * WIDTH / number(steps))
}

/// A line of steps: what was used in each, a second.
fn line(timeline: &Timeline, top: f64, of: fn(&TimelineStep) -> f64) -> String {
    let steps = timeline.steps.len();
    let mut path = String::new();
    for (at, step) in timeline.steps.iter().enumerate() {
        let height = HEIGHT - per_second(of(step), timeline.step_ms) / top * (HEIGHT - 4.0);
        let begin = if at == 0 { 'M' } else { 'L' };
        let (left, right) = (place(at, steps), place(at + 1, steps));
        write!(path, "{begin}{left} {height:.1} L{right} {height:.1} ").ok();
    }
    path.trim_end().to_owned()
}

fn table(timeline: &Timeline) -> Markup {
    let each = timeline.steps.len().div_ceil(ROWS_MAX);
    let ms = timeline.step_ms.saturating_mul(each as u64);
    html! {
        div.scroll tabindex="0" role="group" aria-labelledby="rate" {
            table {
                thead { tr {
                    th scope="col" { "From" } th.number scope="col" { "Write units a second" }
                    th.number scope="col" { "Read units a second" }
                    th.number scope="col" { "Throttles" }
                } }
                tbody {
                    @for (at, rows) in timeline.steps.chunks(each).enumerate() {
                        @let sum = |of: fn(&TimelineStep) -> f64| rows.iter().map(of).sum::<f64>();
                        @let ms_of_row = timeline.step_ms.saturating_mul(rows.len() as u64);
                        @let from = ms.saturating_mul(at as u64) / 1000;
                        tr {
                            th scope="row" { (span(i64::try_from(from).unwrap_or(i64::MAX))) }
                            @let writes = sum(|step| step.write_units);
                            @let reads = sum(|step| step.read_units);
                            td.number { (units(per_second(writes, ms_of_row))) }
                            td.number { (units(per_second(reads, ms_of_row))) }
                            td.number { (count(rows.iter().map(|step| step.throttles).sum())) }
                        }
                    }
                }
            }
        }
    }
}
