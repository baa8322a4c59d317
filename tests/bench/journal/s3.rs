//! An archive for the measurement: a server that speaks S3 over a folder, with a time added to
//! puts.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{Error, guard};

/// Serves a bucket of the name `bucket`; the endpoint, and the folder that has to outlive it.
pub async fn serve(put_takes: Duration) -> Result<(TempDir, String), Error> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("bucket"))?;
    let files = s3s_fs::FileSystem::new(folder.path()).map_err(|error| format!("{error:?}"))?;
    let mut service = s3s::service::S3ServiceBuilder::new(files);
    service.set_auth(s3s::auth::SimpleAuth::from_single(guard::KEY, guard::KEY));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let slow = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
                    let service = service.clone();
                    async move {
                        if request.method() == hyper::Method::PUT {
                            tokio::time::sleep(put_takes).await;
                        }
                        Service::call(&service, request).await
                    }
                });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // A client that goes away is no matter.
                let _ = server.serve_connection(TokioIo::new(stream), slow).await;
            });
        }
    });
    Ok((folder, endpoint))
}
