//! A server that speaks S3, at an address that the cluster's pods reach: the database's.

use std::fs;

use dm_tests::cluster::{Bed, TARGET, target};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The only access key.
const KEY: &str = "archive-key";

const SECRET: &str = "archive-secret";

/// A bucket called `bucket`; it goes away when dropped.
pub struct Bucket {
    folder: TempDir,
    address: std::net::SocketAddr,
    server: Option<JoinHandle<()>>,
}

impl Bucket {
    pub async fn start() -> Self {
        Self::away().await.come_back().await
    }

    /// One that has an address, at which nobody listens.
    pub async fn away() -> Self {
        let endpoint = dm_tests::cluster::variable("DYNAMODB_ENDPOINT_IN_CLUSTER");
        let host = endpoint.trim_start_matches("http://");
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let free = TcpListener::bind((host, 0)).await.expect("an address that pods reach");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bucket")).unwrap();
        Self { folder, address: free.local_addr().unwrap(), server: None }
    }

    /// It answers from now on.
    pub async fn come_back(mut self) -> Self {
        let files = s3s_fs::FileSystem::new(self.folder.path()).unwrap();
        let mut service = s3s::service::S3ServiceBuilder::new(files);
        service.set_auth(s3s::auth::SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }));
        self
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The archive of the target of a test is on it, below `prod`.
    pub async fn is_archive_of(&self, bed: &Bed) {
        bed.apply(&bed.secret_with("archive", KEY, SECRET)).await;
        let archive = json!({
            "url": "s3://bucket/prod", "endpoint": self.endpoint(),
            "credentials": {"secret": {"name": "archive"}},
        });
        bed.apply(&target(TARGET, &json!({"archive": archive}))).await;
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        let path = self.folder.path().join("bucket").join(path);
        fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
