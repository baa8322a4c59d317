//! Reads everything a decision rests on, from the API server itself: a decision that starts or
//! stops a program never rests on a cache.

use std::collections::BTreeMap;

use dm_api::migration::PodSettings;
use dm_api::name::DnsName;
use dm_api::status::RunRecord;
use dm_api::{DataMigration, MIGRATION_UID_LABEL, MigrationTarget};
use dm_contract::control::ControlState;
use dm_contract::report::GuardResult;
use dm_contract::restored::RestoreResult;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, ServiceAccount};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::guard_client;
use crate::history;
use crate::limits;
use crate::objects::{FAILED_CREATE_ANNOTATION, control};
use crate::read::dependencies::{self, Dependencies};
use crate::read::holders::{self, Holder};
use crate::read::occupants;
use crate::read::owned;
use crate::read::paging;
use crate::read::references::{self, References};
use crate::read::view;
use crate::runnable::FilesFound;

/// What was found.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The target, if it exists.
    pub target: Option<MigrationTarget>,
    /// The ServiceAccount that runs would use, if the target names one that does not exist.
    pub missing_account: Option<String>,
    /// The ConfigMap with the files.
    pub files: FilesFound,
    /// What its program refers to beside them.
    pub references: References,
    /// Jobs of all its runs.
    pub jobs: Vec<Job>,
    /// Pods of all its runs, in the order of their creation.
    pub pods: Vec<Pod>,
    /// What the guard of the run under way has counted so far, if there is one and it answered.
    pub guard: Option<GuardResult>,
    /// How fast that run goes, if its guard can be controlled.
    pub control: Option<ControlState>,
    /// The same as `guard` of a restore under way.
    pub restore: Option<RestoreResult>,
}

impl Observed {
    /// The Job of a run: the one in its record, or one that has not been let go yet.
    pub fn job_of(&self, run: &RunRecord) -> Option<&Job> {
        job_of(&self.jobs, run)
    }

    /// The pod of the run under way and the token of its guard, if it can be controlled now.
    pub fn controlled<'a>(&'a self, migration: &DataMigration) -> Option<(&'a Pod, &'a str)> {
        controlled(migration, &self.jobs, &self.pods)
    }

    /// The pods of a run, in the order of their creation.
    pub fn pods(&self, run: u32) -> Vec<&Pod> {
        self.pods
            .iter()
            .filter(|pod| view::run_of(pod.metadata.labels.as_ref()) == Some(run))
            .collect()
    }
}

/// What others have to do with a run that could begin, or be let go.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// The migrations this one depends on.
    pub dependencies: Dependencies,
    /// Runs of other migrations on the same target that write, or are about to.
    pub holders: Vec<Holder>,
}

/// Reads what only a run that could begin, or be let go, depends on. It is read after the migration
/// itself, on which the order of two that begin at the same time rests (see `turn`).
pub async fn others(
    client: &Client,
    migration: &DataMigration,
    target: Option<&MigrationTarget>,
) -> Result<Others, kube::Error> {
    let namespace = migration.namespace().unwrap_or_default();
    let dependencies = dependencies(client, &namespace, migration).await?;
    // Who waits for another migration does not queue.
    let holders = if dependencies.waits_for.is_empty() {
        holders(client, &namespace, migration, target).await?
    } else {
        Vec::new()
    };
    Ok(Others { dependencies, holders })
}

/// Reads what a migration's next step depends on.
pub async fn observe(client: &Client, migration: &DataMigration) -> Result<Observed, kube::Error> {
    let namespace = migration.namespace().unwrap_or_default();
    let uid = migration.uid().unwrap_or_default();
    let ours = ListParams::default().labels(&format!("{MIGRATION_UID_LABEL}={uid}"));
    let targets: Api<MigrationTarget> = Api::namespaced(client.clone(), &namespace);
    let target = named(&targets, &migration.spec.target.name).await?;
    let missing_account = missing_account(client, &namespace, migration, target.as_ref()).await?;
    // A run's number is in status before its Job exists: without one there is none.
    let has_run = migration.status.as_ref().is_some_and(|status| status.last_run > 0);
    let (mut jobs, mut pods) = (Vec::new(), Vec::new());
    if has_run {
        jobs = paging::all(&Api::<Job>::namespaced(client.clone(), &namespace), &ours).await?;
        pods = paging::all(&Api::<Pod>::namespaced(client.clone(), &namespace), &ours).await?;
    }
    let mut jobs = owned::jobs(migration, jobs);
    let mut pods = owned::pods(migration, &jobs, pods);
    pods.sort_by_key(|pod| {
        (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.name_any())
    });
    note_refusal(client, &namespace, migration, &mut jobs, &pods).await;
    let asked = asked(migration, &pods);
    // What is asked of one guard is asked at once.
    let (guard, restore, control) = tokio::join!(
        async {
            let (run, pod) = asked?;
            if run.kind.restores() { None } else { guard_client::progress(pod).await }
        },
        async {
            let (run, pod) = asked?;
            if run.kind.restores() { guard_client::restore(pod).await } else { None }
        },
        async {
            let (pod, token) = controlled(migration, &jobs, &pods)?;
            guard_client::control(pod, token).await
        },
    );
    Ok(Observed {
        missing_account,
        files: files(client, &namespace, migration).await?,
        references: references(client, &namespace, migration).await?,
        jobs,
        target,
        guard,
        restore,
        control,
        pods,
    })
}

/// Reads the object that a spec names. Nothing else than a name gets into a request: there is no object
/// `../secrets/x`, and `t?x=1` is not `t`.
async fn named<K>(api: &Api<K>, name: &str) -> Result<Option<K>, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    match DnsName::parse(name) {
        Some(name) => api.get_opt(name.as_str()).await,
        None => Ok(None),
    }
}

/// Notes on the Job of a run whose pod does not appear why it could not be created, by the Job controller's
/// last event. Best effort: the run does not depend on it.
async fn note_refusal(
    client: &Client,
    namespace: &str,
    migration: &DataMigration,
    jobs: &mut [Job],
    pods: &[Pod],
) {
    let status = migration.status.as_ref();
    let run = status.and_then(|status| status.runs.first()).filter(|run| !run.result.is_over());
    let Some(run) = run.filter(|run| run.job_uid.is_some()) else { return };
    let has_pod =
        pods.iter().any(|pod| view::run_of(pod.metadata.labels.as_ref()) == Some(run.number));
    let job = jobs.iter_mut().find(|job| job.metadata.uid == run.job_uid).filter(|_| !has_pod);
    let Some((job, uid)) = job.zip(run.job_uid.as_ref()) else { return };
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let of_job = format!("involvedObject.uid={uid},reason=FailedCreate");
    let params = ListParams::default().fields(&of_job).limit(limits::EVENTS_READ_MAX);
    match events.list(&params).await {
        Ok(found) => {
            let time = |event: &Event| event.last_timestamp.as_ref().map(|time| time.0);
            let last = found.items.into_iter().max_by_key(time);
            if let Some(words) = last.and_then(|event| event.message) {
                let annotations = job.metadata.annotations.get_or_insert_default();
                annotations.insert(FAILED_CREATE_ANNOTATION.into(), words);
            }
        }
        Err(error) => tracing::warn!(%error, "the events of a Job without a pod were not read"),
    }
}

/// What else writes to the target, for a run that may begin or be let go.
async fn holders(
    client: &Client,
    namespace: &str,
    migration: &DataMigration,
    target: Option<&MigrationTarget>,
) -> Result<Vec<Holder>, kube::Error> {
    let Some(target) = target else { return Ok(Vec::new()) };
    let status = migration.status.as_ref();
    let last = status.and_then(|status| status.runs.first());
    let active = last.filter(|run| !run.result.is_over());
    let kind = active.map_or_else(|| history::kind_wanted(migration), |run| run.kind);
    let is_let_go = active.is_some_and(|run| run.job_uid.is_some());
    let name = DnsName::parse(&migration.spec.target.name);
    let Some(name) = name.filter(|_| kind.writes() && !is_let_go) else {
        return Ok(Vec::new());
    };
    let named = format!("spec.target.name={name}");
    let api: Api<DataMigration> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&named);
    let others = paging::list(&api, &params, |other| Some(slim(other))).await?;
    // A migration that was removed by force has left these, and nobody else speaks for them.
    let ours = ListParams::default().labels(MIGRATION_UID_LABEL);
    let jobs = paging::all(&Api::<Job>::namespaced(client.clone(), namespace), &ours).await?;
    let pods = paging::all(&Api::<Pod>::namespaced(client.clone(), namespace), &ours).await?;
    let own = migration.uid().unwrap_or_default();
    let occupants = occupants::occupants(&own, target, &jobs, &pods);
    Ok(holders::holders(migration, &others, occupants))
}

/// The pod of the run under way, if its program runs: its guard can be asked how far it is.
fn asked<'a, 'b>(
    migration: &'a DataMigration,
    pods: &'b [Pod],
) -> Option<(&'a RunRecord, &'b Pod)> {
    let run = migration.status.as_ref()?.runs.first().filter(|run| !run.result.is_over())?;
    let pod = pods.iter().rev().find(|pod| {
        view::run_of(pod.metadata.labels.as_ref()) == Some(run.number)
            && view::program_started(pod).is_some()
            && view::program_end(pod).is_none()
    })?;
    Some((run, pod))
}

fn controlled<'a>(
    migration: &DataMigration,
    jobs: &'a [Job],
    pods: &'a [Pod],
) -> Option<(&'a Pod, &'a str)> {
    let (run, pod) = asked(migration, pods)?;
    Some((pod, control::token_of(job_of(jobs, run)?)?))
}

fn job_of<'a>(jobs: &'a [Job], run: &RunRecord) -> Option<&'a Job> {
    jobs.iter().find(|job| {
        // One that was not let go yet has the name that was made for it.
        view::run_of(job.metadata.labels.as_ref()) == Some(run.number)
            && match &run.job_uid {
                Some(uid) => job.metadata.uid.as_ref() == Some(uid),
                None => job.metadata.name.as_ref() == Some(&run.job),
            }
    })
}

async fn missing_account(
    client: &Client,
    namespace: &str,
    migration: &DataMigration,
    target: Option<&MigrationTarget>,
) -> Result<Option<String>, kube::Error> {
    let kind = history::kind_wanted(migration);
    let Some(account) = target.and_then(|t| t.spec.credentials_of(kind).service_account.clone())
    else {
        return Ok(None);
    };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    Ok(named(&api, &account.name).await?.is_none().then_some(account.name))
}

async fn files(
    client: &Client,
    namespace: &str,
    migration: &DataMigration,
) -> Result<FilesFound, kube::Error> {
    // What is taken back needs no program any more.
    let restores = history::kind_wanted(migration).restores();
    let spec = &migration.spec;
    let source = spec.files();
    let Some(source) = source.filter(|_| !restores) else {
        return Ok(FilesFound::NotNeeded);
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = named(&api, &source.name).await?;
    Ok(found.map_or(FilesFound::Missing, |map| FilesFound::Found(Box::new(map))))
}

/// Another migration without what nobody asks of it: what its program is.
fn slim(mut migration: DataMigration) -> DataMigration {
    migration.metadata.managed_fields = None;
    migration.metadata.annotations = None;
    let spec = &mut migration.spec;
    (spec.script, spec.container, spec.description) = (None, None, None);
    spec.transform = None;
    spec.pod_template = PodSettings::default();
    migration
}

async fn references(
    client: &Client,
    namespace: &str,
    migration: &DataMigration,
) -> Result<References, kube::Error> {
    let mut found = References::default();
    if history::kind_wanted(migration).restores() {
        return Ok(found);
    }
    if references::needs_targets(migration) {
        let api: Api<MigrationTarget> = Api::namespaced(client.clone(), namespace);
        found.targets = paging::all(&api, &ListParams::default()).await?;
    }
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    for name in references::config_maps(migration) {
        let map = named(&api, &name).await?;
        found.config_maps.insert(name, map);
    }
    Ok(found)
}

async fn dependencies(
    client: &Client,
    namespace: &str,
    migration: &DataMigration,
) -> Result<Dependencies, kube::Error> {
    let api: Api<DataMigration> = Api::namespaced(client.clone(), namespace);
    let mut waits = false;
    for dependency in &migration.spec.depends_on {
        let found = named(&api, &dependency.name).await?;
        waits |= !found.as_ref().is_some_and(dependencies::is_applied);
    }
    if !waits {
        return Ok(Dependencies::default());
    }
    // Only among those that wait can there be a circle.
    let others = paging::list(&api, &ListParams::default(), |other| Some(slim(other))).await?;
    let all: BTreeMap<String, DataMigration> =
        others.into_iter().map(|migration| (migration.name_any(), migration)).collect();
    Ok(dependencies::resolve(migration, &all))
}
