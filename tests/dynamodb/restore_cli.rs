//! `datamigration exec --apply --archive`, `restore` and `archive`: the whole way on a laptop.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::bed::{ACCESS_KEY, REGION, database, fresh_name};
use crate::shorthand::expand;

/// A program without an SDK: it prices three cars, and ends with the code it is given.
const PROGRAM: &str = r#"
import json, os, sys, urllib.request
def call(operation, body):
    scope = os.environ["AWS_ACCESS_KEY_ID"] + "/20261201/" + os.environ["AWS_REGION"] + "/dynamodb/aws4_request"
    headers = {"X-Amz-Target": "DynamoDB_20120810." + operation, "Content-Type": "application/x-amz-json-1.0",
               "X-Amz-Date": "20261201T000000Z", "Authorization":
               "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0"}
    url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))
for car in "abc":
    call("UpdateItem", {"TableName": sys.argv[1], "Key": {"id": {"S": car}},
        "UpdateExpression": "SET price = :p", "ExpressionAttributeValues": {":p": {"N": "1"}}})
sys.exit(int(sys.argv[2]))
"#;

/// Runs the command line: exit code, standard output, standard error.
fn datamigration(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_datamigration-under-test"))
        .args(words)
        .stdin(Stdio::null())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", database().url)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_laptop_is_journaled_looked_at_and_restored() {
    let table = fresh_name("laptop");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    for car in ["a", "b", "c"] {
        database()
            .ok(
                "PutItem",
                &expand(&json!({"TableName": table, "Item": {"id": car, "color": "red"}})),
            )
            .await;
    }
    let before = database().items(&table).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().display());
    let exec = |code: &str| {
        let name = ["exec", "--apply", "--archive", &archive, "--migration", "0001-prices"];
        datamigration(&[name.as_slice(), &["--", "python3", "-c", PROGRAM, &table, code]].concat())
    };
    let (code, _, told) = exec("7");
    assert_eq!(code, 7, "{told}");
    let restores = format!("restore   datamigration restore --archive {archive}");
    assert!(told.contains(&restores) && told.contains("--run 0001-prices/1"), "{told}");
    assert!(told.contains("run: 0001-prices/1"), "{told}");
    let left = database().items(&table).await;
    assert_ne!(left, before);

    let look = |words: &[&str]| {
        let (code, answer, told) =
            datamigration(&[&["archive"], words, &["--archive", &archive]].concat());
        assert_eq!(code, 0, "{told}");
        answer
    };
    let listed = look(&["ls"]);
    assert!(listed.contains("0001-prices/1") && listed.contains("failed"), "{listed}");
    let shown = look(&["show", "--run", "0001-prices/1"]);
    assert!(shown.contains("3 entries") && shown.contains("3 written"), "{shown}");
    assert!(look(&["verify"]).contains("0001-prices/1  3 entries, complete"));

    let price = json!({"TableName": table, "Key": {"id": "c"}, "UpdateExpression": "SET price = :p",
        "ExpressionAttributeValues": {":p": 9}});
    database().ok("UpdateItem", &expand(&price)).await;
    let restore = |more: &[&str]| {
        let words = ["restore", "--archive", &archive, "--run", "0001-prices/1"];
        datamigration(&[words.as_slice(), more].concat())
    };
    let (code, answer, told) = restore(&["--dry-run"]);
    assert_eq!(code, 3, "{told}");
    assert!(answer.contains("2  items would be restored to their earlier attributes"), "{answer}");
    assert!(answer.contains("{id: \"c\"}: price changed after the run"), "{answer}");
    hidden_keys_and_previews(&restore, folder.path());
    let (code, answer, told) = restore(&[]);
    assert_eq!(code, 3, "{told}");
    assert!(answer.contains("restored 0001-prices/1 as run 0001-prices/2"), "{answer}");
    let (code, answer, told) = restore(&["--on-conflict", "overwrite", "-o", "markdown"]);
    assert_eq!(code, 3, "{told}");
    assert!(answer.starts_with("### ⚠️ Restore of `0001-prices/1`"), "{answer}");
    assert!(answer.contains("1 attribute or item changed after the apply and was overwritten"));
    assert_eq!(database().items(&table).await, before);
    let (code, answer, _) = restore(&["--json"]);
    assert_eq!(code, 0);
    let report: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&report["unchanged"], &report["conflicts"]), (&json!(3), &json!(0)));

    repeated_and_listed(&restore, &look, &table);

    let gone = look(&["gc", "--older-than-days", "0", "--keep", "0", "--dry-run"]);
    assert!(gone.contains("would be deleted"), "{gone}");
    let (code, _, told) = exec("0");
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("run: 0001-prices/5"), "{told}");
}

/// A restore of what is restored is no run, and the archive lists what happened.
fn repeated_and_listed(
    restore: &impl Fn(&[&str]) -> (i32, String, String),
    look: &impl Fn(&[&str]) -> String,
    table: &str,
) {
    // A restore of what is restored is no run: the next one has its number.
    let (code, answer, told) = restore(&[]);
    assert_eq!(code, 0, "{told}");
    assert!(answer.contains("0001-prices/1 was restored by 0001-prices/4"), "{answer}");
    let listed = look(&["ls"]);
    let wide = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let first = wide(listed.lines().nth(1).unwrap());
    assert_eq!(first[0], "0001-prices/1", "{listed}");
    assert!(first.iter().any(|word| word == table), "{listed}");
    assert!(listed.contains("3 updated, 0 created, 0 deleted"), "{listed}");
    assert!(listed.contains("0 restored, 0 deleted, 0 recreated, 0 conflicts"), "{listed}");
    let shown = look(&["show", "--run", "0001-prices/1"]);
    assert!(shown.contains("runs/0001-prices/000001/report.json"), "{shown}");
    let data = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let listed = data(look(&["ls", "-o", "json"]));
    let runs = listed["runs"].as_array().unwrap();
    assert_eq!((&runs[0]["run"], &runs[0]["kind"]), (&json!("0001-prices/1"), &json!("apply")));
    assert_eq!(runs[0]["changes"], json!({"created": 0, "updated": 3, "deleted": 0}));
    assert_eq!((&runs[1]["kind"], &runs[1]["restores"]), (&json!("restore"), &json!(1)));
    let shown = data(look(&["show", "--run", "0001-prices/1", "-o", "json"]));
    assert_eq!((&shown["journal"]["entries"], &shown["outcome"]), (&json!(3), &json!("failed")));
    let verified = data(look(&["verify", "-o", "json"]));
    let whole = json!({"run": "0001-prices/1", "whole": true, "message": "3 entries, complete"});
    assert_eq!(verified["runs"][0], whole);
    let gone =
        data(look(&["gc", "--older-than-days", "0", "--keep", "0", "--dry-run", "-o", "json"]));
    assert_eq!((&gone["deleted"], &gone["runs"][0]), (&json!(false), &json!("0001-prices/1")));
    let (code, comment, told) = restore(&["-o", "markdown"]);
    assert!(code == 0 && comment.starts_with("### "), "{told} {comment}");
}

/// No form of a preview shows keys that are to be hidden, and its file says that it is one.
fn hidden_keys_and_previews(
    restore: &impl Fn(&[&str]) -> (i32, String, String),
    folder: &std::path::Path,
) {
    for format in ["text", "json", "yaml", "markdown"] {
        let (code, answer, told) = restore(&["--dry-run", "--hide-values", "-o", format]);
        assert_eq!(code, 3, "{told}");
        assert!(answer.contains("price"), "{answer}");
        assert!(!answer.contains("id:") && !answer.contains("\"id\""), "{answer}");
    }
    let (_, json, _) = restore(&["--dry-run", "-o", "json"]);
    let file = folder.join("preview.json");
    std::fs::write(&file, json).unwrap();
    let words = ["report", &file.display().to_string(), "-o", "markdown"];
    let (code, comment, told) = datamigration(&words);
    assert_eq!(code, 0, "{told}");
    assert!(comment.starts_with("### ⚠️ Preview of a restore of `preview`"), "{comment}");
    assert!(comment.contains("Nothing was written") && comment.contains("left unchanged"));
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_in_another_region_stops_before_it_writes_anything() {
    let table = fresh_name("elsewhere");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().display());
    let journal = ["exec", "--apply", "--archive", &archive, "--migration", "0001-prices"];
    let program = ["--", "python3", "-c", PROGRAM, &table, "0"];
    let (code, _, told) = datamigration(&[journal.as_slice(), &program].concat());
    assert_eq!(code, 0, "{told}");
    let restore = ["restore", "--archive", &archive, "--run", "0001-prices/1"];
    for more in [&["--region", "us-east-1"][..], &["--region", "us-east-1", "--dry-run"]] {
        let (code, answer, told) = datamigration(&[restore.as_slice(), more].concat());
        assert_eq!((code, answer.as_str()), (1, ""), "{told}");
        for words in ["nothing was written", "us-east-1", "--accept other-database"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    let listed = datamigration(&["archive", "ls", "--archive", &archive]).1;
    assert!(!listed.contains("0001-prices/2"), "{listed}");
    let (code, _, told) = datamigration(&restore);
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tables_lock_is_shown_and_taken_away_on_record() {
    use dm_engine::archive::Archive;
    use dm_engine::archive::locks::{LockTimes, Owner, TableLocks};

    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let archive = Archive::open(&crate::bed::archive(&url), REGION).await.unwrap();
    let owner = Owner {
        run: "team.m/4".into(),
        namespace: "team".into(),
        name: "m".into(),
        uid: "u".into(),
        holder: "h".into(),
    };
    let locks = TableLocks::new(archive, owner, LockTimes::default());
    locks.hold("cars").await.unwrap();
    let (_, told, _) = datamigration(&["archive", "ls", "--archive", &url]);
    assert!(told.contains("cars") && told.contains("team.m/4"), "{told}");

    let unlock = |table: &str, more: &[&str]| {
        let words = ["archive", "unlock", "--archive", &url, "--table", table, "--by", "ada"];
        datamigration(&[words.as_slice(), &["--reason", "it hangs"], more].concat())
    };
    let (code, _, told) = unlock("cars", &[]);
    assert!(code != 0 && told.contains("--yes"), "nobody was asked: {told}");
    let (code, told, _) = unlock("cars", &["--yes"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("removed from run team.m/4"), "{told}");
    let record = std::fs::read_to_string(folder.path().join("locks/cars/000001.released.json"));
    assert!(record.unwrap().contains("\"by\":\"ada\""));
    assert_eq!(unlock("cars", &["--yes"]).0, 1);
    assert_eq!(unlock("boats", &["--yes"]).0, 1);
    let (_, told, _) = datamigration(&["archive", "ls", "--archive", &url]);
    assert!(told.contains("removed by ada"), "{told}");
}
