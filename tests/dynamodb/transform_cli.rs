//! Transforms on a laptop: `datamigration run` dry, applied and restored; and the worked examples
//! that exist as a script and as a transform, which must leave equal tables and give equal reports.

use std::path::Path;
use std::process::{Command, Stdio};

use dm_dynamodb::value::{Item, item_from_json};
use serde_json::{Value, json};

use crate::bed::{ACCESS_KEY, Endpoint, REGION, database, fresh_name};
use crate::shorthand::expand;

/// Runs the command line with an account of the database: exit code, standard output and error.
fn datamigration(account: &str, words: &[&str]) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_datamigration-under-test");
    run(account, Command::new(program).args(words))
}

fn run(account: &str, command: &mut Command) -> (i32, String, String) {
    let python = dm_tests::python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref());
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = python.parent().unwrap_or(Path::new("")).display();
    let output = command
        .stdin(Stdio::null())
        .env("PATH", format!("{folder}:{path}"))
        .env("AWS_ACCESS_KEY_ID", account)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", database().url)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

async fn fill(database: &Endpoint, table: &str, items: impl Iterator<Item = Value>) {
    database.ok("CreateTable", &crate::suite::table("hash", table)).await;
    let items: Vec<Value> =
        items.map(|item| expand(&json!({"Item": item}))["Item"].take()).collect();
    for some in items.chunks(25) {
        let puts: Vec<Value> =
            some.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
        database.ok("BatchWriteItem", &json!({"RequestItems": {table: puts}})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_is_tried_applied_and_restored_on_a_laptop() {
    let database = database();
    let table = fresh_name("laptop-transform");
    let cars = (0..20)
        .map(|i| json!({"id": format!("c{i}"), "origin": if i < 12 { "USA" } else { "Japan" }}));
    fill(&database, &table, cars).await;
    let before = database.items(&table).await;
    let folder = tempfile::tempdir().unwrap();
    let manifest = json!({
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
        "metadata": {"name": "0002-origins"},
        "spec": {"target": {"name": "t"}, "transform": {
            "table": table,
            "filter": "NOT origin IN ('US', 'JP')",
            "set": {"origin": "lookup('codes.csv', origin, 'code')"},
            "configMap": {"name": "0002-origins"},
        }},
    });
    std::fs::write(folder.path().join("migration.yaml"), manifest.to_string()).unwrap();
    std::fs::write(folder.path().join("codes.csv"), "origin,code\nUSA,US\nJapan,JP\n").unwrap();
    let place = folder.path().to_str().unwrap();
    let archive_folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", archive_folder.path().display());
    let report = folder.path().join("report.json");
    let url = database.url.clone();
    let run = |words: &[&str]| {
        datamigration(ACCESS_KEY, &[&["run", place, "--upstream", &url], words].concat())
    };

    let (code, out, told) = run(&["--second-pass", "--report", report.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (0, ""), "{told}");
    for part in [
        "dry run · nothing was written (0 write calls reached the database)",
        "items     20 read · 20 would change · 0 already correct · 0 not selected",
        "20 would be updated · 0 created · 0 deleted",
        "~ origin  20",
        "second pass: no changes, safe to run again",
    ] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    assert_eq!(database.items(&table).await, before);
    let written: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(written["transform"]["changed"], 20);

    let (code, _, told) = run(&["--apply", "--archive", &archive]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("run: 0002-origins/1") && told.contains("20 changed"), "{told}");
    let after = database.items(&table).await;
    assert!(after.iter().all(|item| ["US", "JP"].contains(&item["origin"]["S"].as_str().unwrap())));

    let restore = ["restore", "--archive", &archive, "--run", "0002-origins/1", "--yes"];
    let (code, _, told) = datamigration(ACCESS_KEY, &restore);
    assert_eq!(code, 0, "{told}");
    assert_eq!(database.items(&table).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_transform_is_said_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("migration.yaml");
    let place = file.to_str().unwrap();
    for (transform, expected) in [
        (
            json!({"table": "cars", "set": {"price": "rond_to(weight, 50)"}}),
            "spec.transform.set.price, column 1: there is no function rond_to; did you mean \
             round_to?",
        ),
        (
            json!({"table": "cars", "set": {"o": "lookup('x.csv', o, 'c')"}}),
            "spec.transform.set.o, column 8: there is no file x.csv in configMap (there are none)",
        ),
        (json!({"table": "cars"}), "spec.transform: it does nothing"),
    ] {
        let manifest = json!({
            "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
            "metadata": {"name": "m"}, "spec": {"target": {"name": "t"}, "transform": transform},
        });
        std::fs::write(&file, manifest.to_string()).unwrap();
        let (code, _, told) = datamigration(ACCESS_KEY, &["run", place]);
        assert_eq!(code, 125, "{told}");
        assert!(told.contains(expected), "{expected}:\n{told}");
    }
}

/// A few cars of every kind that the examples distinguish.
fn cars() -> impl Iterator<Item = Value> {
    (0..120_i64).map(|i| {
        let mut car = json!({
            "id": format!("car-{i}"), "name": format!("ford {i}"), "weight": 1600 + i * 29,
            "displacement": 70 + i * 3, "year": format!("{}-01-01", 1970 + i % 13),
        });
        if i % 7 != 0 {
            car["horsepower"] = json!(46 + i);
        }
        if i % 11 != 0 {
            car["mpg"] = json!(9 + i % 38);
        }
        if i % 10 == 0 {
            car["price"] = json!(1000 + i);
        }
        car
    })
}

/// What a report says of the effects.
fn effects(report: &Path) -> Value {
    let mut report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let mut tables = report["tables"].take();
    for table in tables.as_array_mut().unwrap() {
        // Each account has its own table.
        table.as_object_mut().unwrap().remove("id");
    }
    let written: Vec<Value> = ["mode", "itemsRead", "writeUnits", "effectsDigest"]
        .map(|member| report[member].take())
        .into_iter()
        .collect();
    json!({"tables": tables, "rest": written})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_and_its_transform_leave_equal_tables_and_equal_reports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    for (number, example) in
        ["0001-add-price-to-cars", "0004-fuel-economy-from-csv"].into_iter().enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        for source in ["base", "transform"] {
            // The script names its table, so each run has its own account.
            let account = format!("twin{number}{source}{}", std::process::id());
            let own = database().signing(&account, REGION);
            fill(&own, "cars", cars()).await;
            let place = root.join(example).join(source);
            let archive = format!("file://{}", folder.path().join(source).display());
            let mut found = Vec::new();
            for words in [&["--dry-run"][..], &["--apply", "--archive", &archive]] {
                let report = folder.path().join("report.json");
                let url = database().url;
                let place = ["run", place.to_str().unwrap(), "--upstream", &url];
                let flags = [&place[..], &["--report", report.to_str().unwrap()]].concat();
                let (code, _, told) = datamigration(&account, &[&flags, words].concat());
                assert_eq!(code, 0, "{example} {source} {words:?}: {told}");
                found.push(effects(&report));
            }
            all.push((found, own.items("cars").await));
        }
        let [(script, of_script), (transform, of_transform)] = all.try_into().unwrap();
        assert_eq!(script[0]["rest"][0], "DryRun");
        assert!(script[1]["tables"][0]["updated"].as_u64().unwrap() > 50, "{script:?}");
        assert_eq!(transform, script, "{example}: reports");
        // By value: the local database keeps a number's text.
        let items = |table: &[Value]| -> Vec<Item> {
            table.iter().map(|item| item_from_json(item).unwrap()).collect()
        };
        assert_eq!(items(&of_transform), items(&of_script), "{example}: tables");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_open_files_are_enough_for_the_database_and_the_archive() {
    let database = database();
    let table = fresh_name("few-files");
    fill(&database, &table, (0..1_000).map(|i| json!({"id": format!("i{i}")}))).await;
    let folder = tempfile::tempdir().unwrap();
    let manifest = json!({
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
        "metadata": {"name": "0001-few"},
        "spec": {"target": {"name": "t"}, "transform": {"table": table, "set": {"done": "true"}}},
    });
    std::fs::write(folder.path().join("migration.yaml"), manifest.to_string()).unwrap();
    let archive = format!("file://{}", folder.path().join("archive").display());
    // As containers and macOS may have it; nothing may raise it.
    let (code, _, told) = run(
        ACCESS_KEY,
        Command::new("sh")
            .args(["-c", "ulimit -n 64; exec timeout 60 \"$0\" \"$@\""])
            .args([env!("CARGO_BIN_EXE_datamigration-under-test"), "run"])
            .arg(folder.path())
            .args(["--apply", "--upstream", &database.url, "--archive", &archive]),
    );
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("1,000 changed"), "{told}");
}
