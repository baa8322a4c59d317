//! A mock of bad days for writes: a proxy that passes everything on but the first writes, of which
//! it tells no outcome, and answers the next ones with an error. It keeps what was written under
//! which token.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::bed::canonical;
use crate::faults::client;

/// How the outcome of a write is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection is cut.
    Cut,
    Late,
    /// A 500.
    Failure,
    /// A 503, under the name of an error that otherwise says that nothing was done.
    Away,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Whether it is carried out.
    pub carried_out: bool,
    /// How that is not told.
    pub lost: Lost,
}

/// The writes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Healthy,
    /// The next one goes as the first.
    Again,
    /// All go as the first.
    Always,
    /// All, or this many, are throttled.
    Throttled(usize),
    /// This many find the transaction of their token in progress.
    InProgress(usize),
    /// The next one's condition fails, whatever it is.
    Condition,
    Denied,
    /// Nothing is answered with success for so long, reads included.
    Silent(Duration),
}

impl Then {
    fn silence(self) -> Option<Duration> {
        if let Self::Silent(length) = self { Some(length) } else { None }
    }
}

/// What happens to one write.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Passes,
    Lost(First),
    Fails(&'static str),
}

/// What a proxy does, and what it saw.
#[derive(Debug)]
pub struct Script {
    at: usize,
    first: First,
    then: Then,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    writes: usize,
    lost_at: Option<Instant>,
    healed: bool,
    tokens: BTreeMap<String, Vec<String>>,
}

impl Script {
    /// Trouble that begins with the write of this number, from 1.
    pub fn new(at: usize, first: First, then: Then) -> Arc<Self> {
        Arc::new(Self { at, first, then, seen: Mutex::default() })
    }

    fn seen(&self) -> parking_lot::MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    fn next(&self, body: &Value) -> Fate {
        let mut seen = self.seen();
        seen.writes += 1;
        if let Some(token) = body["ClientRequestToken"].as_str() {
            let bodies = seen.tokens.entry(token.to_owned()).or_default();
            bodies.push(canonical(body));
        }
        let since = (seen.writes + 1).saturating_sub(self.at);
        let within = |count: usize| since - 1 <= count;
        match (since, self.then) {
            _ if seen.healed => Fate::Passes,
            (0, _) => Fate::Passes,
            (1, Then::Silent(_)) => {
                seen.lost_at = Some(Instant::now());
                Fate::Lost(self.first)
            }
            (1, _) | (2, Then::Again) | (_, Then::Always) => Fate::Lost(self.first),
            (_, Then::Throttled(count)) if within(count) => {
                Fate::Fails("ProvisionedThroughputExceededException")
            }
            (_, Then::InProgress(count)) if within(count) => {
                Fate::Fails("TransactionInProgressException")
            }
            (2, Then::Condition) if body.get("TransactItems").is_some() => {
                Fate::Fails("TransactionCanceledException")
            }
            (2, Then::Condition) => Fate::Fails("ConditionalCheckFailedException"),
            (_, Then::Denied) => Fate::Fails("AccessDeniedException"),
            _ => Fate::Passes,
        }
    }

    /// Whether nothing is answered now.
    fn is_silent(&self) -> bool {
        let since = self.seen().lost_at;
        since.is_some_and(|at| self.then.silence().is_some_and(|length| at.elapsed() < length))
    }

    /// All is well from now on.
    pub fn heal(&self) {
        self.seen().healed = true;
    }

    /// Each token with the bodies that it was sent with.
    pub fn tokens(&self) -> Vec<(String, Vec<String>)> {
        self.seen().tokens.clone().into_iter().collect()
    }

    /// Whether each token stood for one request.
    pub fn tokens_are_honest(&self) -> bool {
        self.tokens().iter().all(|(_, bodies)| bodies.iter().all(|body| *body == bodies[0]))
    }
}

/// The proxy; it ends with this.
pub struct Proxy {
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const WRITES: [&str; 10] = [
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "ExecuteStatement",
    "BatchExecuteStatement",
    "ExecuteTransaction",
    "CreateTable",
    "DeleteTable",
];

impl Proxy {
    /// In front of this endpoint.
    pub async fn start(endpoint: &str, script: Arc<Script>) -> Self {
        let (target, client) = (endpoint.trim_end_matches('/').to_owned(), client());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, client, target) =
                    (Arc::clone(&script), client.clone(), target.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        answer(Arc::clone(&script), client.clone(), target.clone(), request)
                    });
                    let http = http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, task }
    }
}

async fn answer(
    script: Arc<Script>,
    client: Client<HttpConnector, Full<Bytes>>,
    target: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Gone> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Gone)?.to_bytes();
    head.uri = format!("{target}/").parse().unwrap();
    let named = head.headers["x-amz-target"].to_str().unwrap();
    let operation = named.rsplit('.').next().unwrap_or_default();
    let read: Value = serde_json::from_slice(&body).unwrap();
    if script.is_silent() {
        return Ok(error(500, "InternalServerError", &read));
    }
    let fate = if WRITES.contains(&operation) { script.next(&read) } else { Fate::Passes };
    let forwarded = async {
        let response = client.request(Request::from_parts(head, Full::new(body))).await;
        let (head, body) = response.map_err(|_| Gone)?.into_parts();
        let body = body.collect().await.map_err(|_| Gone)?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    };
    let lost = match fate {
        Fate::Passes => return forwarded.await,
        Fate::Fails(name) => return Ok(error(400, name, &read)),
        Fate::Lost(first) => {
            if first.carried_out {
                forwarded.await?;
            }
            first.lost
        }
    };
    match lost {
        Lost::Cut => Err(Gone),
        Lost::Late => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Err(Gone)
        }
        Lost::Failure => Ok(error(500, "InternalServerError", &read)),
        Lost::Away => Ok(error(503, "ThrottlingException", &read)),
    }
}

fn error(status: u16, name: &str, request: &Value) -> Response<Full<Bytes>> {
    let mut body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{name}"),
        "message": "forced by a mock"});
    if let ("TransactionCanceledException", Some(actions)) =
        (name, request["TransactItems"].as_array())
    {
        let reasons = vec![json!({"Code": "ConditionalCheckFailed"}); actions.len()];
        body["CancellationReasons"] = reasons.into();
    }
    let response = Response::builder().status(status);
    let response = response.header("content-type", "application/x-amz-json-1.0");
    response.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Gone {}
