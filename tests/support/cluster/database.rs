//! The database of a test, past the guard: plain JSON over HTTP, so that what it holds is compared
//! as it is stored. DynamoDB Local keeps tables apart by access key and does not check signatures.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::REGION;

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How many items one BatchWriteItem takes.
const BATCH_MAX: usize = 25;

/// The tables of one access key.
#[derive(Clone)]
pub struct Database {
    url: String,
    access_key: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Database {
    /// The tables of an access key.
    pub fn new(url: &str, access_key: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url: url.into(), access_key: access_key.into(), client }
    }

    /// One call: status and body.
    pub async fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let scope = format!("{}/20261201/{REGION}/dynamodb/aws4_request", self.access_key);
        let request = Request::post(format!("{}/", self.url.trim_end_matches('/')))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("x-amz-date", "20261201T000000Z")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            )
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let answer = tokio::time::timeout(ANSWER_MAX, self.client.request(request))
            .await
            .expect("an answer of the database in time")
            .expect("an answer of the database");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("the whole answer").to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// One call that must succeed.
    pub async fn ok(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation} {body}: {answer}");
        answer
    }

    /// Makes a table whose partition key is a string.
    pub async fn table(&self, name: &str, key: &str) {
        let request = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        });
        self.ok("CreateTable", &request).await;
    }

    pub async fn put(&self, table: &str, items: &[Value]) {
        for batch in items.chunks(BATCH_MAX) {
            let puts: Vec<_> =
                batch.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
            let answer = self.ok("BatchWriteItem", &json!({"RequestItems": {table: puts}})).await;
            assert_eq!(answer["UnprocessedItems"], json!({}), "all are put at once");
        }
    }

    /// Every item of a table as text that is equal where the items are, in order.
    pub async fn items(&self, table: &str) -> Vec<String> {
        let mut items: Vec<String> = self.scan(table).await.iter().map(canonical).collect();
        items.sort();
        items
    }

    /// Every item of a table.
    pub async fn scan(&self, table: &str) -> Vec<Value> {
        let (mut items, mut start) = (Vec::new(), Value::Null);
        loop {
            let mut request = json!({"TableName": table, "ConsistentRead": true});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let page = self.ok("Scan", &request).await;
            items.extend(page["Items"].as_array().expect("items").iter().cloned());
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                return items;
            }
        }
    }

    /// One item of a table by its partition key, a string; null if there is none.
    pub async fn item(&self, table: &str, key: &str, value: &str) -> Value {
        let request =
            json!({"TableName": table, "ConsistentRead": true, "Key": {key: {"S": value}}});
        self.ok("GetItem", &request).await["Item"].clone()
    }
}

/// JSON with its members in order, so that equal values are equal text.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name:?}:{}", canonical(value)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
