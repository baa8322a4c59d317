//! Where an archive is: `s3://bucket/prefix`, `file:///folder`, `memory://`. Makes the store.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dm_contract::plan::{
    ARCHIVE_ACCESS_KEY_ENV, ARCHIVE_SECRET_KEY_ENV, ARCHIVE_SESSION_TOKEN_ENV, ArchivePlan,
};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{CredentialProvider, ObjectStore, RetryConfig};

use crate::archive::store::folder::Folder;
use crate::archive::store::s3_http::S3Http;
use crate::upstream::{CredentialSource, UpstreamError};

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    #[error("`{0}` is not an archive: s3://bucket/prefix or file:///folder is needed")]
    Url(String),
    /// The folder of a `file:` URL.
    #[error("making the archive's folder {0}")]
    Folder(PathBuf, #[source] std::io::Error),
    /// There is no such folder, so there is no archive.
    #[error("there is no archive in {0}")]
    NoFolder(PathBuf, #[source] std::io::Error),
    /// The store could not be created.
    #[error("preparing the archive's store")]
    Store(#[source] Box<object_store::Error>),
    #[error("preparing the connection to the archive")]
    Connection(#[from] UpstreamError),
}

type Result<T> = std::result::Result<T, LocationError>;

/// What an archive is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is created if it does not exist.
    Writing,
    /// It must exist.
    Reading,
}

/// A store, and where in it the archive is.
#[derive(Clone, Debug)]
pub struct Location {
    pub store: Arc<dyn ObjectStore>,
    /// The folder in it that is the archive.
    pub prefix: Path,
    /// The same on a disk, where it is on one.
    pub folder: Option<Folder>,
}

impl Location {
    fn new(store: impl ObjectStore) -> Self {
        Self { store: Arc::new(store), prefix: Path::default(), folder: None }
    }
}

/// Where a plan's archive is.
pub async fn open(
    plan: &ArchivePlan,
    region: &str,
    credentials: Option<CredentialSource>,
    purpose: Purpose,
) -> Result<Location> {
    let wrong = || LocationError::Url(without_secrets(&plan.url));
    let (scheme, rest) = plan.url.split_once("://").ok_or_else(wrong)?;
    let store = |error| LocationError::Store(Box::new(error));
    match scheme {
        "memory" if rest.is_empty() => Ok(Location::new(InMemory::new())),
        "file" if rest.starts_with('/') => {
            // A path, not a URL's: any character of it is its own.
            let root = PathBuf::from(rest);
            let folder = match purpose {
                Purpose::Writing => Folder::for_writing(root.clone())
                    .map_err(|error| LocationError::Folder(root.clone(), error))?,
                Purpose::Reading => Folder::existing(root.clone())
                    .map_err(|error| LocationError::NoFolder(root.clone(), error))?,
            };
            // A journal's entry must outlive a loss of power as it outlives a loss of the process.
            let files = LocalFileSystem::new_with_prefix(&root).map_err(store)?.with_fsync(true);
            Ok(Location { folder: Some(folder), ..Location::new(files) })
        }
        "s3" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() || rest.contains(['?', '#', '@']) {
                return Err(wrong());
            }
            let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|_| wrong())?;
            let credentials = match credentials {
                Some(source) => Credentials::Chain(source),
                None => Credentials::found(plan.region.as_deref().unwrap_or(region)).await?,
            };
            Ok(Location { prefix, ..Location::new(s3(plan, bucket, region, credentials)?) })
        }
        _ => Err(wrong()),
    }
}

fn s3(
    plan: &ArchivePlan,
    bucket: &str,
    region: &str,
    credentials: Credentials,
) -> Result<object_store::aws::AmazonS3> {
    let region = plan.region.as_deref().unwrap_or(region);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_http_connector(S3Http::new()?)
        // The archive retries itself.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_credentials(Arc::new(credentials));
    if let Some(endpoint) = &plan.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(true);
    }
    builder.build().map_err(|error| LocationError::Store(Box::new(error)))
}

/// Credentials for the archive, as the store asks for them.
#[derive(Debug)]
enum Credentials {
    Given(Arc<AwsCredential>),
    Chain(CredentialSource),
}

impl Credentials {
    /// Those of the environment.
    async fn found(region: &str) -> Result<Self> {
        let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (given(ARCHIVE_ACCESS_KEY_ENV), given(ARCHIVE_SECRET_KEY_ENV)) {
            (Some(key_id), Some(secret_key)) => {
                let token = given(ARCHIVE_SESSION_TOKEN_ENV);
                Ok(Self::Given(Arc::new(AwsCredential { key_id, secret_key, token })))
            }
            _ => Ok(Self::Chain(CredentialSource::default_chain(region).await?)),
        }
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self {
            Self::Given(given) => Ok(Arc::clone(given)),
            Self::Chain(source) => match source.current().await {
                Ok(found) => Ok(Arc::new(AwsCredential {
                    key_id: found.access_key_id().to_owned(),
                    secret_key: found.secret_access_key().to_owned(),
                    token: found.session_token().map(str::to_owned),
                })),
                Err(error) => {
                    Err(object_store::Error::Generic { store: "S3", source: Box::new(error) })
                }
            },
        }
    }
}

/// Returns a URL for a message, without the text before an `@`, which may be a password.
fn without_secrets(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(url: &str) -> Result<Path> {
        let migration = "m".to_owned();
        let endpoint = Some("http://127.0.0.1:9".to_owned());
        let plan =
            ArchivePlan { url: url.to_owned(), endpoint, migration, ..ArchivePlan::default() };
        open(&plan, "eu-west-1", None, Purpose::Writing).await.map(|location| location.prefix)
    }

    #[tokio::test]
    async fn urls_are_of_three_kinds_and_everything_else_is_refused() {
        assert_eq!(opened("memory://").await.unwrap(), Path::default());
        assert_eq!(opened("s3://bucket").await.unwrap(), Path::default());
        assert_eq!(opened("s3://bucket/a/b/").await.unwrap(), Path::from("a/b"));
        for wrong in [
            "",
            "bucket",
            "s3://",
            "s3:///a",
            "gs://b",
            "file://a",
            "s3://b/../c",
            "s3://b?x",
            "s3://key:secret@b",
            "s3://b/a#b",
        ] {
            assert!(matches!(opened(wrong).await, Err(LocationError::Url(_))), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_folder_has_any_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["jane@corp.example", "a#1", "what?", "100%", "%20", "with blank"] {
            let folder = root.path().join(name);
            opened(&format!("file://{}", folder.display())).await.unwrap();
            assert!(folder.is_dir(), "{name}");
        }
    }

    #[test]
    fn a_message_shows_no_password() {
        assert_eq!(without_secrets("s3://key:secret@bucket/a"), "s3://…@bucket/a");
    }
}
