//! A run on a laptop that is journaled: its name in an archive, and its end in the ledger.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use dm_contract::error_chain::chain;
use dm_contract::plan::{ArchivePlan, JournalMode, Mode, Plan, Upstream};
use dm_contract::report::{Archived, GuardResult};
use dm_engine::Engine;
use dm_engine::archive::ledger::{self, Begin, Begun, Completed, RunOutcome};
use dm_engine::archive::{Archive, LayoutError, RunName};
use dm_engine::journal::JournaledRun;

use crate::archive_place::ArchiveVerbError;
use crate::patience::Over;
use crate::print::say;
use crate::quoted::word;

/// Numbers tried until one is free: another process took each of them a moment before.
const NUMBERS_TRIED_MAX: u32 = 64;

/// Flags of verbs whose runs can be journaled.
#[derive(Clone, Debug, Args)]
#[group(id = "journal")]
pub struct Flags {
    /// Archive for the run's journal, so that the run can be restored: s3://bucket/prefix or
    /// file:///folder. Only for runs that write
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
    /// Endpoint of an S3-compatible server, as http(s)://host[:port] [default: AWS's]
    #[arg(long, value_name = "URL", requires = "archive")]
    archive_endpoint: Option<String>,
    /// Region of the archive's bucket [default: the database's]
    #[arg(long, value_name = "REGION", requires = "archive")]
    archive_region: Option<String>,
    /// The migration's name in the archive [default: exec; of `run`, the manifest's; of `guard`,
    /// guard]
    #[arg(long, value_name = "NAME", requires = "archive")]
    migration: Option<String>,
    /// What the journal promises, and what it costs
    #[arg(
        long = "journal", value_name = "MODE", value_enum, requires = "archive",
        default_value_t = JournalFlag::Strict
    )]
    journal_mode: JournalFlag,
}

impl Flags {
    /// A strict journal in this archive.
    pub fn in_archive(url: String) -> Self {
        Self {
            archive: Some(url),
            archive_endpoint: None,
            archive_region: None,
            migration: None,
            journal_mode: JournalFlag::Strict,
        }
    }

    /// Whether an archive is given.
    pub fn names_an_archive(&self) -> bool {
        self.archive.is_some()
    }
}

/// What a journal promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum JournalFlag {
    /// Image and digest are durable before a write is sent
    Strict,
    /// The image is durable before a write of an item that was just read; the digest follows
    Ahead,
    /// As ahead, but without a check of the image: eventually consistent reads, whole batches
    Cheap,
}

/// Why a run could not be named or ended in the archive.
#[derive(Debug, thiserror::Error)]
pub enum JournaledError {
    /// The archive or its ledger.
    #[error(transparent)]
    Archive(#[from] ArchiveVerbError),
    #[error(transparent)]
    Name(#[from] LayoutError),
    /// Others take each number first.
    #[error(
        "no free run number for {0}: other processes begin runs concurrently. Run the command again"
    )]
    NoNumber(String),
    /// A person does not want to wait.
    #[error("a second signal ended the wait for the archive")]
    GaveUp,
    /// It takes longer than the end of a run is waited for.
    #[error("the archive did not answer in time")]
    TooLate,
    /// Nothing would be in it.
    #[error("--archive is for applies: a dry run has no journal. Leave it out, or apply with {0}")]
    DryRun(&'static str),
}

/// A run that is journaled.
#[derive(Debug)]
pub struct Journaled {
    archive: Archive,
    run: JournaledRun,
    begun: Begun,
    restore: Option<String>,
}

impl From<Over> for JournaledError {
    fn from(over: Over) -> Self {
        match over {
            Over::Signal => Self::GaveUp,
            Over::Time => Self::TooLate,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Succeeded,
    /// It did not, for this reason.
    Failed(String),
    /// Its program ended with 0, but its guard had a problem: a person has to look.
    Unknown,
    /// Its clients were not started here, so nothing is known of how they ended.
    Unseen,
}

/// What is known of a run whose program was started.
#[derive(Debug)]
pub struct Ran<'a> {
    /// When it was started.
    pub started_at: &'a str,
    /// When it had ended.
    pub finished_at: &'a str,
    /// What its guard saw.
    pub result: &'a GuardResult,
}

/// Where a verb's runs are kept if no flag says so, and what makes the verb write.
#[derive(Clone, Copy, Debug)]
pub struct Verb<'a> {
    /// The migration's name in the archive.
    pub migration: &'a str,
    /// The flag that makes it write.
    pub apply: &'static str,
}

/// Begins the plan's run in the archive, if there is to be one: its number is taken from now on,
/// and the caller has to record how it ended.
pub async fn begin(
    flags: &Flags,
    verb: Verb<'_>,
    plan: &mut Plan,
) -> Result<Option<Journaled>, JournaledError> {
    let Some(url) = &flags.archive else {
        if plan.mode == Mode::Apply {
            say("without --archive no before-images are kept, and this run cannot be restored");
        }
        return Ok(None);
    };
    if plan.mode == Mode::DryRun {
        return Err(JournaledError::DryRun(verb.apply));
    }
    let named = ArchivePlan {
        url: url.clone(),
        endpoint: flags.archive_endpoint.clone(),
        region: flags.archive_region.clone(),
        migration: flags.migration.as_deref().unwrap_or(verb.migration).to_owned(),
        again: true,
        ..ArchivePlan::default()
    };
    let archive =
        Archive::open(&named, &plan.upstream.region).await.map_err(ArchiveVerbError::Archive)?;
    // No other process of this machine or another has it: it tells this run from theirs.
    plan.run.uid = format!("{}-{}", ledger::now(), std::process::id());
    plan.archive = Some(named);
    plan.policy.journal = match flags.journal_mode {
        JournalFlag::Strict => JournalMode::Strict,
        JournalFlag::Ahead => JournalMode::Ahead,
        JournalFlag::Cheap => JournalMode::Cheap,
    };
    let journaled = begin_next(archive, plan).await?;
    say(&format!("run: {}", journaled.run.name));
    Ok(Some(journaled))
}

/// Begins the run under the next number that nobody else takes first.
async fn begin_next(archive: Archive, plan: &mut Plan) -> Result<Journaled, JournaledError> {
    let migration = plan.archive.as_ref().map(|named| named.migration.clone()).unwrap_or_default();
    for _ in 0..NUMBERS_TRIED_MAX {
        plan.run.number = next(&archive, &migration).await?.number();
        let Some(run) = JournaledRun::of_plan(plan)? else { break };
        let begun = Begun::now(plan, run.kind.clone());
        let entered = ledger::begin(&archive, &run.name, &begun).await;
        match entered.map_err(ArchiveVerbError::Ledger)? {
            Begin::New | Begin::Again => {
                return Ok(Journaled { archive, run, begun, restore: None });
            }
            Begin::Taken(_) | Begin::Over(_) => {}
        }
    }
    Err(JournaledError::NoNumber(migration))
}

/// The command that restores a run of an archive. It depends on no variable of the shell that the
/// run was started from: it may be needed in another one.
fn restore_command(named: &ArchivePlan, upstream: &Upstream, run: &RunName) -> String {
    let flag = |name: &str, value: &str| format!(" --{name} {}", word(value));
    let optional = |name: &str, value: Option<&String>| {
        value.map(|value| flag(name, value)).unwrap_or_default()
    };
    // A folder has no region.
    let bucket = named.url.starts_with("s3://");
    let region = named.region.as_ref().unwrap_or(&upstream.region);
    [
        "datamigration restore".to_owned(),
        flag("archive", &named.url),
        optional("archive-endpoint", named.endpoint.as_ref()),
        optional("archive-region", bucket.then_some(region)),
        optional("upstream", upstream.endpoint.as_ref()),
        flag("region", &upstream.region),
        flag("run", &run.to_string()),
    ]
    .concat()
}

/// The next run of a migration.
pub async fn next(archive: &Archive, migration: &str) -> Result<RunName, JournaledError> {
    let entries = ledger::entries(archive, Some(migration)).await;
    let entries = entries.map_err(ArchiveVerbError::Ledger)?;
    let last = entries.iter().map(|entry| entry.run.number()).max().unwrap_or(0);
    Ok(RunName::new(migration, last + 1)?)
}

impl Journaled {
    /// The command that restores the run.
    pub fn restore_command(&self, plan: &Plan) -> String {
        match (&self.restore, &plan.archive) {
            (Some(command), _) => command.clone(),
            (None, Some(named)) => restore_command(named, &plan.upstream, &self.run.name),
            (None, None) => format!("datamigration restore --run {}", self.run.name),
        }
    }

    /// The same run, restored by another command than that of its archive.
    #[must_use]
    pub fn restored_by_command(self, command: String) -> Self {
        Self { restore: Some(command), ..self }
    }

    /// Keeps the result as the run's report in the archive. The program's output stays where it
    /// went.
    pub async fn keep_report(&self, plan: &Plan, engine: &Arc<Engine>, result: &GuardResult) {
        let Some(uploader) = dm_guard::uploader::Uploader::of(plan, &self.archive, None) else {
            return;
        };
        let mut kept = Archived { run: self.run.name.to_string(), ..Archived::default() };
        uploader.upload(engine, result, &mut kept).await;
        if let Some(problem) = kept.problem {
            say(&format!("not kept in the archive: {problem}"));
        }
    }

    /// The run's name in the archive.
    pub fn name(&self) -> &RunName {
        &self.run.name
    }

    /// Records that the run failed before anything ran. The caller reports why it failed.
    pub async fn not_started(&self, why: String) {
        if let Err(error) = self.end(&Outcome::Failed(why), None, Duration::MAX).await {
            say(&self.not_recorded(&error));
        }
    }

    /// What it means that the end of the run is not in the ledger.
    pub fn not_recorded(&self, error: &JournaledError) -> String {
        format!(
            "The end of run {} could not be recorded in the archive: {}. Its outcome is unknown in \
             the ledger.",
            self.run.name,
            chain(error)
        )
    }

    /// Says in the ledger how the run ended, whether or not it wrote anything. Where nobody knows,
    /// nothing is noted, as of a run whose machine died. A call at the archive takes at most this
    /// long.
    pub async fn end(
        &self,
        outcome: &Outcome,
        ran: Option<Ran<'_>>,
        most: Duration,
    ) -> Result<(), JournaledError> {
        let (outcome, message) = match outcome {
            Outcome::Succeeded => (RunOutcome::Succeeded, None),
            Outcome::Failed(why) => (RunOutcome::Failed, Some(why.clone())),
            Outcome::Unknown => {
                say(&format!(
                    "The ledger has no outcome of run {}: the program ended with exit code 0, but \
                     its guard had a problem. Look at the data, then restore the run or run the \
                     program again.",
                    self.run.name
                ));
                return Ok(());
            }
            Outcome::Unseen => {
                say(&format!(
                    "The outcome of run {} stays unknown in the ledger: a guard does not see how \
                     its clients ended.",
                    self.run.name
                ));
                return Ok(());
            }
        };
        let mut completed = Completed { message, ..Completed::now(outcome) };
        if let Some(Ran { started_at, finished_at, result }) = ran {
            completed.execution_time = Some(started_at.to_owned());
            completed.finalization_time = Some(finished_at.to_owned());
            completed.summary = Some(dm_guard::uploader::summary(result));
        }
        let archive = self.archive.within(most);
        let noted = ledger::record(&archive, &self.run.name, &self.begun, &completed).await;
        Ok(noted.map_err(ArchiveVerbError::Ledger)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, region: Option<&str>, endpoint: Option<&str>, expected: &str) {
        let named = ArchivePlan {
            url: url.into(),
            region: region.map(Into::into),
            ..ArchivePlan::default()
        };
        let upstream = Upstream { region: "eu-west-1".into(), endpoint: endpoint.map(Into::into) };
        let command = restore_command(&named, &upstream, &RunName::parse("exec/1").unwrap());
        assert_eq!(command, format!("datamigration restore {expected} --run exec/1"));
    }

    #[test]
    fn a_restore_command_names_all_that_the_run_found_elsewhere() {
        check(
            "s3://bucket/prefix",
            None,
            None,
            "--archive s3://bucket/prefix --archive-region eu-west-1 --region eu-west-1",
        );
        check(
            "s3://bucket",
            Some("us-east-1"),
            Some("http://127.0.0.1:8000"),
            "--archive s3://bucket --archive-region us-east-1 --upstream http://127.0.0.1:8000 \
             --region eu-west-1",
        );
        check(
            "file:///my archives/a",
            None,
            None,
            "--archive 'file:///my archives/a' --region eu-west-1",
        );
    }
}
