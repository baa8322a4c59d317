//! What no honest client sends: the guard answers or refuses, and continues serving.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dm_contract::plan::{ACCESS_KEY_ENV, Mode, Policy};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed::{self, Endpoint, database, fresh_name};

const HEAD: &str = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                    content-type: application/x-amz-json-1.0\r\n\
                    x-amz-date: 20261201T000000Z\r\nauthorization: AWS4-HMAC-SHA256 \
                    Credential=dmtests/20261201/eu-west-1/dynamodb/aws4_request, \
                    SignedHeaders=host, Signature=0\r\n\
                    x-amz-target: DynamoDB_20120810.PutItem\r\n";

/// The access key of clients of a guard in its own process.
const KEY: &str = "DM0123456789ABCDEF";

/// Idle connections opened at once.
const IDLE_CONNECTIONS: usize = 10_000;

/// Memory that they may take: some 17 KB each in a build without optimisation, and room.
const IDLE_MIB_MAX: u64 = 256;

/// A machine that is busy with other tests is slow; a guard that hangs is slower.
const ANSWER_MAX: Duration = Duration::from_secs(90);

/// A whole request's answer.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    exchange(address, request, false).await
}

/// The answer to what will never be a whole request, if there is one.
async fn unfinished(address: SocketAddr, request: &[u8]) -> String {
    exchange(address, request, true).await
}

async fn exchange(address: SocketAddr, request: &[u8], gives_up: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The guard may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    if gives_up {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(ANSWER_MAX, stream.read_to_end(&mut answer));
    let _ = read.await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

fn with_body(body: &[u8]) -> Vec<u8> {
    let mut request = format!("{HEAD}content-length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(body);
    request
}

/// Bodies that no server should answer with 200.
fn hostile_bodies(table: &str) -> Vec<Vec<u8>> {
    let nested = |open: &str, close: &str, depth: usize| {
        format!(
            r#"{{"TableName":"{table}","Item":{{"id":{{"S":"a"}},"n":{}{{"NULL":true}}{}}}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let long =
        format!(r#"{{"TableName":"{table}","Item":{{"id":{{"S":"{}"}}}}}}"#, "x".repeat(15 << 20));
    let expression = |text: String| {
        json!({"TableName": table, "Item": {"id": {"S": "a"}}, "ConditionExpression": text})
            .to_string()
    };
    vec![
        "[".repeat(1_000_000).into(),
        r#"{"a":"#.repeat(1_000_000).into(),
        nested(r#"{"L":["#, "]}", 40).into(),
        nested(r#"{"M":{"x":"#, "}}", 400_000).into(),
        long.into(),
        vec![0xff; 100],
        b"{\"TableName\":\"\xc3\x28\"}".to_vec(),
        b"{\"TableName\":\"\\ud800\"}".to_vec(),
        b"null".to_vec(),
        expression("(".repeat(4096)).into(),
        expression("NOT ".repeat(1023) + "a = a").into(),
        expression("a.".repeat(2000) + "a = :v").into(),
        expression("a[99999999999999999999] = :v".into()).into(),
        expression("\u{0}".into()).into(),
        json!({"TableName": "x".repeat(100_000), "Item": {}}).to_string().into(),
        json!({"TableName": table, "Item": {"id": {"N": "1".repeat(10_000)}}}).to_string().into(),
        json!({"TableName": table, "Item": {"id": {"S": "a"}, "n": {"N": "1e999999999999"}}})
            .to_string()
            .into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_the_guard_goes_on() {
    let table = fresh_name("hostile");
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    database().ok("CreateTable", &create).await;
    for mode in [Mode::DryRun, Mode::Apply] {
        let (guard, through) = bed::guard(&bed::plan(mode, Policy::default())).await;
        let address = guard.program_address;
        for body in &hostile_bodies(&table) {
            let answer = raw(address, &with_body(body)).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert!(
                answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"),
                "{shown}: {answer:.200}"
            );
        }
        let too_long = format!("{HEAD}content-length: 16777217\r\n\r\n");
        assert!(raw(address, too_long.as_bytes()).await.starts_with("HTTP/1.1 413"));
        let truncated = format!("{HEAD}content-length: 100\r\n\r\n{{}}");
        unfinished(address, truncated.as_bytes()).await;
        let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n");
        unfinished(address, chunked.as_bytes()).await;
        let doubled = format!(
            "{HEAD}x-amz-target: DynamoDB_20120810.GetItem\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        assert!(raw(address, doubled.as_bytes()).await.contains("UnknownOperationException"));
        unfinished(address, &b"GET / HTTP/1.1\r\n".repeat(10_000)).await;
        unfinished(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
        unfinished(address, &vec![b'A'; 1 << 20]).await;

        let put = json!({"TableName": table, "Item": {"id": {"S": "still here"}}});
        through.ok("PutItem", &put).await;
        guard.stop().await;
    }
}

/// A guard in its own process, started with the number of open files that shells allow.
struct OwnProcess {
    child: Child,
    address: SocketAddr,
}

impl OwnProcess {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -Sn 1024 && exec \"$0\" guard --listen 127.0.0.1:0"])
            .arg(env!("CARGO_BIN_EXE_datamigration-under-test"))
            .env("AWS_ENDPOINT_URL_DYNAMODB", database().url)
            .env("AWS_ACCESS_KEY_ID", bed::ACCESS_KEY)
            .env(ACCESS_KEY_ENV, KEY)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", bed::REGION)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("behind http://").unwrap_or_else(|| panic!("{line}"));
        let address = rest.split(';').next().unwrap().trim().parse().unwrap();
        Self { child, address }
    }

    fn client(&self) -> Endpoint {
        Endpoint::new(format!("http://{}", self.address)).signing(KEY, bed::REGION)
    }

    fn mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_do_not_keep_others_out() {
    dm_guard::open_files::raise();
    let guard = OwnProcess::start();
    let through = guard.client();
    through.ok("ListTables", &json!({})).await;
    let before = guard.mib();
    let mut idle = Vec::new();
    for n in 0..IDLE_CONNECTIONS {
        let mut stream = TcpStream::connect(guard.address).await.unwrap_or_else(|error| {
            panic!("connection {n}; the hard limit of open files must be above 10,500: {error}")
        });
        match n % 3 {
            0 => stream.write_all(b"POST / HTTP/1.1\r\nhost:").await.unwrap(),
            // One that was used and is kept, as SDKs do.
            1 => ping(&mut stream).await,
            _ => {}
        }
        idle.push(stream);
    }
    // One that was used, one that never was, and a new one.
    ping(&mut idle[1]).await;
    ping(&mut idle[2]).await;
    let new = guard.client();
    new.ok("ListTables", &json!({})).await;
    through.ok("ListTables", &json!({})).await;
    let taken = guard.mib().saturating_sub(before);
    println!("{IDLE_CONNECTIONS} idle connections take {taken} MiB");
    assert!(taken < IDLE_MIB_MAX, "{taken} MiB for {IDLE_CONNECTIONS} idle connections");
}

/// A request that needs no database, and its answer.
async fn ping(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 1024];
    let read = tokio::time::timeout(ANSWER_MAX, stream.read(&mut answer));
    let bytes = read.await.expect("an answer").unwrap();
    assert!(
        answer[..bytes].starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer[..bytes])
    );
}
