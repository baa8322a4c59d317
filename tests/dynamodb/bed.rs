//! The database under test, guards in front of it, and a client that speaks plain JSON.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dm_contract::plan::{
    ArchivePlan, Mode, PLAN_VERSION, Plan, Policy, RateLimits, RunId, Upstream,
};
use dm_engine::archive::Archive;
use dm_engine::restore::RestoreOptions;
use dm_engine::{CredentialSource, Engine, EngineOptions, Start};
use dm_guard::clients::{AccessKey, Clients};
use dm_guard::{Embedded, Guard, Options};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Region and key: DynamoDB Local keeps separate tables for each pair.
pub const REGION: &str = "eu-west-1";
pub const ACCESS_KEY: &str = "dmtests";

/// A client of one endpoint.
#[derive(Clone)]
pub struct Endpoint {
    pub url: String,
    key: String,
    region: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub fn database() -> Endpoint {
    let url = std::env::var("DYNAMODB_ENDPOINT").unwrap_or_else(|_| {
        panic!(
            "DYNAMODB_ENDPOINT is not set: these tests need a DynamoDB API, for instance DynamoDB \
             Local at http://127.0.0.1:8000. `cargo xtask test` starts one."
        )
    });
    Endpoint::new(url)
}

/// An embedded database, and a client of it.
pub async fn embedded() -> (Embedded, Endpoint) {
    let engine = Arc::new(Engine::embedded(REGION, None).unwrap());
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let database = Embedded::start(engine, listen).await.unwrap();
    let endpoint = Endpoint::new(format!("http://{}", database.address));
    (database, endpoint)
}

impl Endpoint {
    pub fn new(url: String) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url, key: ACCESS_KEY.into(), region: REGION.into(), client }
    }

    /// The same endpoint for a client with another access key and region.
    pub fn signing(&self, key: &str, region: &str) -> Self {
        Self { key: key.into(), region: region.into(), ..self.clone() }
    }

    /// One call: status and body.
    pub async fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let answered = self.try_call(operation, body).await;
        answered.unwrap_or_else(|| panic!("no answer to {operation} {body} in time"))
    }

    /// The same of a body as it is, for one that takes long: status and body.
    pub async fn sent(&self, operation: &str, body: String) -> (u16, String) {
        let exchanged = self.client.request(self.request(operation, body)).await.unwrap();
        let (head, body) = exchanged.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    fn request(&self, operation: &str, body: String) -> Request<Full<Bytes>> {
        let (key, region) = (&self.key, &self.region);
        let scope = format!("{key}/20261201/{region}/dynamodb/aws4_request");
        Request::post(format!("{}/", self.url.trim_end_matches('/')))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("x-amz-date", "20261201T000000Z")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            )
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    }

    /// The same of one who may be gone: `None` when there is no answer.
    pub async fn try_call(&self, operation: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.request(operation, body.to_string());
        let response = tokio::time::timeout(Duration::from_secs(60), self.client.request(request))
            .await
            .ok()?
            .ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        if let Some(crc) = head.headers.get("x-amz-crc32") {
            assert_eq!(crc.to_str().unwrap(), crc32fast_of(&body), "checksum of {operation}");
        }
        Some((head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// A request of the guard's control, with this token: status and body.
    pub async fn control(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = self.client.request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// One call that must succeed.
    pub async fn ok(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation} {body}: {answer}");
        answer
    }

    /// Every item of a table, in the order of their keys' JSON.
    pub async fn items(&self, table: &str) -> Vec<Value> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let mut request = json!({"TableName": table, "ConsistentRead": true});
            if let Some(start) = start {
                request["ExclusiveStartKey"] = start;
            }
            let mut page = self.ok("Scan", &request).await;
            items.extend(page["Items"].as_array().unwrap().iter().cloned());
            start = page.as_object_mut().unwrap().remove("LastEvaluatedKey");
            if start.is_none() {
                break;
            }
        }
        items.sort_by_cached_key(canonical);
        items
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

fn crc32fast_of(body: &[u8]) -> String {
    crc32fast::hash(body).to_string()
}

/// A name that no other table of this process has.
pub fn fresh_name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A plan for the database under test.
pub fn plan(mode: Mode, policy: Policy) -> Plan {
    Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "m".into(), uid: "u".into(), number: 1 },
        mode,
        upstream: Upstream { region: REGION.into(), endpoint: Some(database().url) },
        policy,
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        archive: None,
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    }
}

/// A plan's archive at this URL, under its own name.
pub fn archive(url: &str) -> ArchivePlan {
    let migration = fresh_name("migration");
    ArchivePlan { url: url.into(), migration, ..ArchivePlan::default() }
}

/// Its own guard on free ports, and a client of it.
pub async fn guard(plan: &Plan) -> (Guard, Endpoint) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options {
        part: None,
        listen: any,
        control_listen: any,
        control_token: None,
        state_dir: None,
        clients: clients(),
    };
    guard_with(plan, &options).await
}

/// The same with options.
pub async fn guard_with(plan: &Plan, options: &Options) -> (Guard, Endpoint) {
    let guard = Guard::start(plan, credentials(), options).await.unwrap();
    let endpoint = Endpoint::new(format!("http://{}", guard.program_address));
    (guard, endpoint)
}

/// The clients of the tests' guards.
pub fn clients() -> Clients {
    Clients::With(AccessKey::new(ACCESS_KEY))
}

/// An engine of a plan, over the archive that the plan names.
pub async fn engine(plan: &Plan, start: Start) -> Arc<Engine> {
    let archive = Archive::of_plan(plan).await.unwrap();
    Arc::new(Engine::open(plan, EngineOptions { start, ..options(archive) }).unwrap())
}

/// An engine of the tests' account.
pub fn options(archive: Option<Archive>) -> EngineOptions {
    EngineOptions { archive, ..EngineOptions::new(credentials()) }
}

/// A restore of run 1, which skips conflicts.
pub fn restore_options(archive: Archive) -> RestoreOptions {
    RestoreOptions::new(credentials(), archive, 1)
}

/// Credentials under which the database keeps the tests' tables.
pub fn credentials() -> CredentialSource {
    let fixed = aws_credential_types::Credentials::new(ACCESS_KEY, "secret", None, None, "tests");
    CredentialSource::new(aws_credential_types::provider::SharedCredentialsProvider::new(fixed))
}
