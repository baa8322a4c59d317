//! What is answered before a request becomes a call, as DynamoDB answers it: methods, paths,
//! content types, sizes, signatures. Expected words and checksums are those that clients recorded
//! of the service.

use std::net::SocketAddr;
use std::time::Duration;

use dm_contract::plan::{Mode, Policy};
use dm_guard::Guard;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed;

const SIGNED: &str = "x-amz-date: 20261201T000000Z\r\nauthorization: AWS4-HMAC-SHA256 \
    Credential=dmtests/20261201/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, \
    Signature=0\r\n";
const TARGET: &str = "x-amz-target: DynamoDB_20120810.ListTables\r\n";
const JSON: &str = "content-type: application/x-amz-json-1.0\r\n";

/// A machine that is busy with other tests is slow.
const ANSWER_MAX: Duration = Duration::from_secs(60);

async fn guard() -> Guard {
    bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await.0
}

/// A request of one connection, and its whole answer.
async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.expect("a connection that is not cut while the client sends");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(ANSWER_MAX, stream.read_to_end(&mut answer)).await;
    read.expect("an answer").unwrap();
    String::from_utf8(answer).unwrap()
}

async fn check(guard: &Guard, line: &str, headers: &[&str], body: &str, expected: &[&str]) {
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{}", headers.concat());
    let answer = exchange(guard.program_address, &head, body.as_bytes()).await;
    for part in expected {
        assert!(answer.contains(part), "{line} {headers:?} {body}: {part} in\n{answer}");
    }
}

#[tokio::test]
async fn requests_are_answered_before_they_become_calls_as_dynamodb_answers_them() {
    let guard = guard().await;
    let healthy = ["HTTP/1.1 200 OK\r\n", "\r\n\r\nhealthy: dynamodb.eu-west-1.amazonaws.com "];
    check(&guard, "GET /", &[], "", &[healthy[0], "content-length: 42\r\n", healthy[1]]).await;
    check(&guard, "GET /ping", &[], "", &healthy).await;
    let not_found = [
        "HTTP/1.1 404 Not Found\r\n",
        "x-amz-crc32: 3552371480\r\n",
        "content-length: 29\r\n",
        "\r\n\r\n<UnknownOperationException/>\n",
    ];
    for line in ["PUT /", "DELETE /", "OPTIONS /", "PATCH /", "POST /elsewhere"] {
        check(&guard, line, &[], "", &not_found).await;
    }
    check(&guard, "HEAD /", &[], "", &not_found[..3]).await;
    for headers in ["", "content-type: whatever\r\n", "content-type: application/jsonasdf\r\n"] {
        check(&guard, "POST /", &[headers], "hi", &not_found).await;
    }
    let plain = "content-type: application/json\r\n";
    let serialization = r#"{"__type":"com.amazon.coral.service#SerializationException"}"#;
    let unknown = r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
    let missing = r#"{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}"#;
    let of = |kind, crc, body| ["HTTP/1.1 400 ", kind, crc, body];
    let serialization = |kind| of(kind, "x-amz-crc32: 3948637019\r\n", serialization);
    let unknown = |kind| of(kind, "x-amz-crc32: 1368724161\r\n", unknown);
    check(&guard, "POST /", &[JSON], "hi", &serialization(JSON)).await;
    check(&guard, "POST /", &[JSON, TARGET, SIGNED], "hi", &serialization(JSON)).await;
    check(&guard, "POST /", &[JSON, TARGET, SIGNED], "", &serialization(JSON)).await;
    let spaced = "content-type:   application/json  ;   asfd\r\n";
    check(&guard, "POST /", &[spaced], "hi", &serialization(plain)).await;
    check(&guard, "POST /", &[], "", &unknown(plain)).await;
    check(&guard, "POST /", &[JSON], "{}", &unknown(JSON)).await;
    check(&guard, "POST /", &["x-amz-target: whatever\r\n"], "", &unknown(plain)).await;
    let wrong = "x-amz-target: DynamoDB_20120810.ListTable\r\n";
    check(&guard, "POST /", &[wrong], "", &unknown(plain)).await;
    let missing = of(plain, "x-amz-crc32: 2088342776\r\n", missing);
    check(&guard, "POST /", &[TARGET], "", &missing).await;
    check(&guard, "POST /", &[TARGET, "authorization: AWS4\r\n"], "", &missing).await;
    for (path, header, crc) in [
        ("/?X-Amz-Algorithm", "authorization: X\r\n", "2139606068"),
        ("/?X-Amz-Algorithm", "", "2900502663"),
        ("/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d", "", "3712057481"),
        ("/", "authorization: AWS4-\r\n", "1828866742"),
        ("/", "authorization: AWS4- Signature=b Credential=a\r\ndate: a\r\n", "15336762"),
        ("/", "authorization: AWS4- Signature=b, Credential=a\r\ndate: a\r\n", "164353342"),
    ] {
        let crc = format!("x-amz-crc32: {crc}\r\n");
        check(&guard, &format!("POST {path}"), &[TARGET, header], "", &["400 ", &crc]).await;
    }
    guard.stop().await;
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let guard = guard().await;
    let answer = async |version: &str, hosts: &str| {
        let head = format!("POST / {version}\r\n{hosts}{JSON}{TARGET}{SIGNED}");
        exchange(guard.program_address, &head, b"{}").await
    };
    for hosts in ["", "host: a\r\nhost: b\r\n", "host:\r\n", "host: a b\r\n"] {
        let answer = answer("HTTP/1.1", hosts).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts:?} {answer}");
    }
    for (version, hosts) in [("HTTP/1.0", ""), ("HTTP/1.1", "host: [::1]:8000\r\n")] {
        let answer = answer(version, hosts).await;
        assert!(answer.contains(" 200 OK\r\n"), "{version} {hosts} {answer}");
    }
    guard.stop().await;
}

#[tokio::test]
async fn hand_made_clients_with_plain_json_are_served() {
    let guard = guard().await;
    for (content_type, answered) in [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/x-amz-json-1.0; charset=utf-8", "application/x-amz-json-1.0"),
    ] {
        let headers = [&format!("content-type: {content_type}\r\n"), TARGET, SIGNED];
        let answered = format!("content-type: {answered}\r\n");
        check(&guard, "POST /", &headers, "{}", &["200 OK", &answered, "TableNames"]).await;
    }
    guard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_much_sees_that_and_no_cut_connection() {
    let guard = guard().await;
    let too_much = vec![b'a'; (16 << 20) + 1];
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{JSON}");
    for headers in ["", TARGET, &format!("{TARGET}{SIGNED}")] {
        let answer = exchange(guard.program_address, &format!("{head}{headers}"), &too_much).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:.300}");
        assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer:.300}");
    }
    // As much as may be sent is looked at: this is no JSON of any content type.
    let head = "POST / HTTP/1.1\r\nhost: x\r\n";
    let answer = exchange(guard.program_address, head, &too_much[..16 << 20]).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:.300}");
    guard.stop().await;
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal() {
    let guard = guard().await;
    let mut stream = TcpStream::connect(guard.program_address).await.unwrap();
    for (headers, expected) in [
        ("content-type: whatever\r\n".to_owned(), "HTTP/1.1 404 "),
        (format!("{JSON}{TARGET}"), "HTTP/1.1 400 "),
        (format!("{JSON}{TARGET}{SIGNED}"), "HTTP/1.1 200 "),
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}content-length: 2\r\n\r\n{{}}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 16 * 1024];
        let bytes = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..bytes]);
        assert!(answer.starts_with(expected), "{headers}: {answer}");
    }
    guard.stop().await;
}
