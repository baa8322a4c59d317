//! A target says by itself whether its database and its archive can be used, before a migration
//! runs on it.

use dm_api::MigrationTarget;
use dm_api::target_condition::{TargetReason, types};
use dm_tests::cluster::{Bed, CREDENTIALS, TARGET, Written, target, until};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;

use crate::bucket::Bucket;

/// Waits until a condition of a target has a status and a reason for the current spec; its message.
async fn says(bed: &Bed, name: &str, type_: &str, status: &str, reason: TargetReason) -> String {
    let what = format!("{type_} is {status} with {reason}");
    let found = until(bed.api::<MigrationTarget>(), name, &what, |target| {
        let status_of = target.and_then(|target| target.status.as_ref());
        let generation = target.and_then(|target| target.metadata.generation);
        let condition = status_of.and_then(|status| status.condition(type_));
        condition.is_some_and(|one| {
            one.status == status
                && one.reason == reason.as_str()
                && one.observed_generation == generation
        })
    });
    let found = found.await.expect("it was just looked at");
    found.status.unwrap().condition(type_).unwrap().message.clone()
}

#[tokio::test]
async fn a_target_that_can_be_used_says_so_and_leaves_no_job() {
    let bed = Bed::new("target-ready").await;
    let message = says(&bed, TARGET, types::READY, "True", TargetReason::Reachable).await;
    assert!(message.contains("there is no archive"), "{message}");
    bed.gone::<Job>(&format!("{TARGET}-check")).await;
    let row = bed.kubectl(&["get", "migrationtargets", "--no-headers"]);
    assert!(row.contains("True") && row.contains("Reachable"), "{row}");
    let story = bed.kubectl(&["describe", "migrationtarget", TARGET]);
    assert!(story.contains("DatabaseReachable") && story.contains("Normal"), "{story}");
    bed.done().await;
}

#[tokio::test]
async fn a_secret_that_is_created_during_the_check() {
    let bed = Bed::new("target-secret").await;
    bed.api::<Secret>().delete(CREDENTIALS, &DeleteParams::default()).await.unwrap();
    bed.apply(&target("other", &json!({}))).await;
    let message = says(&bed, "other", types::READY, "False", TargetReason::SecretNotFound).await;
    assert!(message.contains(CREDENTIALS) && message.contains("spec.credentials"), "{message}");
    // It is advice: a migration waits for the Secret, and not for the check.
    bed.submit(&Written::shell("m", "echo done\n").set("target.name", json!("other"))).await;
    bed.apply(&bed.secret(CREDENTIALS, &bed.access_key)).await;
    says(&bed, "other", types::READY, "True", TargetReason::Reachable).await;
    bed.done().await;
}

#[tokio::test]
async fn an_endpoint_and_an_account_that_do_not_exist() {
    let bed = Bed::new("target-wrong").await;
    // The port of discard: nobody listens there.
    let wrong = target("wrong", &json!({"endpoint": "http://127.0.0.1:9"}));
    bed.apply(&wrong).await;
    let type_ = types::DATABASE_REACHABLE;
    let message = says(&bed, "wrong", type_, "False", TargetReason::DatabaseUnreachable).await;
    assert!(message.contains("Correct spec.endpoint"), "{message}");
    // The same object, corrected: another generation is checked at once.
    bed.apply(&target("wrong", &json!({}))).await;
    says(&bed, "wrong", types::READY, "True", TargetReason::Reachable).await;
    let role = json!({"credentials": {"serviceAccount": {"name": "nobody"}}});
    bed.apply(&target("role", &role)).await;
    let type_ = types::READY;
    let message = says(&bed, "role", type_, "False", TargetReason::ServiceAccountNotFound).await;
    assert!(message.contains("there is no ServiceAccount nobody"), "{message}");
    bed.done().await;
}

#[tokio::test]
async fn an_archive_that_does_not_answer_and_one_that_does() {
    let bed = Bed::new("target-archive").await;
    let bucket = Bucket::away().await;
    bucket.is_archive_of(&bed).await;
    let type_ = types::ARCHIVE_REACHABLE;
    let message = says(&bed, TARGET, type_, "False", TargetReason::ArchiveUnavailable).await;
    assert!(message.contains("Correct spec.archive"), "{message}");
    says(&bed, TARGET, types::DATABASE_REACHABLE, "True", TargetReason::Reachable).await;
    let _bucket = bucket.come_back().await;
    says(&bed, TARGET, types::READY, "True", TargetReason::Reachable).await;
    bed.done().await;
}
