//! `datamigration exec`: any program behind a guard.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use dm_contract::plan::Mode;
use dm_entry::args::Program;

use crate::database;
use crate::journaled;
use crate::output::{self, SecondPass};
use crate::print::say;
use crate::session::{self, Session, SessionError};

/// Flags of `datamigration exec`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    #[command(flatten)]
    writes: Writes,
    #[command(flatten)]
    database: database::Flags,
    #[command(flatten)]
    journal: journaled::Flags,
    /// After a successful dry run, run the program again over its own result, to see whether it
    /// changes anything again
    #[arg(long, conflicts_with = "apply")]
    second_pass: bool,
    /// Accept a run whose program sends no request. Without this flag its exit code is 125, because
    /// the program may have bypassed the guard
    #[arg(long)]
    expect_no_requests: bool,
    /// File for the report as JSON. A dry run also writes each changed item next to it: for
    /// tried.json, to tried.ndjson.zst
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    output: output::Flags,
    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Whether a program's writes reach the database.
#[derive(Clone, Copy, Debug, Args)]
#[group(id = "writes", multiple = false)]
pub struct Writes {
    /// Write nothing, and report what would change. The default
    #[arg(long)]
    dry_run: bool,
    /// Send writes to the database
    #[arg(long)]
    apply: bool,
}

impl Writes {
    /// What happens to writes.
    pub fn mode(self) -> Mode {
        if self.apply { Mode::Apply } else { Mode::DryRun }
    }

    /// Says what was not asked for explicitly.
    pub fn announce(self, database: &dm_contract::plan::Upstream) {
        let intent = database::intent(self.mode(), database);
        match (self.apply, self.dry_run) {
            (true, _) => say(&intent),
            (false, true) => {}
            (false, false) => say(&format!("{intent}; this is the default, --apply writes")),
        }
    }
}

const EXAMPLES: &str = "\
The program finds the guard by AWS_ENDPOINT_URL_DYNAMODB and has no credentials; yours are used for
the database. Its exit code is passed on, 128 + n if signal n ended it.

Examples:
  # What would this script change?
  datamigration exec --dry-run -- python3 main.py --year 1972

  # Apply it to a local database, and keep the result
  datamigration exec --apply --upstream http://127.0.0.1:8000 --report applied.json -- node main.mjs

  # Apply it so that it can be restored
  datamigration exec --apply --archive file:///var/lib/archive -- python3 main.py";

/// Runs the program; its exit code.
pub async fn exec(flags: Flags) -> Result<u8, SessionError> {
    let mut words = flags.program.into_iter();
    let name = words.next().unwrap_or_default();
    let title = name.to_string_lossy().into_owned();
    let program = Program::Command { name, args: words.collect() };
    let dir = std::env::current_dir().map_err(SessionError::Folder)?;
    let output = flags.output.prepare(SecondPass::of(flags.writes.mode()))?;
    let upstream = database::find(&flags.database).await?;
    flags.writes.announce(&upstream);
    let mut plan = database::plan(&flags.database, upstream, flags.writes.mode(), &title);
    plan.second_pass = flags.second_pass || flags.output.needs_second_pass(plan.mode);
    let verb = journaled::Verb { migration: "exec", apply: "--apply" };
    let journaled = journaled::begin(&flags.journal, verb, &mut plan).await?;
    let session = Session {
        plan: &plan,
        program: &program,
        dir: &dir,
        again_in: None,
        env: BTreeMap::new(),
        report: flags.report.as_deref(),
        output: &output,
        journaled: journaled.as_ref(),
        database: database::Kind::OfChain,
        expects_requests: !flags.expect_no_requests,
    };
    Box::pin(session::run(session)).await
}
