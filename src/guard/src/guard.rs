//! One guard from start to stop: listeners, engine, result. Used by the program and by others in
//! whose process a guard runs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dm_contract::addresses;
use dm_contract::part::Part;
use dm_contract::plan::Plan;
use dm_contract::report::GuardResult;
use dm_engine::archive::Archive;
use dm_engine::{CredentialSource, Engine, EngineOptions, OpenError, Start};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clients::Clients;
use crate::control::Control;
use crate::limits;
use crate::run::Run;
use crate::server::Server;
use crate::token::ControlToken;
use crate::transform::Transforms;
use crate::wire::{Regions, Serves};
use crate::{control, restart};

/// Where a guard listens and what it remembers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address for the program.
    pub listen: SocketAddr,
    /// Address for the probe and the operator.
    pub control_listen: SocketAddr,
    /// Token that a request must present to change limits or pause. Without it no request can.
    pub control_token: Option<ControlToken>,
    /// Whose requests it serves.
    pub clients: Clients,
    /// Folder of what outlives a restart, and of what a dry run cannot hold in memory.
    pub state_dir: Option<PathBuf>,
    /// The part of the run that it does; absent where it does the whole.
    pub part: Option<Part>,
}

/// Why a guard did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("listening on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The folder of the marker.
    #[error("writing to the state folder")]
    StateDir(#[source] io::Error),
    /// The database, or the archive.
    #[error("preparing what is behind the guard")]
    Engine(#[from] OpenError),
}

/// A guard that serves.
#[derive(Debug)]
pub struct Guard {
    /// Where the program finds it.
    pub program_address: SocketAddr,
    /// Where the probe and the operator find it.
    pub control_address: SocketAddr,
    engine: Arc<Engine>,
    server: Arc<Server>,
    transforms: Arc<Transforms>,
    start: Start,
    tasks: [JoinHandle<()>; 2],
}

impl Guard {
    pub async fn start(
        plan: &Plan,
        credentials: CredentialSource,
        options: &Options,
    ) -> Result<Self, StartError> {
        Self::start_for(plan, credentials, options, Regions::Its).await
    }

    /// The same before an embedded database, which has all regions.
    pub async fn start_before_embedded(
        plan: &Plan,
        credentials: CredentialSource,
        options: &Options,
    ) -> Result<Self, StartError> {
        Self::start_for(plan, credentials, options, Regions::Any).await
    }

    async fn start_for(
        plan: &Plan,
        credentials: CredentialSource,
        options: &Options,
        signed_for: Regions,
    ) -> Result<Self, StartError> {
        let (program, program_address) = bound(options.listen).await?;
        let (control, control_address) = bound(options.control_listen).await?;
        let start = match &options.state_dir {
            Some(folder) => restart::served(folder).map_err(StartError::StateDir)?,
            None => Start::First,
        };
        let holder = options.state_dir.as_deref().map(restart::holder).transpose();
        let engine = EngineOptions {
            start,
            archive: Archive::of_plan(plan).await.map_err(OpenError::Archive)?,
            part: options.part,
            holder: holder.map_err(StartError::StateDir)?,
            folder: options.state_dir.clone(),
            ..EngineOptions::new(credentials)
        };
        let engine = Arc::new(Engine::open(plan, engine)?);
        engine.take_presence().await?;
        let whom = Serves {
            region: plan.upstream.region.clone(),
            signed_for,
            clients: options.clients.clone(),
        };
        let transforms = Arc::new(Transforms::new(plan, options.part, Arc::clone(&engine)));
        let server = Server::new(Arc::clone(&engine), whom);
        let server = Arc::new(server.with_transforms(Arc::clone(&transforms)));
        let run = Run::Program(Arc::clone(&engine));
        if let Some(folder) = &options.state_dir {
            restart::take_up_control(folder, &run).map_err(StartError::StateDir)?;
        }
        let (token, state_dir) = (options.control_token.clone(), options.state_dir.clone());
        let behind = Control { run, token, state_dir };
        // Last: whatever fails before this has cost the run nothing, and the kubelet tries again.
        if let Some(folder) = &options.state_dir {
            restart::mark_served(folder).map_err(StartError::StateDir)?;
        }
        let tasks = [
            tokio::spawn(Arc::clone(&server).accept(program)),
            tokio::spawn(control::accept(Arc::new(behind), control)),
        ];
        tracing::info!(
            mode = ?plan.mode, %program_address, %control_address, ?start,
            migration = plan.run.name, run = plan.run.number, "guard serves"
        );
        Ok(Self { program_address, control_address, engine, server, transforms, start, tasks })
    }

    /// What is behind it; still there when it has stopped.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What the run did so far.
    pub fn result(&self) -> GuardResult {
        self.engine.result()
    }

    /// Whether a client is still connected, a moment after the program's end.
    pub async fn has_clients(&self) -> bool {
        self.server.has_clients().await
    }

    /// Waits for the requests under way, and returns the result of the run.
    pub async fn stop(self) -> GuardResult {
        // First, because clients that are disconnected below must not send their requests again.
        self.transforms.ask_to_stop();
        self.engine.let_nothing_wait();
        let stopping = tokio::time::timeout(limits::GUARD_DRAIN_MAX, self.transforms.stop());
        let transform_ended = stopping.await.is_ok();
        let left = self.server.drain().await;
        for task in &self.tasks {
            task.abort();
        }
        if self.start == Start::Again && transform_ended {
            self.transforms.recall().await;
        }
        let closed = self.engine.close().await;
        if let Some(result) = self.transforms.completed() {
            return result;
        }
        let mut result = self.engine.result();
        result.transform = self.transforms.result();
        if let Some(problem) = left_over(transform_ended, left, closed) {
            tracing::warn!(problem, "stopped before everything had ended");
            result.problem.get_or_insert(problem);
        }
        tracing::info!(
            requests = result.requests,
            reads_upstream = result.read_calls_upstream,
            writes_upstream = result.write_calls_upstream,
            "guard stops"
        );
        result
    }
}

/// What is wrong with the result of a guard that stopped before all its work had ended.
fn left_over(transform_ended: bool, requests: usize, journal_closed: bool) -> Option<String> {
    if !transform_ended {
        return Some(TRANSFORM_NOT_ENDED.to_owned());
    }
    match requests {
        0 => (!journal_closed).then(|| JOURNAL_NOT_CLOSED.to_owned()),
        1 => Some(format!("The guard stopped during 1 request. {OUTCOME_NOT_KNOWN}")),
        many => Some(format!("The guard stopped during {many} requests. {OUTCOME_NOT_KNOWN}")),
    }
}

/// Problem of a run whose transform did not stop in time.
const TRANSFORM_NOT_ENDED: &str = "The guard stopped during the transform. Whether its last writes \
     were carried out is not known.";

/// Problem of a run whose last requests the database did not answer in time.
const OUTCOME_NOT_KNOWN: &str = "Whether what they write was carried out is not known.";

/// Problem of a run whose journal could not be closed.
pub const JOURNAL_NOT_CLOSED: &str = "The end of the journal could not be written, so the outcome \
                                      of some writes is not recorded. A restore determines it from \
                                      the items.";

pub(crate) async fn bound(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(&*addresses::to_bind(address)).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dm_contract::plan::Mode;

    async fn start(plan: &Plan, state: &std::path::Path) -> Result<Guard, StartError> {
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let options = Options {
            listen: loopback,
            control_listen: loopback,
            control_token: None,
            clients: Clients::Any,
            state_dir: Some(state.to_owned()),
            part: None,
        };
        Guard::start(plan, testing::credentials().unwrap(), &options).await
    }

    #[tokio::test]
    async fn a_guard_that_did_not_start_has_lost_nothing() {
        for mode in [Mode::DryRun, Mode::Apply] {
            let (state, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            // No folder can be made in a file: this archive does not open.
            let archive = parent.path().join("archive");
            std::fs::write(&archive, b"").unwrap();
            let plan = testing::plan(&archive, mode);
            assert!(matches!(start(&plan, state.path()).await, Err(StartError::Engine(_))));
            std::fs::remove_file(&archive).unwrap();
            let guard = start(&plan, state.path()).await.unwrap();
            assert_eq!(guard.stop().await.problem, None, "{mode:?}");
            let again = start(&plan, state.path()).await.unwrap();
            assert!(again.stop().await.problem.is_some(), "{mode:?}");
        }
    }

    #[test]
    fn a_result_does_not_claim_what_was_not_seen_to_its_end() {
        assert_eq!(left_over(true, 0, true), None);
        assert_eq!(left_over(true, 0, false).as_deref(), Some(JOURNAL_NOT_CLOSED));
        assert!(left_over(true, 1, true).unwrap().contains("during 1 request."));
        assert!(left_over(true, 7, false).unwrap().contains("during 7 requests."));
        assert_eq!(left_over(false, 7, false).as_deref(), Some(TRANSFORM_NOT_ENDED));
    }
}
