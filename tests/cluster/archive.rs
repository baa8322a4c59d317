//! With an archive a migration runs once beyond its object's life: what is in the ledger is
//! adopted, the end of a run that was killed is noted all the same, and nothing writes while the
//! archive is away. The program counts its own executions in the database.

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunResult};
use dm_api::{DataMigration, MigrationTarget};
use dm_tests::cluster::{Bed, TARGET, Written, condition, failure, ready, status, target, until};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::once::{counting, executions};

/// The object goes with all that belongs to it, and comes again.
async fn recreate(bed: &Bed, migration: &Written) {
    let name = &migration.name;
    bed.migrations().delete(name, &DeleteParams::default()).await.unwrap();
    bed.gone::<DataMigration>(name).await;
    for job in bed.jobs().await {
        bed.gone::<Job>(&job.metadata.name.unwrap()).await;
    }
    bed.submit(migration).await;
}

/// Its result was adopted, and its program not run again.
async fn is_adopted(bed: &Bed, name: &str) {
    let applied = bed.phase(name, Phase::Applied).await;
    let of = status(&applied);
    assert_eq!(of.runs[0].reason, Some(Reason::Adopted));
    let report = of.applied.as_ref().unwrap();
    let from = format!("{}.{name}/{}", bed.namespace, report.run);
    assert_eq!(report.adopted_from.as_deref(), Some(from.as_str()));
    assert_eq!(executions(bed, name).await, "1");
    bed.event("Adopted").await;
}

#[tokio::test]
async fn in_a_bucket_a_run_is_journaled_and_adopted_by_a_created_again_object() {
    let bed = Bed::new("archive-s3").await;
    let bucket = Bucket::start().await;
    bucket.is_archive_of(&bed).await;
    bed.database.table("executions", "id").await;
    let migration = counting("m", 0);
    bed.submit(&migration).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let first = status(&applied).applied.clone().unwrap();
    assert_eq!(first.journaled, Some(1));
    let run = format!("runs/{}.m/000001", bed.namespace);
    let log = format!("s3://bucket/prod/{run}/program.log.zst");
    assert_eq!(first.log.as_deref(), Some(log.as_str()));
    let text = bucket.read(&format!("prod/{run}/program.log.zst"));
    let text = String::from_utf8(zstd::decode_all(&*text).unwrap()).unwrap();
    assert!(text.contains("counted"), "the program's whole output is kept: {text}");
    recreate(&bed, &migration).await;
    is_adopted(&bed, "m").await;
    let again = bed.migrations().get("m").await.unwrap();
    let adopted = status(&again).applied.clone().unwrap();
    assert_eq!(
        (adopted.execution_time, adopted.finalization_time),
        (first.execution_time, first.finalization_time),
        "the times are those of the run that did it"
    );
    bed.done().await;
}

/// A volume on the node, and a claim to it.
async fn volume(bed: &Bed, folder: &std::path::Path) {
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": bed.namespace},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"],
            "storageClassName": "", "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": bed.namespace, "name": "archive"},
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "Exists"},
            ]}]}},
        },
    });
    let volumes: Api<PersistentVolume> = Api::all(bed.client.clone());
    let params = PatchParams::apply("tests");
    volumes.patch(&bed.namespace, &params, &Patch::Apply(&volume)).await.unwrap();
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "archive"},
        "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": bed.namespace,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    bed.apply(&claim).await;
}

#[tokio::test]
async fn on_a_volume_a_run_is_journaled_and_adopted_by_a_created_again_object() {
    let bed = Bed::new("archive-volume").await;
    let folder = tempfile::tempdir().unwrap();
    volume(&bed, folder.path()).await;
    let claim = json!({"persistentVolumeClaim": {"claimName": "archive"}});
    let archive = json!({"url": "file:///archive", "volume": claim});
    bed.apply(&target(TARGET, &json!({"archive": archive}))).await;
    bed.database.table("executions", "id").await;
    let migration = counting("m", 0);
    bed.submit(&migration).await;
    bed.phase("m", Phase::Applied).await;
    let ledger = folder.path().join(format!("ledger/{}.m", bed.namespace));
    for entry in ["000001.begun.json", "000001.completed.json"] {
        assert!(ledger.join(entry).is_file(), "{entry} is not in the archive");
    }
    let journal = folder.path().join(format!("runs/{}.m/000001/journal", bed.namespace));
    assert!(journal.join("00000001.ndjson.zst").is_file(), "the change is not in the journal");
    recreate(&bed, &migration).await;
    is_adopted(&bed, "m").await;
    let volumes: Api<PersistentVolume> = Api::all(bed.client.clone());
    volumes.delete(&bed.namespace, &DeleteParams::default()).await.unwrap();
    bed.done().await;
}

#[tokio::test]
async fn the_end_of_a_run_whose_pod_was_killed_is_noted_all_the_same() {
    let bed = Bed::new("archive-killed").await;
    let bucket = Bucket::start().await;
    bucket.is_archive_of(&bed).await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("m", 300)).await;
    bed.until("m", "its program has written", |m| {
        let progress = m.status.as_ref().and_then(|status| status.progress.as_ref());
        progress.is_some_and(|progress| progress.items_written == Some(1))
    })
    .await;
    bed.kubectl(&["delete", "pod", "--all", "--force", "--grace-period=0", "--wait=false"]);
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).reason, Reason::PodDeleted);
    bed.until("m", "the archive knows how it ended", |m| {
        status(m).runs[0].archived == Some(true) && condition(m, types::NOT_ARCHIVED).is_none()
    })
    .await;
    let completed = format!("prod/ledger/{}.m/000001.completed.json", bed.namespace);
    let completed: Value = serde_json::from_slice(&bucket.read(&completed)).unwrap();
    assert_eq!(completed["outcome"], "Failed", "{completed}");
    until(bed.api::<Job>(), "m-1-apply", "its Job may go", |job| {
        job.is_none_or(|job| job.metadata.finalizers.as_ref().is_none_or(Vec::is_empty))
    })
    .await;
    bed.no_new_pod().await;
    assert_eq!(executions(&bed, "m").await, "1");
    bed.done().await;
}

#[tokio::test]
async fn an_archive_that_does_not_answer_is_waited_for_and_then_the_program_runs_once() {
    let bed = Bed::new("archive-away").await;
    let bucket = Bucket::away().await;
    bucket.is_archive_of(&bed).await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("m", 0)).await;
    let message = bed.reason("m", Reason::ArchiveUnavailable).await;
    assert!(message.starts_with("Waiting for the target's archive"), "{message}");
    let waiting = bed.migrations().get("m").await.unwrap();
    assert_eq!(status(&waiting).phase, Some(Phase::Waiting));
    assert_eq!(executions(&bed, "m").await, Value::Null, "nothing has run");
    let _bucket = bucket.come_back().await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(status(&applied).runs.len(), 1, "tries take one place in the history");
    assert_eq!(status(&applied).runs[0].result, RunResult::Succeeded);
    assert_eq!(executions(&bed, "m").await, "1");
    bed.done().await;
}

#[tokio::test]
async fn migrations_of_one_target_are_applied_one_after_another() {
    let bed = Bed::new("one-at-a-time").await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("first", 20)).await;
    bed.running("first").await;
    bed.submit(&counting("second", 0)).await;
    let message = bed.reason("second", Reason::LockedByAnother).await;
    assert!(message.contains("Waiting for first, which has been writing"), "{message}");
    let waiting = bed.migrations().get("second").await.unwrap();
    assert!(condition(&waiting, types::LOCKED_BY_ANOTHER).is_some(), "{:?}", ready(&waiting));
    bed.phase("second", Phase::Applied).await;
    let first = bed.phase("first", Phase::Applied).await;
    let second = bed.migrations().get("second").await.unwrap();
    assert!(
        status(&second).execution_time.as_ref().map(|time| time.0)
            >= status(&first).finalization_time.as_ref().map(|time| time.0),
        "one began before the other had ended"
    );
    let targets = bed.api::<MigrationTarget>();
    assert_eq!(targets.get(TARGET).await.unwrap().spec.policy.max_concurrent_runs, None);
    bed.done().await;
}
