//! The kubelet's and the operator's side of the guard: is it there, and how far is the run.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use dm_core::limits;
use dm_core::report::GuardResult;
use dm_engine::Engine;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::wire::{Body, plain};

/// Accepts connections for ever.
pub async fn accept(engine: Arc<Engine>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a control connection");
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
                continue;
            }
        };
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let response = respond(&engine, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::CONTROL_HEADERS_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "control connection ended");
            }
        });
    }
}

/// Whoever reaches the pod can ask how far it is, so no item is shown here.
fn without_samples(engine: &Engine) -> GuardResult {
    let mut result = engine.result();
    if let Some(dry_run) = &mut result.dry_run {
        dry_run.samples.clear();
    }
    result
}

/// The guard is ready as soon as it can serve: a slow database must not keep a run from starting,
/// its requests are held and tried again.
fn respond(engine: &Engine, request: &Request<Incoming>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => {
            plain(StatusCode::OK, "text/plain", Bytes::from_static(b"ok\n"))
        }
        (&Method::GET, "/progress") => match serde_json::to_vec(&without_samples(engine)) {
            Ok(result) => plain(StatusCode::OK, "application/json", Bytes::from(result)),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Bytes::new()),
        },
        _ => plain(StatusCode::NOT_FOUND, "text/plain", Bytes::from_static(b"no such path\n")),
    }
}
