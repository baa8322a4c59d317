//! `datamigration-guard restore`: restores the run that the plan names, answers the probe and the
//! operator in the meantime, and says at the end what was restored. Told to stop it begins no
//! further key; the same restore begun again continues.

use std::sync::Arc;

use crate::limits;
use bytes::Bytes;
use dm_contract::addresses;
use dm_contract::error_chain::chain;
use dm_contract::plan::{Mode, Plan, RestorePlan};
use dm_contract::report::{Archived, RestoreCounts};
use dm_contract::restored::{RESTORE_RESULT_VERSION, RestoreResult};
use dm_contract::verdict::RunOutcome;
use dm_engine::CredentialSource;
use dm_engine::archive::ledger;
use dm_engine::restore::{Restore, RestoreError, RestoreOptions, RestoreReport, part_name};
use tokio::net::TcpListener;

use crate::control::{self, Control};
use crate::restoring::{Restoring, result};
use crate::run::Run;
use crate::token::ControlToken;
use crate::uploader::{Uploader, trouble};

/// Runs it until its end, or until it is asked to stop. Who shows the token may change how fast it
/// goes.
pub async fn restore(
    plan: &Plan,
    credentials: CredentialSource,
    control_listen: std::net::SocketAddr,
    token: Option<ControlToken>,
    stop: impl Future<Output = ()>,
) -> RestoreResult {
    let started_at = ledger::now();
    let Some(asked) = plan.restore else {
        return failed(plan, started_at, "the plan does not name the run to restore".into());
    };
    let restore = match open(plan, credentials, asked).await {
        Ok(restore) => restore,
        Err(error) => return failed(plan, started_at, chain(&error)),
    };
    let listener = match TcpListener::bind(&*addresses::to_bind(control_listen)).await {
        Ok(listener) => listener,
        Err(error) => {
            return failed(plan, started_at, format!("listening on {control_listen}: {error}"));
        }
    };
    let restoring =
        Arc::new(Restoring { restore, plan: plan.clone(), started_at: started_at.clone() });
    let run_of = Run::Restore(Arc::clone(&restoring));
    let behind = Control { run: run_of, token, state_dir: None };
    let serving = tokio::spawn(control::accept(Arc::new(behind), listener));
    let restore = &restoring.restore;
    let ended = run(restore, stop).await;
    serving.abort();

    let report = restore.report();
    let mut result = result(plan, restore, &report, started_at);
    match &ended {
        Ok(()) => result.finished = true,
        Err(error) => {
            result.problem = Some(chain(error));
            match error {
                RestoreError::Differs { difference, .. } => {
                    result.differs = Some(difference.clone());
                }
                RestoreError::Journal(error) => result.journal_problem = error.problem(),
                _ => {}
            }
        }
    }
    if let (None, Some((_, Some(problem)))) = (&result.problem, restore.journaled()) {
        result.problem = Some(problem);
    }
    result.archived = upload(plan, restore, &report, ended.is_ok()).await;
    result
}

async fn open(
    plan: &Plan,
    credentials: CredentialSource,
    asked: RestorePlan,
) -> Result<Restore, RestoreError> {
    let archive = Restore::open_archive(plan).await?;
    let on_conflict = asked.on_conflict;
    let options = RestoreOptions::new(credentials, archive, asked.run);
    Restore::open(plan, RestoreOptions { on_conflict, ..options })
}

async fn run(restore: &Restore, stop: impl Future<Output = ()>) -> Result<(), RestoreError> {
    let work = restore.run();
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => return ended.map(drop),
        () = stop => restore.stop(),
    }
    // What is under way ends by itself, unless the database or the archive is away.
    match tokio::time::timeout(limits::GUARD_DRAIN_MAX, &mut work).await {
        Ok(ended) => ended.map(drop),
        Err(_) => Err(RestoreError::Interrupted),
    }
}

/// The full report in the archive, and of a preview its conflicts; a restore has written its own
/// there.
async fn upload(
    plan: &Plan,
    restore: &Restore,
    report: &RestoreReport,
    finished: bool,
) -> Option<Archived> {
    let uploader = Uploader::of(plan, restore.archive(), None)?;
    let mut kept = Archived { run: uploader.name(), ..Archived::default() };
    let uploads = async {
        let json = serde_json::to_vec_pretty(report).map_err(|error| error.to_string());
        match json {
            Ok(json) => match uploader.put("report.json", Bytes::from(json)).await {
                Ok(path) => kept.report = Some(path),
                Err(why) => trouble(&mut kept, &format!("the report: {why}")),
            },
            Err(why) => trouble(&mut kept, &format!("the report: {why}")),
        }
        if report.listed.is_empty() {
            return;
        }
        if plan.mode == Mode::Apply && finished {
            kept.conflicts = Some(restore.name().conflicts());
            return;
        }
        let mut part = 0;
        loop {
            let lines = match restore.conflicts_part(part) {
                Ok(Some(lines)) => lines,
                Ok(None) => return,
                Err(why) => return trouble(&mut kept, &format!("the conflicts: {why}")),
            };
            match uploader.put(&part_name(part), lines).await {
                Ok(path) if part == 0 => kept.conflicts = Some(path),
                Ok(_) => {}
                Err(why) => return trouble(&mut kept, &format!("the conflicts: {why}")),
            }
            part += 1;
        }
    };
    if tokio::time::timeout(limits::KEEP_UPLOADS_MAX, uploads).await.is_err() {
        trouble(&mut kept, "the report: no answer in time");
    }
    if plan.mode == Mode::Apply && finished {
        kept.completed = Some(RunOutcome::Succeeded);
    }
    Some(kept)
}

fn failed(plan: &Plan, started_at: String, problem: String) -> RestoreResult {
    RestoreResult {
        version: RESTORE_RESULT_VERSION,
        mode: plan.mode,
        of: plan.restore.map_or(0, |restore| restore.run),
        started_at,
        finished_at: ledger::now(),
        finished: false,
        counts: RestoreCounts::default(),
        conflicts: 0,
        groups: Vec::new(),
        left_out: 0,
        read_units: 0.0,
        write_units: 0.0,
        journal: None,
        archived: None,
        problem: Some(problem),
        differs: None,
        journal_problem: None,
        not_restored: Vec::new(),
        nothing_written: false,
    }
}
