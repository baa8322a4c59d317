//! The guard's program: flags, logging, signals, last words.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use dm_contract::error_chain::chain;
use dm_contract::part::{INDEX_ENV, Part, PartError};
use dm_contract::plan::{ACCESS_KEY_ENV, CONTROL_TOKEN_ENV, Mode, Plan};
use dm_contract::report::GuardResult;
use dm_engine::CredentialSource;
use dm_guard::clients::{AccessKey, Clients};
use dm_guard::flags::{self, Flags, Verb};
use dm_guard::token::ControlToken;
use dm_guard::uploader::Uploader;
use dm_guard::{Guard, Options, check, ledger, open_files, record, restore, termination};
use tokio::signal::unix::{SignalKind, signal};

/// Items are many small pieces of memory, and two threads at once ask for them (decision 012).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    open_files::raise();
    let (message, code) = match (flags::plan(&flags.plan), &flags.verb) {
        (Ok(plan), None) => Box::pin(serve(&flags, &plan)).await,
        (Ok(plan), Some(Verb::Check)) => {
            let found = check::check(&plan, ledger::credentials(&plan).await).await;
            (found.to_message(), 0)
        }
        (Ok(plan), Some(Verb::Ledger)) => {
            // Without its part the guard, which comes next, does not start.
            let part = part(&plan).ok().flatten();
            let verdict = ledger::ask_for(&plan, part, ledger::credentials(&plan).await).await;
            (verdict.to_message(), verdict.exit_code())
        }
        (Ok(plan), Some(Verb::Record(said))) => match record::record(&plan, said).await {
            Ok(()) => (String::new(), 0),
            Err(error) => (told(&chain(&error)).0, error.exit_code()),
        },
        (Ok(plan), Some(Verb::Restore)) => match restore(&flags, &plan).await {
            Ok(done) => done,
            Err(error) => told(&format!("{error:#}")),
        },
        (Err(error), None) => never_served(&flags, Mode::DryRun, &error.into()),
        (Err(error), Some(_)) => told(&chain(&error)),
    };
    match std::fs::write(&flags.termination_log, message) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            tracing::error!(%error, "writing the result to {}", flags.termination_log.display());
            ExitCode::FAILURE
        }
    }
}

fn told(problem: &str) -> (String, u8) {
    tracing::error!("{problem}");
    (problem.chars().take(1024).collect(), 1)
}

fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    // Before anything is served, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn restore(flags: &Flags, plan: &Plan) -> anyhow::Result<(String, u8)> {
    let stop = stopped()?;
    let credentials = CredentialSource::default_chain(&plan.upstream.region).await?;
    let token = flags.control_token.as_deref().map(ControlToken::new).transpose()?;
    let result = restore::restore(plan, credentials, flags.control_listen, token, stop).await;
    Ok((result.to_message(), result.exit_code()))
}

async fn serve(flags: &Flags, plan: &Plan) -> (String, u8) {
    match Box::pin(run(flags, plan)).await {
        Ok(result) => (termination::message(result), 0),
        Err(error) => never_served(flags, plan.mode, &error),
    }
}

async fn run(flags: &Flags, plan: &Plan) -> anyhow::Result<GuardResult> {
    let stop = stopped()?;
    let credentials = CredentialSource::default_chain(&plan.upstream.region).await?;
    let access_key = flags.access_key().with_context(|| {
        format!(
            "neither {ACCESS_KEY_ENV} nor {CONTROL_TOKEN_ENV} is set; without either, the guard \
             does not know its clients"
        )
    })?;
    let part = part(plan)?;
    let options = Options {
        listen: flags.listen,
        control_listen: flags.control_listen,
        control_token: flags.control_token.as_deref().map(ControlToken::new).transpose()?,
        state_dir: flags.state_dir.clone(),
        part,
        clients: Clients::With(AccessKey::new(&access_key)),
    };
    let guard = Guard::start(plan, credentials, &options).await?;
    stop.await;
    let engine = std::sync::Arc::clone(guard.engine());
    let result = guard.stop().await;
    let Some(uploader) =
        engine.archive().and_then(|to| Uploader::of(plan, to, flags.log_dir.clone()))
    else {
        return Ok(result);
    };
    let uploader = uploader.in_part(part);
    let say = |result: &GuardResult| {
        let early = termination::message(result.clone());
        if let Err(error) = std::fs::write(&flags.termination_log, early) {
            tracing::error!(%error, "writing the result early");
        }
    };
    Ok(uploader.all(&engine, result, say).await)
}

/// The part of the run that this pod does.
fn part(plan: &Plan) -> Result<Option<Part>, PartError> {
    Part::of_plan(plan, std::env::var(INDEX_ENV).ok().as_deref())
}

/// The last words of a guard that could not start.
fn never_served(flags: &Flags, mode: Mode, error: &anyhow::Error) -> (String, u8) {
    tracing::error!(log = %flags.termination_log.display(), "{error:#}");
    let problem = Some(format!("The guard could not start: {error:#}"));
    (termination::message(GuardResult { problem, ..GuardResult::empty(mode) }), 1)
}
