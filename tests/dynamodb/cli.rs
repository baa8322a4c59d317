//! The command line on a laptop: a boto3 program behind `datamigration exec`, a migration's folder
//! behind `run`, any client behind `guard`. What a dry run leaves, what applying changes, and that
//! the program has no credentials.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use dm_contract::report::{ChangedItem, ItemChange};
use serde_json::{Value, json};

use crate::bed::{ACCESS_KEY, Endpoint, REGION, database, fresh_name};

/// Reads the table page by page and prices what has no price.
pub const PRICE: &str = "\
import boto3, sys
table = boto3.resource('dynamodb').Table(sys.argv[1])
priced = 0
for item in table.scan()['Items']:
    if 'price' not in item:
        table.update_item(Key={'id': item['id']}, UpdateExpression='SET price = :p',
                          ExpressionAttributeValues={':p': 100})
        priced += 1
print(f'{priced} priced, {sum(1 for i in table.scan()[\"Items\"] if \"price\" in i)} have a price')
";

pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| dm_tests::python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref()))
}

pub fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The program under test, with the credentials of the tests' tables.
pub fn datamigration(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datamigration-under-test"));
    command
        .args(words)
        .stdin(Stdio::null())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_ENDPOINT_URL_DYNAMODB", database().url)
        .env("AWS_REGION", REGION);
    command
}

/// What it wrote to its two outputs, and its exit code.
pub fn ended(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A table with three items, one of which has a price.
pub async fn cars(database: &Endpoint) -> String {
    let table = fresh_name("cars");
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    database.ok("CreateTable", &create).await;
    for item in [
        json!({"id": {"S": "a"}}),
        json!({"id": {"S": "b"}}),
        json!({"id": {"S": "c"}, "price": {"N": "7"}}),
    ] {
        database.ok("PutItem", &json!({"TableName": table, "Item": item})).await;
    }
    table
}

#[tokio::test]
async fn a_dry_run_of_a_boto3_program_writes_nothing_and_says_what_it_would() {
    let database = database();
    let table = cars(&database).await;
    let before = database.items(&table).await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut command = datamigration(&["exec", "--writes-per-second", "2", "--report"]);
    command.arg(&report).arg("--").arg(python()).args(["-c", PRICE, &table]);
    let (out, err, code) = ended(&command.output().unwrap());

    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, "2 priced, 3 have a price\n", "its own output, and it saw its own writes");
    assert_eq!(database.items(&table).await, before);
    for part in [
        "this is the default, --apply writes",
        "dry run · nothing was written (0 write calls reached the database)",
        &format!("{table}  6 items read · 2 would be updated · 0 created · 0 deleted"),
        "+ price  2",
        "would cost 2 write units, about 1s at 2 writes a second · used",
        "+ price 100",
        "all answered exactly",
        "digest    sha256:",
    ] {
        assert!(err.contains(part), "{part}:\n{err}");
    }
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["mode"], "DryRun");
    assert_eq!(report["writeCallsUpstream"], 0);
    assert_eq!(report["tables"][0]["updated"], 2);

    let mut lines = difference(&folder.path().join("report.ndjson.zst"));
    lines.sort_by_key(|line| line.key.as_ref().map(Value::to_string));
    let ids = ["a", "b"].map(|id| json!({"id": {"S": id}}));
    let after = |id: &Value| json!({"id": id["id"], "price": {"N": "100"}});
    for (line, id) in lines.iter().zip(&ids) {
        assert_eq!((&line.table, line.kind), (&table, ItemChange::Updated));
        assert_eq!(json!(line.attributes), json!({"price": "added"}));
        let images = (line.key.as_ref(), line.before.as_ref(), line.after.as_ref());
        assert_eq!(images, (Some(id), Some(id), Some(&after(id))));
    }
    assert_eq!(lines.len(), 2);
}

/// The lines of a difference.
fn difference(path: &Path) -> Vec<ChangedItem> {
    let json = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let lines = serde_json::Deserializer::from_slice(&json).into_iter();
    lines.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_report_without_values_tells_items_apart_and_no_more() {
    let table = cars(&database()).await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("tried");
    let mut command = datamigration(&["exec", "--hide-values", "--report"]);
    command.arg(&report).arg("--").arg(python()).args(["-c", PRICE, &table]);
    let (_, err, code) = ended(&command.output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let lines = difference(&folder.path().join("tried.ndjson.zst"));
    let digests: std::collections::BTreeSet<_> =
        lines.iter().filter_map(|line| line.key_digest.as_ref()).collect();
    assert_eq!(digests.len(), 2, "{lines:?}");
    for line in &lines {
        assert_eq!((&line.key, &line.before, &line.after), (&None, &None, &None));
        assert_eq!(json!(line.attributes), json!({"price": "added"}));
    }
}

/// Gives every item one more of something, also when it has been here before.
const COUNT_UP: &str = "\
import boto3, sys
table = boto3.resource('dynamodb').Table(sys.argv[1])
for item in table.scan()['Items']:
    table.update_item(Key={'id': item['id']}, UpdateExpression='ADD price :one',
                      ExpressionAttributeValues={':one': 1})
print('counted')
";

/// A table is created and filled; a second time it is there.
const FAILS_AGAIN: &str = "\
import boto3, sys
table = boto3.resource('dynamodb').Table(sys.argv[1])
table.put_item(Item={'id': 'new'}, ConditionExpression='attribute_not_exists(id)')
print('put')
";

#[tokio::test]
async fn a_second_pass_tells_whether_a_program_may_be_run_again() {
    let database = database();
    let table = cars(&database).await;
    let before = database.items(&table).await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    for (program, printed, idempotent, said) in [
        (PRICE, "2 priced, 3 have a price\n", true, "second pass: no changes, safe to run again"),
        (COUNT_UP, "counted\n", false, "would change again, not safe to run again"),
        (FAILS_AGAIN, "put\n", false, "second pass: the program ended with exit code 1, not safe"),
    ] {
        let mut command = datamigration(&["exec", "--dry-run", "--second-pass", "--report"]);
        command.arg(&report).arg("--").arg(python()).args(["-c", program, &table]);
        let (out, err, code) = ended(&command.output().unwrap());
        assert_eq!((out.as_str(), code), (printed, Some(0)), "the first pass counts: {err}");
        assert!(err.contains(said), "{said}:\n{err}");
        let result: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(result["dryRun"]["secondPass"]["idempotent"], idempotent, "{result}");
        assert_eq!(result["writeCallsUpstream"], 0);
        let changed: u64 = ["created", "updated"]
            .iter()
            .map(|kind| result["tables"][0][kind].as_u64().unwrap())
            .sum();
        let lines = difference(&folder.path().join("report.ndjson.zst"));
        assert_eq!(lines.len() as u64, changed, "the difference is the first pass's: {lines:?}");
        let prices: Vec<_> = lines.iter().filter_map(|line| line.after.as_ref()).collect();
        if program == COUNT_UP {
            assert_eq!(changed, 3);
            let counted = |n: &str| prices.iter().filter(|item| item["price"]["N"] == n).count();
            assert_eq!((counted("1"), counted("8")), (2, 1), "once, not twice: {prices:?}");
        }
    }
    // The database has closed the first connection in the meantime.
    assert_eq!(crate::bed::database().items(&table).await, before);
}

#[tokio::test]
async fn an_applied_program_changes_the_table() {
    let database = database();
    let table = cars(&database).await;
    let mut command = datamigration(&["exec", "--apply", "--tables", "other,cars-*", "--"]);
    command.arg(python()).args(["-c", PRICE, &table]);
    let (out, err, code) = ended(&command.output().unwrap());

    assert_eq!((out.as_str(), code), ("2 priced, 3 have a price\n", Some(0)), "{err}");
    assert!(err.contains("applied · 2 write calls reached the database"), "{err}");
    assert!(err.contains("2 updated · 0 put · 0 deleted"), "{err}");
    let items = database.items(&table).await;
    assert!(items.iter().all(|item| item.get("price").is_some()), "{items:?}");
}

#[tokio::test]
async fn a_table_that_is_not_allowed_is_refused_and_the_programs_failure_passed_on() {
    let table = cars(&database()).await;
    let mut command = datamigration(&["exec", "--dry-run", "--tables", "other", "--"]);
    command.arg(python()).args(["-c", PRICE, &table]);
    let (_, err, code) = ended(&command.output().unwrap());

    assert_eq!(code, Some(1), "{err}");
    for part in ["AccessDeniedException", "ended with exit code 1", "1 call was rejected"] {
        assert!(err.contains(part), "{part}:\n{err}");
    }
}

#[test]
fn the_programs_end_is_passed_on() {
    for (words, expected, told) in [
        // One that missed the guard may have written to the database itself.
        (&["sh", "-c", "exit 0"][..], 125, "the program sent no request to the guard"),
        (&["sh", "-c", "exit 7"], 7, "ended with exit code 7"),
        (&["sh", "-c", "kill -9 $$"], 137, "was ended by signal 9"),
        (&["no-such-program"], 127, "there is no program no-such-program"),
        (&["/dev/null"], 126, "/dev/null is not an executable file"),
    ] {
        for mode in ["--dry-run", "--apply"] {
            let output = datamigration(&["exec", mode, "--"]).args(words).output().unwrap();
            let (_, err, code) = ended(&output);
            assert_eq!(code, Some(expected), "{mode} {words:?}: {err}");
            assert!(err.contains(told), "{mode} {words:?}: {err}");
        }
    }
    for mode in ["--dry-run", "--apply"] {
        let expected = ["exec", mode, "--expect-no-requests", "--", "true"];
        let (_, err, code) = ended(&datamigration(&expected).output().unwrap());
        assert_eq!(code, Some(0), "{err}");
    }
}

#[test]
fn signals_reach_the_program() {
    let script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = datamigration(&["exec", "--dry-run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    succeed(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    out.read_to_string(&mut line).unwrap();
    assert_eq!(line, "ready\ntold\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_program_has_no_credentials() {
    // Whatever of the person's identity there is, in the environment and in files at home.
    const SECRET: &str = "of-the-person";
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let keys = format!("[default]\naws_access_key_id={SECRET}\naws_secret_access_key={SECRET}\n");
    std::fs::write(home.path().join(".aws/credentials"), keys).unwrap();
    let config = home.path().join("config");
    std::fs::write(&config, "[profile prod]\nregion = us-east-1\n").unwrap();
    let look = "\
import boto3, os
print([name for name, value in os.environ.items() if 'of-the-person' in value])
found = boto3.Session().get_credentials()
print(found.access_key, found.secret_key, found.token)
print(boto3.Session().available_profiles)
";
    let mut command = datamigration(&["exec", "--dry-run", "--expect-no-requests", "--"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"]
    {
        command.env(name, SECRET);
    }
    command.env("HOME", home.path()).env("AWS_CONFIG_FILE", config).env("AWS_PROFILE", "prod");
    // A Python of the person's may be found by way of their home.
    let python = Command::new(python()).args(["-c", "import sys; print(sys.executable)"]).output();
    let (python, _, _) = ended(&python.unwrap());
    let output = command.arg(python.trim()).args(["-c", look]).output().unwrap();
    let (out, err, code) = ended(&output);
    assert_eq!(code, Some(0), "{err}");
    let (key, rest) = out.split_once(" worthless None\n[]\n").unwrap();
    let key = key.strip_prefix("[]\nDM").unwrap_or_else(|| panic!("{out}"));
    assert_eq!((key.len(), rest), (30, ""), "{out}");
}

#[test]
fn without_credentials_of_its_own_nothing_is_started() {
    let mut command = datamigration(&["exec", "--", "echo", "started"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let (out, err, code) = ended(&command.output().unwrap());
    assert_eq!((out.as_str(), code), ("", Some(125)));
    assert!(err.contains("there are no credentials for http"), "{err}");
}

#[tokio::test]
async fn a_migrations_folder_runs_in_a_copy_of_itself() {
    let database = database();
    let table = cars(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let manifest = json!({
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
        "metadata": {"name": "m"},
        "spec": {
            "target": {"name": "t"}, "limits": {"writesPerSecond": 4},
            "script": {
                "configMap": {"name": "m"}, "image": "i", "args": [table],
                "env": [{"name": "COLOR", "value": "red"}],
            },
        },
    });
    // JSON is YAML.
    write("base/migration.yaml", &manifest.to_string());
    write(
        "base/kustomization.yaml",
        "configMapGenerator:\n  - name: m\n    files: [main.py, ids.txt]\n",
    );
    write("base/ids.txt", "a\nd\n");
    write("base/notes.txt", "");
    let script = format!(
        "#!{}\nimport boto3, os, sys\nprint(sorted(os.listdir()))\nopen('written', 'w')\n\
         table = boto3.resource('dynamodb').Table(sys.argv[1])\n\
         for line in open('ids.txt'):\n    table.put_item(Item={{'id': line.strip(), 'color': \
         os.environ['COLOR']}})\n",
        python().display()
    );
    let script = script.replace("#!python3", "#!/usr/bin/env python3");
    write("base/main.py", &script);
    let run = |how: &str| {
        let mut command = datamigration(&["run", "--upstream", "aws"]);
        ended(&command.arg(folder.path()).arg(how).output().unwrap())
    };

    let before = database.items(&table).await;
    let (out, err, code) = run("--dry-run");
    assert_eq!((out.as_str(), code), ("['ids.txt', 'main.py']\n", Some(0)), "{err}");
    assert!(err.contains("1 would be updated · 1 created · 0 deleted"), "{err}");
    assert!(err.contains("about 1s at 4 writes a second"), "{err}");
    assert_eq!(database.items(&table).await, before);

    let (_, err, code) = run("--apply");
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(database.items(&table).await.len(), 4);
    assert!(!folder.path().join("base/written").exists(), "it ran in a copy");
}

#[tokio::test]
async fn a_guard_serves_any_client_until_it_is_told_to_stop() {
    let database = database();
    let table = cars(&database).await;
    let before = database.items(&table).await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut command = datamigration(&["guard", "--listen", "127.0.0.1:0", "--report"]);
    let mut child = command.arg(&report).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    let (_, address) = line.split_once("behind ").unwrap_or_else(|| panic!("{line}"));
    let stranger = Endpoint::new(address.split(';').next().unwrap().to_owned());
    line.clear();
    err.read_line(&mut line).unwrap();
    let (_, key) = line.split_once("AWS_ACCESS_KEY_ID=").unwrap_or_else(|| panic!("{line}"));
    let through = stranger.signing(key.split(' ').next().unwrap(), REGION);
    let delete = json!({"TableName": table, "Key": {"id": {"S": "c"}}});
    let (status, answer) = stranger.call("DeleteItem", &delete).await;
    assert_eq!(status, 400);
    assert!(
        answer["__type"].as_str().unwrap().ends_with("#UnrecognizedClientException"),
        "{answer}"
    );
    through.ok("DeleteItem", &delete).await;
    assert_eq!(through.items(&table).await.len(), 2);
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("0 would be updated · 0 created · 1 deleted"), "{rest}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["tables"][0]["deleted"], 1);
    assert_eq!(database.items(&table).await, before);
}

#[tokio::test]
async fn a_guards_clients_find_it_by_a_file_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.env");
    std::fs::write(&file, "of before").unwrap();
    let mut command = datamigration(&["guard", "--listen", "127.0.0.1:0", "--env-file"]);
    let mut child = command.arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    for _ in 0..2 {
        err.read_line(&mut said).unwrap();
    }
    assert!(
        said.contains("environment for clients written to") && !said.contains("ACCESS_KEY_ID="),
        "{said}"
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let look = ". \"$0\" && echo $AWS_ENDPOINT_URL_DYNAMODB $AWS_ACCESS_KEY_ID $AWS_REGION";
    let output = Command::new("sh").args(["-c", look]).arg(&file).output().unwrap();
    let (out, _, _) = ended(&output);
    let [url, key, region] = out.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{out}");
    };
    Endpoint::new(url.into()).signing(key, region).ok("ListTables", &json!({})).await;
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_guard_is_controlled_by_who_has_the_tokens_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let start = |token: &str| {
        std::fs::write(&file, token).unwrap();
        let flags = ["guard", "--listen", "127.0.0.1:0", "--control-token-file"];
        datamigration(&flags).arg(&file).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut child = start("too-short");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_ne!(child.wait().unwrap().code(), Some(0));
    assert!(said.contains("the control token has 9 characters, and needs 16"), "{said}");

    let token = "0123456789abcdef";
    let mut child = start(&format!("{token}\n"));
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    err.read_line(&mut said).unwrap();
    err.read_line(&mut said).unwrap();
    let (_, address) = said.split_once("control API at ").unwrap_or_else(|| panic!("{said}"));
    let control = Endpoint::new(address.trim().to_owned());
    let (status, state) = control.control("POST", "/pause", Some(token), "").await;
    assert_eq!((status, &state["paused"]), (200, &json!(true)));
    assert_eq!(control.control("POST", "/pause", None, "").await.0, 401);
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
