//! One renderer of reports: a summary for a terminal, Markdown for a pull request, a page of HTML,
//! and the words that they share. Pure: it takes a report and the lines of its difference, and
//! returns text. It opens no file, reads no clock and knows no database.

#![allow(
    clippy::format_push_string,
    reason = "text is put together in memory; writing to it cannot fail"
)]

mod changed;
pub mod checks;
pub mod compare;
pub mod file;
pub mod html;
pub mod items;
pub mod markdown;
pub mod numbers;
pub mod printed;
pub mod restore;
pub mod shown;
pub mod terminal;
pub mod transform;
pub mod words;

#[cfg(test)]
mod samples;

use checks::Violation;
use compare::Comparison;
use file::RunReport;
use items::Listing;

/// All that a rendering shows.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    pub report: &'a RunReport,
    pub listing: &'a Listing,
    /// What differs from an earlier report, if there is one to compare with.
    pub comparison: Option<&'a Comparison>,
    /// The checks that failed.
    pub violations: &'a [Violation],
}
