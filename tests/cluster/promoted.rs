//! What may be applied: what the target's policy and the last dry run allow.

use dm_api::condition::Reason;
use dm_api::status::{Phase, RunKind};
use dm_tests::cluster::{Bed, Written, failure, status, target};
use serde_json::json;

#[tokio::test]
async fn a_target_may_want_a_dry_run_of_just_this_program_first() {
    let bed = Bed::new("dry-first").await;
    bed.apply(&target("strict", &json!({"policy": {"dryRunFirst": true}}))).await;
    let migration = Written::shell("m", "echo one\n").set("target.name", json!("strict")).applied();
    bed.submit(&migration).await;
    let message = bed.reason("m", Reason::DryRunRequired).await;
    assert!(message.contains("Set spec.dryRun to true"), "{message}");
    assert!(bed.jobs().await.is_empty(), "nothing has run");

    bed.patch("m", &json!({"spec": {"dryRun": true}})).await;
    bed.phase("m", Phase::DryRunOk).await;
    // The program changes after it was tried.
    bed.submit(&migration.clone().file("main.sh", "echo two\n")).await;
    bed.reason("m", Reason::DryRunRequired).await;

    bed.patch("m", &json!({"spec": {"dryRun": true}})).await;
    bed.until("m", "the changed program was tried", |m| {
        status(m).last_run == 2 && status(m).phase == Some(Phase::DryRunOk)
    })
    .await;
    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(status(&applied).last_run, 3);
    bed.done().await;
}

#[tokio::test]
async fn a_program_whose_dry_run_failed_is_held_until_retry_is_raised() {
    let bed = Bed::new("dry-failed").await;
    let program = "echo no; exit 4\n";
    bed.submit(&Written::shell("m", program)).await;
    bed.phase("m", Phase::DryRunFailed).await;
    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    let message = bed.reason("m", Reason::DryRunFailed).await;
    assert!(message.contains("set spec.retry to 1"), "{message}");

    bed.patch("m", &json!({"spec": {"retry": 1}})).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!((status(&failed).last_run, failure(&failed).exit_code), (2, Some(4)));
    assert_eq!(status(&failed).runs[0].kind, RunKind::Apply);
    let failure = failure(&failed);
    assert!(failure.what_now.contains("set spec.retry to 2"), "{}", failure.what_now);
    bed.done().await;
}

#[tokio::test]
async fn a_failed_run_is_repeated_when_retry_is_raised_and_not_before() {
    let bed = Bed::new("retry").await;
    bed.database.table("count", "id").await;
    let program = "import boto3\n\
                   count = boto3.resource('dynamodb').Table('count')\n\
                   new = count.update_item(Key={'id': 'executions'}, UpdateExpression='ADD n \
                   :one',\n\
                   \x20   ExpressionAttributeValues={':one': 1}, ReturnValues='ALL_NEW')\n\
                   print('execution', new['Attributes']['n'])\n\
                   raise SystemExit(0 if new['Attributes']['n'] == 2 else 'the first fails')\n";
    bed.submit(&Written::python("m", program).applied()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert!(failure(&failed).message.contains("1 item was written"), "{:?}", failure(&failed));
    // Whatever else changes, it is held.
    bed.patch("m", &json!({"spec": {"description": "changed", "backoffLimit": 1}})).await;
    bed.until("m", "the change was seen", |m| {
        status(m).observed_generation == m.metadata.generation
    })
    .await;
    bed.no_new_pod().await;

    bed.patch("m", &json!({"spec": {"retry": 1, "backoffLimit": 0}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(status(&applied).last_run, 2);
    assert!(status(&applied).failure.is_none(), "the failure is history");
    assert_eq!(bed.database.item("count", "id", "executions").await["n"]["N"], "2");
    bed.done().await;
}

#[tokio::test]
async fn a_promotion_during_the_dry_run_waits_for_its_result() {
    let bed = Bed::new("early").await;
    bed.submit(&Written::shell("m", "sleep 4; echo done\n")).await;
    bed.running("m").await;
    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let kinds: Vec<_> = status(&applied).runs.iter().map(|run| run.kind).collect();
    assert_eq!(kinds, [RunKind::Apply, RunKind::DryRun]);
    bed.done().await;
}
