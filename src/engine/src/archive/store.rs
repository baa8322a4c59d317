//! The objects of an archive, behind a URL.
//!
//! Calls here have time limits and are tried again; what the objects hold is others' to know. An
//! object of a run is created if absent and never changed, so a call tried again does no harm.

mod folder;
#[cfg(test)]
pub mod late;
mod listing;
pub mod location;
mod probe;
mod s3_http;
mod usable;

use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use bytes::Bytes;
use dm_contract::plan::{ArchivePlan, Plan};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::time::Instant;

use crate::upstream::CredentialSource;

use crate::archive::store::folder::Folder;
use crate::archive::store::location::LocationError;
use crate::archive::store::location::{Location, Purpose};

/// Why the archive did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Its URL or what belongs to it.
    #[error("opening the archive")]
    Location(#[from] LocationError),
    /// The store has answered with an error, again and again.
    #[error("{what} `{path}` in the archive")]
    Store {
        /// What was being done.
        what: &'static str,
        path: String,
        source: Box<object_store::Error>,
    },
    /// The store did not answer.
    #[error("{what} `{path}` in the archive: no answer in time")]
    NoAnswer {
        /// What was being done.
        what: &'static str,
        path: String,
    },
    /// The store overwrites what is to be created once.
    #[error(
        "the archive's server ignores If-None-Match: it overwrites an object that is there instead \
         of refusing to create it again. Two runs could write into one journal, so nothing is \
         written. Use a server that supports conditional writes"
    )]
    Overwrites,
    /// A file's permissions or its folder.
    #[error("preparing the file `{path}` in the archive")]
    Private { path: String, source: std::io::Error },
    /// More than is ever read into memory.
    #[error("`{0}` in the archive is larger than anything that is kept there")]
    TooLarge(String),
    /// More objects than are ever listed.
    #[error(
        "more objects under `{0}` in the archive than are kept in memory. `datamigration archive \
         gc` deletes those of old runs"
    )]
    TooMany(String),
}

type Result<T> = std::result::Result<T, ArchiveError>;

/// An archive that has been opened.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// On a disk, where only its owner may read it.
    folder: Option<Folder>,
    lists_late: bool,
    /// Time for one call with all its attempts.
    call_max: Duration,
}

/// What creating an object came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is ours: it was not there before.
    New,
    /// Another was there already, with this content.
    Exists(Bytes),
}

/// An object as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path in the archive.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written, in seconds since 1970, by the store's clock.
    pub written_at_s: i64,
}

impl Archive {
    /// Opens the archive of a plan for writing, which makes a folder that is not there, and finds
    /// out whether its store creates an object only if there is none.
    pub async fn open(plan: &ArchivePlan, region: &str) -> Result<Self> {
        Self::open_as(plan, region, None).await
    }

    /// Opens the archive that a run's plan names, if it names one.
    pub async fn of_plan(plan: &Plan) -> Result<Option<Self>> {
        match &plan.archive {
            Some(archive) => Self::open(archive, &plan.upstream.region).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same as [`Self::open`] with credentials other than those of the environment.
    pub async fn open_as(
        plan: &ArchivePlan,
        region: &str,
        credentials: Option<CredentialSource>,
    ) -> Result<Self> {
        let located = location::open(plan, region, credentials, Purpose::Writing).await?;
        let archive = Self::at(located);
        probe::creates_once(&archive).await?;
        Ok(archive)
    }

    /// Opens an archive that must be there already, to look into it. Nothing is asked of it yet,
    /// but credentials may be.
    pub async fn existing(plan: &ArchivePlan, region: &str) -> Result<Self> {
        Ok(Self::at(location::open(plan, region, None, Purpose::Reading).await?))
    }

    fn at(Location { store, prefix, folder }: Location) -> Self {
        let lists_late = folder.is_some();
        Self { store, prefix, folder, lists_late, call_max: limits::ARCHIVE_CALL_MAX }
    }

    /// An archive in a store that is already there.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        let (prefix, call_max) = (Path::default(), limits::ARCHIVE_CALL_MAX);
        Self { store, prefix, folder: None, lists_late: false, call_max }
    }

    /// The same archive for one who waits less than usual: a call that fails returns its error in
    /// this time.
    #[must_use]
    pub fn within(&self, call_max: Duration) -> Self {
        Self { call_max: call_max.min(self.call_max), ..self.clone() }
    }

    /// The same of a store whose listings are late.
    #[cfg(test)]
    pub(crate) fn listing_late(store: Arc<dyn ObjectStore>) -> Self {
        Self { lists_late: true, ..Self::over(store) }
    }

    /// Finds out whether its store creates an object only if there is none, before it is written
    /// to.
    pub async fn probe(&self) -> Result<()> {
        probe::creates_once(self).await
    }

    /// Whether a listing may leave out what was created shortly before, as that of a folder on NFS
    /// does: then names decide, and listings only say where to begin.
    pub fn lists_late(&self) -> bool {
        self.lists_late
    }

    /// Creates an object if there is none. A first attempt whose answer was lost counts as ours:
    /// what is there then is what we sent.
    pub async fn create(&self, path: &str, content: Bytes) -> Result<Created> {
        let created = self.put("creating", path, &content, PutMode::Create).await;
        match created {
            Ok(()) => Ok(Created::New),
            Err(ArchiveError::Store { source, .. }) if is_taken(&source) => {
                match self.get(path).await? {
                    Some(there) if there == content => Ok(Created::New),
                    Some(there) => Ok(Created::Exists(there)),
                    // It went away in between.
                    None => {
                        Err(ArchiveError::Store { what: "creating", path: path.into(), source })
                    }
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Writes an object, whether or not there is one.
    pub async fn replace(&self, path: &str, content: Bytes) -> Result<()> {
        self.put("writing", path, &content, PutMode::Overwrite).await
    }

    async fn put(
        &self,
        what: &'static str,
        path: &str,
        content: &Bytes,
        mode: PutMode,
    ) -> Result<()> {
        let whole = self.whole(path);
        let put = || async {
            if let Some(folder) = &self.folder
                && let Err(error) = folder.prepare(path).await
            {
                return Ok(Err(error));
            }
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            self.store.put_opts(&whole, PutPayload::from(content.clone()), options).await?;
            match &self.folder {
                Some(folder) => Ok(folder.close(path).await),
                None => Ok(Ok(())),
            }
        };
        let done = self.tried(what, path, put).await?;
        done.map_err(|source| ArchiveError::Private { path: path.to_owned(), source })
    }

    /// Whether there is an object of this name.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        let whole = self.whole(path);
        match self.tried("looking for", path, || self.store.head(&whole)).await {
            Ok(_) => Ok(true),
            Err(ArchiveError::Store { source, .. }) if is_missing(&source) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads an object whole; `None` if there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let whole = self.whole(path);
        let read = self
            .tried("reading", path, || async {
                let found = self.store.get(&whole).await?;
                if found.meta.size > limits::ARCHIVE_OBJECT_BYTES_MAX {
                    return Ok(None);
                }
                found.bytes().await.map(Some)
            })
            .await;
        match read {
            Ok(Some(content)) => Ok(Some(content)),
            Ok(None) => Err(ArchiveError::TooLarge(path.to_owned())),
            Err(ArchiveError::Store { source, .. }) if is_missing(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes an object away, if it is there.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let whole = self.whole(path);
        match self.tried("deleting", path, || self.store.delete(&whole)).await {
            Err(ArchiveError::Store { source, .. }) if is_missing(&source) => Ok(()),
            other => other,
        }
    }

    fn whole(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }

    /// Tries until it succeeds, fails for good, or the call's time is over.
    async fn tried<T, F>(
        &self,
        what: &'static str,
        path: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let begun = Instant::now();
        let mut backoff = limits::ARCHIVE_BACKOFF_FIRST;
        loop {
            let path = || path.to_owned();
            let error = match tokio::time::timeout(limits::ARCHIVE_ATTEMPT_MAX, attempt()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(source)) if is_final(&source) => {
                    return Err(ArchiveError::Store {
                        what,
                        path: path(),
                        source: Box::new(source),
                    });
                }
                Ok(Err(source)) => {
                    ArchiveError::Store { what, path: path(), source: Box::new(source) }
                }
                Err(_) => ArchiveError::NoAnswer { what, path: path() },
            };
            let pause = backoff.mul_f64(crate::upstream::jitter());
            if begun.elapsed() + pause > self.call_max {
                return Err(error);
            }
            tracing::debug!(error = &error as &dyn std::error::Error, "archive is tried again");
            tokio::time::sleep(pause).await;
            backoff = (backoff * 2).min(limits::ARCHIVE_BACKOFF_MAX);
        }
    }
}

fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

fn is_taken(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }
    )
}

/// Whether another attempt would end in the same way.
fn is_final(error: &object_store::Error) -> bool {
    use object_store::Error;
    is_missing(error)
        || is_taken(error)
        || matches!(
            error,
            Error::InvalidPath { .. }
                | Error::NotSupported { .. }
                | Error::NotImplemented { .. }
                | Error::PermissionDenied { .. }
                | Error::Unauthenticated { .. }
                | Error::UnknownConfigurationKey { .. }
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn archive(prefix: &str) -> Archive {
        Archive { prefix: Path::from(prefix), ..Archive::over(Arc::new(InMemory::new())) }
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn an_object_is_created_once_and_the_same_content_again_is_ours() {
        let archive = archive("team/archive");
        assert_eq!(archive.create("a/b", bytes("x")).await.unwrap(), Created::New);
        assert_eq!(archive.create("a/b", bytes("x")).await.unwrap(), Created::New);
        assert_eq!(archive.create("a/b", bytes("y")).await.unwrap(), Created::Exists(bytes("x")));
        assert_eq!(archive.get("a/b").await.unwrap(), Some(bytes("x")));
        assert_eq!(archive.get("a/c").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_folder_whose_server_is_away_holds_nothing_but_its_own_calls() {
        let outer = tempfile::tempdir().unwrap();
        let mut folder = Folder::for_writing(outer.path().to_owned()).unwrap();
        folder.answers_after = Duration::from_millis(300);
        let store = object_store::local::LocalFileSystem::new_with_prefix(outer.path()).unwrap();
        let archive = Archive { folder: Some(folder), ..Archive::over(Arc::new(store)) };
        let put = archive.replace("a/b", bytes("1"));
        tokio::pin!(put);
        let mut turns = 0;
        // There is one thread: if the folder held it, nothing else would run.
        while tokio::time::timeout(Duration::from_millis(10), &mut put).await.is_err() {
            turns += 1;
        }
        assert!(turns > 10, "{turns}");
        assert_eq!(archive.get("a/b").await.unwrap(), Some(bytes("1")));
    }

    #[tokio::test]
    async fn listings_are_in_order_and_paths_are_the_archives_own() {
        let archive = archive("team/archive");
        for path in ["runs/b", "runs/a/2", "runs/a/10", "ledger/x"] {
            archive.replace(path, bytes("1")).await.unwrap();
        }
        let listed = archive.list("runs").await.unwrap();
        let paths: Vec<&str> = listed.iter().map(|object| object.path.as_str()).collect();
        assert_eq!(paths, ["runs/a/10", "runs/a/2", "runs/b"]);
        assert_eq!(archive.list("nothing").await.unwrap(), []);
        archive.delete("runs/b").await.unwrap();
        archive.delete("runs/b").await.unwrap();
        assert_eq!(archive.get("runs/b").await.unwrap(), None);
    }
}
