//! Seeds that are loaded, and seeds whose mistake is named.

use std::sync::Arc;

use dm_engine::{Call, Engine, Operation};
use serde_json::{Value, json};

use super::load::Loaded;
use super::*;

fn read(files: &[(&str, &str)]) -> Result<Seed, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Seed::read(folder.path())
        .map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "X"))
}

async fn loaded(files: &[(&str, &str)]) -> (Arc<Engine>, Loaded) {
    let engine = Arc::new(Engine::embedded("us-east-1", None).unwrap());
    let loaded = read(files).unwrap().load(&engine).await.unwrap();
    (engine, loaded)
}

async fn ask(engine: &Arc<Engine>, operation: Operation, body: Value) -> Value {
    let Value::Object(body) = body else { unreachable!() };
    let answer = engine.handle(Call::new(operation, body)).await;
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn plain_json_keeps_every_digit() {
    let seed = r#"{"tables": {"things": {"key": {"id": "S", "at": "N"}, "items": [
        {"id": "a", "at": 1, "n": 12345678901234567890.125, "l": [true, null, {"x": "y"}]}
    ]}}}"#;
    let (engine, count) = loaded(&[("seed.json", seed)]).await;
    assert_eq!(count, Loaded { tables: 1, items: 1 });
    let scanned = ask(&engine, Operation::Scan, json!({"TableName": "things"})).await;
    let expected = json!([{
        "id": {"S": "a"}, "at": {"N": "1"}, "n": {"N": "12345678901234567890.125"},
        "l": {"L": [{"BOOL": true}, {"NULL": true}, {"M": {"x": {"S": "y"}}}]},
    }]);
    assert_eq!(scanned["Items"], expected);
}

#[tokio::test]
async fn indexes_sets_and_files_of_items() {
    let seed = r#"{"tables": {
        "cars": {
            "key": {"id": "S"}, "timeToLive": "expires", "itemsFile": "cars.json",
            "indexes": {"by-brand": {"key": {"brand": "S", "id": "S"}, "projection": ["price"]}}
        },
        "tags": {"key": {"id": "S"}, "dynamodbItems": [{"id": {"S": "a"}, "all": {"SS": ["x"]}}]}
    }}"#;
    let cars =
        r#"{"Items": [{"id": {"S": "a"}, "brand": {"S": "b"}, "x": {"N": "1"}}], "Count": 1}"#;
    let (engine, count) = loaded(&[("seed.json", seed), ("cars.json", cars)]).await;
    assert_eq!(count, Loaded { tables: 2, items: 2 });
    let index = json!({"TableName": "cars", "IndexName": "by-brand"});
    let scanned = ask(&engine, Operation::Scan, index).await;
    assert_eq!(scanned["Items"], json!([{"id": {"S": "a"}, "brand": {"S": "b"}}]));
    let described = ask(&engine, Operation::DescribeTimeToLive, json!({"TableName": "cars"})).await;
    assert_eq!(described["TimeToLiveDescription"]["AttributeName"], "expires");
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let check = |text: &str, expected: &str| {
        let found = read(&[("seed.json", text), ("wrong.json", "1")]).unwrap_err();
        assert!(found.contains(expected), "{found}");
    };
    let of = |table: &str| format!(r#"{{"tables": {{"t": {table}}}}}"#);
    check("{", "X/seed.json is not a seed: EOF");
    check(r#"{"table": {}}"#, "unknown field `table`");
    check(&of("{}"), "missing field `key`");
    check(&of(r#"{"key": {}}"#), "X/seed.json: tables.t.key: one or two attributes");
    check(&of(r#"{"key": {"id": "X"}}"#), "tables.t.key: the type of id must be S, N or B");
    let twice = r#"{"key": {"id": "S"}, "indexes": {"i": {"key": {"id": "N"}}}}"#;
    check(&of(twice), "tables.t.indexes.i.key: id has another type");
    let with = |items: &str| of(&format!(r#"{{"key": {{"id": "S"}}, {items}}}"#));
    check(
        &with(r#""items": [{"id": "a"}, {"id": "b", "n": [1e200]}]"#),
        "tables.t.items[1].n[0]: ",
    );
    let one_key = r#""items": [{"id": "a", "n": 1}, {"id": "b"}, {"id": "a", "n": 2}]"#;
    check(&with(one_key), "tables.t.items[2]: it has the same key as the item [0]");
    check(&with(r#""items": [{"id": "a", "n": {"m": 1, "m": 2}}]"#), "`m` appears twice");
    check(
        r#"{"tables": {"t": {"key": {"id": "S"}}, "t": {"key": {"id": "S"}}}}"#,
        "`t` appears twice",
    );
    check(&with(r#""items": [1]"#), "tables.t.items[0]: an item is an object");
    check(&with(r#""dynamodbItems": [{"id": "a"}]"#), "tables.t.dynamodbItems[0]: ");
    check(&with(r#""items": [], "itemsFile": "x""#), "give only one of");
    check(&with(r#""itemsFile": "none.json""#), "reading X/none.json");
    check(&with(r#""itemsFile": "wrong.json""#), "X/wrong.json: the file: an array of items");
    assert_eq!(
        read(&[]).unwrap_err(),
        "X has no seed.json; docs/reference/seed.md describes the format"
    );
}

#[tokio::test]
async fn what_the_database_rejects_is_named_with_its_place() {
    let seed = r#"{"tables": {"things": {"key": {"id": "S"}, "items": [{"id": "a"}, {"n": 1}]}}}"#;
    let engine = Arc::new(Engine::embedded("us-east-1", None).unwrap());
    let error = read(&[("seed.json", seed)]).unwrap().load(&engine).await.unwrap_err();
    assert!(
        error.to_string().contains("tables.things.items[1]: One or more parameter values"),
        "{error}"
    );
}
