//! A pod or Job that goes away from outside: a run that writes has failed and says so, a dry run
//! starts over, and nothing runs again by itself that may have written.

use dm_api::condition::Reason;
use dm_api::status::{Phase, RunResult};
use dm_tests::cluster::{Bed, Written, failure, status};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams};
use serde_json::json;

/// Says how it was stopped, and takes long to end by itself.
const SLEEPS: &str = "trap 'echo told to stop; exit 1' TERM\necho begun\nsleep 300 & wait\n";

#[tokio::test]
async fn a_run_that_writes_and_whose_pod_is_evicted_has_failed() {
    let bed = Bed::new("evicted").await;
    bed.submit(&Written::shell("m", SLEEPS).applied()).await;
    let (_, pod) = bed.said("m").await;
    bed.api::<Pod>().evict(&pod, &EvictParams::default()).await.unwrap();
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::Evicted, "{failure:?}");
    assert!(failure.message.contains("evicted"), "{failure:?}");
    assert!(failure.message.contains("no item was written"), "the guard's count: {failure:?}");
    assert_eq!(failure.last_lines, ["begun", "told to stop"]);
    assert!(failure.what_now.contains("set spec.retry to 1"), "{failure:?}");
    bed.no_new_pod().await;
    bed.done().await;
}

#[tokio::test]
async fn a_dry_run_whose_pod_is_evicted_starts_over() {
    let bed = Bed::new("evicted-dry").await;
    bed.database.table("seen", "id").await;
    // The database past the guard remembers that the program was there; a dry run leaves no trace.
    let program = "import boto3, time\n\
                   table = boto3.resource('dynamodb').Table('seen')\n\
                   again = 'Item' in table.get_item(Key={'id': 'evicted'})\n\
                   print('again' if again else 'first', flush=True)\n\
                   time.sleep(0 if again else 300)\n";
    let migration =
        Written::python("m", program).set("podTemplate.terminationGracePeriodSeconds", json!(1));
    bed.submit(&migration).await;
    let (line, first) = bed.said("m").await;
    assert_eq!(line, "first");
    bed.database.put("seen", &[json!({"id": {"S": "evicted"}})]).await;
    bed.api::<Pod>().evict(&first, &EvictParams::default()).await.unwrap();
    let tried = bed.phase("m", Phase::DryRunOk).await;
    assert_eq!(status(&tried).last_run, 1, "the same run");
    assert_eq!(status(&tried).runs[0].result, RunResult::Succeeded);
    bed.done().await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_by_hand() {
    let bed = Bed::new("pod-deleted").await;
    bed.submit(&Written::shell("m", SLEEPS).applied()).await;
    let (_, pod) = bed.said("m").await;
    bed.api::<Pod>().delete(&pod, &DeleteParams::default()).await.unwrap();
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::PodDeleted, "{failure:?}");
    assert_eq!(failure.last_lines, ["begun", "told to stop"]);
    assert!(failure.message.contains("deleted by hand"), "{failure:?}");
    bed.gone::<Pod>(&pod).await;
    bed.no_new_pod().await;
    assert_eq!(status(&failed).last_run, 1);
    bed.done().await;
}

#[tokio::test]
async fn a_job_that_is_deleted_by_hand() {
    let bed = Bed::new("job-deleted").await;
    bed.submit(&Written::shell("m", SLEEPS).applied()).await;
    bed.said("m").await;
    bed.api::<Job>().delete("m-1-apply", &DeleteParams::background()).await.unwrap();
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::JobDeleted, "{failure:?}");
    assert_eq!(failure.last_lines, ["begun", "told to stop"]);
    bed.gone::<Job>("m-1-apply").await;
    bed.no_new_pod().await;
    assert!(bed.jobs().await.is_empty());
    bed.done().await;
}

#[tokio::test]
async fn a_job_that_is_deleted_without_its_pods() {
    let bed = Bed::new("job-orphans").await;
    bed.submit(&Written::shell("m", SLEEPS).applied()).await;
    bed.said("m").await;
    bed.api::<Job>().delete("m-1-apply", &DeleteParams::orphan()).await.unwrap();
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).reason, Reason::JobDeleted, "{:?}", failure(&failed));
    bed.no_new_pod().await;
    bed.done().await;
}

#[tokio::test]
async fn a_dry_run_whose_pod_is_deleted_by_hand_has_failed_too() {
    let bed = Bed::new("pod-deleted-dry").await;
    bed.submit(&Written::shell("m", SLEEPS)).await;
    let (_, pod) = bed.said("m").await;
    bed.api::<Pod>().delete(&pod, &DeleteParams::default()).await.unwrap();
    let failed = bed.phase("m", Phase::DryRunFailed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::PodDeleted, "{failure:?}");
    assert!(failure.message.contains("nothing was written"), "{failure:?}");
    bed.done().await;
}
