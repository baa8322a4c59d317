//! The controller's own HTTP port: `/healthz`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    let listener = listen(address).await?;
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

/// Every address of IPv6 is every one of IPv4 too, and that alone where the kernel has no IPv6.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            let on_ipv4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
            on_ipv4.map_err(|_| error)
        }
        listens => listens,
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn every_address_is_listened_on_as_far_as_there_are_both_families() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok());
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.is_ok(), has_ipv6);
    }
}
