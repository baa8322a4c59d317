//! The guard as a whole: policy, restarts, other services, counts.

use std::net::{Ipv4Addr, SocketAddr};

use dm_core::plan::{Mode, Policy};
use dm_core::report::Fidelity;
use dm_guard::Options;
use serde_json::json;

use crate::bed::{self, database, fresh_name};

fn create(name: &str) -> serde_json::Value {
    json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    })
}

fn put(table: &str, id: &str) -> serde_json::Value {
    json!({"TableName": table, "Item": {"id": {"S": id}, "n": {"N": "1"}}})
}

#[tokio::test]
async fn a_table_outside_the_policy_is_denied_by_name_and_arn() {
    let (allowed, other) = (fresh_name("allowed"), fresh_name("other"));
    let database = database();
    database.ok("CreateTable", &create(&allowed)).await;
    let arn = database.ok("DescribeTable", &json!({"TableName": allowed})).await;
    let arn = arn["Table"]["TableArn"].as_str().unwrap().to_owned();
    let policy = Policy { tables: vec!["allowed-*".into()], ..Policy::default() };
    for mode in [Mode::Apply, Mode::DryRun] {
        let (guard, through) = bed::guard(&bed::plan(mode, policy.clone())).await;
        through.ok("PutItem", &put(&allowed, "a")).await;
        through.ok("PutItem", &put(&arn, "b")).await;
        let (_, answer) = through.call("PutItem", &put(&other, "a")).await;
        let message = answer["Message"].as_str().unwrap();
        assert!(answer["__type"].as_str().unwrap().ends_with("AccessDeniedException"));
        for part in ["PutItem", &other, "MigrationTarget spec.policy.tables"] {
            assert!(message.contains(part), "{message}");
        }
        let foreign = arn.replace("000000000000", "000000000001");
        assert_ne!(foreign, arn);
        let (status, _) = through.call("PutItem", &put(&foreign, "a")).await;
        assert_eq!(status, 400);
        let result = guard.stop().await;
        let refused: Vec<_> = result.remarks.iter().map(|r| (r.fidelity, r.count)).collect();
        assert_eq!(refused, [(Fidelity::Refused, 1), (Fidelity::Refused, 1)]);
        assert_eq!(result.requests, 4);
    }
    assert_eq!(database.items(&allowed).await.len(), 2);
}

#[tokio::test]
async fn a_restarted_guard_refuses_a_dry_run_and_goes_on_with_an_applied_one() {
    let table = fresh_name("restart");
    database().ok("CreateTable", &create(&table)).await;
    for mode in [Mode::Apply, Mode::DryRun] {
        let folder = std::env::temp_dir().join(fresh_name("guard-state"));
        std::fs::create_dir_all(&folder).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = Options { listen: any, control_listen: any, state_dir: Some(folder.clone()) };
        let plan = bed::plan(mode, Policy::default());
        let (guard, through) = bed::guard_with(&plan, &options).await;
        through.ok("PutItem", &put(&table, "a")).await;
        assert_eq!(guard.stop().await.problem, None);

        let (guard, through) = bed::guard_with(&plan, &options).await;
        let (status, _) = through.call("PutItem", &put(&table, "b")).await;
        assert_eq!(status, if mode == Mode::Apply { 200 } else { 400 });
        assert!(guard.stop().await.problem.is_some_and(|problem| problem.contains("restarted")));
        std::fs::remove_dir_all(folder).unwrap();
    }
    assert_eq!(database().items(&table).await.len(), 2);
}

#[tokio::test]
async fn a_dry_run_reports_what_would_change() {
    let table = fresh_name("effects");
    let database = database();
    database.ok("CreateTable", &create(&table)).await;
    for id in ["a", "b", "c", "d"] {
        database.ok("PutItem", &put(&table, id)).await;
    }
    let before = database.items(&table).await;
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let update = |id: &str, value: &str| {
        json!({"TableName": table, "Key": {"id": {"S": id}}, "UpdateExpression": "SET n = :n, m = :n",
               "ExpressionAttributeValues": {":n": {"N": value}}})
    };
    through.ok("UpdateItem", &update("a", "5")).await;
    through.ok("UpdateItem", &update("a", "6")).await;
    through.ok("PutItem", &put(&table, "b")).await;
    through.ok("DeleteItem", &json!({"TableName": table, "Key": {"id": {"S": "c"}}})).await;
    through.ok("PutItem", &put(&table, "e")).await;
    through.ok("PutItem", &put(&table, "f")).await;
    through.ok("DeleteItem", &json!({"TableName": table, "Key": {"id": {"S": "f"}}})).await;
    let result = guard.stop().await;
    let effect = result.tables.iter().find(|effect| effect.name == table).unwrap();
    let counts = (effect.created, effect.updated, effect.deleted, effect.unchanged);
    assert_eq!(counts, (1, 1, 1, 1));
    let attributes: Vec<_> = effect
        .attributes
        .iter()
        .map(|a| (a.name.as_str(), a.added, a.changed, a.removed))
        .collect();
    assert_eq!(attributes, [("m", 1, 0, 0), ("n", 0, 1, 0)]);
    assert_eq!(result.write_calls_upstream, 0);
    assert!((result.write_units - 7.0).abs() < 1e-9);
    assert_eq!(database.items(&table).await, before);
}
