//! A run under way goes as the spec says now: it is paused where it is, continues where it was, and
//! its limits change, without the program noticing more than a slow database.

use std::time::Duration;

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunResult};
use dm_tests::cluster::{Bed, Written, condition, ready, status};
use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

/// Puts as many items as it learns, one after the other.
const COUNTS: &str = r"
import boto3, sys, time

table = boto3.resource('dynamodb').Table('numbers')
print('begun', flush=True)
for number in range(int(sys.argv[1])):
    table.put_item(Item={'id': str(number)})
    time.sleep(0.02)
print(table.scan(Select='COUNT')['Count'])
";

async fn counting(bed: &Bed, items: u32) -> Written {
    bed.database.table("numbers", "id").await;
    Written::python("m", COUNTS).set("script.args", json!([items.to_string()]))
}

async fn written(bed: &Bed) -> usize {
    bed.database.items("numbers").await.len()
}

#[tokio::test]
async fn a_run_that_writes_is_paused_where_it_is_and_goes_on() {
    let bed = Bed::new("paused").await;
    let migration = counting(&bed, 500).await.applied();
    bed.submit(&migration).await;
    let (line, pod) = bed.said("m").await;
    assert_eq!(line, "begun");

    bed.patch("m", &json!({"spec": {"suspend": true}})).await;
    let paused = bed.until("m", "paused", |m| condition(m, types::PAUSED).is_some()).await;
    assert_eq!(status(&paused).phase, Some(Phase::Suspended));
    assert_eq!(ready(&paused).0, Reason::Suspended.as_str());
    assert!(condition(&paused, types::STALLED).is_none(), "as planned");
    let message = &condition(&paused, types::PAUSED).unwrap().message;
    assert!(message.contains("paused in place by spec.suspend"), "{message}");
    // What had been sent to the database before has arrived by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = written(&bed).await;
    assert!(before < 500, "it was paused in the middle");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(written(&bed).await, before, "nothing is written during a pause");
    stands_still(&bed, &pod);
    let job = bed.api::<Job>().get("m-1-apply").await.unwrap();
    assert_eq!(job.spec.unwrap().suspend, Some(false), "that would end its program");
    let told = bed.kubectl(&["describe", "datamigration", "m"]);
    assert!(told.contains("Paused"), "{told}");

    bed.patch("m", &json!({"spec": {"suspend": false}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert!(condition(&applied, types::PAUSED).is_none());
    let run = &status(&applied).runs[0];
    assert_eq!((run.number, run.result), (1, RunResult::Succeeded));
    assert_eq!(written(&bed).await, 500);
    let logs = bed.kubectl(&["logs", "job/m-1-apply", "--container", "program"]);
    assert_eq!(logs, "begun\n500\n", "one program, once, to its end");
    bed.done().await;
}

/// Its SDK must not notice how long a pause takes.
fn stands_still(bed: &Bed, pod: &str) {
    let state = "grep --no-filename State /proc/[0-9]*/status";
    let states = bed.kubectl(&["exec", pod, "--container", "program", "--", "sh", "-c", state]);
    assert!(states.contains("T (stopped)"), "{states}");
}

#[tokio::test]
async fn a_dry_run_is_paused_with_what_it_has_written() {
    let bed = Bed::new("paused-dry").await;
    let migration = counting(&bed, 300).await.set("activeDeadlineSeconds", json!(600));
    bed.submit(&migration).await;
    let (_, pod) = bed.said("m").await;
    bed.patch("m", &json!({"spec": {"suspend": true}})).await;
    let paused = bed.until("m", "paused", |m| condition(m, types::PAUSED).is_some()).await;
    assert_eq!(status(&paused).phase, Some(Phase::Suspended));
    stands_still(&bed, &pod);
    let before = bed.kubectl(&["logs", &pod, "--container", "program"]);
    assert_eq!(before, "begun\n", "it was paused in the middle");
    let deadline = async || bed.api::<Job>().get("m-1-dry-run").await.unwrap().spec.unwrap();
    while deadline().await.active_deadline_seconds.is_some() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;

    bed.patch("m", &json!({"spec": {"suspend": false}})).await;
    let tried = bed.phase("m", Phase::DryRunOk).await;
    assert_eq!((status(&tried).last_run, bed.pods().await.len()), (1, 1));
    let after = deadline().await.active_deadline_seconds;
    assert!(
        (603..700).contains(&after.unwrap()),
        "the time of the pause does not count: {after:?}"
    );
    let logs = bed.kubectl(&["logs", &pod, "--container", "program"]);
    assert_eq!(logs, "begun\n300\n", "it reads what it wrote before the pause");
    assert_eq!(written(&bed).await, 0);
    bed.done().await;
}

#[tokio::test]
async fn limits_change_while_the_program_runs_up_to_what_the_target_allows() {
    let bed = Bed::new("limits").await;
    // At one item a second it would take longer than the test waits.
    let migration =
        counting(&bed, 600).await.applied().set("limits", json!({"writesPerSecond": 1}));
    bed.submit(&migration).await;
    assert_eq!(bed.said("m").await.0, "begun");
    let slow = bed.migrations().get("m").await.unwrap();
    assert_eq!(ready(&slow).0, Reason::Running.as_str());

    bed.patch("m", &json!({"spec": {"limits": null}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(status(&applied).last_run, 1, "the same run");
    assert_eq!(written(&bed).await, 600);
    bed.done().await;
}
