//! What a person reads: `kubectl get`, `get -o wide`, `describe`, and the events, in the order of
//! the story.

use dm_api::status::Phase;
use dm_tests::cluster::{Bed, Written};
use serde_json::{Value, json};

/// Gives each of three items a price; fails with an argument.
const PRICES: &str = "import boto3, sys\n\
    cars = boto3.resource('dynamodb').Table('cars')\n\
    for car in cars.scan()['Items']:\n\
    \x20   cars.update_item(Key={'id': car['id']}, UpdateExpression='SET price = :p',\n\
    \x20       ExpressionAttributeValues={':p': 100})\n\
    if len(sys.argv) > 1:\n\
    \x20   sys.exit(\"KeyError: 'number'\")\n";

async fn seed(bed: &Bed) {
    bed.database.table("cars", "id").await;
    let cars: Vec<_> = ["a", "b", "c"].map(|id| json!({"id": {"S": id}})).into();
    bed.database.put("cars", &cars).await;
}

/// All words are in the text, each after the one before.
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word);
        let at = at.unwrap_or_else(|| panic!("{word:?} is not where it belongs in:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

/// Reasons of a migration's events, in the order in which they happened.
fn events(bed: &Bed, name: &str) -> Vec<String> {
    let field = format!("regarding.name={name},regarding.kind=DataMigration");
    let listed =
        bed.kubectl(&["get", "events.events.k8s.io", "--field-selector", &field, "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut events: Vec<(String, String)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            (text("eventTime"), text("reason"))
        })
        .collect();
    events.sort();
    events.into_iter().map(|(_, reason)| reason).collect()
}

/// What `kubectl describe` shows of a dry run, in this order.
const DRY_RUN: &[&str] = &[
    "Status:",
    "Conditions:",
    "The dry run read 3 items and would update 3 items in cars; nothing was written. Set \
     spec.dryRun to false to apply it.",
    "AwaitingPromotion",
    "Dry Run:",
    "Digest:",
    "sha256:",
    "Items Read:",
    "3",
    "Tables:",
    "Attributes:",
    "Added:",
    "3",
    "Name:",
    "price",
    "cars",
    "Would Create:",
    "0",
    "Would Delete:",
    "0",
    "Would Update:",
    "3",
    "Write Calls That Reached The Database:  0",
    "Execution Time:",
    "Finalization Time:",
    "Phase:",
    "DryRunOK",
    "Events:",
];

#[tokio::test]
async fn from_a_dry_run_to_applied() {
    let bed = Bed::new("describe").await;
    seed(&bed).await;
    let migration = Written::python("m", PRICES).set(
        "description",
        json!("Every car gets a price, so that the next release can require one."),
    );
    bed.submit(&migration).await;
    bed.phase("m", Phase::DryRunOk).await;
    let get = bed.kubectl(&["get", "dm"]);
    in_order(&get, &["NAME", "TARGET", "PHASE", "PROGRESS", "AGE", "DESCRIPTION"]);
    in_order(&get, &["\nm ", "local", "DryRunOK", "100%", "Every car gets a price"]);
    let described = bed.kubectl(&["describe", "dm", "m"]);
    in_order(&described, DRY_RUN);

    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    bed.phase("m", Phase::Applied).await;
    bed.event("Applied").await;
    let wide = bed.kubectl(&["get", "dm", "--output", "wide"]);
    in_order(&wide, &["PROGRESS", "EXECUTION TIME", "FINALIZATION TIME", "RUN", "REASON"]);
    in_order(&wide, &["\nm ", "Applied", "100%", "Every car", "Z ", "Z ", "2 ", "Applied"]);
    let described = bed.kubectl(&["describe", "dm", "m"]);
    in_order(&described, &["Applied:", "Tables:", "Updated:", "3", "Phase:", "Applied"]);
    in_order(
        &described,
        &[
            "Events:",
            "DryRunStarted",
            "DryRunSucceeded",
            "RunStarted",
            "Applied",
            "updated 3 items in cars",
        ],
    );
    assert_eq!(
        events(&bed, "m"),
        ["DryRunStarted", "DryRunSucceeded", "RunStarted", "Applied"],
        "each once"
    );
    let all = bed.kubectl(&["get", "datamigration", "--no-headers"]);
    assert!(all.contains("m ") && all.contains("local"), "the category shows both kinds: {all}");
    bed.done().await;
}

#[tokio::test]
async fn a_failure_says_four_things() {
    let bed = Bed::new("describe-failure").await;
    seed(&bed).await;
    let migration = Written::python("m", PRICES).set("script.args", json!(["fail"])).applied();
    bed.submit(&migration).await;
    bed.phase("m", Phase::Failed).await;
    bed.event("ProgramFailed").await;
    let get = bed.kubectl(&["get", "dm"]);
    in_order(&get, &["\nm ", "local", "Failed", "3 written"]);
    let described = bed.kubectl(&["describe", "dm", "m"]);
    in_order(
        &described,
        &[
            "Failure:",
            "Exit Code:",
            "1",
            "Last Lines:",
            "KeyError: 'number'",
            "Message:",
            "The program ended with exit code 1 after ",
            "3 items were written",
            "Reason:",
            "ProgramFailed",
            "What Now:",
            "Look at the data: it may be partly changed. Then set spec.retry to 1 to \
             run the migration again.",
            "Events:",
            "Warning",
            "ProgramFailed",
        ],
    );
    assert_eq!(events(&bed, "m"), ["RunStarted", "ProgramFailed"]);
    bed.done().await;
}

#[tokio::test]
async fn what_does_not_move_says_why_in_get_and_describe() {
    let bed = Bed::new("describe-waiting").await;
    bed.submit(&Written::shell("m", "echo\n").set("dependsOn", json!([{"name": "0000-cars"}])))
        .await;
    bed.reason("m", dm_api::condition::Reason::WaitingForDependency).await;
    in_order(&bed.kubectl(&["get", "dm"]), &["\nm ", "local", "Waiting", "waiting for 0000-cars"]);
    let described = bed.kubectl(&["describe", "dm", "m"]);
    in_order(
        &described,
        &[
            "Waiting for 0000-cars, which does not exist in this namespace (spec.dependsOn)",
            "WaitingForDependency",
            "Events:",
            "WaitingForDependency",
        ],
    );
    let wide = bed.kubectl(&["get", "dm", "--output", "wide"]);
    in_order(&wide, &["\nm ", "WaitingForDependency"]);
    let explained = bed.kubectl(&["explain", "datamigration.spec.dryRun"]);
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        explained.contains("nothing is written, and status shows what would change"),
        "{explained}"
    );
    bed.done().await;
}
