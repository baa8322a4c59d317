//! A run that writes runs its program once: whoever deletes its pod or Job, and whenever the
//! operator is killed. The program counts its own executions in the database.

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{Phase, RunResult};
use dm_tests::cluster::{Bed, OPERATOR_NAMESPACE, TARGET, Written, failure, status, target, until};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// Counts an execution, then takes `seconds`.
pub fn counting(name: &str, seconds: u32) -> Written {
    let program = format!(
        "import boto3, time\n\
         executions = boto3.resource('dynamodb').Table('executions')\n\
         executions.update_item(Key={{'id': '{name}'}}, UpdateExpression='ADD n :one',\n\
         \x20   ExpressionAttributeValues={{':one': 1}})\n\
         print('counted', flush=True)\n\
         time.sleep({seconds})\n"
    );
    Written::python(name, &program)
        .applied()
        .set("podTemplate.terminationGracePeriodSeconds", json!(1))
}

/// How often a program was executed, by its own count.
pub async fn executions(bed: &Bed, name: &str) -> Value {
    bed.database.item("executions", "id", name).await["n"]["N"].clone()
}

/// Waits until the program has counted itself.
async fn counted(bed: &Bed, name: &str) {
    bed.until(name, "its program has written", |m| {
        let progress = m.status.as_ref().and_then(|status| status.progress.as_ref());
        progress.is_some_and(|progress| progress.items_written == Some(1))
    })
    .await;
}

#[tokio::test]
async fn a_pod_deleted_in_the_middle_of_a_run() {
    let bed = Bed::new("once-pod").await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("m", 300)).await;
    counted(&bed, "m").await;
    bed.kubectl(&["delete", "pod", "--all", "--wait=false"]);
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).reason, Reason::PodDeleted);
    let message = &failure(&failed).message;
    assert!(message.contains("1 item was written"), "what state the data is in: {message}");
    bed.no_new_pod().await;
    assert_eq!(executions(&bed, "m").await, "1");
    has_one_final_status(&bed, "m", RunResult::Failed).await;
    bed.done().await;
}

#[tokio::test]
async fn a_job_deleted_in_the_middle_of_a_run() {
    let bed = Bed::new("once-job").await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("m", 300)).await;
    counted(&bed, "m").await;
    bed.kubectl(&["delete", "job", "m-1-apply", "--wait=false"]);
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).reason, Reason::JobDeleted);
    bed.no_new_pod().await;
    assert_eq!(executions(&bed, "m").await, "1");
    has_one_final_status(&bed, "m", RunResult::Failed).await;
    bed.done().await;
}

/// One run, with an end, and an event for its beginning and its end.
async fn has_one_final_status(bed: &Bed, name: &str, result: RunResult) {
    let found = bed.migrations().get(name).await.unwrap();
    let runs: Vec<_> = status(&found).runs.iter().map(|run| (run.number, run.result)).collect();
    assert_eq!(runs, [(1, result)], "{name}");
}

/// Kills the operator without a word of warning.
async fn kill_the_operator(bed: &Bed) {
    let deployments: Api<Deployment> = Api::namespaced(bed.client.clone(), OPERATOR_NAMESPACE);
    let deployments = deployments.list(&ListParams::default()).await.unwrap().items;
    let wanted = |d: &Deployment| d.spec.replicas.unwrap_or(0);
    assert!(
        deployments.iter().any(|deployment| wanted(deployment) > 0),
        "the operator does not run in the cluster (namespace {OPERATOR_NAMESPACE}), so it cannot \
         be killed there: `cargo xtask cluster up` installs it"
    );
    let pods: Api<Pod> = Api::namespaced(bed.client.clone(), OPERATOR_NAMESPACE);
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        // A pod that another test killed just now may be gone.
        let _ = pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
    }
}

/// A moment in the life of a run.
type Moment = (&'static str, fn(&DataMigration) -> bool);

const MOMENTS: [Moment; 5] = [
    ("the object is there", |_| true),
    ("it was seen", |m| m.finalizers().iter().any(|f| f == dm_api::RUN_FINALIZER)),
    ("the run has its number", |m| m.status.as_ref().is_some_and(|s| s.last_run == 1)),
    ("the Job is in status", |m| {
        let runs = m.status.as_ref().map(|status| &status.runs);
        runs.is_some_and(|runs| runs.iter().any(|run| run.result != RunResult::Starting))
    }),
    ("the program is running", |m| {
        m.status.as_ref().is_some_and(|status| status.execution_time.is_some())
    }),
];

#[tokio::test]
async fn the_operator_killed_at_any_moment() {
    let bed = Bed::new("once-operator").await;
    // They go at the same time; one after another they would take their turns under later numbers.
    bed.apply(&target(TARGET, &json!({"policy": {"maxConcurrentRuns": 10}}))).await;
    bed.database.table("executions", "id").await;
    for (number, (moment, is_reached)) in MOMENTS.into_iter().enumerate() {
        let name = format!("m{number}");
        bed.submit(&counting(&name, 1)).await;
        bed.until(&name, moment, is_reached).await;
        kill_the_operator(&bed).await;
    }
    // One more, killed when the program has ended and nobody has noted it yet.
    bed.submit(&counting("last", 1)).await;
    bed.running("last").await;
    let its_own = ListParams::default().labels("job-name=last-1-apply");
    let pod = bed.api::<Pod>().list(&its_own).await.unwrap().items[0].name_any();
    kill_the_operator(&bed).await;
    until(bed.api::<Job>(), "last-1-apply", "its program has ended", |job| {
        let status = job.and_then(|job| job.status.as_ref());
        status.is_some_and(|status| status.succeeded == Some(1) || status.failed == Some(1))
    })
    .await;
    // Somebody cleans up before the operator is back.
    let _ = bed.api::<Pod>().delete(&pod, &DeleteParams::default()).await;

    let names = ["m0", "m1", "m2", "m3", "m4", "last"];
    for name in names {
        bed.phase(name, Phase::Applied).await;
    }
    bed.no_new_pod().await;
    for name in names {
        assert_eq!(executions(&bed, name).await, "1", "{name}");
        has_one_final_status(&bed, name, RunResult::Succeeded).await;
        let migration = bed.migrations().get(name).await.unwrap();
        assert!(status(&migration).finalization_time.is_some(), "{name}");
    }
    bed.done().await;
}

#[tokio::test]
async fn what_was_applied_cannot_be_changed_and_does_not_run_again() {
    let bed = Bed::new("once-applied").await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("m", 0)).await;
    bed.phase("m", Phase::Applied).await;
    let refused = [
        ("spec.script", json!({"script": {"args": ["again"]}})),
        ("spec.script", json!({"script": {"image": "other:1"}})),
        ("spec.target", json!({"target": {"name": "other"}})),
        ("spec.container", json!({"script": null, "container": {"image": "other:1"}})),
    ];
    for (field, change) in refused {
        let message = bed.try_patch("m", &json!({"spec": change})).await.unwrap_err();
        // The API server names the field, quotes its value, and then says why.
        let expected = "this migration is applied, so what it does cannot change. Write \
                        a new DataMigration instead";
        let named = message.contains(&format!("{field}: "));
        assert!(named && message.contains(expected), "{message}");
    }
    // What does not change what it did may be changed, and nothing comes of it.
    bed.patch("m", &json!({"metadata": {"labels": {"team": "cars"}}})).await;
    bed.patch("m", &json!({"spec": {"description": "done", "retry": 5, "dryRun": true}})).await;
    bed.until("m", "the change was seen", |m| {
        status(m).observed_generation == m.metadata.generation
    })
    .await;
    bed.patch("m", &json!({"spec": {"dryRun": false, "suspend": true}})).await;
    bed.no_new_pod().await;
    assert_eq!(executions(&bed, "m").await, "1");
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(status(&applied).last_run, 1);
    bed.done().await;
}

#[tokio::test]
async fn a_program_that_may_be_repeated_is_started_again_as_often_as_it_may() {
    let bed = Bed::new("once-repeated").await;
    bed.database.table("executions", "id").await;
    let fails = "import boto3\n\
                 executions = boto3.resource('dynamodb').Table('executions')\n\
                 executions.update_item(Key={'id': 'm'}, UpdateExpression='ADD n :one',\n\
                 \x20   ExpressionAttributeValues={':one': 1})\n\
                 raise SystemExit('not this time')\n";
    let migration = Written::python("m", fails).applied().set("backoffLimit", json!(2));
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).reason, Reason::ProgramFailed);
    assert_eq!(failure(&failed).last_lines, ["not this time"]);
    assert_eq!(executions(&bed, "m").await, "3");
    assert_eq!(bed.pods().await.len(), 3);
    has_one_final_status(&bed, "m", RunResult::Failed).await;
    bed.done().await;
}

#[tokio::test]
async fn what_was_applied_before_the_operator_came_is_on_record_and_does_not_run() {
    let bed = Bed::new("once-baseline").await;
    bed.database.table("executions", "id").await;
    bed.submit(&counting("m", 0).set("baseline", json!(true))).await;
    let known = bed.until("m", "it is on record", |m| {
        m.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Baseline))
    });
    let known = known.await;
    assert!(status(&known).is_applied() && status(&known).runs[0].wrote_nothing, "{known:?}");
    assert!(bed.jobs().await.is_empty());
    let described = bed.kubectl(&["describe", "datamigration", "m"]);
    assert!(described.contains("Baseline"), "{described}");
    // What depends on it may run.
    let next = counting("next", 0).set("dependsOn", json!([{"name": "m"}]));
    bed.submit(&next).await;
    bed.phase("next", Phase::Applied).await;
    bed.no_new_pod().await;
    assert_eq!(executions(&bed, "next").await, "1");
    assert!(bed.database.items("executions").await.len() == 1, "m has not run");
    bed.done().await;
}
