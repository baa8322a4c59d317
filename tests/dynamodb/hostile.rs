//! What no honest client sends: the guard answers or refuses, and goes on serving.

use std::time::Duration;

use dm_core::plan::{Mode, Policy};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed::{self, database, fresh_name};

const HEAD: &str = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
                    x-amz-target: DynamoDB_20120810.PutItem\r\n";

/// Idle connections opened at once; fewer than the machine's usual limit of open files allows.
const IDLE_CONNECTIONS: usize = 400;

/// A machine that is busy with other tests is slow; a guard that hangs is slower.
const ANSWER_MAX: Duration = Duration::from_secs(90);

/// A whole request's answer.
async fn raw(address: std::net::SocketAddr, request: &[u8]) -> String {
    exchange(address, request, false).await
}

/// The answer to what will never be a whole request, if there is one.
async fn unfinished(address: std::net::SocketAddr, request: &[u8]) -> String {
    exchange(address, request, true).await
}

async fn exchange(address: std::net::SocketAddr, request: &[u8], gives_up: bool) -> String {
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
        let nested = |open: &str, close: &str, depth: usize| {
            format!(
                r#"{{"TableName":"{table}","Item":{{"id":{{"S":"a"}},"n":{}{{"NULL":true}}{}}}}}"#,
                open.repeat(depth),
                close.repeat(depth)
            )
        };
        let long = format!(
            r#"{{"TableName":"{table}","Item":{{"id":{{"S":"{}"}}}}}}"#,
            "x".repeat(15 << 20)
        );
        let expression = |text: String| {
            json!({"TableName": table, "Item": {"id": {"S": "a"}}, "ConditionExpression": text})
                .to_string()
        };
        let bodies: Vec<Vec<u8>> = vec![
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
            json!({"TableName": table, "Item": {"id": {"N": "1".repeat(10_000)}}})
                .to_string()
                .into(),
            json!({"TableName": table, "Item": {"id": {"S": "a"}, "n": {"N": "1e999999999999"}}})
                .to_string()
                .into(),
        ];
        for body in &bodies {
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

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_keep_others_out() {
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let mut idle = Vec::new();
    for n in 0..IDLE_CONNECTIONS {
        let mut stream = TcpStream::connect(guard.program_address).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"POST / HTTP/1.1\r\nhost:").await.unwrap();
        }
        idle.push(stream);
    }
    through.ok("ListTables", &json!({})).await;
    drop(idle);
    guard.stop().await;
}
