//! Accepts the program's connections and answers their requests, within the bounds of the limits
//! file. One task per connection; a broken one ends alone.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::limits;
use bytes::{Bytes, BytesMut};
use dm_contract::plan::{PAUSED_PATH, SECOND_PASS_PATH};
use dm_contract::transform::{ORDER_BYTES_MAX, ORDER_VERSION, TRANSFORM_PATH, TransformState};
use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_engine::{Answer, Engine};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::answer_room::{self, AnswerSizes};
use crate::connections::{Connection, Connections, MakingRoom};
use crate::memory::{self, Memory};
use crate::open_files;
use crate::poll_again::PollAgain;
use crate::transform::Transforms;
use crate::wire::{self, Asked, Body, NotACall, Regions, Serves};

/// The program's side of the guard.
#[derive(Debug)]
pub struct Server {
    engine: Arc<Engine>,
    serves: Serves,
    /// None where the engine is a database and not a guard's.
    transforms: Option<Arc<Transforms>>,
    connections: Arc<Connections>,
    requests: Arc<Semaphore>,
    memory: Memory,
    answers: AnswerSizes,
}

impl Server {
    /// A server over this engine.
    pub fn new(engine: Arc<Engine>, serves: Serves) -> Self {
        Self {
            engine,
            serves,
            transforms: None,
            // All of them come from this machine: no share for each source.
            connections: Connections::new(open_files::connections_max(), usize::MAX),
            requests: Arc::new(Semaphore::new(limits::REQUESTS_IN_FLIGHT_MAX)),
            memory: Memory::of_this_process(),
            answers: AnswerSizes::default(),
        }
    }

    /// The same server, which also takes orders for transforms.
    #[must_use]
    pub fn with_transforms(self, transforms: Arc<Transforms>) -> Self {
        Self { transforms: Some(transforms), ..self }
    }

    /// Accepts connections for ever.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let connections = &self.connections;
        tokio::spawn(Arc::clone(connections).close_slow_heads());
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Ok(place) = connections.place(peer.ip()).await else { return };
                    tokio::spawn(PollAgain::new(Arc::clone(&self).serve(stream, peer, place)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    // Often for lack of a file handle, which an idle connection has.
                    connections.close_idle();
                    tokio::time::sleep(limits::ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Whether a client is still connected a moment after the last one should have gone.
    pub async fn has_clients(&self) -> bool {
        let until = Instant::now() + limits::CLIENTS_LEAVE_MAX;
        while self.connections.are_open() {
            if Instant::now() > until {
                return true;
            }
            tokio::time::sleep(limits::CLIENTS_LEAVE_CHECK).await;
        }
        false
    }

    /// Waits until no request is being worked on, and lets no further one begin. Returns how many
    /// had not ended when the time was up.
    pub async fn drain(&self) -> usize {
        let all = u32::try_from(limits::REQUESTS_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let ended = self.requests.acquire_many(all);
        let drained = tokio::time::timeout(limits::GUARD_DRAIN_MAX, ended).await;
        let left = match &drained {
            Ok(_) => 0,
            Err(_) => limits::REQUESTS_IN_FLIGHT_MAX - self.requests.available_permits(),
        };
        // Later ones, and those that wait for their turn, get their answer from this.
        self.requests.close();
        left
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Connection) {
        let _ = stream.set_nodelay(true);
        let (this, place) = (&self, &place);
        let service = service_fn(move |request| async move {
            if !place.begin() {
                return Err(MakingRoom);
            }
            let response = this.respond(request).await;
            place.end();
            Ok(response)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::CLIENT_IDLE_MAX)
            // A guard takes a client that sends no more for one that gave up: a pause must not
            // hold its call, which it sends again.
            .half_close(self.serves.signed_for == Regions::Any)
            .max_buf_size(limits::CLIENT_BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(place.watch(stream)), service);
        let mut served = std::pin::pin!(served);
        tokio::select! {
            ended = served.as_mut() => if let Err(error) = ended {
                tracing::debug!(%error, %peer, "connection ended");
            },
            () = place.closing() => {
                tracing::debug!(%peer, "closing an idle connection to make room");
                served.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(limits::CONNECTION_CLOSING_MAX, served).await;
            }
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let path = head.uri.path();
        let orders = path == TRANSFORM_PATH && self.transforms.is_some();
        if orders || [SECOND_PASS_PATH, PAUSED_PATH].contains(&path) {
            return self.entry(&head, &mut body).await;
        }
        let answer = match self.answer(&head, &mut body).await {
            Ok(answer) => answer,
            Err(not) => {
                self.note(&not);
                // Whoever waits for leave to send it does not.
                if !head.headers.contains_key(header::EXPECT) {
                    drain(&mut body).await;
                }
                not.into()
            }
        };
        wire::answered(answer, wire::answered_as(&head.headers))
    }

    /// What the entry program asks for, on the address that only the pod reaches.
    async fn entry(&self, head: &request::Parts, body: &mut Incoming) -> Response<Body> {
        let presented = head.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        if !self.serves.clients.include_bearer(presented) {
            let said = Bytes::from_static(b"the program's access key is needed, as Bearer\n");
            return wire::plain(StatusCode::UNAUTHORIZED, "text/plain", said);
        }
        if head.uri.path() == SECOND_PASS_PATH {
            return second_pass(&self.engine, head);
        }
        if let (TRANSFORM_PATH, Some(transforms)) = (head.uri.path(), &self.transforms) {
            return transform(transforms, head, body).await;
        }
        paused(&self.engine, head).await
    }

    async fn answer(&self, head: &request::Parts, body: &mut Incoming) -> Result<Answer, NotACall> {
        let operation = match wire::asked(head, !body.is_end_stream(), &self.serves)? {
            Asked::Call(operation) => operation,
            Asked::Refused(not) => return Err(refused(head, body, not).await),
        };
        let announced = wire::announced_bytes(&head.headers)?;
        let closing = || NotACall::Wrong(closing());
        let request = Arc::clone(&self.requests).acquire_owned().await.map_err(|_| closing())?;
        let room = self.memory.body(announced).await.map_err(|_| closing())?;
        let body = wire::inflated(&head.headers, read_whole(body, announced).await?)?;
        let cost = memory::cost(&body, self.engine.item_copies(operation));
        let more = self.memory.tree(cost).await.map_err(|_| closing())?;
        let call = wire::call(operation, &head.headers, &body)?;
        // What is sent is written of the call.
        drop((body, room));
        let expected = self.answers.expected(&call);
        if expected == 0 {
            // A write whose client goes away continues, and counts until it ends.
            return Ok(self.engine.handle_with(call, (request, more)).await);
        }
        let taken = expected * self.engine.answer_copies();
        let space = self.memory.answer(taken).await.map_err(|_| closing())?;
        let answer = self.engine.handle_with(call, (request, more)).await;
        self.answers.seen(operation, answer.body.len());
        Ok(answer_room::accounted(answer, space))
    }

    fn note(&self, not: &NotACall) {
        match not {
            NotACall::Foreign(foreign) => {
                tracing::warn!(service = foreign.service, "call of another service refused");
                let call = format!("{}:{}", foreign.service, foreign.operation);
                self.engine.refused_on_the_wire(&call, "the guard serves DynamoDB only");
            }
            NotACall::Denied(denied) => {
                let operation = denied.operation.name();
                tracing::warn!(operation, why = denied.why, "request refused");
                self.engine.refused_on_the_wire(operation, &denied.why);
            }
            NotACall::Wrong(error) => {
                tracing::warn!(error = error.code.name(), "request refused");
                self.engine.refused_on_the_wire("unknown", &error.message);
            }
            NotACall::Bare(code) => {
                tracing::warn!(error = code.name(), "request refused");
                self.engine.refused_on_the_wire("unknown", "not a request of DynamoDB's protocol");
            }
            NotACall::NotFound => {
                tracing::warn!("request with another method, path or content type refused");
                self.engine.refused_on_the_wire("unknown", "not a request of DynamoDB's protocol");
            }
            NotACall::NoHost => {
                tracing::warn!("request without a host, or with several, refused");
                self.engine.refused_on_the_wire("unknown", "not a request of HTTP/1.1");
            }
            NotACall::TooLarge => {
                tracing::warn!("request larger than 16 MB refused");
                self.engine.refused_on_the_wire("unknown", "larger than 16 MB");
            }
            NotACall::Ping(_) => {}
        }
    }
}

/// The entry program asks for a second pass here.
fn second_pass(engine: &Engine, head: &request::Parts) -> Response<Body> {
    let (status, said) = if head.method == Method::POST {
        match engine.begin_second_pass() {
            Ok(()) => (StatusCode::OK, "the second pass begins".to_owned()),
            Err(error) => (StatusCode::CONFLICT, error.to_string()),
        }
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, "POST is needed".to_owned())
    };
    tracing::info!(%status, said, "a second pass was asked for");
    wire::plain(status, "text/plain", Bytes::from(said + "\n"))
}

/// The entry program has a transform carried out here: POST begins it, GET says how it ended, or
/// after a while that it has not.
async fn transform(
    transforms: &Arc<Transforms>,
    head: &request::Parts,
    body: &mut Incoming,
) -> Response<Body> {
    let (status, said) = match head.method {
        Method::POST => {
            let limited = Limited::new(body, ORDER_BYTES_MAX).collect();
            match tokio::time::timeout(limits::CLIENT_BODY_MAX, limited).await {
                Ok(Ok(order)) => match transforms.begin(&order.to_bytes()) {
                    Ok(()) => (StatusCode::OK, "the transform has begun".to_owned()),
                    Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
                },
                Ok(Err(_)) | Err(_) => {
                    (StatusCode::BAD_REQUEST, "the order is incomplete".to_owned())
                }
            }
        }
        Method::GET => {
            let state = transforms.state();
            match tokio::time::timeout(dm_contract::limits::PAUSED_ANSWER_MAX, state).await {
                Ok(None) => (StatusCode::NOT_FOUND, "no transform was begun".to_owned()),
                Ok(Some(state)) => (StatusCode::OK, serde_json::json!(state).to_string()),
                Err(_) => {
                    let state =
                        TransformState { version: ORDER_VERSION, ..TransformState::default() };
                    (StatusCode::OK, serde_json::json!(state).to_string())
                }
            }
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "POST or GET is needed".to_owned()),
    };
    wire::plain(status, "text/plain", Bytes::from(said + "\n"))
}

/// The entry program asks here whether it is to stop the program.
async fn paused(engine: &Engine, head: &request::Parts) -> Response<Body> {
    let known = match (&head.method, head.uri.query()) {
        (&Method::GET, Some("known=true")) => true,
        (&Method::GET, Some("known=false")) => false,
        _ => {
            let said = Bytes::from_static(b"GET with known=true or known=false is needed\n");
            return wire::plain(StatusCode::BAD_REQUEST, "text/plain", said);
        }
    };
    let changed = engine.is_paused_other_than(known);
    let changed = tokio::time::timeout(dm_contract::limits::PAUSED_ANSWER_MAX, changed).await;
    let said = format!("{}\n", changed.unwrap_or(known));
    wire::plain(StatusCode::OK, "text/plain", Bytes::from(said))
}

/// The answer to a request that is refused: a body that is no JSON comes first.
async fn refused(head: &request::Parts, body: &mut Incoming, not: NotACall) -> NotACall {
    let announced = wire::announced_bytes(&head.headers);
    let is_small = announced.is_ok_and(|bytes| bytes <= limits::REFUSED_BODY_BYTES_MAX);
    if !is_small || head.headers.contains_key(header::CONTENT_ENCODING) {
        return not;
    }
    match read_whole(body, limits::REFUSED_BODY_BYTES_MAX).await {
        Ok(body) if !body.is_empty() && !wire::is_json(&body) => {
            NotACall::Bare(ErrorCode::Serialization)
        }
        Ok(_) | Err(_) => not,
    }
}

/// Reads a body within its time and size, into one piece of this many bytes.
async fn read_whole(body: &mut Incoming, announced: usize) -> Result<Bytes, NotACall> {
    let broken =
        || NotACall::Wrong(ServiceError::serialization("The request's body is incomplete."));
    let announced = body
        .size_hint()
        .exact()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .map_or(0, |bytes| bytes.min(announced));
    let all = async {
        let mut whole = BytesMut::with_capacity(announced);
        loop {
            let next = tokio::time::timeout(limits::CLIENT_BODY_SILENCE_MAX, body.frame()).await;
            let Some(frame) = next.map_err(|_| broken())? else { return Ok(whole.freeze()) };
            let frame = frame.map_err(|_| broken())?;
            let Some(piece) = frame.data_ref() else { continue };
            if whole.len() + piece.len() > limits::REQUEST_BODY_BYTES_MAX {
                return Err(NotACall::TooLarge);
            }
            whole.extend_from_slice(piece);
        }
    };
    tokio::time::timeout(limits::CLIENT_BODY_MAX, all).await.unwrap_or_else(|_| Err(broken()))
}

/// Reads what is left of a body and drops it: a client that is still sending looks for no answer.
async fn drain(body: &mut Incoming) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > limits::DRAINED_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(limits::DRAINED_MAX, all).await;
}

fn closing() -> ServiceError {
    ServiceError::new(ErrorCode::ServiceUnavailable, "The guard is stopping.")
}
