//! The way from a controller to the mock: records every request, lets some fail, serves old
//! snapshots, and can hold each request until a test lets it pass.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::client::Body;
use serde_json::Value;
use tokio::sync::oneshot;
use tower::Service;

use crate::api_server::{Answer, Call, NAMESPACE, Objects};

/// What happens to the k-th write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never reaches the server.
    Lost,
    /// It is carried out, and the answer never comes back.
    AnswerLost,
}

/// The server and what a test wants of it.
#[derive(Default)]
pub struct Server {
    pub objects: Objects,
    /// Every request that was answered or lost, in order.
    pub calls: Vec<Call>,
    /// Number of the write (from 1) that goes wrong, and how.
    pub fault: Option<(usize, Fault)>,
    /// Whether the controller's process is dead: nothing it sends arrives.
    pub dead: bool,
    /// Snapshots after each change, while they are kept.
    pub history: Option<Vec<Objects>>,
    /// How many changes ago a read is served from.
    pub lag: Option<Lag>,
    /// What happens just before the n-th request (from 1), once.
    pub intrusion: Option<(usize, Intrusion)>,
    writes: usize,
    reads: usize,
}

/// How many changes ago a read is served from, by its number and what it asks.
pub type Lag = Box<dyn FnMut(usize, &Call) -> usize + Send>;

/// Something that another party does between two requests.
pub type Intrusion = Box<dyn FnOnce(&mut Objects) + Send>;

/// A server that several parties hold.
pub type Shared = Arc<Mutex<Server>>;

/// Takes the server for a moment.
pub fn lock(server: &Shared) -> MutexGuard<'_, Server> {
    server.lock().unwrap()
}

impl Server {
    /// Writes so far, events not counted.
    pub fn writes(&self) -> Vec<&Call> {
        self.calls.iter().filter(|call| call.is_write() && call.plural != "events").collect()
    }

    /// How many writes there were, events counted: the points at which a controller can die.
    pub fn write_count(&self) -> usize {
        self.writes
    }

    /// How many reads there were.
    pub fn read_count(&self) -> usize {
        self.reads
    }

    /// Answers a request, or breaks the connection.
    pub fn serve(&mut self, call: &Call) -> Option<Answer> {
        if self.dead {
            return None;
        }
        self.calls.push(call.clone());
        let (calls, objects) = (self.calls.len(), &mut self.objects);
        if let Some((_, intrude)) = self.intrusion.take_if(|(at, _)| *at == calls) {
            intrude(objects);
            self.remember();
        }
        if !call.is_write() {
            return Some(self.read(call));
        }
        self.writes += 1;
        let fault = self.fault.filter(|(number, _)| *number == self.writes).map(|(_, f)| f);
        if fault.is_some() {
            self.dead = true;
        }
        if fault == Some(Fault::Lost) {
            return None;
        }
        let answer = self.objects.write(call);
        self.remember();
        (fault != Some(Fault::AnswerLost)).then_some(answer)
    }

    fn read(&mut self, call: &Call) -> Answer {
        self.as_of(call).read(call)
    }

    /// What a watch shows of a kind: that is a read, too, and may be stale.
    pub fn watched(&mut self, plural: &str) -> BTreeMap<String, Value> {
        let call = Call { method: "WATCH".into(), plural: plural.into(), ..Call::default() };
        let objects = self.as_of(&call);
        let named = |name: String| {
            let object = objects.get(plural, &name).cloned()?;
            Some((name, object))
        };
        objects.names(plural).into_iter().filter_map(named).collect()
    }

    fn as_of(&mut self, call: &Call) -> &Objects {
        self.reads += 1;
        let reads = self.reads;
        let lag = self.lag.as_mut().map_or(0, |lag| lag(reads, call));
        match &self.history {
            Some(history) if lag > 0 => &history[history.len().saturating_sub(lag + 1)],
            _ => &self.objects,
        }
    }

    /// Keeps a snapshot, if snapshots are wanted and something changed.
    pub fn remember(&mut self) {
        let Some(history) = &mut self.history else { return };
        if history.last().is_none_or(|last| last.version() != self.objects.version()) {
            history.push(self.objects.clone());
        }
    }
}

/// Requests that wait until a test lets them pass, oldest first.
pub type Gate = Arc<Mutex<VecDeque<Held>>>;

/// One request that waits.
pub struct Held {
    pub call: Call,
    answer: oneshot::Sender<Option<Answer>>,
}

impl Held {
    pub fn pass(self, server: &Shared) {
        let answer = lock(server).serve(&self.call);
        // A controller that was killed does not wait for it any more.
        let _ = self.answer.send(answer);
    }
}

#[derive(Clone)]
pub struct Connection {
    server: Shared,
    gate: Option<Gate>,
}

impl Connection {
    /// Each request is answered at once.
    pub fn direct(server: &Shared) -> Self {
        Self { server: server.clone(), gate: None }
    }

    /// Each request waits at a gate.
    pub fn gated(server: &Shared, gate: &Gate) -> Self {
        Self { server: server.clone(), gate: Some(gate.clone()) }
    }

    /// A client on this connection.
    pub fn client(self) -> kube::Client {
        kube::Client::new(self, NAMESPACE)
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = self.clone();
        Box::pin(async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                // Nothing ever changes behind the back of a controller that watches here.
                return std::future::pending().await;
            }
            let call = take_apart(request).await;
            let answer = match connection.gate {
                None => lock(&connection.server).serve(&call),
                Some(gate) => {
                    let (answer, wait) = oneshot::channel();
                    gate.lock().unwrap().push_back(Held { call, answer });
                    wait.await.unwrap_or_default()
                }
            };
            let (code, body) =
                answer.ok_or_else(|| std::io::Error::other("the connection was broken"))?;
            let bytes = serde_json::to_vec(&body).unwrap();
            Ok(Response::builder().status(code).body(Body::from(bytes)).unwrap())
        })
    }
}

async fn take_apart(request: Request<Body>) -> Call {
    let (head, body) = request.into_parts();
    let bytes = body.collect_bytes().await.unwrap();
    let path: Vec<&str> = head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let namespaces = path.iter().position(|part| *part == "namespaces").unwrap();
    assert_eq!(path[namespaces + 1], NAMESPACE, "another namespace: {}", head.uri);
    // The namespace itself is an object, too.
    let rest = &path[if path.len() == namespaces + 2 { namespaces } else { namespaces + 2 }..];
    let dry_run = head.uri.query().is_some_and(|query| query.contains("dryRun=All"));
    let parameter = |name: &str| {
        let pairs = head.uri.query().into_iter().flat_map(|query| query.split('&'));
        pairs.filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name)?.1.parse().ok()
    };
    let page = parameter("limit").map(|size: usize| (size, parameter("continue").unwrap_or(0)));
    let selector = head.uri.query().into_iter().flat_map(|query| query.split('&'));
    let selector = selector
        .filter_map(|pair| pair.strip_prefix("labelSelector="))
        .map(|text| text.replace("%2F", "/").replace("%3D", "="))
        .next();
    Call {
        method: head.method.to_string(),
        plural: rest[0].to_owned(),
        name: rest.get(1).map(|name| (*name).to_owned()),
        subresource: rest.get(2).map(|name| (*name).to_owned()),
        selector,
        page,
        dry_run,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}
