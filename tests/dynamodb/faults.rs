//! Mocks that fail on demand: a proxy in front of the database and an archive's store. At a chosen
//! call they die, before it or after it was carried out; from then on nothing is answered, as if
//! the process had ended there.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The call is not carried out.
    Before,
    /// It is carried out, and nobody hears of it.
    After,
}

/// Counts calls and dies at one of them.
#[derive(Debug)]
pub struct Fuse {
    count: AtomicU64,
    at: Option<(u64, Death)>,
    dead: watch::Sender<bool>,
}

impl Fuse {
    /// Dies at the call of this number, from 1.
    pub fn new(at: Option<(u64, Death)>) -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(0), at, dead: watch::Sender::new(false) })
    }

    pub fn calls(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until it has died.
    pub async fn died(&self) {
        let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
    }

    /// Dies at once, whatever the number of its calls.
    pub fn die(&self) {
        self.dead.send_replace(true);
    }

    /// Does a call, unless it is dead.
    pub async fn pass<T>(&self, call: impl Future<Output = T>) -> T {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if self.at == Some((number, Death::Before)) {
            self.dead.send_replace(true);
            std::future::pending::<()>().await;
        }
        let result = call.await;
        if self.at == Some((number, Death::After)) {
            self.dead.send_replace(true);
            std::future::pending::<()>().await;
        }
        result
    }
}

/// A request on its way to the database: nothing is sent before it is awaited.
type Forwarded =
    BoxFuture<'static, Result<Response<Full<Bytes>>, hyper_util::client::legacy::Error>>;

/// A proxy of an endpoint, with a say in how each request is answered; its URL. It lives as long as
/// the runtime.
async fn serve<F, A, E>(endpoint: &str, answer: F) -> String
where
    F: Fn(Forwarded) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let (target, client) = (endpoint.trim_end_matches('/').to_owned(), client());
    http_server(move |request| answer(forward(client.clone(), target.clone(), request).boxed()))
        .await
}

/// A client that passes requests on, with the host that they were sent to.
pub fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).set_host(false).build_http()
}

/// A server of HTTP; its URL. It lives as long as the runtime.
pub async fn http_server<F, A, E>(answer: F) -> String
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(answer.clone());
            tokio::spawn(async move {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}

/// A proxy of a database's endpoint that dies with its fuse.
pub async fn proxy(endpoint: &str, fuse: Arc<Fuse>) -> String {
    serve(endpoint, move |forwarded| {
        let fuse = Arc::clone(&fuse);
        async move { fuse.pass(forwarded).await }
    })
    .await
}

/// A proxy that answers writes itself, at once and without carrying them out: where memory or time
/// is measured, the database must not be what is slow.
pub async fn instant_writes(endpoint: &str) -> String {
    let (target, client) = (endpoint.trim_end_matches('/').to_owned(), client());
    http_server(move |request: Request<Incoming>| {
        let operation = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
        let answer = match operation.and_then(|operation| operation.split('.').nth(1)) {
            Some("BatchWriteItem") => Some(r#"{"UnprocessedItems":{}}"#),
            Some("PutItem") => Some("{}"),
            _ => None,
        };
        let forwarded = (client.clone(), target.clone());
        async move {
            match answer {
                Some(answer) => {
                    let mut body = request.into_body();
                    while let Some(Ok(_)) = body.frame().await {}
                    Ok(Response::new(Full::new(Bytes::from_static(answer.as_bytes()))))
                }
                None => forward(forwarded.0, forwarded.1, request).await,
            }
        }
    })
    .await
}

/// What happens to one request of a troubled proxy.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// It is answered as it should be.
    None,
    /// It is answered late.
    Slow(Duration),
    /// It is answered with 503, and not carried out.
    Unavailable,
    /// It is answered with a throttle, and not carried out.
    Throttled,
    /// It is carried out, and the connection is cut before the answer.
    Cut,
}

/// A mock of bad days: a proxy in which the request of each number, from 1, has its trouble.
pub async fn troubled_proxy(endpoint: &str, trouble: fn(u64) -> Trouble) -> String {
    let count = Arc::new(AtomicU64::new(0));
    serve(endpoint, move |forwarded| {
        let trouble = trouble(count.fetch_add(1, Ordering::SeqCst) + 1);
        async move {
            match trouble {
                Trouble::Unavailable => {
                    let late = Response::builder().status(503);
                    return Ok(late.body(Full::default()).unwrap());
                }
                Trouble::Throttled => return Ok(throttle()),
                Trouble::Slow(time) => tokio::time::sleep(time).await,
                Trouble::None | Trouble::Cut => {}
            }
            let answer = forwarded.await.map_err(|_| Gone)?;
            if matches!(trouble, Trouble::Cut) { Err(Gone) } else { Ok(answer) }
        }
    })
    .await
}

/// A mock of a table that has too little capacity, in front of a real one: while it is forced, it
/// answers every second request with a throttle, and does not carry it out.
#[derive(Debug, Default)]
pub struct Throttling {
    forced: AtomicBool,
    requests: AtomicU64,
    throttled: AtomicU64,
}

impl Throttling {
    /// Begins to throttle, or ceases to.
    pub fn force(&self, forced: bool) {
        self.forced.store(forced, Ordering::SeqCst);
    }

    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::SeqCst)
    }

    fn throttles(&self) -> bool {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let throttles = self.forced.load(Ordering::SeqCst) && number.is_multiple_of(2);
        self.throttled.fetch_add(throttles.into(), Ordering::SeqCst);
        throttles
    }
}

/// A proxy of a database's endpoint that throttles; its URL. It lives as long as the runtime.
pub async fn throttling_proxy(endpoint: &str, throttling: Arc<Throttling>) -> String {
    serve(endpoint, move |forwarded| {
        let throttles = throttling.throttles();
        async move { if throttles { Ok(throttle()) } else { forwarded.await } }
    })
    .await
}

fn throttle() -> Response<Full<Bytes>> {
    let name = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    let body = format!(r#"{{"__type":"{name}","message":"forced by a mock"}}"#);
    let response = Response::builder().status(400);
    let response = response.header("content-type", "application/x-amz-json-1.0");
    response.body(Full::new(Bytes::from(body))).unwrap()
}

#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Gone {}

/// Passes a request on to an endpoint.
pub async fn forward(
    client: Client<HttpConnector, Full<Bytes>>,
    target: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper_util::client::legacy::Error> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    head.uri = format!("{target}{path}").parse().unwrap();
    let body = body.collect().await.unwrap().to_bytes();
    let response = client.request(Request::from_parts(head, Full::new(body))).await?;
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, Full::new(body.collect().await.unwrap().to_bytes())))
}

/// A store in memory whose puts can be slow and can die.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    pub inner: Arc<InMemory>,
    fuse: Arc<Fuse>,
    put_takes: Duration,
    held: watch::Sender<BTreeSet<String>>,
}

impl FaultyStore {
    /// Over a store that outlives it.
    pub fn new(inner: Arc<InMemory>, fuse: Arc<Fuse>, put_takes: Duration) -> Self {
        Self { inner, fuse, put_takes, held: watch::Sender::default() }
    }

    /// Puts of objects of this name wait until they are released.
    pub fn hold(&self, name: &str) {
        self.held.send_modify(|held| _ = held.insert(name.to_owned()));
    }

    pub fn let_go(&self, name: &str) {
        self.held.send_modify(|held| _ = held.remove(name));
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mock of a store that fails on demand")
    }
}

type StoreResult<T> = object_store::Result<T>;

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        path: &Path,
        content: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        tokio::time::sleep(self.put_takes).await;
        let name = path.filename().unwrap_or_default();
        let _ = self.held.subscribe().wait_for(|held| !held.contains(name)).await;
        self.fuse.pass(self.inner.put_opts(path, content, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
