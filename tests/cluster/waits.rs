//! What is to wait waits, says for what, and starts by itself.

use dm_api::condition::{Reason, types};
use dm_api::status::Phase;
use dm_tests::cluster::{Bed, Written, condition, ready, status};
use serde_json::json;

/// What `kubectl get` shows of how far a migration is.
async fn progress(bed: &Bed, name: &str) -> String {
    let found = bed.migrations().get(name).await.unwrap();
    status(&found).progress.as_ref().and_then(|progress| progress.text.clone()).unwrap_or_default()
}

#[tokio::test]
async fn no_pod_comes_before_the_start() {
    let bed = Bed::new("start").await;
    let clock = bed.kubectl(&["create", "configmap", "clock", "--output", "json"]);
    let clock: serde_json::Value = serde_json::from_str(&clock).unwrap();
    let now: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time =
        serde_json::from_value(clock["metadata"]["creationTimestamp"].clone()).unwrap();
    let start = now.0 + std::time::Duration::from_secs(8);
    let at = start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    bed.submit(&Written::shell("m", "echo done\n").set("startAt", json!(at)).applied()).await;
    let message = bed.reason("m", Reason::WaitingForStart).await;
    assert_eq!(message, format!("Waiting until {at} (spec.startAt)"));
    assert_eq!(progress(&bed, "m").await, format!("waiting until {at}"));
    let waiting = bed.migrations().get("m").await.unwrap();
    assert!(condition(&waiting, types::WAITING_FOR_START).is_some());
    assert!(condition(&waiting, types::RECONCILING).is_some(), "it comes by itself");
    let applied = bed.phase("m", Phase::Applied).await;
    let run = &status(&applied).runs[0];
    assert!(run.requested_at.0 >= start && run.execution_time.as_ref().unwrap().0 >= start);
    assert!(condition(&applied, types::WAITING_FOR_START).is_none());
    assert_eq!(status(&applied).last_run, 1);
    bed.done().await;
}

#[tokio::test]
async fn a_dependency_is_waited_for_until_it_is_applied() {
    let bed = Bed::new("depends").await;
    let second = Written::shell("second", "echo second\n")
        .set("dependsOn", json!([{"name": "first"}]))
        .applied();
    bed.submit(&second).await;
    let message = bed.reason("second", Reason::WaitingForDependency).await;
    assert_eq!(
        message,
        "Waiting for first, which does not exist in this namespace (spec.dependsOn)"
    );
    assert_eq!(progress(&bed, "second").await, "waiting for first");

    bed.submit(&Written::shell("first", "echo first\n")).await;
    bed.phase("first", Phase::DryRunOk).await;
    bed.until("second", "it says where the first stands", |m| ready(m).1.contains("DryRunOk"))
        .await;
    assert_eq!(bed.jobs().await.len(), 1, "a dry run of the first is not enough");

    bed.patch("first", &json!({"spec": {"dryRun": false}})).await;
    let first = bed.phase("first", Phase::Applied).await;
    let second = bed.phase("second", Phase::Applied).await;
    assert!(status(&second).execution_time >= status(&first).finalization_time);
    bed.done().await;
}

#[tokio::test]
async fn a_circle_is_reported_and_does_not_start() {
    let bed = Bed::new("circle").await;
    let depending = |name: &str, on: &str| {
        Written::shell(name, "echo done\n").set("dependsOn", json!([{"name": on}])).applied()
    };
    bed.submit(&depending("a", "b")).await;
    bed.submit(&depending("b", "a")).await;
    let message = bed.reason("a", Reason::DependencyCycle).await;
    assert!(message.contains("a → b → a"), "{message}");
    let message = bed.reason("b", Reason::DependencyCycle).await;
    assert!(message.starts_with("spec.dependsOn") && message.contains("b → a → b"), "{message}");
    assert!(bed.jobs().await.is_empty());

    bed.patch("a", &json!({"spec": {"dependsOn": null}})).await;
    bed.phase("a", Phase::Applied).await;
    bed.phase("b", Phase::Applied).await;
    bed.done().await;
}

#[tokio::test]
async fn a_migration_suspended_from_the_start() {
    let bed = Bed::new("suspended").await;
    let migration = Written::shell("m", "echo done\n").set("suspend", json!(true)).applied();
    bed.submit(&migration).await;
    bed.reason("m", Reason::Suspended).await;
    assert_eq!(progress(&bed, "m").await, "paused by spec.suspend");
    let suspended = bed.migrations().get("m").await.unwrap();
    assert_eq!(status(&suspended).phase, Some(Phase::Suspended));
    assert!(condition(&suspended, types::PAUSED).is_some());
    assert!(condition(&suspended, types::STALLED).is_none(), "as planned");
    assert!(bed.jobs().await.is_empty());
    bed.patch("m", &json!({"spec": {"suspend": false}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert!(condition(&applied, types::PAUSED).is_none());
    bed.done().await;
}
