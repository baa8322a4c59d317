//! `datamigration`, which also answers as `kubectl-datamigration`: logging and wiring, nothing
//! else.

use std::process::ExitCode;

use anyhow::Error;
use clap::{CommandFactory as _, FromArgMatches as _};
use dm_cli::flags::{Flags, NAME, Verb, called_as, verb_first};
use dm_cli::run::RunError;
use dm_cli::session::SessionError;
use dm_cli::{
    archive, baseline, completion, describe, exec, guard, lint, list, local, logs, man, new, print,
    promote, report, restore, retry, run, stamp, suspend, watch,
};

/// As the guard's own program has it: `exec`, `run` and `guard` serve in this one.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let called_as = called_as(std::env::args_os().next().as_deref());
    let matches =
        Flags::command().bin_name(called_as).get_matches_from(verb_first(std::env::args_os()));
    let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_logging(flags.verbose);
    match Box::pin(act(flags.verb)).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print::say(&format!("{called_as}: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn act(verb: Verb) -> Result<u8, Error> {
    Ok(match verb {
        Verb::Exec(flags) => exec::exec(flags).await?,
        Verb::Run(flags) => Box::pin(run::run(flags)).await?,
        Verb::Guard(flags) => guard::guard(flags).await?,
        Verb::Local(flags) => local::local(flags).await?,
        Verb::New(flags) => new::new(&flags)?,
        Verb::Lint(flags) => lint::lint(&flags).await?,
        Verb::Restore(flags) => Box::pin(restore::restore(flags)).await?,
        Verb::Report(flags) => Box::pin(report::report(flags)).await?,
        Verb::Archive(flags) => archive::archive(flags).await?,
        Verb::List(flags) => list::list(flags).await?,
        Verb::Describe(flags) => describe::describe(flags).await?,
        Verb::Logs(flags) => Box::pin(logs::logs(flags)).await?,
        Verb::Watch(flags) => watch::watch(flags).await?,
        Verb::Promote(flags) => promote::promote(flags).await?,
        Verb::Retry(flags) => retry::retry(flags).await?,
        Verb::Suspend(flags) => suspend::suspend(flags, true).await?,
        Verb::Resume(flags) => suspend::suspend(flags, false).await?,
        Verb::Stamp(flags) => stamp::stamp(flags).await?,
        Verb::Baseline(flags) => baseline::baseline(&flags)?,
        Verb::Man(flags) => man::man(&flags, Flags::command())?,
        Verb::Completion(flags) => completion::completion(&flags, NAME, &mut Flags::command())?,
    })
}

/// Where a program's code is passed on, a failure of ours must be told apart from it.
fn exit_code(error: &Error) -> u8 {
    let session = error.downcast_ref().map(SessionError::exit_code);
    session.or_else(|| error.downcast_ref().map(RunError::exit_code)).unwrap_or(1)
}

/// Only what is asked for: a program's own output is not to be mixed with ours.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DATAMIGRATION_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
}
