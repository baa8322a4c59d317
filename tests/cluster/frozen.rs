//! What runs is what was hashed: a ConfigMap edited during or after a run neither changes it nor
//! goes unnoticed.

use dm_api::condition::types;
use dm_api::status::{Phase, RunKind};
use dm_tests::cluster::{Bed, Written, condition, failure, ready, status};
use k8s_openapi::api::core::v1::ConfigMap;

/// Waits a little, then ends with an error, so that its last lines say what it read.
const READS_LATE: &str = "sleep 6\ncat data.txt\nexit 1\n";

#[tokio::test]
async fn a_run_keeps_the_files_it_began_with() {
    let bed = Bed::new("frozen").await;
    let migration = Written::shell("m", READS_LATE).file("data.txt", "before\n").applied();
    bed.submit(&migration).await;
    bed.running("m").await;
    bed.submit(&migration.file("data.txt", "after\n")).await;
    bed.until("m", "the edit was noticed", |m| condition(m, types::SOURCE_CHANGED).is_some()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).last_lines, ["before"]);
    assert!(condition(&failed, types::SOURCE_CHANGED).is_some(), "it still differs");
    bed.no_new_pod().await;
    bed.done().await;
}

#[tokio::test]
async fn the_copy_cannot_be_edited_and_goes_with_its_job() {
    let bed = Bed::new("frozen-copy").await;
    bed.submit(&Written::shell("m", "echo done\n")).await;
    bed.phase("m", Phase::DryRunOk).await;
    let copy = bed.api::<ConfigMap>().get("m-1-dry-run").await.expect("the copy of the files");
    assert_eq!(copy.immutable, Some(true));
    bed.kubectl(&["delete", "job", "m-1-dry-run"]);
    bed.gone::<ConfigMap>("m-1-dry-run").await;
    let kept = bed.migrations().get("m").await.unwrap();
    assert_eq!(status(&kept).phase, Some(Phase::DryRunOk), "what it found is in status");
    bed.done().await;
}

#[tokio::test]
async fn an_edit_after_it_was_applied_is_said_and_runs_nothing() {
    let bed = Bed::new("frozen-applied").await;
    let migration = Written::shell("m", "echo one\n").applied();
    bed.submit(&migration).await;
    bed.phase("m", Phase::Applied).await;
    bed.submit(&migration.file("main.sh", "echo two\n")).await;
    let changed = bed
        .until("m", "the edit was noticed", |m| condition(m, types::SOURCE_CHANGED).is_some())
        .await;
    assert_eq!(status(&changed).phase, Some(Phase::Applied));
    assert!(
        ready(&changed).1.contains("an applied migration does not run again"),
        "{:?}",
        ready(&changed)
    );
    bed.no_new_pod().await;
    bed.done().await;
}

#[tokio::test]
async fn an_edit_after_a_dry_run_is_tried_anew() {
    let bed = Bed::new("frozen-tried").await;
    let migration = Written::shell("m", "echo one; exit 1\n");
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::DryRunFailed).await;
    let digest = status(&failed).dry_run.as_ref().unwrap().program_digest.clone();
    bed.submit(&migration.file("main.sh", "echo two\n")).await;
    let tried = bed
        .until("m", "the edit was tried", |m| {
            status(m).last_run == 2 && status(m).phase == Some(Phase::DryRunOk)
        })
        .await;
    assert_ne!(status(&tried).dry_run.as_ref().unwrap().program_digest, digest);
    assert!(status(&tried).failure.is_none());
    bed.done().await;
}

#[tokio::test]
async fn an_edit_during_a_dry_run_begins_it_anew() {
    let bed = Bed::new("frozen-trying").await;
    let migration = Written::shell("m", "sleep 300\n")
        .set("podTemplate.terminationGracePeriodSeconds", serde_json::json!(1));
    bed.submit(&migration).await;
    bed.running("m").await;
    bed.submit(&migration.file("main.sh", "echo two\n")).await;
    let tried = bed.phase("m", Phase::DryRunOk).await;
    let kinds: Vec<_> = status(&tried).runs.iter().map(|run| (run.number, run.kind)).collect();
    assert_eq!(kinds, [(2, RunKind::DryRun), (1, RunKind::DryRun)]);
    bed.done().await;
}
