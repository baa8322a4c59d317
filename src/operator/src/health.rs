//! The controller's own HTTP port: `/healthz`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dm_contract::addresses;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::limits;
use crate::metrics::Metrics;

/// Answers until the process ends.
pub async fn serve(
    address: SocketAddr,
    ready: Vec<Arc<AtomicBool>>,
    metrics: Arc<Metrics>,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(&*addresses::to_bind(address)).await?;
    loop {
        // A failed accept is about one connection, or passes.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (ready, metrics) = (ready.clone(), metrics.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(request.uri().path(), &ready, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::HEALTH_HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the health port broke");
            }
        });
    }
}

fn answer(path: &str, ready: &[Arc<AtomicBool>], metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" if ready.iter().all(|ready| ready.load(Ordering::Relaxed)) => {
            (StatusCode::OK, "ok\n".to_owned())
        }
        "/readyz" => {
            (StatusCode::SERVICE_UNAVAILABLE, "the first list is not complete\n".to_owned())
        }
        "/metrics" => (StatusCode::OK, metrics.text()),
        _ => (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}
