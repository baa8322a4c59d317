//! The control port of what is no guard: the probe's answer, and how far a restore is. It changes
//! nothing.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use dm_core::limits;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::wire::plain;

/// Accepts connections for ever. `progress` gives the body of `/progress`, as JSON.
pub async fn accept<P, F>(progress: P, listener: TcpListener)
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Option<Vec<u8>>> + Send + 'static,
{
    let progress = Arc::new(progress);
    let connections = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(limits::ACCEPT_RETRY).await;
            continue;
        };
        let progress = Arc::clone(&progress);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request: Request<Incoming>| {
                let progress = Arc::clone(&progress);
                async move {
                    let text = "text/plain";
                    Ok::<_, Infallible>(match (request.method(), request.uri().path()) {
                        (&Method::GET, "/healthz") => {
                            plain(StatusCode::OK, text, Bytes::from_static(b"ok\n"))
                        }
                        (&Method::GET, "/progress") => match progress().await {
                            Some(json) => {
                                plain(StatusCode::OK, "application/json", Bytes::from(json))
                            }
                            None => plain(StatusCode::INTERNAL_SERVER_ERROR, text, Bytes::new()),
                        },
                        _ => {
                            let no = Bytes::from_static(b"no such path\n");
                            plain(StatusCode::NOT_FOUND, text, no)
                        }
                    })
                }
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
