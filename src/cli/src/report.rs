//! `datamigration report`: the report of a run as a summary, a page, a comment or data; from a
//! file, an archive or a cluster.

mod parts;
mod source;

use std::path::Path;

use clap::Args;
use dm_engine::archive::{LayoutError, RunName};
use dm_report::restore::Restored;
use dm_report::terminal;

use crate::archive_place::ArchiveVerbError;
use crate::cluster::{self, ClusterError};
use crate::kept_log::KeptError;
use crate::output::{self, OutputError, Reported, SecondPass};
use crate::print;
use source::{Found, FoundRun};

/// Flags of `datamigration report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// A file of `--report`, or the migration of a cluster. Without it give --archive and --run
    #[arg(value_name = "FILE|NAME", required_unless_present = "archive")]
    source: Option<String>,
    #[command(flatten)]
    output: output::Flags,
    /// With --archive: the run, as MIGRATION/NUMBER. For a migration of a cluster: the number of
    /// the run [default: the last one with a report]
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// The archive: s3://bucket/prefix or file:///folder
    #[arg(long, value_name = "URL", requires = "run", conflicts_with = "source")]
    archive: Option<String>,
    /// Endpoint of an S3-compatible server, as http(s)://host[:port] [default: AWS's]
    #[arg(long, value_name = "URL", requires = "archive")]
    archive_endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "us-east-1")]
    archive_region: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
An argument with a dot or a slash is a file; any other is a migration of the cluster. The changed
items are read from the file next to the report: for tried.json, from tried.ndjson.zst.

Examples:
  datamigration report tried.json --html
  datamigration report tried.json -o markdown --compare last.json --fail-on deletes,'writes>1000'
  datamigration report --archive s3://bucket/prefix --run 0001-add-price-to-cars/2 --html page.html
  kubectl datamigration report 0001-add-price-to-cars --html page.html";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportVerbError {
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Archive(#[from] ArchiveVerbError),
    /// The archive of a target.
    #[error("the report of run {run} of {name} is kept at {at}")]
    Kept {
        name: String,
        run: u32,
        /// Where the report is.
        at: String,
        /// Why it cannot be read from here.
        source: KeptError,
    },
    #[error("--run {text}: with --archive, MIGRATION/NUMBER is needed")]
    RunName {
        text: String,
        /// Why it is none.
        source: LayoutError,
    },
    #[error("--run {0}: for a migration of a cluster, the number of a run is needed")]
    RunNumber(String),
    /// Nothing is kept of the run.
    #[error("the archive has no report of run {0}")]
    NoReport(RunName),
    /// The objects of a report are gone.
    #[error("the archive has no report at {0} any more")]
    Gone(String),
    /// The migration has none.
    #[error(
        "no run of {0} has a report in an archive; its target needs spec.archive, and describe \
         shows what status says"
    )]
    NotKept(String),
    /// Status names other reports.
    #[error(
        "status of {name} names only the last report of each kind, and none of them is of run \
         {run}; give --archive URL --run {namespace}.{name}/{run}"
    )]
    NotNamed { name: String, namespace: String, run: u32 },
    /// There was no such run.
    #[error("{name} has no run {run}; its last run is {last}")]
    NoRun { name: String, run: u32, last: u32 },
    #[error("give a report.json, a migration of the cluster, or --archive with --run")]
    NothingNamed,
    #[error("--run {run}: {file} is the report of one run; leave --run out")]
    RunOfFile { run: String, file: String },
}

/// Prints the report; 0, or 4 where a check failed.
pub async fn report(flags: Flags) -> Result<u8, ReportVerbError> {
    let prepared = flags.output.prepare(SecondPass::Reported)?;
    let found = Box::pin(find(&flags)).await?;
    let found = match found {
        Found::Run(found) => found,
        Found::Restore { report, of, page } => {
            let restored = Restored { report: &report, of: &of };
            prepared.finish_restore(&restored, &page)?;
            return Ok(0);
        }
    };
    if !flags.output.takes_standard_output() {
        let text = terminal::text(
            &found.report,
            terminal::Beside { files: found.files.as_deref(), restore: None },
        );
        print::answer(&text).map_err(OutputError::Output)?;
    }
    let FoundRun { report, listing, page, .. } = *found;
    let code = prepared.finish(Reported { report: &report, listing: || listing.read(), page })?;
    Ok(code.unwrap_or(0))
}

async fn find(flags: &Flags) -> Result<Found, ReportVerbError> {
    if let Some(url) = &flags.archive {
        let place = crate::archive_place::Place {
            archive: url.clone(),
            archive_endpoint: flags.archive_endpoint.clone(),
            archive_region: flags.archive_region.clone(),
        };
        let text = flags.run.clone().unwrap_or_default();
        let run =
            RunName::parse(&text).map_err(|source| ReportVerbError::RunName { text, source })?;
        let archive = place.open().await.map_err(ArchiveVerbError::Archive)?;
        return source::of_archive(&archive, &run).await;
    }
    let named = flags.source.as_deref().ok_or(ReportVerbError::NothingNamed)?;
    if named.contains(['/', '.']) || Path::new(named).is_file() {
        if let Some(run) = flags.run.clone() {
            return Err(ReportVerbError::RunOfFile { run, file: named.to_owned() });
        }
        return source::of_file(Path::new(named));
    }
    let run = match &flags.run {
        None => None,
        Some(text) => {
            let number = text.parse::<u32>();
            Some(number.map_err(|_| ReportVerbError::RunNumber(text.clone()))?)
        }
    };
    Box::pin(source::of_cluster(&flags.cluster, named, run)).await
}
