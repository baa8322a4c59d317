//! Reads the migration, and writes its status: at one place, tied to the version that was read.

use dm_api::DataMigration;
use dm_api::status::DataMigrationStatus;
use kube::Api;
use kube::api::PostParams;

use crate::cache::slim;
use crate::context::Context;
use crate::identified::Migration;
use crate::publish;
use crate::reconcile::error::ReconcileError;

/// Reads the migration. That of the cache is as good as one that was read a moment ago: status is
/// written, and Jobs are changed, only if their versions are still the same.
pub async fn read(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Migration>, ReconcileError> {
    let held = context.cache.migrations.get(namespace, name);
    let found = match held {
        Some(migration) if slim::is_cut(&migration) => {
            let api: Api<DataMigration> = context.cluster(namespace).api();
            api.get_opt(name).await.map_err(|error| ReconcileError::Observe(error.into()))?
        }
        held => held.map(|migration| migration.as_ref().clone()),
    };
    Ok(found.map(Migration::parse).transpose()?)
}

/// Writes status if it differs. The write names the version that was read: a decision on an old
/// object is a conflict, and the reconcile starts over.
pub async fn write(
    context: &Context,
    migration: &Migration,
    new: &DataMigrationStatus,
) -> Result<Migration, ReconcileError> {
    let old = migration.status.clone().unwrap_or_default();
    if old == *new {
        return Ok(migration.clone());
    }
    let mut object = DataMigration::clone(migration);
    object.status = Some(new.clone());
    object.metadata.managed_fields = None;
    let cluster = context.cluster(migration.namespace());
    let written = cluster
        .api::<DataMigration>()
        .replace_status(migration.name(), &PostParams::default(), &object)
        .await
        .map_err(ReconcileError::Status)?;
    cluster.note(migration.metadata.resource_version.as_deref(), written.clone());
    publish::count(&context.metrics, &old, new);
    publish::events(&context.recorder, migration, &old, new).await;
    Ok(Migration::parse(written)?)
}
