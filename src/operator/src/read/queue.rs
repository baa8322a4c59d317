//! Reads what other migrations have to do with a run that could begin, or be released.

use std::collections::BTreeMap;
use std::sync::Arc;

use dm_api::name::DnsName;
use dm_api::{DataMigration, DataMigrationStatus};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Error, ResourceExt as _};

use crate::cluster::Cluster;
use crate::decide::fresh::Fresh;
use crate::history;
use crate::identified::{Migration, Target};
use crate::limits;
use crate::read::dependencies::{self, Dependencies};
use crate::read::holders::{self, Holder};
use crate::read::occupants;
use crate::read::paging;

/// Returns where the migrations stand that this one depends on. They come from the watch that
/// brought the migration itself, in one order: who is seen to depend on a migration is seen after
/// what that one had become by then.
pub fn dependencies(cluster: Cluster<'_>, migration: &DataMigration) -> Dependencies {
    let waits = migration.spec.depends_on.iter().any(|dependency| {
        let found = cluster.cache.migrations.get(cluster.namespace, &dependency.name);
        !found.is_some_and(|found| dependencies::is_applied(&found))
    });
    if !waits {
        return Dependencies::default();
    }
    // Only among those that wait can there be a circle.
    let others = cluster.cache.migrations.all(cluster.namespace).into_iter();
    let all: BTreeMap<String, Arc<DataMigration>> =
        others.map(|migration| (migration.name_any(), migration)).collect();
    dependencies::resolve(migration, &all)
}

/// Reads what else writes to the target, for a run that may begin or be released. Before a Job is
/// released it is a list of the API server: it shows every migration whose number was in status
/// before. Before that the cache will do.
pub async fn holders(
    cluster: Cluster<'_>,
    migration: &Migration,
    target: Option<&Target>,
    fresh: Fresh,
) -> Result<Vec<Holder>, Error> {
    let Some(target) = target else { return Ok(Vec::new()) };
    let active = migration.status.as_ref().and_then(DataMigrationStatus::under_way);
    let kind = active.map_or_else(|| history::kind_wanted(migration), |run| run.kind);
    let is_let_go = active.is_some_and(|run| run.job_uid.is_some());
    let name = DnsName::parse(&migration.spec.target.name);
    let Some(name) = name.filter(|_| kind.writes() && !is_let_go) else {
        return Ok(Vec::new());
    };
    let others: Vec<Arc<DataMigration>> = if fresh.queue {
        let kind = ApiResource::erase::<DataMigration>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), cluster.namespace, &kind);
        let of_target = ListParams::default().fields(&format!("spec.target.name={name}"));
        let of_target = of_target.limit(limits::QUEUE_PAGE_OBJECTS_MAX);
        let read = paging::list(&api, &of_target, |other| Some(slim(other))).await?;
        read.into_iter().collect::<Result<_, _>>().map_err(Error::SerdeError)?
    } else {
        cluster.cache.migrations.all(cluster.namespace)
    };
    // Of a migration that was removed by force these are left, and nobody else speaks for them; of
    // one whose spec names another target by now too. The cache will do: a list shows no more, as
    // the Job controller may create the pod of such a Job just after it.
    let jobs: Vec<Arc<Job>> = cluster.cache.jobs.all(cluster.namespace);
    let pods: Vec<Arc<Pod>> = cluster.cache.pods.all(cluster.namespace);
    let jobs = jobs.iter().map(AsRef::as_ref);
    let occupants =
        occupants::occupants(migration.uid(), target, jobs, pods.iter().map(AsRef::as_ref));
    let existing = cluster.cache.migrations.all(cluster.namespace);
    Ok(holders::holders(migration, others.iter().map(AsRef::as_ref), &existing, occupants))
}

/// Another migration with what is asked of it: its target, its runs, and whether it is held. What
/// else its spec has may be nothing that this version can read.
fn slim(mut migration: DynamicObject) -> Result<Arc<DataMigration>, serde_json::Error> {
    migration.metadata.managed_fields = None;
    migration.metadata.annotations = None;
    if let Some(spec) = migration.data["spec"].as_object_mut() {
        spec.retain(|field, _| ["target", "suspend"].contains(&field.as_str()));
    }
    serde_json::from_value(serde_json::to_value(migration)?).map(Arc::new)
}
