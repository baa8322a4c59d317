//! What a journaled apply reports beside what its dry run reported: the same categories, attributes
//! and digest, whatever the program writes and however often.

use dm_contract::plan::{JournalMode, Mode, Plan, Policy};
use dm_contract::report::{GuardResult, TableEffect};
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database, fresh_name};

/// A table with items a, b, c, d and e.
async fn filled(table: &str) {
    database().ok("CreateTable", &crate::suite::table("hash", table)).await;
    for id in ["a", "b", "c", "d", "e"] {
        let item = json!({"id": {"S": id}, "n": {"N": "1"}, "old": {"S": "x"}});
        database().ok("PutItem", &json!({"TableName": table, "Item": item})).await;
    }
}

/// A program whose calls go wrong and which does not look.
async fn careless(endpoint: &Endpoint, table: &str) {
    let put = json!({"TableName": table, "Item": {"id": {"S": "a"}},
        "ConditionExpression": "attribute_not_exists(id)"});
    let update = json!({"TableName": table, "Key": {"id": {"S": "a"}},
        "UpdateExpression": "SET price = nowhere"});
    let absent = json!({"TableName": format!("{table}-absent"), "Key": {"id": {"S": "a"}}});
    for (operation, body) in
        [("PutItem", &put), ("UpdateItem", &update), ("UpdateItem", &update), ("GetItem", &absent)]
    {
        assert_eq!(endpoint.call(operation, body).await.0, 400);
    }
    let statement = |id: &str| {
        let text = format!("UPDATE \"{table}\" SET n = 1 WHERE id = '{id}' AND n = 99");
        json!({"Statement": text})
    };
    let batch = json!({"Statements": [statement("a"), statement("b")]});
    endpoint.ok("BatchExecuteStatement", &batch).await;
}

#[tokio::test]
async fn errors_that_the_program_got_are_counted_alike_in_dry_run_and_applies() {
    let archive = Some(bed::archive("memory://"));
    let archived = Plan { archive, ..bed::plan(Mode::Apply, Policy::default()) };
    let plans = [Mode::DryRun, Mode::Apply].map(|mode| bed::plan(mode, Policy::default()));
    for plan in plans.into_iter().chain([archived]) {
        let table = fresh_name("careless");
        filled(&table).await;
        let (guard, through) = bed::guard(&plan).await;
        careless(&through, &table).await;
        let result = guard.stop().await;
        let errors: Vec<_> = result
            .errors
            .iter()
            .map(|error| (error.operation.as_str(), error.error.as_str(), error.count))
            .collect();
        let expected = [
            ("BatchExecuteStatement", "ConditionalCheckFailed", 2),
            ("GetItem", "ResourceNotFoundException", 1),
            ("PutItem", "ConditionalCheckFailedException", 1),
            ("UpdateItem", "ValidationException", 2),
        ];
        assert_eq!(errors, expected, "{:?}", plan.mode);
    }
}

/// A program that leaves one item created, some updated, one deleted, and some as they were.
async fn program(endpoint: &Endpoint, table: &str) {
    let key = |id: &str| json!({"id": {"S": id}});
    // The scan makes images known ahead of the writes.
    endpoint.ok("Scan", &json!({"TableName": table})).await;
    let update = |id: &str, expression: &str| {
        json!({"TableName": table, "Key": key(id),
            "UpdateExpression": expression})
    };
    // a: gets an attribute, loses one that is not there.
    endpoint.ok("UpdateItem", &update("a", "SET price = n REMOVE nowhere")).await;
    // b: changed and changed back.
    let with_n = |id: &str, n: &str| {
        let mut request = update(id, "SET n = :n");
        request["ExpressionAttributeValues"] = json!({":n": {"N": n}});
        request
    };
    endpoint.ok("UpdateItem", &with_n("b", "5")).await;
    endpoint.ok("UpdateItem", &with_n("b", "1")).await;
    // c: put as it was, in a batch with a delete of nothing and a new item.
    let as_it_was = json!({"id": {"S": "c"}, "n": {"N": "1.0"}, "old": {"S": "x"}});
    let batch = json!({"RequestItems": {table: [
        {"PutRequest": {"Item": as_it_was}},
        {"DeleteRequest": {"Key": key("nowhere")}},
        {"PutRequest": {"Item": {"id": {"S": "new"}, "n": {"N": "1"}}}},
    ]}});
    endpoint.ok("BatchWriteItem", &batch).await;
    // d and e: a transaction; d is deleted, e loses an attribute, and another gets another type.
    let transaction = json!({"TransactItems": [
        {"Delete": {"TableName": table, "Key": key("d")}},
        {"Update": {
            "TableName": table, "Key": key("e"), "UpdateExpression": "SET n = :n REMOVE #old",
            "ExpressionAttributeNames": {"#old": "old"},
            "ExpressionAttributeValues": {":n": {"S": "one"}},
        }},
    ]});
    endpoint.ok("TransactWriteItems", &transaction).await;
    // e once more, by a statement; and an item that comes and goes.
    let statement = format!("UPDATE \"{table}\" SET seen = true WHERE id = 'e'");
    endpoint.ok("ExecuteStatement", &json!({"Statement": statement})).await;
    endpoint.ok("PutItem", &json!({"TableName": table, "Item": {"id": {"S": "brief"}}})).await;
    endpoint.ok("DeleteItem", &json!({"TableName": table, "Key": key("brief")})).await;
}

async fn effects_of(plan: &Plan, table: &str) -> GuardResult {
    let (guard, through) = bed::guard(plan).await;
    program(&through, table).await;
    guard.stop().await
}

fn effects(result: &GuardResult) -> Vec<TableEffect> {
    let without_reads =
        |table: &TableEffect| TableEffect { items_read: 0, item_count: None, ..table.clone() };
    result.tables.iter().map(without_reads).collect()
}

#[tokio::test]
async fn a_journaled_apply_reports_the_effects_and_the_digest_of_its_dry_run() {
    for journal in [JournalMode::Strict, JournalMode::Ahead, JournalMode::Cheap] {
        let table = fresh_name("effects");
        filled(&table).await;
        let dry_run = effects_of(&bed::plan(Mode::DryRun, Policy::default()), &table).await;
        let mut plan = bed::plan(Mode::Apply, Policy { journal, ..Policy::default() });
        plan.archive = Some(bed::archive("memory://"));
        let applied = effects_of(&plan, &table).await;

        assert_eq!(effects(&applied), effects(&dry_run), "{journal:?}");
        assert_eq!(applied.effects_digest, dry_run.effects_digest, "{journal:?}");
        let [effect] = effects(&applied).try_into().unwrap();
        let counts = [effect.created, effect.updated, effect.deleted, effect.unchanged];
        assert_eq!(counts, [1, 2, 1, 2], "{journal:?}");
        let attributes: Vec<Value> = effect
            .attributes
            .iter()
            .map(|each| json!([each.name, each.added, each.changed, each.removed]))
            .collect();
        assert_eq!(
            Value::from(attributes),
            json!([["n", 0, 1, 0], ["old", 0, 0, 1], ["price", 1, 0, 0], ["seen", 1, 0, 0]])
        );
    }
}

#[tokio::test]
async fn without_a_journal_requests_are_counted() {
    let table = fresh_name("effects");
    filled(&table).await;
    let applied = effects_of(&bed::plan(Mode::Apply, Policy::default()), &table).await;
    let [effect] = effects(&applied).try_into().unwrap();
    assert_eq!((effect.created, effect.updated, effect.deleted), (3, 5, 3));
}

/// A program that fills and deletes tables: one that it creates, and one that was there, in whose
/// place it creates another.
async fn tables(endpoint: &Endpoint, (brief, replaced): (&str, &str)) {
    let put = |table: &str, id: &str| json!({"TableName": table, "Item": {"id": {"S": id}}});
    endpoint.ok("CreateTable", &crate::suite::table("hash", brief)).await;
    endpoint.ok("PutItem", &put(brief, "a")).await;
    endpoint.ok("DeleteTable", &json!({"TableName": brief})).await;
    endpoint.ok("PutItem", &put(replaced, "new")).await;
    endpoint.ok("DeleteItem", &json!({"TableName": replaced, "Key": {"id": {"S": "a"}}})).await;
    endpoint.ok("DeleteTable", &json!({"TableName": replaced})).await;
    endpoint.ok("CreateTable", &crate::suite::table("hash", replaced)).await;
    endpoint.ok("PutItem", &put(replaced, "b")).await;
}

#[tokio::test]
async fn items_of_a_table_that_the_run_itself_deletes_are_counted_as_in_the_dry_run() {
    let (brief, replaced) = (fresh_name("brief"), fresh_name("replaced"));
    filled(&replaced).await;
    let policy = Policy { control_plane: true, ..Policy::default() };
    let effects_of = async |plan: &Plan| {
        let (guard, through) = bed::guard(plan).await;
        tables(&through, (&brief, &replaced)).await;
        effects(&guard.stop().await)
    };
    let dry_run = effects_of(&bed::plan(Mode::DryRun, policy.clone())).await;
    let mut plan = bed::plan(Mode::Apply, policy);
    plan.archive = Some(bed::archive("memory://"));
    let applied = effects_of(&plan).await;
    let counts = |effects: &[TableEffect]| -> Vec<(String, [u64; 4])> {
        let count = |one: &TableEffect| [one.created, one.updated, one.deleted, one.unchanged];
        effects
            .iter()
            .map(|one| (one.name.clone(), count(one)))
            .filter(|one| one.1 != [0; 4])
            .collect()
    };
    assert_eq!(counts(&applied), counts(&dry_run));
    assert_eq!(counts(&applied), [(replaced, [1, 0, 0, 0])]);
}
