//! The guard as a whole: policy, restarts, other services, counts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dm_contract::plan::{Mode, Policy};
use dm_contract::report::{Fidelity, TableChange};
use dm_guard::Options;
use serde_json::json;

use crate::bed::{self, database, fresh_name};
use crate::faults::{Trouble, troubled_proxy};

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

/// Copies between two regions, then deletes: served from one, it would lose every item.
#[tokio::test]
async fn a_client_of_another_region_or_account_is_refused_by_name() {
    let table = fresh_name("regions");
    database().ok("CreateTable", &create(&table)).await;
    database().ok("PutItem", &put(&table, "a")).await;
    for mode in [Mode::Apply, Mode::DryRun] {
        let (guard, through) = bed::guard(&bed::plan(mode, Policy::default())).await;
        through.ok("Scan", &json!({"TableName": table})).await;
        let delete = json!({"TableName": table, "Key": {"id": {"S": "a"}}});
        let other = through.signing(bed::ACCESS_KEY, "us-east-1");
        for operation in ["DeleteItem", "PutItem"] {
            let (status, answer) = other.call(operation, &delete).await;
            assert_eq!(status, 400);
            let kind = answer["__type"].as_str().unwrap();
            assert!(kind.ends_with("#AccessDeniedException"), "{kind}");
            let message = answer["Message"].as_str().unwrap();
            for part in [operation, "eu-west-1", "us-east-1", "AWS_REGION"] {
                assert!(message.contains(part), "{message}");
            }
        }
        let stranger = through.signing("AKIAIOSFODNN7EXAMPLE", bed::REGION);
        let (status, answer) = stranger.call("DeleteItem", &delete).await;
        assert_eq!(status, 400);
        let kind = answer["__type"].as_str().unwrap();
        assert!(kind.ends_with("#UnrecognizedClientException"), "{kind}");
        assert!(answer["message"].as_str().unwrap().contains("AWS_ACCESS_KEY_ID"), "{answer}");
        let result = guard.stop().await;
        let refused: Vec<_> = result
            .remarks
            .iter()
            .filter(|remark| remark.fidelity == Fidelity::Refused)
            .map(|remark| (remark.operation.as_str(), remark.why.as_str(), remark.count))
            .collect();
        let region = "signed for another region than the target's: us-east-1";
        let key = "signed with another access key than the run's";
        for expected in [("DeleteItem", region, 1), ("PutItem", region, 1), ("DeleteItem", key, 1)]
        {
            assert!(refused.contains(&expected), "{refused:?}");
        }
        assert_eq!((result.write_calls_upstream, refused.len()), (0, 3));
    }
    assert_eq!(database().items(&table).await.len(), 1);
    database().ok("DeleteTable", &json!({"TableName": table})).await;
}

#[tokio::test]
async fn a_restarted_guard_refuses_a_dry_run_and_goes_on_with_an_applied_one() {
    let table = fresh_name("restart");
    database().ok("CreateTable", &create(&table)).await;
    for mode in [Mode::Apply, Mode::DryRun] {
        let folder = std::env::temp_dir().join(fresh_name("guard-state"));
        std::fs::create_dir_all(&folder).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = Options {
            part: None,
            listen: any,
            control_listen: any,
            control_token: None,
            state_dir: Some(folder.clone()),
            clients: bed::clients(),
        };
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
        json!({"TableName": table, "Key": {"id": {"S": id}},
            "UpdateExpression": "SET n = :n, m = :n",
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

#[tokio::test]
async fn a_dry_run_reports_tables_that_would_be_created_changed_and_deleted() {
    let database = database();
    let [made, changed, deleted, replaced] =
        ["made", "changed", "deleted", "replaced"].map(fresh_name);
    for name in [&changed, &deleted, &replaced] {
        database.ok("CreateTable", &create(name)).await;
        database.ok("PutItem", &put(name, "a")).await;
    }
    let policy = Policy { control_plane: true, ..Policy::default() };
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, policy)).await;
    let answer = through.ok("CreateTable", &create(&made)).await;
    assert_eq!(answer["TableDescription"]["TableStatus"], "CREATING");
    let described = through.ok("DescribeTable", &json!({"TableName": made})).await;
    assert_eq!(described["Table"]["TableStatus"], "ACTIVE");
    // By its ARN too.
    let arn = described["Table"]["TableArn"].as_str().unwrap();
    through.ok("PutItem", &put(arn, "a")).await;
    through.ok("PutItem", &put(&made, "b")).await;
    let live = json!({"Enabled": true, "AttributeName": "expires"});
    let live = json!({"TableName": changed, "TimeToLiveSpecification": live});
    through.ok("UpdateTimeToLive", &live).await;
    for name in [&deleted, &replaced] {
        through.ok("PutItem", &put(name, "b")).await;
        through.ok("DeleteTable", &json!({"TableName": name})).await;
    }
    through.ok("CreateTable", &create(&replaced)).await;
    through.ok("PutItem", &put(&replaced, "c")).await;
    let result = guard.stop().await;
    let told = |name: &str| {
        let effect = result.tables.iter().find(|effect| effect.name == name).unwrap();
        let items = (effect.created, effect.updated, effect.deleted);
        (effect.change.unwrap(), items, effect.settings.clone())
    };
    assert_eq!(told(&made), (TableChange::Created, (2, 0, 0), vec![]));
    let live = vec!["time to live on expires".to_owned()];
    assert_eq!(told(&changed), (TableChange::Updated, (0, 0, 0), live));
    assert_eq!(told(&deleted), (TableChange::Deleted, (0, 0, 0), vec![]));
    assert_eq!(told(&replaced), (TableChange::Replaced, (1, 0, 0), vec![]));
    assert_eq!(result.write_calls_upstream, 0);
    // The last table was filled without a look whether it is there.
    let remarks: Vec<_> = result.remarks.iter().map(|r| (r.operation.as_str(), r.count)).collect();
    assert_eq!(remarks, [("CreateTable", 1)]);
    assert_eq!(database.call("DescribeTable", &json!({"TableName": made})).await.0, 400);
    for name in [&changed, &deleted, &replaced] {
        assert_eq!(database.items(name).await.len(), 1);
        database.ok("DeleteTable", &json!({"TableName": name})).await;
    }
}

#[tokio::test]
async fn an_applied_run_reports_tables_that_it_created_and_deleted() {
    let [made, passing] = ["made", "passing"].map(fresh_name);
    let policy = Policy { control_plane: true, ..Policy::default() };
    let (guard, through) = bed::guard(&bed::plan(Mode::Apply, policy)).await;
    for name in [&made, &passing] {
        through.ok("CreateTable", &create(name)).await;
    }
    through.ok("DeleteTable", &json!({"TableName": passing})).await;
    let result = guard.stop().await;
    let told: Vec<_> =
        result.tables.iter().map(|effect| (effect.name.clone(), effect.change)).collect();
    assert_eq!(told, [(made.clone(), Some(TableChange::Created)), (passing, None)]);
    database().ok("DeleteTable", &json!({"TableName": made})).await;
}

#[tokio::test]
async fn a_write_whose_client_went_away_is_waited_for_when_the_guard_stops() {
    let table = fresh_name("given-up");
    database().ok("CreateTable", &create(&table)).await;
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    let slow = |_| Trouble::Slow(Duration::from_millis(1500));
    plan.upstream.endpoint = Some(troubled_proxy(&database().url, slow).await);
    let (guard, through) = bed::guard(&plan).await;
    let item = put(&table, "a");
    let gives_up = Duration::from_millis(500);
    let written = through.call("PutItem", &item);
    assert!(tokio::time::timeout(gives_up, written).await.is_err(), "its client waits no longer");
    let result = guard.stop().await;
    assert_eq!(result.tables.len(), 1, "{result:?}");
    assert_eq!(database().items(&table).await.len(), 1);
    database().ok("DeleteTable", &json!({"TableName": table})).await;
}

#[tokio::test]
async fn the_control_plane_is_denied_in_a_dry_run_as_it_would_be_when_applied() {
    for mode in [Mode::Apply, Mode::DryRun] {
        for (policy, part) in [
            (Policy::default(), "MigrationTarget spec.policy.controlPlane"),
            (
                Policy { control_plane: true, tables: vec!["cars".into()], ..Policy::default() },
                "MigrationTarget spec.policy.tables",
            ),
        ] {
            let (guard, through) = bed::guard(&bed::plan(mode, policy)).await;
            let (_, answer) = through.call("CreateTable", &create("denied-table")).await;
            let message = answer["Message"].as_str().unwrap();
            assert!(message.contains(part), "{mode:?} {message}");
            assert_eq!(guard.stop().await.write_calls_upstream, 0);
        }
    }
}

#[tokio::test]
async fn settings_that_a_local_database_does_not_have_are_simulated_for_new_tables() {
    let name = fresh_name("settings");
    let policy = Policy { control_plane: true, ..Policy::default() };
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, policy)).await;
    through.ok("CreateTable", &create(&name)).await;
    let described = through.ok("DescribeTable", &json!({"TableName": name})).await;
    let arn = described["Table"]["TableArn"].as_str().unwrap();
    let tags = json!([{"Key": "team", "Value": "shop"}, {"Key": "tier", "Value": "1"}]);
    through.ok("TagResource", &json!({"ResourceArn": arn, "Tags": tags})).await;
    through.ok("UntagResource", &json!({"ResourceArn": arn, "TagKeys": ["tier"]})).await;
    let listed = through.ok("ListTagsOfResource", &json!({"ResourceArn": arn})).await;
    assert_eq!(listed, json!({"Tags": [{"Key": "team", "Value": "shop"}]}));

    let on = json!({"PointInTimeRecoveryEnabled": true});
    let on = json!({"TableName": name, "PointInTimeRecoverySpecification": on});
    through.ok("UpdateContinuousBackups", &on).await;
    let backups = through.ok("DescribeContinuousBackups", &json!({"TableName": name})).await;
    let recovery = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    assert_eq!(recovery["PointInTimeRecoveryStatus"], "ENABLED");

    let protect = json!({"TableName": name, "DeletionProtectionEnabled": true});
    through.ok("UpdateTable", &protect).await;
    let (status, _) = through.call("DeleteTable", &json!({"TableName": name})).await;
    assert_eq!(status, 400);
    // What cannot be simulated is refused.
    for (operation, body) in [
        ("CreateBackup", json!({"TableName": name, "BackupName": "b"})),
        ("GetResourcePolicy", json!({"ResourceArn": arn})),
        ("UpdateTable", json!({"TableName": name, "ReplicaUpdates": []})),
    ] {
        let (_, answer) = through.call(operation, &body).await;
        assert!(answer["__type"].as_str().unwrap().ends_with("AccessDeniedException"));
    }
    assert_eq!(guard.stop().await.write_calls_upstream, 0);
}

#[tokio::test]
async fn an_index_added_to_a_table_of_the_database_is_described_and_not_read() {
    let name = fresh_name("index");
    let database = database();
    database.ok("CreateTable", &create(&name)).await;
    let policy = Policy { control_plane: true, ..Policy::default() };
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, policy)).await;
    let index = json!({
        "IndexName": "by-n",
        "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    });
    let add = json!({
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "n", "AttributeType": "N"}],
        "GlobalSecondaryIndexUpdates": [{"Create": index}],
    });
    through.ok("UpdateTable", &add).await;
    let described = through.ok("DescribeTable", &json!({"TableName": name})).await;
    assert_eq!(described["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"], "ACTIVE");
    let wrong = json!({"TableName": name, "Item": {"id": {"S": "a"}, "n": {"S": "no number"}}});
    assert_eq!(through.call("PutItem", &wrong).await.0, 400);
    let (_, answer) = through.call("Scan", &json!({"TableName": name, "IndexName": "by-n"})).await;
    assert!(answer["Message"].as_str().unwrap().contains("does not build it"), "{answer}");
    let statement = json!({"Statement": format!("SELECT * FROM \"{name}\".\"by-n\"")});
    let (_, answer) = through.call("ExecuteStatement", &statement).await;
    assert!(answer["Message"].as_str().unwrap().contains("does not build it"), "{answer}");
    through.ok("Scan", &json!({"TableName": name})).await;
    let result = guard.stop().await;
    assert_eq!(result.tables[0].settings, ["index by-n added"]);
    database.ok("DeleteTable", &json!({"TableName": name})).await;
}
