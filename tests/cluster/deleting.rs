//! Deleting a migration ends its program as a program wants to be ended, and leaves nothing behind.

use dm_api::DataMigration;
use dm_api::status::Phase;
use dm_tests::cluster::{Bed, Written, until};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;

/// Writes through the guard when it is asked to stop, after the guard was told so too.
const WRITES_WHEN_STOPPED: &str = "import boto3, signal, sys, time\n\
    table = boto3.resource('dynamodb').Table('stopped')\n\
    def stop(number, frame):\n\
    \x20   time.sleep(1)\n\
    \x20   table.put_item(Item={'id': 'm', 'signal': number})\n\
    \x20   sys.exit(1)\n\
    signal.signal(signal.SIGTERM, stop)\n\
    table.put_item(Item={'id': 'begun'})\n\
    time.sleep(300)\n";

/// Waits until the program has written its first item.
async fn begun(bed: &Bed) {
    bed.until("m", "its program has written", |m| {
        let progress = m.status.as_ref().and_then(|status| status.progress.as_ref());
        progress.is_some_and(|progress| progress.items_written == Some(1))
    })
    .await;
}

/// Nothing of any run is left in the namespace.
async fn nothing_is_left(bed: &Bed) {
    for job in bed.jobs().await {
        bed.gone::<Job>(&job.name_any()).await;
    }
    for pod in bed.pods().await {
        bed.gone::<Pod>(&pod.name_any()).await;
    }
    let copies = ListParams::default().labels("app.kubernetes.io/managed-by=datamigration");
    for copy in bed.api::<ConfigMap>().list(&copies).await.unwrap() {
        bed.gone::<ConfigMap>(&copy.name_any()).await;
    }
}

#[tokio::test]
async fn in_the_middle_of_a_run_its_program_is_told_to_stop() {
    let bed = Bed::new("delete-running").await;
    bed.database.table("stopped", "id").await;
    bed.submit(&Written::python("m", WRITES_WHEN_STOPPED).applied()).await;
    begun(&bed).await;
    bed.migrations().delete("m", &DeleteParams::default()).await.unwrap();
    let going = bed.reason("m", dm_api::condition::Reason::Terminating).await;
    assert!(going.contains("its program is being stopped"), "{going}");
    bed.gone::<DataMigration>("m").await;
    let item = bed.database.item("stopped", "id", "m").await;
    assert_eq!(item["signal"]["N"], "15", "the program saw SIGTERM and could still write: {item}");
    nothing_is_left(&bed).await;
    bed.done().await;
}

#[tokio::test]
async fn after_its_end() {
    let bed = Bed::new("delete-ended").await;
    bed.submit(&Written::shell("m", "echo done\n").applied()).await;
    bed.phase("m", Phase::Applied).await;
    bed.migrations().delete("m", &DeleteParams::default()).await.unwrap();
    bed.gone::<DataMigration>("m").await;
    nothing_is_left(&bed).await;
    // Another one of the same name is another one. With other files its first run might begin with
    // those that the watch still shows, and be replaced before it starts.
    bed.submit(&Written::shell("m", "echo done\n").applied()).await;
    let again = bed.phase("m", Phase::Applied).await;
    assert_eq!(again.status.unwrap().last_run, 1);
    bed.done().await;
}

#[tokio::test]
async fn before_anything_ran() {
    let bed = Bed::new("delete-early").await;
    let migration = Written::shell("m", "echo done\n")
        .set("podTemplate.nodeSelector", json!({"disk": "quantum"}));
    bed.submit(&migration).await;
    bed.reason("m", dm_api::condition::Reason::Unschedulable).await;
    bed.migrations().delete("m", &DeleteParams::default()).await.unwrap();
    bed.gone::<DataMigration>("m").await;
    nothing_is_left(&bed).await;
    bed.done().await;
}

#[tokio::test]
async fn with_its_namespace_in_the_middle_of_a_run() {
    let bed = Bed::new("delete-namespace").await;
    bed.database.table("stopped", "id").await;
    bed.submit(&Written::python("m", WRITES_WHEN_STOPPED).applied()).await;
    begun(&bed).await;
    let namespaces: Api<Namespace> = Api::all(bed.client.clone());
    namespaces.delete(&bed.namespace, &DeleteParams::default()).await.unwrap();
    until(namespaces, &bed.namespace, "it is gone", |namespace| namespace.is_none()).await;
    let item = bed.database.item("stopped", "id", "m").await;
    assert_eq!(item["signal"]["N"], "15", "the program saw SIGTERM and could still write: {item}");
    bed.forget();
}

/// The Job of a dry run would replace the pod that the namespace's deletion takes away.
#[tokio::test]
async fn with_its_namespace_in_the_middle_of_a_dry_run() {
    let bed = Bed::new("delete-namespace-dry").await;
    bed.database.table("stopped", "id").await;
    bed.submit(&Written::python("m", WRITES_WHEN_STOPPED)).await;
    begun(&bed).await;
    let namespaces: Api<Namespace> = Api::all(bed.client.clone());
    namespaces.delete(&bed.namespace, &DeleteParams::default()).await.unwrap();
    until(namespaces, &bed.namespace, "it is gone", |namespace| namespace.is_none()).await;
    assert!(bed.database.items("stopped").await.is_empty(), "it was a dry run");
    bed.forget();
}

#[tokio::test]
async fn by_force_in_the_middle_of_a_run_lets_no_other_one_write_meanwhile() {
    let bed = Bed::new("delete-forced").await;
    bed.database.table("stopped", "id").await;
    bed.submit(&Written::python("m", WRITES_WHEN_STOPPED).applied()).await;
    begun(&bed).await;
    // As people do at night.
    let stripped = json!({"metadata": {"finalizers": null}});
    let refused = bed.try_patch("m", &stripped).await.expect_err("it is protected");
    assert!(refused.contains("datamigration.dev/abandon=true"), "{refused}");

    // Whoever says that the run is abandoned gets what was asked for.
    let abandoned = json!({"metadata": {"annotations": {"datamigration.dev/abandon": "true"}}});
    bed.patch("m", &abandoned).await;
    bed.migrations().delete("m", &DeleteParams::default()).await.unwrap();
    // The operator may have been faster.
    let _ = bed.try_patch("m", &stripped).await;
    bed.gone::<DataMigration>("m").await;
    let second = "import boto3\n\
                  table = boto3.resource('dynamodb').Table('stopped')\n\
                  last = table.get_item(Key={'id': 'm'}).get('Item')\n\
                  table.put_item(Item={'id': 'second', 'after': last is not None})\n";
    bed.submit(&Written::python("second", second).applied()).await;
    bed.phase("second", Phase::Applied).await;
    let item = bed.database.item("stopped", "id", "second").await;
    assert_eq!(item["after"]["BOOL"], true, "the first one's last write came before: {item}");
    bed.done().await;
}

#[tokio::test]
async fn nothing_holds_what_is_at_rest() {
    let bed = Bed::new("delete-at-rest").await;
    bed.submit(&Written::shell("m", "echo done\n")).await;
    bed.phase("m", Phase::DryRunOk).await;
    for dry_run in [true, false] {
        bed.patch("m", &json!({"spec": {"dryRun": dry_run}})).await;
        bed.phase("m", if dry_run { Phase::DryRunOk } else { Phase::Applied }).await;
        bed.until("m", "nothing of ours holds it", |m| m.finalizers().is_empty()).await;
        let held = |finalizers: &[String]| finalizers.iter().any(|f| f.contains("datamigration"));
        assert!(!bed.jobs().await.iter().any(|job| held(job.finalizers())));
        assert!(!bed.pods().await.iter().any(|pod| held(pod.finalizers())));
    }
    bed.done().await;
}
