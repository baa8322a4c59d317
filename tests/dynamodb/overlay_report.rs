//! The report of a dry run beyond its counts: what others change in the meantime, how calls were
//! answered, a second pass, and which of it learns to whom.

use dm_contract::plan::{Mode, Plan, Policy, RateLimits};
use dm_contract::report::{Fidelity, Limited};
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database, fresh_name};

/// A table with these items, each with the number 1.
async fn filled(ids: &[&str]) -> String {
    let table = fresh_name("report");
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    database().ok("CreateTable", &create).await;
    for id in ids {
        set(&database(), &table, id, 1).await;
    }
    table
}

async fn set(endpoint: &Endpoint, table: &str, id: &str, n: u32) {
    let item = json!({"id": {"S": id}, "n": {"N": n.to_string()}});
    endpoint.ok("PutItem", &json!({"TableName": table, "Item": item})).await;
}

async fn scan(endpoint: &Endpoint, table: &str) -> Value {
    endpoint.ok("Scan", &json!({"TableName": table, "ConsistentRead": true})).await
}

fn plan(second_pass: bool) -> Plan {
    let policy = Policy { show_values: true, ..Policy::default() };
    let limits = RateLimits { writes_per_second: Some(2_000), ..RateLimits::default() };
    Plan { second_pass, limits, ..bed::plan(Mode::DryRun, policy) }
}

#[tokio::test]
async fn items_that_others_change_meanwhile_are_counted_and_stay_as_they_were() {
    let table = filled(&["a", "b", "c"]).await;
    let (guard, through) = bed::guard(&plan(false)).await;
    for id in ["a", "b"] {
        set(&through, &table, id, 5).await;
    }
    for id in ["b", "c"] {
        // Of c the dry run knows nothing yet.
        set(&database(), &table, id, 9).await;
    }
    for _ in 0..2 {
        let items = scan(&through, &table).await;
        let items = items["Items"].as_array().unwrap();
        let seen = |id: &str| {
            items.iter().find(|item| item["id"]["S"] == id).map(|item| item["n"]["N"].clone())
        };
        assert_eq!((seen("b"), seen("c")), (Some("5".into()), Some("9".into())));
    }
    let dry_run = guard.stop().await.dry_run.unwrap();
    assert_eq!(dry_run.changed_underneath, 1);
}

#[tokio::test]
async fn a_write_whose_condition_fails_is_counted_in_units_as_the_database_would() {
    let table = filled(&["a"]).await;
    let (guard, through) = bed::guard(&plan(false)).await;
    for id in ["a", "missing"] {
        let put = json!({"TableName": table, "Item": {"id": {"S": id}},
            "ConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": {"N": "7"}}});
        assert_eq!(through.call("PutItem", &put).await.0, 400);
    }
    let result = guard.stop().await;
    assert!((result.write_units - 2.0).abs() < 1e-9, "{}", result.write_units);
}

#[tokio::test]
async fn calls_are_counted_by_how_they_were_answered() {
    let table = filled(&["a"]).await;
    let (guard, through) = bed::guard(&plan(false)).await;
    set(&through, &table, "a", 2).await;
    set(&through, &table, "b", 2).await;
    let failing = json!({"TableName": table, "Item": {"id": {"S": "a"}},
                         "ConditionExpression": "attribute_not_exists(id)"});
    assert_eq!(through.call("PutItem", &failing).await.0, 400);
    assert_eq!(through.call("DeleteBackup", &json!({"BackupArn": "x"})).await.0, 400);
    let result = guard.stop().await;
    let dry_run = result.dry_run.unwrap();
    let counts: Vec<_> = dry_run
        .operations
        .iter()
        .map(|count| (count.operation.as_str(), count.exact, count.approximate, count.refused))
        .collect();
    assert_eq!(counts, [("DeleteBackup", 0, 0, 1), ("PutItem", 3, 0, 0)], "errors are exact, too");
    assert_eq!(result.remarks[0].fidelity, Fidelity::Refused);
    let time = dry_run.apply_time.unwrap();
    assert_eq!((time.seconds, time.limited_by, time.per_second), (1, Limited::Writes, 2_000));
    let samples: Vec<_> = dry_run.samples.iter().map(|sample| sample.after.clone()).collect();
    let whole = json!({"id": {"S": "b"}, "n": {"N": "2"}});
    assert_eq!(samples, [Some(json!({"n": {"N": "2"}})), Some(whole)]);
}

/// Asks as the entry program does: on the program's address, beside its requests.
async fn ask(guard: &Endpoint) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = guard.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /datamigration/second-pass HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let key = bed::ACCESS_KEY;
    let rest = format!("Authorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_second_pass_is_begun_once_and_where_it_was_planned() {
    let table = filled(&["a", "b"]).await;
    let (guard, through) = bed::guard(&plan(false)).await;
    assert_eq!(ask(&through).await, "HTTP/1.1 409 Conflict");
    assert_eq!(guard.stop().await.problem, None);

    let (guard, through) = bed::guard(&plan(true)).await;
    set(&through, &table, "a", 5).await;
    assert_eq!(ask(&through).await, "HTTP/1.1 200 OK");
    set(&through, &table, "a", 5).await;
    let quiet = guard.result().dry_run.unwrap().second_pass.unwrap();
    assert!(quiet.idempotent, "the same again");
    set(&through, &table, "b", 5).await;
    let engine = std::sync::Arc::clone(guard.engine());
    let result = guard.stop().await;
    assert_eq!((result.tables[0].updated, result.requests), (1, 1), "the first pass's");
    let pass = result.dry_run.unwrap().second_pass.unwrap();
    assert_eq!((pass.idempotent, pass.tables[0].items), (false, 1));
    assert_eq!(engine.write_difference(std::io::sink()).unwrap(), Some(1));

    // A program that asks itself cannot hide what it does.
    let (guard, through) = bed::guard(&plan(true)).await;
    assert_eq!(ask(&through).await, "HTTP/1.1 200 OK");
    set(&through, &table, "a", 7).await;
    assert_eq!(ask(&through).await, "HTTP/1.1 409 Conflict");
    assert!(guard.stop().await.problem.is_some_and(|problem| problem.contains("twice")));
}
