//! What is missing is named, nothing has been run, and the run continues when it is there.

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunKind, RunResult};
use dm_tests::cluster::{Bed, CREDENTIALS, Written, condition, ready, status, target, variable};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// A migration stands still with a reason; its message.
async fn stands_still(bed: &Bed, reason: Reason) -> String {
    bed.reason("m", reason).await;
    let found = bed.migrations().get("m").await.unwrap();
    assert_eq!(condition(&found, types::STALLED).expect("Stalled").reason, reason.as_str());
    assert!(status(&found).execution_time.is_none(), "no program has run");
    let progress = status(&found).progress.as_ref().unwrap().text.clone();
    assert_eq!(progress.as_deref(), Some(reason.as_str()), "kubectl get says why, too");
    assert_eq!(status(&found).phase, Some(Phase::Stalled));
    ready(&found).1.to_owned()
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled() {
    let bed = Bed::new("image").await;
    let migration = Written::shell("m", "echo done\n")
        .set("script.image", json!("registry.invalid/nothing:1"))
        .applied();
    bed.submit(&migration).await;
    let message = stands_still(&bed, Reason::ImagePullFailed).await;
    assert!(message.contains("registry.invalid/nothing:1"), "{message}");
    assert!(message.contains("Nothing has run"), "{message}");

    let image = variable("DM_IMAGE_PYTHON");
    bed.patch("m", &json!({"spec": {"script": {"image": image}}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let runs: Vec<_> =
        status(&applied).runs.iter().map(|run| (run.number, run.result, run.reason)).collect();
    assert_eq!(
        runs,
        [
            (2, RunResult::Succeeded, Some(Reason::Applied)),
            (1, RunResult::Canceled, Some(Reason::Superseded)),
        ]
    );
    assert!(condition(&applied, types::STALLED).is_none());
    bed.done().await;
}

#[tokio::test]
async fn a_node_that_nobody_has() {
    let bed = Bed::new("node").await;
    let migration = Written::shell("m", "echo done\n")
        .set("podTemplate.nodeSelector", json!({"disk": "quantum"}))
        .applied();
    bed.submit(&migration).await;
    let message = stands_still(&bed, Reason::Unschedulable).await;
    assert!(message.contains("no node can take the pod"), "{message}");
    assert!(message.contains("nodeSelector"), "{message}");
    bed.patch("m", &json!({"spec": {"podTemplate": {"nodeSelector": null}}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let kinds: Vec<_> = status(&applied).runs.iter().map(|run| (run.kind, run.result)).collect();
    assert_eq!(
        kinds,
        [(RunKind::Apply, RunResult::Succeeded), (RunKind::Apply, RunResult::Canceled)]
    );
    bed.done().await;
}

#[tokio::test]
async fn a_config_map_that_is_created_later() {
    let bed = Bed::new("configmap").await;
    let migration = Written::shell("m", "echo done\n");
    bed.apply(&migration.object).await;
    let message = stands_still(&bed, Reason::ConfigMapNotFound).await;
    assert!(
        message.starts_with("spec.script.configMap.name: there is no ConfigMap m"),
        "{message}"
    );
    bed.apply(&migration.files().unwrap()).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.done().await;
}

#[tokio::test]
async fn a_secret_that_is_created_later() {
    let bed = Bed::new("secret").await;
    bed.api::<Secret>().delete(CREDENTIALS, &DeleteParams::default()).await.unwrap();
    bed.submit(&Written::shell("m", "echo done\n").applied()).await;
    let message = stands_still(&bed, Reason::SecretNotFound).await;
    assert!(message.contains(CREDENTIALS), "{message}");
    assert!(message.contains("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{message}");
    bed.apply(&bed.secret(CREDENTIALS, &bed.access_key)).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(status(&applied).last_run, 1, "the run went on");
    bed.done().await;
}

#[tokio::test]
async fn a_secret_that_lacks_a_key() {
    let bed = Bed::new("secret-key").await;
    let mut secret = bed.secret("half", &bed.access_key);
    secret["stringData"] = json!({"AWS_ACCESS_KEY_ID": "abc"});
    bed.apply(&secret).await;
    bed.apply(&target("half", &json!({"credentials": {"secret": {"name": "half"}}}))).await;
    let migration = Written::shell("m", "echo done\n").set("target.name", json!("half"));
    bed.submit(&migration).await;
    let message = stands_still(&bed, Reason::SecretNotFound).await;
    assert!(message.contains("AWS_SECRET_ACCESS_KEY"), "{message}");
    bed.apply(&bed.secret("half", &bed.access_key)).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.done().await;
}

#[tokio::test]
async fn a_target_that_is_created_later() {
    let bed = Bed::new("target").await;
    let migration = Written::shell("m", "echo done\n").set("target.name", json!("other"));
    bed.submit(&migration).await;
    let message = stands_still(&bed, Reason::TargetNotFound).await;
    assert!(
        message.starts_with("spec.target.name: there is no MigrationTarget other"),
        "{message}"
    );
    bed.apply(&target("other", &json!({}))).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.done().await;
}

#[tokio::test]
async fn a_service_account_that_is_created_later() {
    let bed = Bed::new("account").await;
    let credentials = json!({"credentials": {"serviceAccount": {"name": "writer"}}});
    bed.apply(&target("cloud", &credentials)).await;
    let migration = Written::shell("m", "echo done\n").set("target.name", json!("cloud"));
    bed.submit(&migration).await;
    let message = stands_still(&bed, Reason::ServiceAccountNotFound).await;
    assert!(message.contains("there is no ServiceAccount writer"), "{message}");
    let account: Value =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "writer"}});
    bed.apply(&account).await;
    bed.phase("m", Phase::DryRunOk).await;
    let pod = bed.pods().await.pop().expect("the run's pod").spec.unwrap();
    assert_eq!(pod.service_account_name.as_deref(), Some("writer"));
    bed.done().await;
}

#[tokio::test]
async fn a_quota_that_leaves_no_room() {
    let bed = Bed::new("quota").await;
    let quota = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    });
    bed.apply(&quota).await;
    dm_tests::cluster::until(
        bed.api::<k8s_openapi::api::core::v1::ResourceQuota>(),
        "none",
        "it is in force",
        |quota| quota.is_some_and(|q| q.status.as_ref().is_some_and(|s| s.hard.is_some())),
    )
    .await;
    bed.submit(&Written::shell("m", "echo done\n")).await;
    let message = bed.reason("m", Reason::ObjectRefused).await;
    assert!(message.contains("exceeded quota"), "{message}");
    let mut roomy = quota;
    roomy["spec"]["hard"]["count/jobs.batch"] = json!("5");
    bed.apply(&roomy).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.done().await;
}
