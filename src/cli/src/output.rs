//! Flags of verbs with a report: what is printed of it, and where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dm_contract::plan::Mode;
use dm_report::Content;
use dm_report::checks::{Check, CheckError, violations};
use dm_report::compare::{Comparison, compare};
use dm_report::file::{ReadError, RunReport};
use dm_report::items::{ItemsError, Listing};
use dm_report::printed::Printed;
use dm_report::restore::Restored;
use dm_report::{html, markdown};

use crate::print::{self, say};
use crate::report_files::write_page;
use crate::restore::words;

/// The exit code where a check of `--fail-on` failed. A program may end with it as well.
pub const EXIT_CHECK_FAILED: u8 = 4;

/// Flags of verbs that print a report.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "reporting")]
pub struct Flags {
    /// Format of the report on standard output. With a format other than text, the program's own
    /// standard output goes to standard error
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    /// File to write the report to as a page for a browser [default name: the report's, with .html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_parser = page)]
    #[allow(clippy::option_option, reason = "a flag whose value may be left out")]
    html: Option<Option<PathBuf>>,
    /// Report of an earlier run: the output shows what differs from it
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Exit with code 4 if a condition is true: deletes, creates, updates, writes, refused,
    /// approximate, errors, each also with a bound in quotes, as in 'writes>1000'; failed; for a
    /// dry run, not-idempotent, which implies --second-pass
    #[arg(long, value_name = "CONDITION", value_delimiter = ',', value_parser = check)]
    fail_on: Vec<Check>,
}

/// How a report or another answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary for people
    #[default]
    Text,
    /// JSON. A report includes its comparison and failed checks
    Json,
    /// The content of json as YAML
    Yaml,
    /// Markdown, for a comment on a pull request; at most 65 kB for a report
    Markdown,
}

/// Why a report was not printed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("{action} {path}")]
    File {
        /// What was being done.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("reading {0}")]
    Report(PathBuf, #[source] ReadError),
    #[error("reading the items of the report")]
    Items(#[from] ItemsError),
    #[error(
        "{path} cannot be read, so no item can be listed: make the dry run again, or move the \
         file away to list the report's examples"
    )]
    ItemsFile { path: PathBuf, source: ItemsError },
    /// A condition that the run cannot answer.
    #[error(
        "--fail-on not-idempotent needs a second pass, which only dry runs by `exec` and `run` \
         make: leave it out here, and check it in a dry run"
    )]
    NoSecondPass,
    /// Flags for runs of programs.
    #[error(
        "--compare and --fail-on are for the reports of dry runs and applies; this is a restore"
    )]
    OfRestore,
    #[error("writing the report as YAML")]
    Yaml(#[source] Box<serde_saphyr::ser::Error>),
    #[error("writing the report as JSON")]
    Json(#[from] serde_json::Error),
    #[error("writing the report")]
    Output(#[from] io::Error),
}

/// What is read before the run, so that a wrong path or file fails before it.
#[derive(Debug)]
pub struct Prepared<'a> {
    flags: &'a Flags,
    before: Option<RunReport>,
}

/// Whether a verb's run has a second pass, where a condition needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondPass {
    /// The run makes one.
    Made,
    /// It makes none: an apply, or the run of a guard.
    Never,
    /// The run has ended, and its report has the result.
    Reported,
}

impl SecondPass {
    /// That of a program or a transform in this mode.
    pub fn of(mode: Mode) -> Self {
        match mode {
            Mode::DryRun => Self::Made,
            Mode::Apply => Self::Never,
        }
    }
}

impl OutputError {
    /// Whether the command line was wrong, as clap has it.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoSecondPass | Self::OfRestore => true,
            Self::File { .. }
            | Self::Report(..)
            | Self::Items(_)
            | Self::ItemsFile { .. }
            | Self::Yaml(_)
            | Self::Json(_)
            | Self::Output(_) => false,
        }
    }
}

impl Flags {
    /// Checks the flags and reads the earlier report. To be called before a run begins in an
    /// archive: one that cannot start would stay there with an unknown outcome.
    pub fn prepare(&self, second_pass: SecondPass) -> Result<Prepared<'_>, OutputError> {
        if second_pass == SecondPass::Never && self.fail_on.contains(&Check::NotIdempotent) {
            return Err(OutputError::NoSecondPass);
        }
        let folder = self.html.iter().flatten().filter_map(|page| page.parent());
        for folder in folder.filter(|folder| !folder.as_os_str().is_empty()) {
            fs::read_dir(folder).map_err(file("finding the folder of --html,", folder))?;
        }
        if let Some(page) = self.html.iter().flatten().find(|page| page.is_dir()) {
            let source = io::ErrorKind::IsADirectory.into();
            return Err(file("writing the page of --html,", page)(source));
        }
        let before = match self.compare.as_deref().map(read).transpose() {
            Ok(before) => before,
            // A job must not fail because its earlier report was written before an upgrade.
            Err(OutputError::Report(path, ReadError::Version(version))) => {
                let path = path.display();
                say(&format!("{path} has version {version}, so nothing is compared with it"));
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Prepared { flags: self, before })
    }

    /// Whether the program's standard output must not mix with the report's.
    pub fn takes_standard_output(&self) -> bool {
        self.output != Format::Text
    }

    /// Whether a condition can only be judged after a second pass.
    pub fn needs_second_pass(&self, mode: Mode) -> bool {
        mode == Mode::DryRun && self.fail_on.contains(&Check::NotIdempotent)
    }
}

/// A report, and how to get the items that it lists.
pub struct Reported<'a, L> {
    pub report: &'a RunReport,
    /// Reads its items; called at most once, and only where they are shown.
    pub listing: L,
    /// The name of its page, where none is given.
    pub page: PathBuf,
}

impl Prepared<'_> {
    /// Whether the program's standard output must not mix with the report's.
    pub fn takes_standard_output(&self) -> bool {
        self.flags.takes_standard_output()
    }

    /// Prints the report and writes its page. `Some` exit code where a check failed.
    pub fn finish<L>(&self, reported: Reported<'_, L>) -> Result<Option<u8>, OutputError>
    where
        L: FnOnce() -> Result<Listing, OutputError>,
    {
        let Reported { report, listing, page } = reported;
        let lists = self.flags.html.is_some() || self.flags.output == Format::Markdown;
        let listing = if lists { listing()? } else { Listing::default() };
        let comparison = self.before.as_ref().map(|before| compare(before, report));
        let violations = violations(report, &self.flags.fail_on);
        let content = Content {
            report,
            listing: &listing,
            comparison: comparison.as_ref(),
            violations: &violations,
        };
        if let Some(named) = &self.flags.html {
            let page = named.as_ref().unwrap_or(&page);
            let written = write_page(page, html::page(&content));
            written.map_err(file("writing", page))?;
            say(&format!("page: {}", page.display()));
        }
        match self.flags.output {
            Format::Text => comparison.iter().for_each(|comparison| say(&compared(comparison))),
            Format::Json => {
                let json = serde_json::to_string_pretty(&Printed::of(&content))?;
                print::answer(&(json + "\n"))?;
            }
            Format::Yaml => {
                let yaml = serde_saphyr::to_string(&Printed::of(&content));
                print::answer(&yaml.map_err(|error| OutputError::Yaml(Box::new(error)))?)?;
            }
            Format::Markdown => print::answer(&markdown::comment(&content))?,
        }
        for violation in &violations {
            say(&format!("check failed: {}: {}", violation.check, violation.why));
        }
        Ok((!violations.is_empty()).then_some(EXIT_CHECK_FAILED))
    }
}

impl Prepared<'_> {
    /// Prints a restore and writes its page. It has neither items nor conditions.
    pub fn finish_restore(&self, restored: &Restored<'_>, page: &Path) -> Result<(), OutputError> {
        if self.before.is_some() || !self.flags.fail_on.is_empty() {
            return Err(OutputError::OfRestore);
        }
        if let Some(named) = &self.flags.html {
            let page = named.as_deref().unwrap_or(page);
            let written = write_page(page, html::restore::page(restored));
            written.map_err(file("writing", page))?;
            say(&format!("page: {}", page.display()));
        }
        let text = match self.flags.output {
            Format::Json => serde_json::to_string_pretty(restored.report)? + "\n",
            Format::Yaml => serde_saphyr::to_string(restored.report)
                .map_err(|error| OutputError::Yaml(Box::new(error)))?,
            Format::Text => words::of_report(restored),
            Format::Markdown => markdown::restore::comment(restored),
        };
        Ok(print::answer(&text)?)
    }
}

/// Checks the name of a page: it must not replace a report, and must not be a word that was meant
/// for another argument.
fn page(name: &str) -> Result<PathBuf, String> {
    let page = PathBuf::from(name);
    if page.extension().is_some_and(|suffix| suffix == "html") {
        return Ok(page);
    }
    Err("the name of a page ends in .html; without a name, --html must be the last flag".into())
}

/// What differs, for a terminal.
fn compared(comparison: &Comparison) -> String {
    if let Some(known) = comparison.without_difference() {
        return format!("since the last report: {known}");
    }
    let heads = ["TABLE", "WHAT", "BEFORE", "NOW"];
    let rows: Vec<Vec<String>> = comparison
        .differences
        .iter()
        .map(|difference| {
            let table = difference.table.clone().unwrap_or_else(|| "(whole run)".into());
            let values = [&difference.what, &difference.before, &difference.after];
            std::iter::once(table).chain(values.into_iter().cloned()).collect()
        })
        .collect();
    let table = crate::layout::table(&heads, &rows);
    let more = match comparison.left_out {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("since the last report:\n{table}{more}").trim_end().to_owned()
}

pub fn read(path: &Path) -> Result<RunReport, OutputError> {
    let json = fs::read(path).map_err(file("reading", path))?;
    RunReport::from_json(&json).map_err(|error| OutputError::Report(path.to_owned(), error))
}

/// An error of the system, with what was being done to which file.
pub fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError + use<> {
    let path = path.to_owned();
    move |source| OutputError::File { action, path, source }
}

fn check(text: &str) -> Result<Check, CheckError> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_report::compare::Difference;

    #[test]
    fn a_page_never_replaces_a_report() {
        for (name, right) in [("a/b.html", true), ("tried.json", false), ("x", false)] {
            assert_eq!(page(name).is_ok(), right, "{name}");
        }
    }

    #[test]
    fn the_folder_of_a_page_is_looked_for_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        for (name, right) in [("b.html", true), ("missing/b.html", false)] {
            let html = Some(Some(folder.path().join(name)));
            let flags = Flags { html, ..Flags::default() };
            assert_eq!(flags.prepare(SecondPass::Made).is_ok(), right, "{name}");
        }
    }

    #[test]
    fn a_missing_or_wrong_report_is_named_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.json");
        let flags = Flags { compare: Some(path.clone()), ..Flags::default() };
        let error = flags.prepare(SecondPass::Made).unwrap_err().to_string();
        assert!(error.starts_with("reading ") && error.contains("old.json"), "{error}");
        fs::write(&path, "{}").unwrap();
        let error = dm_contract::error_chain::chain(&flags.prepare(SecondPass::Made).unwrap_err());
        assert!(error.contains("this is not the report of a run"), "{error}");
    }

    #[test]
    fn a_second_pass_is_made_where_a_condition_needs_it() {
        let flags = Flags { fail_on: vec![Check::NotIdempotent], ..Flags::default() };
        assert!(flags.needs_second_pass(Mode::DryRun) && !flags.needs_second_pass(Mode::Apply));
        assert!(!Flags::default().needs_second_pass(Mode::DryRun));
    }

    #[test]
    fn a_condition_that_a_run_cannot_answer_is_refused_before_it() {
        let flags = Flags { fail_on: vec![Check::NotIdempotent], ..Flags::default() };
        for (second_pass, right) in [
            (SecondPass::of(Mode::DryRun), true),
            (SecondPass::Reported, true),
            (SecondPass::of(Mode::Apply), false),
        ] {
            assert_eq!(flags.prepare(second_pass).is_ok(), right, "{second_pass:?}");
        }
        let error = flags.prepare(SecondPass::Never).unwrap_err();
        assert!(error.is_usage(), "{error}");
        assert!(Flags::default().prepare(SecondPass::Never).is_ok());
    }

    #[test]
    fn differences_are_a_table() {
        let difference = |table: Option<&str>| Difference {
            table: table.map(Into::into),
            what: "items updated".into(),
            before: "1".into(),
            after: "2".into(),
        };
        let comparison = Comparison {
            differences: vec![difference(Some("cars")), difference(None)],
            left_out: 1,
            same_effects: false,
        };
        assert_eq!(
            compared(&comparison),
            "\
since the last report:
TABLE        WHAT           BEFORE  NOW
cars         items updated  1       2
(whole run)  items updated  1       2
and 1 more"
        );
    }
}
