//! The archive on a server that speaks S3, on good and on bad days, and as a folder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dm_contract::plan::{ArchivePlan, Mode, Plan, Policy};
use dm_engine::archive::{Archive, Created, RunName};
use dm_engine::journal::{JournalReader, ReadError};
use dm_engine::restore::Restore;
use dm_engine::{Call, CredentialSource, Engine, Operation};
use futures::TryFutureExt as _;
use futures::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::bed::{self, database, fresh_name};
use crate::faults::{Trouble, troubled_proxy};
use crate::shorthand::expand;

pub const KEY: &str = "archive-key";
pub const SECRET: &str = "archive-secret";

/// A server that speaks S3 over a folder, with one bucket; its endpoint.
pub async fn s3() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bucket")).unwrap();
    let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
    let mut service = s3s::service::S3ServiceBuilder::new(files);
    service.set_auth(s3s::auth::SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (folder, url)
}

async fn archive(endpoint: &str) -> Archive {
    let endpoint = Some(endpoint.to_owned());
    let plan = ArchivePlan { endpoint, ..bed::archive("s3://bucket/team/archive") };
    let keys = aws_credential_types::Credentials::new(KEY, SECRET, None, None, "tests");
    let source = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
    Archive::open_as(&plan, bed::REGION, Some(CredentialSource::new(source))).await.unwrap()
}

fn plan() -> Plan {
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.archive = Some(bed::archive("memory://"));
    plan
}

/// Writes items through a journaled engine; restores them; how long the writes took.
async fn write_and_restore(archive: &Archive, writes: usize) -> Duration {
    let table = fresh_name("archive");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let mut plan = plan();
    let options = bed::options(Some(archive.clone()));
    let engine = Arc::new(Engine::open(&plan, options).unwrap());
    let begun = Instant::now();
    let answers = join_all((0..writes).map(|i| {
        let item = json!({"TableName": table, "Item": {"id": format!("i{i}"), "n": i}});
        let Value::Object(body) = expand(&item) else { unreachable!() };
        engine.handle(Call::new(Operation::PutItem, body))
    }))
    .await;
    let took = begun.elapsed();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(engine.close().await);
    assert_eq!(database().items(&table).await.len(), writes);
    let name = RunName::new(&plan.archive.as_ref().unwrap().migration, 1).unwrap();
    let summary = JournalReader::open(archive, &name).await.unwrap().verify().await.unwrap();
    assert_eq!((summary.entries, summary.written), (writes as u64, writes as u64));

    plan.run.number = 2;
    let restore = Restore::open(&plan, bed::restore_options(archive.clone())).unwrap();
    let report = restore.run().await.unwrap();
    assert_eq!((report.counts.deleted, report.conflicts), (writes as u64, 0));
    assert!(database().items(&table).await.is_empty());
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_holds_the_archive() {
    let (_folder, endpoint) = s3().await;
    let archive = archive(&endpoint).await;
    let bytes = Bytes::from_static;
    assert_eq!(archive.create("a/b", bytes(b"1")).await.unwrap(), Created::New);
    assert_eq!(archive.create("a/b", bytes(b"2")).await.unwrap(), Created::Exists(bytes(b"1")));
    assert_eq!(archive.get("a/c").await.unwrap(), None);
    let listed = archive.list("a").await.unwrap();
    assert_eq!((listed.len(), listed[0].path.as_str(), listed[0].bytes), (1, "a/b", 1));
    archive.delete("a/b").await.unwrap();
    assert_eq!(archive.list("a").await.unwrap(), []);
    let took = write_and_restore(&archive, 100).await;
    println!("100 writes journaled on S3 in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_puts_refused_ones_and_cut_connections_delay_a_run_and_nothing_else() {
    let (_folder, endpoint) = s3().await;
    let trouble = |number: u64| match number % 6 {
        1 => Trouble::Slow(Duration::from_millis(200)),
        3 => Trouble::Unavailable,
        5 => Trouble::Cut,
        _ => Trouble::None,
    };
    let archive = archive(&troubled_proxy(&endpoint, trouble).await).await;
    let took = write_and_restore(&archive, 100).await;
    println!("100 writes journaled on a troubled S3 in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_holds_the_archive_and_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("archive").display());
    let named = bed::archive(&url);
    let archive = Archive::open(&named, bed::REGION).await.unwrap();
    write_and_restore(&archive, 20).await;

    let ledger = archive.list("ledger").await.unwrap();
    let run = RunName::of_path(&ledger[0].path).unwrap();
    let path = run.segment(1);
    let whole = archive.get(&path).await.unwrap().unwrap();
    let verify = || async { JournalReader::open(&archive, &run).await?.verify().await };
    assert!(verify().await.is_ok());

    let mut damaged = whole.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    archive.replace(&path, Bytes::from(damaged)).await.unwrap();
    assert!(matches!(verify().await, Err(ReadError::Damaged { segment: 1, .. })));

    archive.replace(&path, whole.slice(..whole.len() - 1)).await.unwrap();
    assert!(matches!(verify().await, Err(ReadError::Torn { segment: 1, .. })));

    archive.delete(&path).await.unwrap();
    assert!(matches!(verify().await, Err(ReadError::Missing { segment: 1, .. })));
}

/// A mock of an older gateway of S3's protocol: it keeps what it is given, and heeds no condition.
pub async fn heedless_s3() -> String {
    type Objects = Arc<parking_lot::Mutex<std::collections::BTreeMap<String, Bytes>>>;
    let objects = Objects::default();
    crate::faults::http_server(move |request| {
        let objects = Arc::clone(&objects);
        async move {
            let path = request.uri().path().to_owned();
            let is_put = request.method() == http::Method::PUT;
            let body = request.into_body().collect().await?.to_bytes();
            let mut objects = objects.lock();
            let answer = http::Response::builder();
            if is_put {
                objects.insert(path, body);
                return Ok::<_, hyper::Error>(answer.header("etag", "\"1\"").body(Full::default()));
            }
            Ok(match objects.get(&path) {
                Some(there) => answer
                    .header("etag", "\"1\"")
                    .header("last-modified", "Tue, 01 Dec 2026 00:00:00 GMT")
                    .body(Full::new(there.clone())),
                None => answer.status(404).body(Full::default()),
            })
        }
        .map_ok(Result::unwrap)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_overwrites_what_is_to_be_created_once_is_refused_by_name() {
    let endpoint = Some(heedless_s3().await);
    let plan = ArchivePlan { endpoint, ..bed::archive("s3://bucket/team/archive") };
    let keys = aws_credential_types::Credentials::new(KEY, SECRET, None, None, "tests");
    let source = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
    // Of the second as of the first: it is found out at each opening.
    for _ in 0..2 {
        let credentials = Some(CredentialSource::new(source.clone()));
        let error = Archive::open_as(&plan, bed::REGION, credentials).await.unwrap_err();
        assert!(error.to_string().contains("ignores If-None-Match"), "{error}");
    }
    // One that heeds it is opened again and again.
    let (_folder, endpoint) = s3().await;
    for _ in 0..3 {
        archive(&endpoint).await;
    }
}
