//! What large requests cost the guard in memory, whatever becomes of them.

use std::convert::Infallible;

use bytes::Bytes;
use dm_contract::plan::{JournalMode, Mode, Plan, Policy};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed::{self, database, fresh_name};
use crate::faults::{http_server, instant_writes};
use crate::processes::{Process, keys};

/// Clients that send at once.
const CLIENTS: usize = 8;

/// Memory for all of them; the pod's limit is 768 MiB.
const BATCHES_MIB_MAX: u64 = 400;

/// Clients that read at once: their answers, each in two copies, would take more than the pod has.
const READERS: usize = 32;

/// Memory for their answers.
const ANSWERS_MIB_MAX: u64 = 400;

/// Memory for what is refused.
const REFUSED_MIB_MAX: u64 = 100;

/// 25 items of 200 KB, each a list of small maps: as JSON values in memory seventy times that.
fn batch(table: &str, client: usize) -> String {
    let list = vec![r#"{"M":{"a":{"N":"1"}}}"#; 9_000].join(",");
    let put = |at| {
        format!(
            r#"{{"PutRequest":{{"Item":{{"id":{{"S":"{client}-{at}"}},"l":{{"L":[{list}]}}}}}}}}"#
        )
    };
    let puts: Vec<String> = (0..25).map(put).collect();
    format!(r#"{{"RequestItems":{{"{table}":[{}]}}}}"#, puts.join(","))
}

async fn check(what: &str, plan: &Plan) {
    let table = fresh_name("memory");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan.clone();
    // DynamoDB Local takes minutes for what is written here.
    plan.upstream.endpoint = Some(instant_writes(&database().url).await);
    let guard = Process::start_with(&plan, folder.path(), &keys()).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (through, body) = (guard.endpoint.clone(), batch(&table, client));
            tokio::spawn(async move { through.sent("BatchWriteItem", body).await })
        })
        .collect();
    for client in clients {
        let (status, answer) = client.await.unwrap();
        assert_eq!((status, answer.as_str()), (200, r#"{"UnprocessedItems":{}}"#), "{what}");
    }
    let peak = guard.peak_mib();
    println!("{what}: {CLIENTS} clients took {peak} MiB at most");
    assert!(peak < BATCHES_MIB_MAX, "{what}: {peak} MiB");
    drop(guard);
    database().ok("DeleteTable", &json!({"TableName": table})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_small_maps_fit_into_half_of_a_pod_in_every_mode() {
    check("a dry run", &bed::plan(Mode::DryRun, Policy::default())).await;
    check("an applied run", &bed::plan(Mode::Apply, Policy::default())).await;
    for journal in [JournalMode::Strict, JournalMode::Ahead, JournalMode::Cheap] {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = bed::plan(Mode::Apply, Policy { journal, ..Policy::default() });
        plan.archive = Some(bed::archive(&format!("file://{}", folder.path().display())));
        check(&format!("a run with a journal, {journal:?}"), &plan).await;
    }
}

/// A database that answers everything with 16 MB of items, and says what they cost.
async fn large_answers() -> String {
    let list = "x".repeat(400_000);
    let item = format!(r#"{{"id":{{"S":"a"}},"s":{{"S":"{list}"}}}}"#);
    let items = vec![item; 40].join(",");
    let capacity = r#"[{"TableName":"t","CapacityUnits":2000.0}]"#;
    let answer = format!(
        r#"{{"Responses":{{"t":[{items}]}},"UnprocessedKeys":{{}},"ConsumedCapacity":{capacity}}}"#
    );
    let answer = Bytes::from(answer);
    http_server(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::new(answer)))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_to_many_clients_fit_into_a_pod() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.upstream.endpoint = Some(large_answers().await);
    let guard = Process::start_with(&plan, folder.path(), &keys()).await;
    let asked: Vec<_> = (0..40).map(|id| json!({"id": {"S": id.to_string()}})).collect();
    let asked = json!({"RequestItems": {"t": {"Keys": asked}}}).to_string();
    let clients: Vec<_> = (0..READERS)
        .map(|_| {
            let (through, body) = (guard.endpoint.clone(), asked.clone());
            tokio::spawn(async move {
                let (status, answer) = through.sent("BatchGetItem", body).await;
                (status, answer.len(), answer.contains("ConsumedCapacity"))
            })
        })
        .collect();
    for client in clients {
        let (status, bytes, tells_capacity) = client.await.unwrap();
        assert_eq!((status, tells_capacity), (200, false));
        assert!(bytes > 16_000_000, "{bytes}");
    }
    let peak = guard.peak_mib();
    println!("{READERS} answers of 16 MB took {peak} MiB at most");
    assert!(peak < ANSWERS_MIB_MAX, "{peak} MiB");
}

#[tokio::test]
async fn what_is_no_request_takes_little_memory_although_it_is_large() {
    let folder = tempfile::tempdir().unwrap();
    let plan = bed::plan(Mode::DryRun, Policy::default());
    let guard = Process::start_with(&plan, folder.path(), &keys()).await;
    let zeros = "0,".repeat((16 << 20) / 2 - 100);
    for body in [
        format!(r#"{{"X":[{zeros}0]}}"#),
        format!(r#"{{"TableName":"t","Item":{{"id":{{"L":[{zeros}0]}}}}}}"#),
        format!(r#"{{"RequestItems":{{"t":[{zeros}0]}}}}"#),
    ] {
        let (status, _) = guard.endpoint.sent("PutItem", body).await;
        assert_eq!(status, 400);
    }
    let peak = guard.peak_mib();
    assert!(peak < REFUSED_MIB_MAX, "{peak} MiB");
    // It serves on, also a client that sends and says nothing more.
    let address = guard.endpoint.url.trim_start_matches("http://").to_owned();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    silent.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").await.unwrap();
    guard.endpoint.ok("ListTables", &json!({})).await;
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
}
