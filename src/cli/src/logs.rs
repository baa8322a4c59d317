//! `kubectl datamigration logs`: what a run's program wrote, or its guard; from the pod, or from
//! the archive once the pod is gone.

mod parts;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use clap::Args;
use dm_api::{DataMigration, MIGRATION_UID_LABEL, RUN_LABEL};
use futures::AsyncBufReadExt as _;
use kube::ResourceExt as _;
use kube::api::{ListParams, LogParams};

use crate::cluster::{self, Cluster, ClusterError};
use crate::kept_log::{self, KeptError};
use crate::print;
use crate::progress;
use parts::{PartPod, Parts, Piece};

const PROGRAM: &str = "program";

const GUARD: &str = "guard";

/// The container of a restore.
const RESTORE: &str = "restore";

/// Between two looks at a container that has not started.
const POLL_PERIOD: Duration = Duration::from_secs(1);

/// Flags of `logs`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The migration
    name: String,
    /// Number of the run [default: the last one]
    #[arg(long, value_name = "N")]
    run: Option<u32>,
    /// Print only this part, from 0, of a run that is split among pods [default: all parts, each
    /// line with its part in front]
    #[arg(long, value_name = "N")]
    part: Option<u32>,
    /// Continue until the program ends
    #[arg(short, long)]
    follow: bool,
    /// Print the guard's log instead of the program's output
    #[arg(long)]
    guard: bool,
    /// Print only this number of lines, from the end
    #[arg(long, value_name = "LINES")]
    tail: Option<i64>,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
Examples:
  kubectl datamigration logs 0001-add-price-to-cars --follow
  kubectl datamigration logs 0001-add-price-to-cars --run 1 --guard
  kubectl datamigration logs 0001-add-price-to-cars --part 3 --tail 20";

#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There is nothing to show.
    #[error("{0} has not run yet")]
    NotRun(String),
    /// There was no such run.
    #[error("{name} has no run {run}; its last run is {last}")]
    NoRun { name: String, run: u32, last: u32 },
    /// There was no such part.
    #[error("run {run} of {name} has no part {part}; it has parts 0 to {last}")]
    NoPart { name: String, run: u32, part: u32, last: u32 },
    /// Its program never began.
    #[error("run {run} of {name} started no program, so there is no log; describe shows why")]
    NotStarted { name: String, run: u32 },
    /// It has no pod yet.
    #[error("run {run} of {name} has not started yet; --follow waits for it")]
    NotYet { name: String, run: u32 },
    /// The pod is gone.
    #[error(
        "the pod of run {run} of {name} is gone, and no archive has its log; describe shows the \
         last lines of a failure"
    )]
    Gone { name: String, run: u32 },
    /// The pod is gone, and its archive cannot be read from here.
    #[error("the pod of run {run} of {name} is gone; its log is kept at {at}")]
    Archived {
        name: String,
        run: u32,
        /// Where the log is.
        at: String,
        /// Why it cannot be read from here.
        source: KeptError,
    },
    /// The stream broke, or standard output did.
    #[error("copying the log")]
    Copy(#[from] io::Error),
}

pub async fn logs(flags: Flags) -> Result<u8, LogsError> {
    let cluster = if flags.follow {
        Cluster::connect_patiently(&flags.cluster).await?
    } else {
        Cluster::connect(&flags.cluster).await?
    };
    let (migration, run) = chosen(&cluster, &flags).await?;
    let wanted = parts::wanted(&migration, run, flags.part)?;
    let (migration, pods) = found(&cluster, migration, run, (&wanted, flags.follow)).await?;
    if pods.is_empty() {
        return kept(&cluster, &migration, run, &flags).await;
    }
    let params = LogParams {
        container: Some(container(&migration, run, flags.guard).into()),
        follow: flags.follow,
        tail_lines: flags.tail,
        ..LogParams::default()
    };
    if let ([only], [_]) = (pods.as_slice(), wanted.as_slice()) {
        copy(opened(&cluster, &only.pod, &params).await?).await?;
        return Ok(0);
    }
    let parts = Parts {
        cluster: &cluster,
        migration: &migration,
        run,
        wanted: &wanted,
        pods,
        params: &params,
    };
    // Of a run that is over, a part without a pod has its log in the archive.
    let is_whole = if flags.follow && is_awaited(parts.migration, run) {
        parts.follow(printed).await?
    } else {
        let kept = kept_of(&parts, &flags).await;
        parts.print(&kept, printed).await?
    };
    Ok(u8::from(!is_whole))
}

/// Prints lines to standard output, and what is missing to standard error; whether there is still a
/// reader.
fn printed(piece: Piece) -> io::Result<bool> {
    match piece {
        Piece::Lines(lines) => print::bytes(&lines),
        Piece::Missing(why) => {
            print::say(&why);
            Ok(true)
        }
    }
}

/// What the archive has of the parts without a pod, or why it has nothing.
async fn kept_of(parts: &Parts<'_>, flags: &Flags) -> BTreeMap<u32, Result<Vec<u8>, String>> {
    let missing = parts.without_pod();
    if missing.is_empty() {
        return BTreeMap::new();
    }
    let (migration, run) = (parts.migration, parts.run);
    let mut found = BTreeMap::new();
    let why = if is_awaited(migration, run) {
        "it has no pod now; --follow waits for one".to_owned()
    } else {
        match archived(parts.cluster, migration, run, (flags, &missing)).await {
            Ok(kept) => {
                found.extend(kept.into_iter().map(|(part, text)| (part, Ok(text))));
                "its pod is gone, and the archive does not have its log".to_owned()
            }
            Err(error) => parts::chain(&error),
        }
    };
    for part in missing {
        found.entry(part).or_insert_with(|| Err(why.clone()));
    }
    found
}

/// The migration and the run that the flags mean. `--follow` waits until the operator has seen the
/// migration's spec: before that the last run may be the dry run that was just promoted, whose log
/// is over.
async fn chosen(cluster: &Cluster, flags: &Flags) -> Result<(DataMigration, u32), LogsError> {
    let mut migration = cluster.migration(&flags.name).await?;
    let is_chosen = |migration: &DataMigration| {
        !flags.follow || flags.run.is_some() || progress::is_current(migration)
    };
    if !is_chosen(&migration) {
        print::say("waiting for the operator to read the last change of the migration");
    }
    // Without a bound, like the wait for the program's output: a person ends both.
    while !is_chosen(&migration) {
        tokio::time::sleep(POLL_PERIOD).await;
        migration = cluster.migration(&flags.name).await?;
    }
    let run = run(&migration, flags.run)?;
    Ok((migration, run))
}

/// The newest pod of each wanted part that has one, and the migration as it was read before. A run
/// is in status before its Job and its pods exist; with `follow` the first pod is waited for until
/// the run is over.
async fn found(
    cluster: &Cluster,
    mut migration: DataMigration,
    run: u32,
    (wanted, follow): (&[u32], bool),
) -> Result<(DataMigration, Vec<PartPod>), ClusterError> {
    loop {
        let pods = pods_of(cluster, &migration, run, wanted).await?;
        if !pods.is_empty() || !follow || !is_awaited(&migration, run) {
            return Ok((migration, pods));
        }
        tokio::time::sleep(POLL_PERIOD).await;
        let name = migration.name_any();
        migration = cluster.migration(&name).await?;
    }
}

/// The newest pod of each wanted part of a run that has one.
async fn pods_of(
    cluster: &Cluster,
    migration: &DataMigration,
    run: u32,
    wanted: &[u32],
) -> Result<Vec<PartPod>, ClusterError> {
    let uid = migration.uid().unwrap_or_default();
    let selector = format!("{MIGRATION_UID_LABEL}={uid},{RUN_LABEL}={run}");
    let pods = cluster.pods().list(&ListParams::default().labels(&selector)).await;
    let pods = pods.map_err(cluster::failed("listing the run's pods"))?;
    Ok(parts::newest(&pods.items, wanted))
}

/// Whether a run is on record and not over.
fn is_awaited(migration: &DataMigration, run: u32) -> bool {
    let mut runs = migration.status.iter().flat_map(|status| &status.runs);
    runs.any(|record| record.number == run && !record.result.is_over())
}

/// Opens the log of a pod's container, once there is one.
async fn opened(
    cluster: &Cluster,
    pod: &str,
    params: &LogParams,
) -> Result<impl futures::AsyncBufRead + use<>, ClusterError> {
    if params.follow {
        started(cluster, pod, params.container.as_deref()).await?;
    }
    let stream = cluster.pods().log_stream(pod, params).await;
    stream.map_err(cluster::failed(&format!("reading the log of pod {pod}")))
}

/// Prints the log of a run whose pods are gone, from the archive.
async fn kept(
    cluster: &Cluster,
    migration: &DataMigration,
    run: u32,
    flags: &Flags,
) -> Result<u8, LogsError> {
    let wanted = parts::wanted(migration, run, flags.part)?;
    let mut found = archived(cluster, migration, run, (flags, &wanted)).await?;
    if let [_] = wanted.as_slice() {
        for text in found.values() {
            print::bytes(text)?;
        }
        return Ok(0);
    }
    let mut is_whole = true;
    for part in wanted {
        let piece = match found.remove(&part) {
            Some(text) => Piece::Lines(parts::prefixed(part, &text)),
            None => Piece::Missing(format!("part {part}: the archive does not have its log")),
        };
        is_whole &= matches!(piece, Piece::Lines(_));
        if !printed(piece)? {
            break;
        }
    }
    Ok(u8::from(!is_whole))
}

/// The logs of parts of a run whose pods are gone, as far as the archive has them.
async fn archived(
    cluster: &Cluster,
    migration: &DataMigration,
    run: u32,
    (flags, wanted): (&Flags, &[u32]),
) -> Result<BTreeMap<u32, Vec<u8>>, LogsError> {
    let name = || flags.name.clone();
    let status = migration.status.as_ref();
    let record = status.and_then(|status| status.runs.iter().find(|record| record.number == run));
    let log = record.filter(|_| !flags.guard).and_then(|record| record.log.clone());
    let Some(at) = log else {
        let started = record.is_none_or(|record| record.execution_time.is_some());
        return Err(if started {
            LogsError::Gone { name: name(), run }
        } else if is_awaited(migration, run) {
            LogsError::NotYet { name: name(), run }
        } else {
            LogsError::NotStarted { name: name(), run }
        });
    };
    let target = record.and_then(|record| record.target.clone());
    let target = target.unwrap_or_else(|| migration.spec.target.name.clone());
    let target = cluster.target(&target).await;
    let kept = kept_log::read(target.as_ref(), &at, wanted).await;
    let kept = kept.map_err(|source| LogsError::Archived { name: name(), run, at, source })?;
    let tail = |(part, text)| (part, kept_log::tail(text, flags.tail));
    Ok(kept.into_iter().map(tail).collect())
}

/// A restore has a single container, of ours.
fn container(migration: &DataMigration, run: u32, guard: bool) -> &'static str {
    let mut runs = migration.status.iter().flat_map(|status| &status.runs);
    let restores = runs.any(|record| record.number == run && record.kind.restores());
    match (restores, guard) {
        (true, _) => RESTORE,
        (false, true) => GUARD,
        (false, false) => PROGRAM,
    }
}

fn run(migration: &DataMigration, asked: Option<u32>) -> Result<u32, LogsError> {
    let name = migration.name_any();
    let last = migration.status.as_ref().map_or(0, |status| status.last_run);
    match asked.unwrap_or(last) {
        _ if last == 0 => Err(LogsError::NotRun(name)),
        run if run == 0 || run > last => Err(LogsError::NoRun { name, run, last }),
        run => Ok(run),
    }
}

/// Waits until the container has a log, or never will.
async fn started(
    cluster: &Cluster,
    pod: &str,
    container: Option<&str>,
) -> Result<(), ClusterError> {
    loop {
        let found = cluster.pods().get_opt(pod).await;
        let found = found.map_err(cluster::failed(&format!("reading pod {pod}")))?;
        let Some(status) = found.and_then(|pod| pod.status) else { return Ok(()) };
        let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        let state =
            all.filter(|one| Some(one.name.as_str()) == container).find_map(|c| c.state.as_ref());
        let waits = state.is_none_or(|state| state.running.is_none() && state.terminated.is_none());
        if !waits || status.phase.as_deref() != Some("Pending") {
            return Ok(());
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
}

async fn copy(stream: impl futures::AsyncBufRead) -> io::Result<()> {
    let mut stream = std::pin::pin!(stream);
    loop {
        let chunk = stream.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(());
        }
        let read = chunk.len();
        if !print::bytes(chunk)? {
            return Ok(());
        }
        stream.consume_unpin(read);
    }
}

#[cfg(test)]
mod tests;
