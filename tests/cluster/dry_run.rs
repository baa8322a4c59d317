//! A dry run shows what a program would change, to the program as to its author, and changes
//! nothing.

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunKind, RunResult};
use dm_tests::cluster::{
    Bed, Database, Written, condition, effects, failure, ready, status, target,
};
use serde_json::{Value, json};

/// A table with a partition and a sort key, and five items.
async fn seed(database: &Database) {
    let request = json!({
        "TableName": "things",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "kind", "KeyType": "HASH"},
            {"AttributeName": "id", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "kind", "AttributeType": "S"},
            {"AttributeName": "id", "AttributeType": "S"},
        ],
    });
    database.ok("CreateTable", &request).await;
    let item = |id: u32| {
        json!({
            "kind": {"S": "a"},
            "id": {"S": id.to_string()},
            "weight": {"N": id.to_string()},
            "colour": {"S": "red"},
        })
    };
    let items: Vec<Value> = (1..=5).map(item).collect();
    database.put("things", &items).await;
}

/// A program that reads its own writes back is tried, promoted by one patch, and does what was
/// said.
async fn is_tried_and_promoted(bed: &Bed, migration: Written) {
    seed(&bed.database).await;
    let before = bed.database.items("things").await;
    bed.submit(&migration).await;

    let tried = bed.phase("m", Phase::DryRunOk).await;
    assert_eq!(bed.database.items("things").await, before, "byte for byte as before");
    let effects = effects(&tried);
    assert_eq!(effects.write_calls_that_reached_the_database, 0);
    let [table] = effects.tables.as_slice() else { panic!("one table: {effects:?}") };
    let counts = (table.name.as_str(), table.would_create, table.would_update, table.would_delete);
    assert_eq!(counts, ("things", 31, 2, 2));
    let attributes: Vec<_> =
        table.attributes.iter().map(|a| (a.name.as_str(), a.added, a.changed, a.removed)).collect();
    assert_eq!(attributes, [("colour", 0, 0, 1), ("price", 1, 0, 0), ("weight", 0, 2, 0)]);
    assert!(effects.items_read >= 5 && effects.read_units > 0.0 && effects.requests > 10);
    assert!(effects.write_units >= 35.0, "one unit for each write: {effects:?}");
    assert!(effects.remarks.is_empty(), "nothing was approximate: {:?}", effects.remarks);
    let (reason, message) = ready(&tried);
    assert_eq!(reason, "AwaitingPromotion");
    for words in ["create 31 items", "update 2 items", "delete 2 items", "nothing was written"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(message.contains("Set spec.dryRun to false"), "{message}");
    let report = status(&tried).dry_run.as_ref().unwrap();
    assert!(report.digest.as_ref().is_some_and(|digest| digest.starts_with("sha256:")));
    assert!(report.execution_time.is_some() && report.finalization_time.is_some());
    assert!(condition(&tried, types::STALLED).is_none());
    assert!(condition(&tried, types::RECONCILING).is_none());

    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let after = bed.database.items("things").await;
    let created = after.iter().filter(|item| !before.contains(item)).count();
    let gone = before.iter().filter(|item| !after.contains(item)).count();
    assert_eq!((created, gone), (31 + 2, 2 + 2), "as announced");
    assert_eq!(after.len(), 5 + 31 - 2);
    let status = status(&applied);
    let (start, end) = (status.execution_time.as_ref(), status.finalization_time.as_ref());
    assert!(start.unwrap() <= end.unwrap(), "the program's own times");
    assert!(start > report.finalization_time.as_ref(), "the applying run's, not the dry run's");
    let kinds: Vec<_> = status.runs.iter().map(|run| (run.number, run.kind, run.result)).collect();
    assert_eq!(
        kinds,
        [(2, RunKind::Apply, RunResult::Succeeded), (1, RunKind::DryRun, RunResult::Succeeded)]
    );
    let changed = status.applied.as_ref().unwrap().effects.as_ref().unwrap();
    assert_eq!(changed.tables.len(), 1);
    assert_eq!(condition(&applied, types::READY).unwrap().status, "True");
    assert!(status.failure.is_none());
}

#[tokio::test]
async fn a_python_program_reads_its_own_writes_and_the_table_stays_as_it_was() {
    let bed = Bed::new("dry-python").await;
    let program = include_str!("programs/own_writes.py");
    is_tried_and_promoted(&bed, Written::python("m", program)).await;
    bed.done().await;
}

#[tokio::test]
async fn a_node_program_reads_its_own_writes_and_the_table_stays_as_it_was() {
    let bed = Bed::new("dry-node").await;
    let program = include_str!("programs/own_writes.mjs");
    is_tried_and_promoted(&bed, Written::node("m", program)).await;
    bed.done().await;
}

#[tokio::test]
async fn a_second_pass_says_whether_a_program_is_safe_to_repeat() {
    let bed = Bed::new("dry-twice").await;
    bed.database.table("cars", "id").await;
    bed.database.put("cars", &[json!({"id": {"S": "audi"}, "price": {"N": "1"}})]).await;
    let before = bed.database.items("cars").await;
    let update = |expression: &str| {
        format!(
            "import boto3\n\
             cars = boto3.resource('dynamodb').Table('cars')\n\
             cars.update_item(Key={{'id': 'audi'}}, UpdateExpression='{expression}',\n\
             \x20                ExpressionAttributeValues={{':n': 5}})\n\
             print('done')\n"
        )
    };
    for (name, expression, idempotent, says) in [
        ("sets", "SET price = :n", true, "changed nothing"),
        ("adds", "SET price = price + :n", false, "not safe to repeat"),
    ] {
        let migration = Written::python(name, &update(expression));
        bed.submit(&migration.set("secondPass", json!(true))).await;
        let tried = bed.phase(name, Phase::DryRunOk).await;
        let report = status(&tried).dry_run.as_ref().unwrap();
        assert_eq!(report.idempotent, Some(idempotent), "{name}");
        assert!(ready(&tried).1.contains(says), "{}", ready(&tried).1);
        let effects = effects(&tried);
        assert_eq!(effects.tables[0].would_update, 1, "of the first pass");
        assert_eq!(effects.write_calls_that_reached_the_database, 0);
        let updates = effects.operations.iter().find(|count| count.operation == "UpdateItem");
        assert_eq!(updates.map(|count| count.exact), Some(1), "of the first pass: {effects:?}");
    }
    assert_eq!(bed.database.items("cars").await, before);
    bed.done().await;
}

#[tokio::test]
async fn a_dry_run_that_fails_half_way_has_written_nothing() {
    let bed = Bed::new("dry-fails").await;
    seed(&bed.database).await;
    let before = bed.database.items("things").await;
    let program = "import boto3\n\
                   things = boto3.resource('dynamodb').Table('things')\n\
                   things.put_item(Item={'kind': 'a', 'id': '9'})\n\
                   raise KeyError('number')\n";
    bed.submit(&Written::python("m", program)).await;
    let failed = bed.phase("m", Phase::DryRunFailed).await;
    assert_eq!(bed.database.items("things").await, before);
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::ProgramFailed);
    assert!(failure.message.contains("nothing was written"), "{}", failure.message);
    assert!(
        failure.what_now.contains("A changed program gets a new dry run"),
        "{}",
        failure.what_now
    );
    assert_eq!(failure.last_lines.last().unwrap(), "KeyError: 'number'");
    assert_eq!(effects(&failed).write_calls_that_reached_the_database, 0);
    bed.done().await;
}

#[tokio::test]
async fn a_dry_run_with_calls_that_cannot_be_simulated_is_not_complete() {
    let bed = Bed::new("dry-refused").await;
    let program = "import boto3\n\
                   try:\n\
                   \x20   boto3.client('dynamodb').create_table(\n\
                   \x20       TableName='t', BillingMode='PAY_PER_REQUEST',\n\
                   \x20       KeySchema=[{'AttributeName': 'id', 'KeyType': 'HASH'}],\n\
                   \x20       AttributeDefinitions=[{'AttributeName': 'id', 'AttributeType': \
                   'S'}])\n\
                   except Exception as error:\n\
                   \x20   print('refused:', error)\n";
    bed.submit(&Written::python("m", program)).await;
    let failed = bed.phase("m", Phase::DryRunFailed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::DryRunIncomplete);
    assert!(failure.message.contains("CreateTable"), "{}", failure.message);
    let remark = &effects(&failed).remarks[0];
    assert_eq!((remark.operation.as_str(), remark.fidelity.as_str()), ("CreateTable", "Refused"));
    assert!(failure.last_lines[0].starts_with("refused:"), "{:?}", failure.last_lines);
    let tables = bed.database.ok("ListTables", &json!({})).await;
    assert_eq!(tables["TableNames"], json!([]));
    bed.done().await;
}

#[tokio::test]
async fn a_program_that_goes_past_the_guard_is_told_so() {
    let bed = Bed::new("dry-silent").await;
    let silent = Written::shell("m", "echo done\n").set("expectNoRequests", json!(false));
    bed.submit(&silent).await;
    let tried = bed.phase("m", Phase::NoRequestsSeen).await;
    assert_eq!(failure(&tried).reason, Reason::NoRequestsSeen);
    let condition = condition(&tried, types::NO_REQUESTS_SEEN).expect("a condition");
    assert!(condition.message.contains("AWS_ENDPOINT_URL_DYNAMODB"), "{}", condition.message);
    assert!(ready(&tried).1.contains("without one request"), "{}", ready(&tried).1);
    // Nothing has to be tried again where its author says that none is expected.
    bed.apply(&silent.set("expectNoRequests", json!(true)).object).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.done().await;
}

#[tokio::test]
async fn a_dry_run_uses_the_credentials_for_dry_runs() {
    let bed = Bed::new("dry-credentials").await;
    // The database keeps another set of tables for another access key.
    let other_key = format!("{}readonly", bed.access_key);
    let read_only = Database::new(&dm_tests::cluster::variable("DYNAMODB_ENDPOINT"), &other_key);
    read_only.table("whose", "id").await;
    read_only.put("whose", &[json!({"id": {"S": "dry run"}})]).await;
    bed.database.table("whose", "id").await;
    bed.database.put("whose", &[json!({"id": {"S": "apply"}})]).await;
    bed.apply(&bed.secret("read-only", &other_key)).await;
    let credentials = json!({"secret": {"name": "read-only"}});
    bed.apply(&target("both", &json!({"dryRunCredentials": credentials}))).await;
    let program = "import boto3\n\
                   items = boto3.resource('dynamodb').Table('whose').scan()['Items']\n\
                   print(items[0]['id'])\n\
                   raise SystemExit(items[0]['id'] != 'dry run')\n";
    let migration = Written::python("m", program).set("target.name", json!("both"));
    bed.submit(&migration).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).last_lines, ["apply"]);
    bed.done().await;
}
