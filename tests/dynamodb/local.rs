//! The embedded database by its command line: any SDK as its client, a migration's folder on it,
//! and what is left after a kill.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::Endpoint;

/// What a boto3 program does with a database, by any credentials, in any region.
const TOUR: &str = "\
import boto3, sys
from boto3.dynamodb.conditions import Key
where = dict(endpoint_url=sys.argv[1], region_name='ap-southeast-2',
             aws_access_key_id='anybody', aws_secret_access_key='x')
client = boto3.client('dynamodb', **where)
client.create_table(
    TableName='orders', BillingMode='PAY_PER_REQUEST',
    KeySchema=[{'AttributeName': 'shop', 'KeyType': 'HASH'}, {'AttributeName': 'at', 'KeyType': \
    'RANGE'}],
    AttributeDefinitions=[{'AttributeName': n, 'AttributeType': t}
                          for n, t in [('shop', 'S'), ('at', 'N'), ('state', 'S')]],
    GlobalSecondaryIndexes=[{'IndexName': 'by-state', 'Projection': {'ProjectionType': 'ALL'},
                             'KeySchema': [{'AttributeName': 'state', 'KeyType': 'HASH'}]}])
client.get_waiter('table_exists').wait(TableName='orders', WaiterConfig={'Delay': 1, \
'MaxAttempts': 2})
orders = boto3.resource('dynamodb', **where).Table('orders')
with orders.batch_writer() as batch:
    for at in range(60):
        batch.put_item(Item={'shop': 'a', 'at': at, 'state': 'new' if at % 2 else 'paid'})
print('query', orders.query(KeyConditionExpression=Key('shop').eq('a') & Key('at').lt(10))['Count'])
print('index', orders.query(IndexName='by-state', \
KeyConditionExpression=Key('state').eq('paid'))['Count'])
client.transact_write_items(TransactItems=[
    {'Update': {'TableName': 'orders', 'Key': {'shop': {'S': 'a'}, 'at': {'N': '0'}},
                'UpdateExpression': 'SET #s = :s', 'ExpressionAttributeNames': {'#s': 'state'},
                'ExpressionAttributeValues': {':s': {'S': 'sent'}}}},
    {'Delete': {'TableName': 'orders', 'Key': {'shop': {'S': 'a'}, 'at': {'N': '1'}}}}])
try:
    orders.put_item(Item={'shop': 'a', 'at': 0}, ConditionExpression='attribute_not_exists(shop)')
except client.exceptions.ConditionalCheckFailedException:
    print('condition failed')
rows = client.execute_statement(Statement=\"SELECT * FROM orders WHERE shop = 'a' AND \\\"at\\\" = \
0\")['Items']
print('partiql', rows[0]['state']['S'])
print('pages', sum(len(p['Items']) for p in client.get_paginator('scan').paginate(
    TableName='orders', PaginationConfig={'PageSize': 7})))
print('items', orders.item_count, orders.table_arn)
print('tables', client.list_tables()['TableNames'])
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder").to_owned()
}

fn python() -> PathBuf {
    dm_tests::python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref())
}

/// The program under test, with nothing of an AWS configuration.
fn datamigration(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datamigration-under-test"));
    command.args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"AWS_") {
            command.env_remove(name);
        }
    }
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

fn ended(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A database that serves; killed when dropped.
struct Local {
    child: Child,
    endpoint: Endpoint,
    said: String,
}

impl Local {
    #[allow(clippy::zombie_processes, reason = "it is waited for when dropped")]
    fn start(words: &[&str]) -> Self {
        let words = [&["local", "--listen", "127.0.0.1:0"], words].concat();
        let mut child = datamigration(&words).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
            said += &(line.clone() + "\n");
            if let Some((_, rest)) = line.split_once("DynamoDB at ") {
                let url = rest.split(',').next().unwrap().to_owned();
                return Self { child, endpoint: Endpoint::new(url), said };
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn boto3_with_any_credentials_and_region_finds_a_dynamodb() {
    let local = Local::start(&[]);
    let tour = Command::new(python()).args(["-c", TOUR, &local.endpoint.url]).output().unwrap();
    let (out, err, code) = ended(&tour);
    let expected = "query 10\nindex 30\ncondition failed\npartiql sent\npages 59\n\
                    items 59 arn:aws:dynamodb:us-east-1:000000000000:table/orders\n\
                    tables ['orders']\n";
    assert_eq!((out.as_str(), code), (expected, Some(0)), "{err}");
}

#[tokio::test]
async fn a_client_that_has_closed_its_sending_side_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(&["--data", folder.path().join("data").to_str().unwrap()]);
    local.endpoint.ok("CreateTable", &pairs()).await;
    let put = json!({"TableName": "pairs", "Item": {"id": {"S": "half-closed"}}}).to_string();
    // Signed for no service, as clients do that derive it from the host's name.
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.PutItem\r\nx-amz-date: 20261201T000000Z\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=anybody/20261201/us-east-1//aws4_request, \
         SignedHeaders=host, Signature=0\r\ncontent-length: {}\r\n\r\n{put}",
        put.len()
    );
    let address = local.endpoint.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn no_answered_write_is_lost_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let words = ["--data", data.to_str().unwrap()];
    let mut answered = 0;
    for round in 0..3_u64 {
        let local = Local::start(&words);
        if round == 0 {
            local.endpoint.ok("CreateTable", &pairs()).await;
        }
        answered = write_until_killed(local, round, answered).await;
        assert!(answered > (round + 1) * 20, "{answered} writes were answered by round {round}");
    }
    let local = Local::start(&words);
    let items = local.endpoint.items("pairs").await;
    let has = |id: String| items.iter().any(|item| item["id"]["S"] == id.as_str());
    let halves: Vec<(bool, bool)> =
        (0..answered + 16).map(|n| (has(format!("{n}-a")), has(format!("{n}-b")))).collect();
    let lost = halves[..usize::try_from(answered).unwrap()].iter().filter(|pair| !pair.0).count();
    assert_eq!(lost, 0, "of {answered} answered transactions");
    assert!(halves.iter().all(|(one, other)| one == other), "a transaction is there whole");
    let described = local.endpoint.ok("DescribeTable", &json!({"TableName": "pairs"})).await;
    assert_eq!(described["Table"]["ItemCount"], items.len());
}

fn pairs() -> Value {
    json!({
        "TableName": "pairs",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    })
}

/// Writes numbered pairs of items, each in a transaction, until the database is killed in the
/// middle; up to which number all were answered.
async fn write_until_killed(local: Local, round: u64, from: u64) -> u64 {
    let answered = Arc::new(AtomicU64::new(from));
    let endpoint = local.endpoint.clone();
    let writer = {
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            for n in from.. {
                let put = |half: &str| {
                    let item = json!({"id": {"S": format!("{n}-{half}")}});
                    json!({"Put": {"TableName": "pairs", "Item": item}})
                };
                let body = json!({"TransactItems": [put("a"), put("b")]});
                match endpoint.try_call("TransactWriteItems", &body).await {
                    Some((200, _)) => answered.store(n + 1, Ordering::SeqCst),
                    Some((status, answer)) => panic!("{status} {answer}"),
                    None => return,
                }
            }
        })
    };
    let wanted = (round + 1) * 20;
    while answered.load(Ordering::SeqCst) <= wanted {
        assert!(!writer.is_finished(), "the writer ended early");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    local.kill();
    writer.await.unwrap();
    answered.load(Ordering::SeqCst)
}

#[test]
fn a_folder_of_a_database_belongs_to_one_process_and_is_seeded_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let seed = root().join("migrations/0001-add-price-to-cars");
    let words = ["--seed", seed.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let first = Local::start(&words);
    assert!(first.said.contains("tables 1, items 24"), "{}", first.said);
    let second = datamigration(&["local", "--listen", "127.0.0.1:0"]).args(words).output().unwrap();
    let (_, err, code) = ended(&second);
    assert!(code == Some(1) && err.contains("is in use by another process"), "{err}");
    first.kill();
    let again = Local::start(&words);
    assert!(again.said.contains("the database has tables"), "{}", again.said);
}

/// A copy of a worked example, so that what it keeps does not stay in the repository.
fn example(name: &str) -> (tempfile::TempDir, String) {
    let copy = tempfile::tempdir().unwrap();
    let from = root().join("migrations");
    for path in [from.join(name), from.join("cars.json")] {
        let copied = Command::new("cp").arg("-r").arg(path).arg(copy.path()).status();
        assert!(copied.unwrap().success());
    }
    // What a reader's own runs have left there.
    std::fs::remove_dir_all(copy.path().join(name).join(".datamigration")).ok();
    let folder = copy.path().join(name).to_str().unwrap().to_owned();
    (copy, folder)
}

fn run(words: &[&str]) -> (String, String, Option<i32>) {
    let mut command = datamigration(words);
    // The program's interpreter is the one that has boto3.
    if let Some(bin) = python().parent().filter(|bin| !bin.as_os_str().is_empty()) {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", bin.display()));
    }
    ended(&command.output().unwrap())
}

#[test]
fn an_example_is_tried_applied_and_restored_with_nothing_but_python() {
    let (_copy, folder) = example("0001-add-price-to-cars");
    let kept = Path::new(&folder).join(".datamigration");
    let (_, err, code) = run(&["restore", "--folder", &folder]);
    assert!(code == Some(1) && err.contains("nothing was applied there"), "{err}");

    let (out, err, code) = run(&["run", &folder]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("24 cars read, 24 prices added"), "{out}");
    assert!(err.contains("24 would be updated · 0 created · 0 deleted"), "{err}");
    assert!(!kept.exists(), "a dry run leaves nothing");

    let (_, err, code) = run(&["run", &folder, "--apply"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("run: 0001-add-price-to-cars/1"), "{err}");
    assert_eq!(std::fs::read_to_string(kept.join(".gitignore")).unwrap(), "*\n");
    let (out, err, _) = run(&["run", &folder]);
    assert!(out.contains("0 prices added, 24 left as they were"), "{out}{err}");

    let (out, err, code) = run(&["restore", "--folder", &folder, "--dry-run"]);
    assert!(code == Some(0) && out.contains("24  items would be restored"), "{out}{err}");
    let (out, err, code) = run(&["restore", "--folder", &folder]);
    assert!(code == Some(0) && out.contains("24  items restored"), "{out}{err}");
    let (out, err, _) = run(&["run", &folder]);
    assert!(out.contains("24 prices added, 0 left as they were"), "{out}{err}");

    let (out, err, _) = run(&["run", &folder, "--apply", "--reset"]);
    assert!(out.contains("24 prices added") && err.contains("from "), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_leaves_a_database_that_is_in_use() {
    let (_copy, folder) = example("0001-add-price-to-cars");
    let data = Path::new(&folder).join(".datamigration/database");
    let (_, err, code) = run(&["run", &folder, "--apply"]);
    assert_eq!(code, Some(0), "{err}");
    let used = Local::start(&["--data", data.to_str().unwrap()]);
    let (_, err, code) = run(&["run", &folder, "--apply", "--reset"]);
    assert!(code == Some(125) && err.contains("is in use by another process"), "{code:?} {err}");
    let (status, answer) = used.endpoint.call("Scan", &json!({"TableName": "cars"})).await;
    assert!(status == 200 && answer["Count"] == 24, "{answer}");
}

#[test]
fn every_example_has_a_seed_and_the_others_in_python_run_on_it() {
    for entry in std::fs::read_dir(root().join("migrations")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("base").is_dir() {
            let local = Local::start(&["--seed", folder.to_str().unwrap()]);
            assert!(local.said.contains("seeded from"), "{}", local.said);
        }
    }
    let (_copy, folder) = example("0004-fuel-economy-from-csv");
    let (out, err, code) = run(&["run", &folder]);
    assert!(code == Some(0) && err.contains("would be updated"), "{out}{err}");
    let (_copy, folder) = example("0005-split-name");
    let (out, err, code) = run(&["run", &folder]);
    assert!(code == Some(3) && err.contains("KeyError: 'model' (subaru-1974-1)"), "{out}{err}");
}

#[test]
fn a_folder_without_a_seed_says_so() {
    let (_copy, folder) = example("0001-add-price-to-cars");
    std::fs::remove_file(Path::new(&folder).join("seed.json")).unwrap();
    let (_, err, code) = run(&["run", &folder]);
    assert!(code == Some(1) && err.contains("seed.json is missing"), "{err}");
}
