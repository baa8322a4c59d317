//! An embedded database: the layers over an overlay that has no database behind it.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use dm_contract::plan::{Mode, Policy as PolicyPlan, RateLimits, RunId, Upstream as UpstreamPlan};
use dm_dynamodb::error::ServiceError;

use crate::fault::Fault;
use crate::layers::arns::Arns;
use crate::layers::outages::Outages;
use crate::layers::policy::Policy;
use crate::layers::rates::Rates;
use crate::layers::replay::Replay;
use crate::layers::tally::Tally;
use crate::operation::Operation;
use crate::overlay::{KeptError, Overlay, not_simulated_in};
use crate::stack::{Bottom, Engine};
use crate::upstream::ReadOnly;

impl Engine {
    /// A database without a plan: that of a folder, or a new one there, whose writes are on disk
    /// before they are answered; without a folder an empty one in memory. Its ARNs name this
    /// region. It takes every operation that a dry run simulates, of every table.
    pub fn embedded(region: &str, folder: Option<&Path>) -> Result<Self, KeptError> {
        let tally = Arc::new(Tally::default());
        let nothing = ReadOnly::nothing(region);
        let overlay = match folder {
            Some(folder) => Overlay::kept_in(folder, nothing.clone(), Arc::clone(&tally))?,
            None => Overlay::new(nothing.clone(), Arc::clone(&tally)),
        };
        Ok(Self::over(overlay, nothing, tally))
    }

    fn over(overlay: Overlay, nothing: ReadOnly, tally: Arc<Tally>) -> Self {
        let run = RunId {
            namespace: String::new(),
            name: "local".to_owned(),
            uid: String::new(),
            number: 1,
        };
        let policy = PolicyPlan { control_plane: true, ..PolicyPlan::default() };
        Self {
            mode: Mode::DryRun,
            upstream: UpstreamPlan { region: nothing.region().to_owned(), endpoint: None },
            policy: Policy::new(policy, &run, Mode::DryRun),
            arns: Arns::new(nothing),
            rates: Rates::new(Mode::DryRun, &RateLimits::default(), RateLimits::default()),
            replay: Replay::default(),
            tally,
            outages: Outages::default(),
            bottom: Bottom::Overlay(Box::new(overlay)),
            archive: None,
            part: None,
            problem: None,
            second_pass: false,
            first_pass: OnceLock::new(),
            begun_twice: AtomicBool::new(false),
            before: OnceLock::new(),
        }
    }

    /// The region of the database.
    pub fn region(&self) -> &str {
        &self.upstream.region
    }

    fn is_embedded(&self) -> bool {
        matches!(&self.bottom, Bottom::Overlay(overlay) if overlay.is_database())
    }

    /// DynamoDB does not find a table of another account; a guard says why it does not look.
    pub(super) fn arn_fault(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Refused { .. } if self.is_embedded() => ServiceError::table_not_found().into(),
            fault => fault,
        }
    }

    /// A refusal as a client of this engine understands it: one of an embedded database knows of no
    /// guard.
    pub(super) fn worded(&self, operation: Operation, fault: Fault) -> Fault {
        match fault {
            Fault::Refused { message, why } if self.is_embedded() => {
                let what = not_simulated_in(&message).unwrap_or(operation.name());
                let message = format!("The embedded database does not support {what}.");
                Fault::Refused { message, why }
            }
            fault => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call;
    use serde_json::{Value, json};

    async fn call(engine: &Arc<Engine>, operation: Operation, body: Value) -> (u16, Value) {
        let Value::Object(body) = body else { unreachable!() };
        let answer = engine.handle(Call::new(operation, body)).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    async fn with_cars() -> Arc<Engine> {
        let engine = Arc::new(Engine::embedded("eu-west-1", None).unwrap());
        let (status, made) = call(
            &engine,
            Operation::CreateTable,
            json!({
                "TableName": "cars",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            }),
        )
        .await;
        assert_eq!(status, 200, "{made}");
        for id in ["a", "b"] {
            let put = json!({"TableName": "cars", "Item": {"id": {"S": id}}});
            assert_eq!(call(&engine, Operation::PutItem, put).await.0, 200);
        }
        engine
    }

    #[tokio::test]
    async fn a_table_is_active_at_once_and_counts_its_items() {
        let engine = with_cars().await;
        let cars = json!({"TableName": "cars"});
        let delete = json!({"TableName": "cars", "Key": {"id": {"S": "a"}}});
        assert_eq!(call(&engine, Operation::DeleteItem, delete).await.0, 200);
        let (_, described) = call(&engine, Operation::DescribeTable, cars.clone()).await;
        let table = &described["Table"];
        assert_eq!(table["TableStatus"], "ACTIVE");
        assert_eq!((&table["ItemCount"], &table["TableSizeBytes"]), (&json!(1), &json!(3)));
        assert_eq!(table["TableArn"], "arn:aws:dynamodb:eu-west-1:000000000000:table/cars");
        let (_, scanned) = call(&engine, Operation::Scan, cars.clone()).await;
        assert_eq!(scanned["Items"], json!([{"id": {"S": "b"}}]));
        assert_eq!(call(&engine, Operation::DeleteTable, cars.clone()).await.0, 200);
        let (_, listed) = call(&engine, Operation::ListTables, json!({})).await;
        assert_eq!(listed["TableNames"], json!([]));
        let (_, gone) = call(&engine, Operation::DescribeTable, cars).await;
        assert!(gone["__type"].as_str().unwrap().ends_with("ResourceNotFoundException"));
    }

    #[tokio::test]
    async fn a_batch_returns_at_most_16_mb_and_leaves_the_other_keys() {
        let engine = with_cars().await;
        let ids: Vec<String> = (0..45).map(|number| format!("large-{number}")).collect();
        for id in &ids {
            let item = json!({"id": {"S": id}, "v": {"S": "x".repeat(400_000)}});
            let put = json!({"TableName": "cars", "Item": item});
            assert_eq!(call(&engine, Operation::PutItem, put).await.0, 200);
        }
        let keys: Vec<Value> = ids.iter().map(|id| json!({"id": {"S": id}})).collect();
        let asked = json!({"cars": {"Keys": keys, "ConsistentRead": true}});
        let get = json!({"RequestItems": asked});
        let (_, answer) = call(&engine, Operation::BatchGetItem, get).await;
        assert_eq!(answer["Responses"]["cars"].as_array().unwrap().len(), 41);
        let left = &answer["UnprocessedKeys"];
        assert_eq!(left["cars"]["ConsistentRead"], true);
        assert_eq!(left["cars"]["Keys"].as_array().unwrap().len(), 4);
        let again = json!({"RequestItems": left});
        let (_, answer) = call(&engine, Operation::BatchGetItem, again).await;
        assert_eq!(answer["Responses"]["cars"].as_array().unwrap().len(), 4);
        assert_eq!(answer["UnprocessedKeys"], json!({}));
    }

    #[tokio::test]
    async fn an_added_index_leaves_out_items_whose_attributes_do_not_fit_its_key() {
        let engine = with_cars().await;
        let put = |id: &str, brand: Value| {
            let item = json!({"id": {"S": id}, "brand": brand});
            call(&engine, Operation::PutItem, json!({"TableName": "cars", "Item": item}))
        };
        let text = |bytes: usize| json!({"S": "x".repeat(bytes)});
        for (id, brand) in
            [("c", text(2048)), ("d", text(2049)), ("e", text(0)), ("f", json!({"N": "1"}))]
        {
            assert_eq!(put(id, brand).await.0, 200, "{id}");
        }
        let index = json!({
            "IndexName": "by-brand",
            "KeySchema": [{"AttributeName": "brand", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        });
        let add = json!({
            "TableName": "cars",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "brand", "AttributeType": "S"},
            ],
            "GlobalSecondaryIndexUpdates": [{"Create": index}],
        });
        let (status, answer) = call(&engine, Operation::UpdateTable, add).await;
        assert_eq!(status, 200, "{answer}");
        let scan = json!({"TableName": "cars", "IndexName": "by-brand"});
        let (_, scanned) = call(&engine, Operation::Scan, scan).await;
        assert_eq!(scanned["Count"], 1, "{scanned}");
        assert_eq!(scanned["Items"][0]["id"]["S"], "c");
        let again = put("d", text(2049)).await;
        assert_eq!(again.0, 400, "a write that does not fit is rejected: {}", again.1);
    }

    #[tokio::test]
    async fn a_local_index_that_fetches_reads_each_item_from_the_table() {
        let engine = Arc::new(Engine::embedded("eu-west-1", None).unwrap());
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let is = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let table = json!({
            "TableName": "cars",
            "KeySchema": [key("id", "HASH"), key("pos", "RANGE")],
            "AttributeDefinitions": [is("id"), is("pos"), is("brand")],
            "LocalSecondaryIndexes": [{"IndexName": "by-brand",
                "KeySchema": [key("id", "HASH"), key("brand", "RANGE")],
                "Projection": {"ProjectionType": "KEYS_ONLY"}}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        assert_eq!(call(&engine, Operation::CreateTable, table).await.0, 200);
        for pos in 0..10 {
            let item = json!({"id": {"S": "a"}, "pos": {"S": pos.to_string()},
                "brand": {"S": "x".repeat(90)}, "text": {"S": "x".repeat(900)}});
            let put = json!({"TableName": "cars", "Item": item});
            assert_eq!(call(&engine, Operation::PutItem, put).await.0, 200);
        }
        let units = async |select: &str, consistent: bool| {
            let query = json!({"TableName": "cars", "IndexName": "by-brand", "Select": select,
                "KeyConditionExpression": "id = :a", "ConsistentRead": consistent,
                "ExpressionAttributeValues": {":a": {"S": "a"}},
                "ReturnConsumedCapacity": "INDEXES"});
            let (status, answer) = call(&engine, Operation::Query, query).await;
            assert_eq!((status, &answer["Count"]), (200, &json!(10)), "{answer}");
            let of = |part: &Value| part["CapacityUnits"].as_f64().unwrap();
            let told = &answer["ConsumedCapacity"];
            (of(&told["Table"]), of(&told["LocalSecondaryIndexes"]["by-brand"]))
        };
        // Ten entries of about 100 bytes in the index, ten items of 1 KB in the table.
        assert_eq!(units("ALL_PROJECTED_ATTRIBUTES", false).await, (0.0, 0.5));
        assert_eq!(units("ALL_ATTRIBUTES", false).await, (5.0, 0.5));
        assert_eq!(units("ALL_ATTRIBUTES", true).await, (10.0, 1.0));
    }

    #[tokio::test]
    async fn a_table_has_its_arn_and_nobody_elses() {
        let engine = with_cars().await;
        let read = |arn: &str| {
            let body = json!({"TableName": arn, "Key": {"id": {"S": "a"}}});
            let engine = Arc::clone(&engine);
            async move { call(&engine, Operation::GetItem, body).await }
        };
        assert_eq!(read("arn:aws:dynamodb:eu-west-1:000000000000:table/cars").await.0, 200);
        let (status, theirs) = read("arn:aws:dynamodb:eu-west-1:123456789012:table/cars").await;
        let kind = theirs["__type"].as_str().unwrap();
        assert!(status == 400 && kind.ends_with("ResourceNotFoundException"), "{theirs}");
    }

    #[tokio::test]
    async fn what_is_not_supported_is_named() {
        let engine = with_cars().await;
        let backup = json!({"TableName": "cars", "BackupName": "b"});
        let (_, refused) = call(&engine, Operation::CreateBackup, backup).await;
        let message = refused["message"].as_str().or(refused["Message"].as_str()).unwrap();
        assert_eq!(message, "The embedded database does not support CreateBackup.");
    }
}
