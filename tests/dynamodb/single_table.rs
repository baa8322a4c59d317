//! docs/how-to/single-table.md, as it is written: each transform tried and applied on the embedded
//! database, then all of them restored.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dm_engine::{Call, Engine, Operation};
use serde_json::{Value, json};

/// The blocks of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/how-to/single-table.md")).unwrap();
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn datamigration(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_datamigration-under-test"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words:?}: {told}");
    told
}

/// The items that the folder's embedded database holds, by their keys.
async fn items(folder: &Path) -> Vec<Value> {
    let kept = folder.join(".datamigration/database");
    let engine = Arc::new(Engine::embedded("us-east-1", Some(&kept)).unwrap());
    let body = json!({"TableName": "shop"}).as_object().unwrap().clone();
    let answer = engine.handle(Call::new(Operation::Scan, body)).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    engine.close().await;
    let mut items = answer["Items"].as_array().unwrap().clone();
    items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    items
}

fn of_kind<'i>(items: &'i [Value], kind: &str) -> Vec<&'i Value> {
    items.iter().filter(|item| item["kind"]["S"] == kind).collect()
}

/// What the page says of the items after each step.
fn expect_states(states: &[Vec<Value>]) {
    for order in of_kind(&states[0], "order") {
        assert!(["open", "paid"].contains(&order["status"]["S"].as_str().unwrap()), "{order}");
        assert!(order["total"]["N"].is_string(), "{order}");
    }
    let keys = |order: &&Value| (order["gsi1pk"]["S"].clone(), order["gsi1sk"]["S"].clone());
    assert_eq!(
        of_kind(&states[1], "order").iter().map(keys).collect::<Vec<_>>(),
        [
            (json!("STATUS#paid"), json!("2026-02-01T00:00:00Z")),
            (json!("STATUS#open"), json!("2026-01-01T00:00:00Z")),
            (json!("STATUS#paid"), json!("2026-03-01T00:00:00Z")),
        ]
    );
    let contacts: Vec<Value> =
        of_kind(&states[2], "customer").iter().map(|item| item["contact"]["M"].clone()).collect();
    assert_eq!(
        contacts,
        [
            json!({"phone": {"S": "+49 228 1"}, "mail": {"S": "ann@example.com"}}),
            json!({"mail": {"S": "bo@example.com"}}),
        ]
    );
    let sorted: Vec<&Value> =
        of_kind(&states[3], "order").iter().map(|order| &order["sk"]["S"]).collect();
    assert_eq!(sorted, ["ORDER#000007", "ORDER#000012", "ORDER#000108"]);
    let lines: Vec<&Value> =
        of_kind(&states[4], "line").iter().map(|line| &line["pk"]["S"]).collect();
    assert_eq!(lines, ["ORDER#000007", "ORDER#000012"]);
    assert_eq!(of_kind(&states[5], "cart").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_single_table_designs_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let seed: Value = serde_json::from_str(&blocks("json")[0]).unwrap();
    std::fs::write(folder.path().join("seed.json"), seed.to_string()).unwrap();
    let transforms = blocks("yaml");
    // Item counts: written, and in the table afterwards.
    let expected = [("3 would change", 9), ("3 would change", 9), ("2 would change", 9)];
    let moved = [("3 would change", 9), ("2 would change", 9), ("1 would change", 8)];
    let expected = expected.into_iter().chain(moved);
    let mut states = Vec::new();
    for (number, (text, (changes, left))) in transforms.iter().zip(expected).enumerate() {
        let name = format!("{number}-step");
        let place = folder.path().join(&name);
        std::fs::create_dir(&place).unwrap();
        let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
        let manifest = format!(
            "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
             metadata: {{name: {name}}}\nspec:\n  target: {{name: dev}}\n{indented}"
        );
        std::fs::write(place.join("migration.yaml"), manifest).unwrap();
        let place = place.to_str().unwrap();
        let tried = datamigration(&["run", place, "--second-pass"]);
        assert!(tried.contains(changes), "{name}: {tried}");
        assert!(tried.contains("0 write calls reached the database"), "{tried}");
        assert!(tried.contains("second pass: no changes"), "{tried}");
        datamigration(&["run", place, "--apply"]);
        states.push(items(folder.path()).await);
        assert_eq!(states[number].len(), left, "{name}");
    }
    assert_eq!(transforms.len(), states.len());

    expect_states(&states);

    let archive = folder.path().join(".datamigration/archive").canonicalize().unwrap();
    let archive = format!("file://{}", archive.display());
    for number in (0..transforms.len()).rev() {
        let run = format!("{number}-step/1");
        let place = folder.path().join(format!("{number}-step"));
        let told = datamigration(&[
            "restore",
            "--folder",
            place.to_str().unwrap(),
            "--run",
            &run,
            "--yes",
        ]);
        assert!(!told.contains("conflict") || told.contains("0 conflicts"), "{archive}: {told}");
        if let Some(before) = number.checked_sub(1) {
            assert_eq!(items(folder.path()).await, states[before], "{run}: {told}");
        }
    }
    let start = folder.path().join("start");
    std::fs::create_dir(&start).unwrap();
    std::fs::write(start.join("seed.json"), seed.to_string()).unwrap();
    let manifest = "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
        metadata: {name: start}\nspec:\n  target: {name: dev}\n  transform: {table: shop, \
        filter: \"pk = 'none'\", delete: true}\n";
    std::fs::write(start.join("migration.yaml"), manifest).unwrap();
    datamigration(&["run", start.to_str().unwrap(), "--apply"]);
    assert_eq!(items(folder.path()).await, items(&start).await, "the start");
}
