//! `datamigration-guard check` as a process, as the operator's Job starts it: what it says of
//! databases and archives that can and cannot be used.

use std::time::Duration;

use bytes::Bytes;
use dm_contract::check::{Found, TargetCheck};
use dm_contract::plan::{
    ARCHIVE_ACCESS_KEY_ENV, ARCHIVE_SECRET_KEY_ENV, ArchivePlan, CREDENTIALS_ENV, FROM_SECRET,
    Mode, PLAN_ENV, Plan, Policy,
};
use futures::FutureExt as _;
use http_body_util::Full;
use serde_json::json;
use tokio::process::Command;

use crate::archive::{KEY, SECRET, heedless_s3, s3};
use crate::bed::{self, REGION, database, fresh_name};
use crate::faults::http_server;
use crate::processes::{free_address, keys};

fn plan(archive: Option<ArchivePlan>) -> Plan {
    Plan { archive, ..bed::plan(Mode::DryRun, Policy::default()) }
}

fn folder(path: &std::path::Path) -> ArchivePlan {
    bed::archive(&format!("file://{}", path.display()))
}

/// Runs a check with these credentials to its end, as a container does.
async fn checked_with(plan: &Plan, variables: &[(&str, String)]) -> TargetCheck {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("last-words");
    let ended = Command::new(env!("CARGO_BIN_EXE_guard-under-test"))
        .arg("check")
        .arg(format!("--termination-log={}", said.display()))
        .env_clear()
        .env(PLAN_ENV, json!(plan).to_string())
        .env("AWS_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(CREDENTIALS_ENV, FROM_SECRET)
        .env(ARCHIVE_ACCESS_KEY_ENV, KEY)
        .env(ARCHIVE_SECRET_KEY_ENV, SECRET)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true)
        .status();
    let ended = tokio::time::timeout(Duration::from_secs(120), ended).await.expect("an end");
    assert!(ended.unwrap().success(), "whatever is found is a result");
    TargetCheck::from_message(&std::fs::read_to_string(said).unwrap()).expect("a result")
}

async fn checked(plan: &Plan) -> TargetCheck {
    checked_with(plan, &keys()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_an_archive_that_can_be_used() {
    let archive = tempfile::tempdir().unwrap();
    let plan = plan(Some(folder(archive.path())));
    for _ in 0..2 {
        let found = checked(&plan).await;
        let archive = found.archive.unwrap();
        assert_eq!((found.database.found, archive.found), (Found::Reachable, Found::Reachable));
        assert!(
            found.database.message.contains("answered ListTables"),
            "{}",
            found.database.message
        );
    }
    let left: Vec<_> = std::fs::read_dir(archive.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the probe, and nothing else: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_policy_is_described() {
    let mut plan = plan(None);
    plan.policy.tables = vec!["*".into(), fresh_name("absent")];
    let absent = checked(&plan).await.database;
    assert_eq!(absent.found, Found::Reachable);
    assert!(absent.message.contains(&format!("no table {}", plan.policy.tables[1])), "{absent:?}");
    let table = fresh_name("check");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    plan.policy.tables = vec![table.clone()];
    let found = checked(&plan).await;
    assert_eq!((found.database.found, found.archive), (Found::Reachable, None));
    assert!(found.database.message.contains(&format!("DescribeTable on table {table}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_at_which_nobody_listens() {
    let mut plan = plan(None);
    plan.upstream.endpoint = Some(format!("http://{}", free_address()));
    let found = checked(&plan).await.database;
    assert_eq!(found.found, Found::Unreachable, "{}", found.message);
    assert!(found.message.contains("could not be reached"), "{}", found.message);
}

/// A database that answers every call with this error.
async fn answers(name: &'static str) -> Plan {
    let url = http_server(move |_| {
        async move {
            let body =
                json!({"__type": format!("com.amazon.coral.service#{name}"), "message": "no"});
            let answer = http::Response::builder().status(400).header("x-amzn-requestid", "1");
            let answer = answer.header("content-type", "application/x-amz-json-1.0");
            answer.body(Full::new(Bytes::from(body.to_string())))
        }
        .boxed()
    })
    .await;
    let mut plan = plan(None);
    plan.upstream.endpoint = Some(url);
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_database_rejects_and_keys_that_may_not_ask() {
    for name in ["UnrecognizedClientException", "InvalidSignatureException"] {
        let found = checked(&answers(name).await).await.database;
        assert_eq!(found.found, Found::Rejected, "{}", found.message);
        assert!(found.message.contains(name), "{}", found.message);
    }
    let found = checked(&answers("AccessDeniedException").await).await.database;
    assert_eq!(found.found, Found::Reachable, "{}", found.message);
    assert!(found.message.contains("do not allow dynamodb:ListTables"), "{}", found.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_credentials() {
    let found = checked_with(&plan(None), &[]).await.database;
    assert_eq!(found.found, Found::NoCredentials, "{}", found.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_written() {
    // Nobody makes a folder there, root included.
    let found = checked(&plan(Some(folder(std::path::Path::new("/proc/archive"))))).await;
    let archive = found.archive.unwrap();
    assert_eq!((found.database.found, archive.found), (Found::Reachable, Found::NotUsable));
    assert!(archive.message.contains("archive"), "{}", archive.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_can_be_used_and_one_whose_server_overwrites() {
    let bucket = |endpoint: String| {
        let named = bed::archive("s3://bucket/team/archive");
        plan(Some(ArchivePlan { endpoint: Some(endpoint), ..named }))
    };
    let (_folder, endpoint) = s3().await;
    let found = checked(&bucket(endpoint)).await.archive.unwrap();
    assert_eq!(found.found, Found::Reachable, "{}", found.message);
    let found = checked(&bucket(heedless_s3().await)).await.archive.unwrap();
    assert_eq!(found.found, Found::Overwrites, "{}", found.message);
}
