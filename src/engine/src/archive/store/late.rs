//! For tests: a store in memory whose listings may be old ones, as those of a folder on NFS. Names
//! and contents are always the present ones. It also fails to read an object when a test asks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

#[derive(Clone, Debug, Default)]
pub struct Late {
    inner: Arc<InMemory>,
    old: Arc<Mutex<Option<Vec<ObjectMeta>>>>,
    unread: Arc<Mutex<Option<(Path, Path)>>>,
    is_slow: Arc<AtomicBool>,
    listings: Arc<AtomicUsize>,
}

/// What a slow one lists before it stops to answer.
const LISTED_SLOWLY: usize = 10;

impl Late {
    /// An empty one that lists what there is.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on it lists what is there now.
    pub async fn freeze(&self) {
        let all = self.inner.list(None).collect::<Vec<_>>().await;
        *self.old.lock().unwrap() = Some(all.into_iter().map(Result::unwrap).collect());
    }

    /// From now on it lists an object every two seconds, and after some of them does not answer.
    pub fn list_slowly(&self) {
        self.is_slow.store(true, Ordering::Relaxed);
    }

    /// How many listings were begun.
    pub fn listings(&self) -> usize {
        self.listings.load(Ordering::Relaxed)
    }

    fn slowly(
        &self,
        objects: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        if !self.is_slow.load(Ordering::Relaxed) {
            return objects;
        }
        let paced = objects.enumerate().then(|(at, object)| async move {
            let pause = if at == LISTED_SLOWLY { 60 } else { 2 };
            tokio::time::sleep(Duration::from_secs(pause)).await;
            object
        });
        paced.boxed()
    }

    /// From now on it lists nothing.
    pub fn freeze_empty(&self) {
        *self.old.lock().unwrap() = Some(Vec::new());
    }

    /// From now on it lists what there is.
    pub fn let_list(&self) {
        *self.old.lock().unwrap() = None;
    }

    /// Once the second object is there, the first one cannot be read, one time.
    pub fn fail_read(&self, path: &str, once_there: &str) {
        *self.unread.lock().unwrap() = Some((path.into(), once_there.into()));
    }

    async fn fails(&self, path: &Path) -> bool {
        let Some((unread, once_there)) = self.unread.lock().unwrap().clone() else { return false };
        let fails = unread == *path && self.inner.head(&once_there).await.is_ok();
        if fails {
            *self.unread.lock().unwrap() = None;
        }
        fails
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that lists late")
    }
}

#[async_trait]
impl ObjectStore for Late {
    async fn put_opts(
        &self,
        path: &Path,
        content: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(path, content, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if self.fails(path).await {
            // Of the kinds that are not tried again.
            let (path, source) = (path.to_string(), "a test wants it so".into());
            return Err(object_store::Error::PermissionDenied { path, source });
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let old = self.old.lock().unwrap().clone();
        let Some(old) = old else { return self.slowly(self.inner.list(prefix)) };
        let prefix = prefix.cloned().unwrap_or_default();
        let under = move |object: &ObjectMeta| object.location.prefix_matches(&prefix);
        let listed: Vec<_> = old.into_iter().filter(under).map(Ok).collect();
        futures::stream::iter(listed).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.slowly(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
