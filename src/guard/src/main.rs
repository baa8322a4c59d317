//! The guard's program: flags, logging, signals, last words.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use dm_core::plan::{Mode, Plan};
use dm_core::report::{GuardResult, REPORT_VERSION};
use dm_engine::CredentialSource;
use dm_guard::flags::{self, Flags};
use dm_guard::{Guard, Options, termination};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();

    let flags = Flags::parse();
    let (mode, ended) = match flags::plan(&flags.plan) {
        Ok(plan) => (plan.mode, run(&flags, &plan).await),
        Err(error) => (Mode::DryRun, Err(error.into())),
    };
    let (result, code) = match ended {
        Ok(result) => (result, ExitCode::SUCCESS),
        Err(error) => {
            tracing::error!("{error:#}");
            (never_served(mode, &error), ExitCode::FAILURE)
        }
    };
    match termination::write(&flags.termination_log, result) {
        Ok(()) => code,
        Err(error) => {
            tracing::error!(%error, "writing the result to {}", flags.termination_log.display());
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags, plan: &Plan) -> anyhow::Result<GuardResult> {
    // Before anything is served, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let credentials = CredentialSource::default_chain(&plan.upstream.region).await?;
    let options = Options {
        listen: flags.listen,
        control_listen: flags.control_listen,
        state_dir: flags.state_dir.clone(),
    };
    let guard = Guard::start(plan, credentials, &options).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(guard.stop().await)
}

/// The result of a guard that could not start.
fn never_served(mode: Mode, error: &anyhow::Error) -> GuardResult {
    GuardResult {
        version: REPORT_VERSION,
        mode,
        requests: 0,
        write_calls_upstream: 0,
        read_calls_upstream: 0,
        items_read: 0,
        read_units: 0.0,
        write_units: 0.0,
        tables: Vec::new(),
        remarks: Vec::new(),
        effects_digest: String::new(),
        problem: Some(format!("The guard could not start: {error:#}")),
        left_out: 0,
        dry_run: None,
        journal: None,
        locked: None,
        archived: None,
    }
}
