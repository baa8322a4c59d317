//! The consumed capacity of what the journal does not send as it is: batches, for which it returns
//! the sums that the database returns, and transactions that are repeated under their token.

use dm_contract::plan::{JournalMode, Mode, Policy};
use dm_guard::Guard;
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, canonical, database, fresh_name};

/// A table with an index by `g`.
async fn table(name: &str) {
    let key = |name: &str| json!([{"AttributeName": name, "KeyType": "HASH"}]);
    let request = json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": key("id"),
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "g", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexes": [
            {"IndexName": "by-g", "KeySchema": key("g"), "Projection": {"ProjectionType": "ALL"}},
        ],
    });
    database().ok("CreateTable", &request).await;
}

/// An answer's capacity with these tables called `$0`, `$1` …, in the order of their names.
fn capacity(answer: &Value, tables: &[String]) -> Vec<String> {
    let listed = answer["ConsumedCapacity"].as_array();
    let mut shown: Vec<String> = listed.into_iter().flatten().map(canonical).collect();
    for (at, table) in tables.iter().enumerate() {
        shown = shown.iter().map(|one| one.replace(table.as_str(), &format!("${at}"))).collect();
    }
    shown.sort();
    shown
}

/// A batch of puts in two tables, and statements on what they left.
fn batches(level: &str, tables: &[String]) -> [(&'static str, Value); 2] {
    let put = |id: &str, g: Option<&str>| {
        let mut item = json!({"id": {"S": id}, "text": {"S": "x".repeat(1_500)}});
        if let Some(g) = g {
            item["g"] = json!({"S": g});
        }
        json!({"PutRequest": {"Item": item}})
    };
    let write = json!({
        "ReturnConsumedCapacity": level,
        "RequestItems": {
            &tables[0]: [put("a", Some("x")), put("b", None), put("c", Some("y"))],
            &tables[1]: [put("a", None), put("b", Some("y"))],
        },
    });
    let statement =
        |table: &str, rest: &str| json!({"Statement": format!("UPDATE \"{table}\" {rest}")});
    let statements = json!({
        "ReturnConsumedCapacity": level,
        "Statements": [
            statement(&tables[0], "SET g = 'z' WHERE id = 'a'"),
            statement(&tables[0], "SET n = 1 WHERE id = 'b'"),
            statement(&tables[1], "SET n = 1 WHERE id = 'a'"),
            statement(&tables[1], "SET n = 1 WHERE id = 'none'"),
        ],
    });
    [("BatchWriteItem", write), ("BatchExecuteStatement", statements)]
}

/// Two tables each for the database, a dry run and an apply with a journal.
struct Three {
    direct: [String; 2],
    dry: [String; 2],
    journaled: [String; 2],
    tried: Endpoint,
    applied: Endpoint,
    guards: [Guard; 2],
}

impl Three {
    async fn set_up(journal: JournalMode) -> Self {
        let [direct, dry, journaled] = ["direct", "dry", "journal"].map(|how| {
            let name = fresh_name(how);
            [format!("{name}-one"), format!("{name}-two")]
        });
        for name in [&direct, &dry, &journaled].into_iter().flatten() {
            table(name).await;
        }
        let (dry_run, tried) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
        let mut plan = bed::plan(Mode::Apply, Policy { journal, ..Policy::default() });
        plan.archive = Some(bed::archive("memory://"));
        let (apply, applied) = bed::guard(&plan).await;
        Self { direct, dry, journaled, tried, applied, guards: [dry_run, apply] }
    }

    async fn tear_down(self) {
        for guard in self.guards {
            guard.stop().await;
        }
        for name in [self.direct, self.dry, self.journaled].into_iter().flatten() {
            database().ok("DeleteTable", &json!({"TableName": name})).await;
        }
    }
}

#[tokio::test]
async fn a_journaled_batch_returns_the_capacity_of_each_table_and_index() {
    let database = database();
    for (level, mode) in [
        ("TOTAL", JournalMode::Strict),
        ("INDEXES", JournalMode::Strict),
        ("INDEXES", JournalMode::Ahead),
        ("NONE", JournalMode::Strict),
    ] {
        let three = Three::set_up(mode).await;
        let Three { direct, dry, journaled, tried, applied, .. } = &three;
        for (at, (operation, body)) in batches(level, direct).into_iter().enumerate() {
            let found = applied.ok(operation, &batches(level, journaled)[at].1).await;
            let found = capacity(&found, journaled);
            let of_dry_run = tried.ok(operation, &batches(level, dry)[at].1).await;
            assert_eq!(found, capacity(&of_dry_run, dry), "{level} {operation}: as the dry run");
            let expected = database.ok(operation, &body).await;
            // DynamoDB Local returns none for statements.
            if operation == "BatchWriteItem" {
                assert_eq!(found, capacity(&expected, direct), "{level} {operation}");
            }
            let named = found.iter().filter(|one| one.contains("TableName")).count();
            assert_eq!(
                named,
                if level == "NONE" { 0 } else { 2 },
                "{level} {operation}: {found:?}"
            );
        }
        three.tear_down().await;
    }
}

/// A transaction under a token: an update, and a put of more bytes than a read unit pays for.
fn under_token(level: &str, tables: &[String]) -> Value {
    let item = json!({"id": {"S": "b"}, "text": {"S": "x".repeat(5_000)}});
    json!({
        "ReturnConsumedCapacity": level,
        "ClientRequestToken": tables[0].get(..36).unwrap_or(&tables[0]),
        "TransactItems": [
            {"Update": {
                "TableName": &tables[0], "Key": {"id": {"S": "a"}}, "UpdateExpression": "ADD n :1",
                "ExpressionAttributeValues": {":1": {"N": "1"}},
            }},
            {"Put": {"TableName": &tables[1], "Item": item}},
        ],
    })
}

/// An answer without the member that DynamoDB Local leaves out, and how often it had it.
fn without_read_units(mut answer: Value) -> (Value, usize) {
    let mut removed = 0;
    let mut remove = |units: &mut Value| {
        let read = units.as_object_mut().and_then(|units| units.remove("ReadCapacityUnits"));
        if let Some(read) = read {
            assert_eq!(read, units["CapacityUnits"]);
            removed += 1;
        }
    };
    for one in answer["ConsumedCapacity"].as_array_mut().into_iter().flatten() {
        remove(one);
        one.get_mut("Table").into_iter().for_each(&mut remove);
    }
    (answer, removed)
}

#[tokio::test]
async fn a_repeated_transaction_returns_the_capacity_of_its_read() {
    let database = database();
    for (level, mode, members) in [
        ("TOTAL", JournalMode::Strict, 2),
        ("INDEXES", JournalMode::Cheap, 4),
        ("NONE", JournalMode::Ahead, 0),
    ] {
        let three = Three::set_up(mode).await;
        let Three { direct, dry, journaled, tried, applied, .. } = &three;
        let mut answers = Vec::new();
        for (endpoint, tables) in [(&database, direct), (tried, dry), (applied, journaled)] {
            let request = under_token(level, tables);
            let first = endpoint.ok("TransactWriteItems", &request).await;
            let again = endpoint.ok("TransactWriteItems", &request).await;
            let (sums, found) = without_read_units(again);
            assert_eq!(found, if tables == direct { 0 } else { members }, "{level}");
            assert!(level == "NONE" || capacity(&sums, tables) != capacity(&first, tables));
            answers.push(capacity(&sums, tables));
        }
        assert_eq!(answers[2], answers[0], "{level}: as the database");
        assert_eq!(answers[2], answers[1], "{level}: as the dry run");
        three.tear_down().await;
    }
}

/// A transaction that a token repeats writes nothing, so it is in no item collection. DynamoDB
/// Local returns none of the first call either.
#[tokio::test]
async fn a_repeated_transaction_returns_no_item_collections() {
    let (database, name) = (database(), fresh_name("collections"));
    let key = |sort: &str| {
        json!([
            {"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"},
        ])
    };
    let defined =
        ["id", "pos", "by"].map(|name| json!({"AttributeName": name, "AttributeType": "S"}));
    let request = json!({
        "TableName": &name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": key("pos"),
        "AttributeDefinitions": defined,
        "LocalSecondaryIndexes": [
            {"IndexName": "local", "KeySchema": key("by"), "Projection": {"ProjectionType": "ALL"}},
        ],
    });
    database.ok("CreateTable", &request).await;
    let (guard, tried) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let item = json!({"id": {"S": "a"}, "pos": {"S": "1"}});
    let request = json!({
        "ReturnItemCollectionMetrics": "SIZE", "ClientRequestToken": "once",
        "TransactItems": [{"Put": {"TableName": &name, "Item": item}}],
    });
    let first = tried.ok("TransactWriteItems", &request).await;
    let collections = &first["ItemCollectionMetrics"][&name];
    assert_eq!(collections[0]["ItemCollectionKey"], json!({"id": {"S": "a"}}), "{first}");
    assert_eq!(tried.ok("TransactWriteItems", &request).await, json!({}));
    guard.stop().await;
    database.ok("DeleteTable", &json!({"TableName": name})).await;
}
