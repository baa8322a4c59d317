//! The end of a run on a laptop: its report and summary first, then the archive, which may be away.

use std::io::{self, BufReader, BufWriter, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

use dm_contract::plan::Plan;
use dm_contract::report::GuardResult;
use dm_engine::Engine;
use dm_report::file::{End, RunReport};
use dm_report::items::Listing;
use dm_report::terminal;

use crate::about::{self, about};
use crate::journaled::{Journaled, JournaledError, Outcome, Ran};
use crate::output::{OutputError, Prepared, Reported};
use crate::patience::Patience;
use crate::print::say;
use crate::report_files::{self, ReportError};

/// Something here failed, not the program: what `docker run` and others give then.
pub const EXIT_OURS: u8 = 125;

/// The restore of a run without an archive.
const NOT_ARCHIVED: &str = "not possible: without --archive no before-images were kept";

/// The restore of a run whose journal is gone.
const GONE: &str = "not possible: the run's journal is missing from the archive";

/// Why a run's result was not shown.
#[derive(Debug, thiserror::Error)]
pub enum EndingError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What the end of a run needs.
pub struct Ending<'a> {
    /// What the engine did.
    pub plan: &'a Plan,
    /// The run in the archive, whose end is noted there.
    pub journaled: Option<&'a Journaled>,
    /// The engine, which has the items.
    pub engine: &'a Arc<Engine>,
    /// The files of the report.
    pub report: Option<report_files::Prepared>,
    /// What is printed of it.
    pub output: &'a Prepared<'a>,
}

/// A run that has ended.
pub struct Ended<'a> {
    /// What its guard saw.
    pub result: GuardResult,
    /// When, and how its program ended.
    pub ran: about::Ran<'a>,
    /// The same for the ledger.
    pub outcome: Outcome,
}

/// What became of a run's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    failed_check: Option<u8>,
    has_problem: bool,
    is_recorded: bool,
}

impl Finished {
    /// The code to end with, after a program that ended with this one. What the guard could not do
    /// the program may not have noticed.
    pub fn code(self, of_program: u8) -> u8 {
        match of_program {
            0 if self.has_problem || !self.is_recorded => EXIT_OURS,
            0 => self.failed_check.unwrap_or(0),
            code => code,
        }
    }
}

/// The result of a run whose journal was not awaited.
pub fn cut_off(engine: &Engine) -> GuardResult {
    let mut result = engine.result();
    result.problem.get_or_insert_with(|| dm_guard::JOURNAL_NOT_CLOSED.to_owned());
    result
}

impl Ending<'_> {
    /// Shows the result, then notes the end in the archive: a result must not be lost with it.
    pub async fn finish(
        self,
        ended: Ended<'_>,
        patience: &mut Patience<'_>,
    ) -> Result<Finished, EndingError> {
        let Self { plan, journaled, engine, report, output } = self;
        let Ended { mut result, ran, outcome } = ended;
        if ran.second_end.is_some_and(End::failed) {
            result.second_run_failed();
        }
        let of_run =
            RunReport { result, about: Some(about(plan, &ran)), timeline: engine.timeline() };
        let restore = match journaled {
            None => Err(NOT_ARCHIVED),
            Some(_) if is_gone(&of_run.result) => Err(GONE),
            Some(journaled) => Ok(journaled.restore_command(plan)),
        };
        let restore = restore.as_deref().map_err(|why| *why);
        let shown = Shown { report: &of_run, engine, restore };
        let shown = shown.finish(report, output);
        let is_recorded = match journaled {
            None => true,
            Some(journaled) => {
                let (started_at, finished_at) = (ran.started_at, ran.finished_at);
                let ran = Ran { started_at, finished_at, result: &of_run.result };
                let most = patience.left();
                let end = Box::pin(journaled.end(&outcome, Some(ran), most));
                let recorded = patience.wait(end).await;
                let recorded = recorded.unwrap_or_else(|over| Err(over.into()));
                if let Err(error) = &recorded {
                    say(&not_recorded(journaled, error, &of_run.result, restore));
                } else {
                    let kept = journaled.keep_report(plan, engine, &of_run.result);
                    if patience.wait_long(Box::pin(kept)).await.is_err() {
                        say("not kept in the archive: the report");
                    }
                }
                recorded.is_ok()
            }
        };
        let has_problem = of_run.result.problem.is_some();
        Ok(Finished { failed_check: shown?, has_problem, is_recorded })
    }
}

/// What it means that the archive does not know the end, and what to do.
fn not_recorded(
    journaled: &Journaled,
    error: &JournaledError,
    result: &GuardResult,
    restore: Result<&str, &str>,
) -> String {
    let means = journaled.not_recorded(error);
    match restore {
        _ if result.write_calls_upstream == 0 => format!("{means} The run wrote nothing."),
        Ok(restore) => format!(
            "{means} What the run wrote stays in the table. To restore it, make the archive \
             writable again, then: {restore}"
        ),
        Err(why) => {
            format!("{means} What the run wrote stays in the table. A restore is {why}.")
        }
    }
}

/// Whether the journal was found missing when it was closed.
fn is_gone(result: &GuardResult) -> bool {
    result.journal.as_ref().is_some_and(|journal| journal.problem.is_some())
}

/// A report with what its outputs need beside it.
struct Shown<'a> {
    report: &'a RunReport,
    engine: &'a Engine,
    /// The command, or why there is none.
    restore: Result<&'a str, &'a str>,
}

impl Shown<'_> {
    /// Writes the report's files and prints it; `Some` exit code where a check failed.
    fn finish(
        &self,
        files: Option<report_files::Prepared>,
        output: &Prepared<'_>,
    ) -> Result<Option<u8>, EndingError> {
        let Self { report, engine, restore } = *self;
        let written = report_files::write(files, report, engine)?;
        let named = written.as_ref().map(ToString::to_string);
        let beside = terminal::Beside {
            files: named.as_deref(),
            restore: Some(restore.unwrap_or_else(|why| why)),
        };
        say(&format!("\n{}", terminal::text(report, beside).trim_end()));
        let page = written.as_ref().map_or_else(
            || PathBuf::from("report.html"),
            |written| written.result.with_extension("html"),
        );
        let listing = || listing(report, engine);
        Ok(output.finish(Reported { report, listing, page })?)
    }
}

/// The items that a dry run would change.
fn listing(report: &RunReport, engine: &Engine) -> Result<Listing, OutputError> {
    if !report.is_dry_run() {
        return Ok(Listing::default());
    }
    let mut file = tempfile::tempfile()?;
    engine.write_difference(BufWriter::new(&mut file)).map_err(io::Error::other)?;
    file.rewind()?;
    Ok(Listing::read(BufReader::new(zstd::Decoder::new(file)?))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_failed_keeps_its_code_and_one_that_did_not_has_ours_where_we_failed() {
        let fine = Finished { failed_check: None, has_problem: false, is_recorded: true };
        let check = |finished: Finished, of_program, expected| {
            assert_eq!(finished.code(of_program), expected, "{finished:?} {of_program}");
        };
        check(fine, 0, 0);
        check(Finished { failed_check: Some(4), ..fine }, 0, 4);
        for failed in
            [Finished { is_recorded: false, ..fine }, Finished { has_problem: true, ..fine }]
        {
            check(failed, 0, EXIT_OURS);
            check(failed, 3, 3);
            check(Finished { failed_check: Some(4), ..failed }, 0, EXIT_OURS);
        }
    }
}
