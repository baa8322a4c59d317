//! The request path: bytes on a connection to a guard in dry run. The database behind it is a mock
//! that answers reads at once and knows one table; it fails the process when a write arrives.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use dm_contract::plan::Plan;
use dm_engine::CredentialSource;
use dm_guard::clients::Clients;
use dm_guard::{Guard, Options};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Longer than anything that the guard holds a request for.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The head of an input that is to be a body: its first byte chooses the operation.
const OPERATIONS: &[&str] = &[
    "GetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactGetItems",
    "TransactWriteItems",
    "ExecuteStatement",
    "BatchExecuteStatement",
    "ExecuteTransaction",
    "DescribeTable",
    "CreateTable",
    "ListTables",
];

struct Served {
    runtime: Runtime,
    guard: Guard,
}

/// A connection that gets these bytes and no more is answered or closed, the guard continues to
/// serve, and no write reaches the database. An input whose first byte is below 16 is the body of
/// an operation; any other is sent unchanged.
pub fn request(input: &[u8]) {
    static SERVED: OnceLock<Option<Served>> = OnceLock::new();
    let Some(served) = SERVED.get_or_init(serve) else { panic!("the guard did not start") };
    let (bytes, after) = match input.split_first() {
        Some((first, body)) if usize::from(*first) < OPERATIONS.len() => {
            (whole(OPERATIONS[usize::from(*first)], body), After::Wait)
        }
        Some(_) | None => (input.to_vec(), After::HangUp),
    };
    served.runtime.block_on(async {
        let answer = exchange(served.guard.program_address, &bytes, after).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "no HTTP came back");
        let alive = whole("ListTables", b"{}");
        let alive = exchange(served.guard.program_address, &alive, After::Wait).await;
        assert!(alive.starts_with(b"HTTP/1.1 "), "the guard does not serve any more");
        assert_eq!(served.guard.result().write_calls_upstream, 0);
    });
}

fn whole(operation: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-amz-json-1.0\r\n\
         x-amz-date: 20261201T000000Z\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=k/20261201/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What a client does after its last byte.
#[derive(PartialEq)]
enum After {
    /// It waits for the answer.
    Wait,
    /// It says that there is no more; the guard need not answer any more.
    HangUp,
}

async fn exchange(address: SocketAddr, bytes: &[u8], after: After) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(address).await else { panic!("nobody listens") };
    // The guard may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    if after == After::HangUp {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(ANSWER_MAX, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the guard neither answers nor closes");
    answer
}

fn serve() -> Option<Served> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    let guard = runtime.block_on(async {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let database = TcpListener::bind(any).await.ok()?;
        let endpoint = format!("http://{}", database.local_addr().ok()?);
        tokio::spawn(mock_database(database));
        let plan: Plan = serde_json::from_value(json!({
            "version": 1,
            "run": {"namespace": "n", "name": "m", "uid": "u", "number": 1},
            "mode": "DryRun",
            "upstream": {"region": "eu-west-1", "endpoint": endpoint},
            "policy": {"controlPlane": true},
        }))
        .ok()?;
        let fixed = Credentials::new("key", "secret", None, None, "fuzz");
        let credentials = CredentialSource::new(SharedCredentialsProvider::new(fixed));
        let options = Options {
            listen: any,
            control_listen: any,
            control_token: None,
            state_dir: None,
            part: None,
            clients: Clients::Any,
        };
        Guard::start(&plan, credentials, &options).await.ok()
    })?;
    Some(Served { runtime, guard })
}

async fn mock_database(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer_all(stream));
    }
}

async fn answer_all(mut stream: TcpStream) {
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        while let Some((operation, length)) = first_request(&received) {
            received.drain(..length);
            let body = answer_of(&operation);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all((head + &body).as_bytes()).await.is_err() {
                return;
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => received.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The operation of the first whole request, and its length.
fn first_request(received: &[u8]) -> Option<(String, usize)> {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let length: usize = header("content-length: ")?.trim().parse().ok()?;
    let operation = header("x-amz-target: dynamodb_20120810.")?.trim().to_owned();
    (received.len() >= head + 4 + length).then_some((operation, head + 4 + length))
}

fn answer_of(operation: &str) -> String {
    let answer = match operation {
        "describetable" => json!({"Table": {
            "TableName": "t",
            "TableStatus": "ACTIVE",
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
        }}),
        "getitem" => json!({"Item": {"p": {"S": "a"}, "s": {"N": "1"}, "x": {"L": [{"N": "1"}]}}}),
        "query" | "scan" => json!({"Count": 1, "ScannedCount": 1, "Items": [
            {"p": {"S": "a"}, "s": {"N": "1"}, "x": {"L": [{"N": "1"}]}},
        ]}),
        "batchgetitem" => json!({"Responses": {"t": []}, "UnprocessedKeys": {}}),
        "listtables" => json!({"TableNames": ["t"]}),
        write
            if ["put", "update", "delete", "batchwrite", "transactwrite", "create", "execute"]
                .iter()
                .any(|begin| write.starts_with(begin)) =>
        {
            eprintln!("a write reached the database: {write}");
            std::process::abort();
        }
        _ => json!({}),
    };
    answer.to_string()
}
