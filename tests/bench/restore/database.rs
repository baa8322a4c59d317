//! A mock of a database with one table of cars: it answers in constant time, and keeps of each
//! whether it has its price.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use dm_dynamodb::value::item_to_json;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{Error, item};

pub struct Database {
    pub endpoint: String,
    priced: Arc<Vec<AtomicBool>>,
}

impl Database {
    /// How many cars still have their price.
    pub fn left(&self) -> usize {
        self.priced.iter().filter(|priced| priced.load(Ordering::Relaxed)).count()
    }
}

/// Serves this many cars, all with their price.
pub async fn serve(items: usize) -> Result<Database, Error> {
    let priced: Arc<Vec<AtomicBool>> =
        Arc::new((0..items).map(|_| AtomicBool::new(true)).collect());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let shared = Arc::clone(&priced);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let priced = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&priced), request));
                // A client that goes away is no matter.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Database { endpoint, priced })
}

async fn answer(
    priced: Arc<Vec<AtomicBool>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or("").to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = match operation.as_str() {
        "DescribeTable" => Some(json!({"Table": {
            "TableName": "cars",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }})),
        "BatchGetItem" => Some(read(&priced, &body)),
        "UpdateItem" => write(&priced, &body),
        _ => None,
    };
    let status = if answer.is_some() { 200 } else { 400 };
    let body = answer.unwrap_or_else(|| json!({"__type": "x#ValidationException"})).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

fn number(key: &Value) -> Option<usize> {
    key["id"]["S"].as_str()?.strip_prefix("car-")?.parse().ok()
}

fn read(priced: &[AtomicBool], body: &Value) -> Value {
    let keys = body["RequestItems"]["cars"]["Keys"].as_array();
    let items: Vec<Value> = keys
        .into_iter()
        .flatten()
        .filter_map(number)
        .map(|number| {
            let mut item = item(number);
            if priced[number].load(Ordering::Relaxed) {
                item.insert("price".into(), 7.into());
            }
            item_to_json(&item)
        })
        .collect();
    json!({"Responses": {"cars": items}, "UnprocessedKeys": {}})
}

/// Takes a price away; anything else is refused.
fn write(priced: &[AtomicBool], body: &Value) -> Option<Value> {
    let number = number(&body["Key"])?;
    let removes = body["UpdateExpression"].as_str()?.starts_with("REMOVE ");
    let price = body["ExpressionAttributeNames"].as_object()?.values().any(|name| name == "price");
    let conditional = body["ConditionExpression"].is_string();
    let there = priced[number].swap(false, Ordering::Relaxed);
    (removes && price && conditional && there).then(|| json!({}))
}
