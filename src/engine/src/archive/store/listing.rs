//! Listings. A journal of one segment for each write has millions, of which a store lists a
//! thousand per request: so a listing has no time limit as a whole, only until its next object.

use crate::limits;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _};
use tokio::time::Instant;

use crate::archive::store::{Archive, ArchiveError, Listed, Result, is_final, is_missing};

impl Archive {
    /// The objects under a folder, in order of their paths. More than can be kept in memory by a
    /// guard are an error.
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>> {
        self.list_up_to(folder, limits::ARCHIVE_LISTED_MAX).await
    }

    /// The same for one who has the memory for all of them, some 200 bytes each.
    pub async fn list_all(&self, folder: &str) -> Result<Vec<Listed>> {
        self.list_up_to(folder, usize::MAX).await
    }

    async fn list_up_to(&self, folder: &str, most: usize) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut is_over = false;
        self.visit(folder, |object| {
            is_over = listed.len() >= most;
            if !is_over {
                listed.push(object);
            }
            !is_over
        })
        .await?;
        if is_over {
            return Err(ArchiveError::TooMany(folder.to_owned()));
        }
        listed.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(listed)
    }

    /// Shows each object under a folder once, as they come, until `take` returns false.
    pub async fn visit(&self, folder: &str, mut take: impl FnMut(Listed) -> bool) -> Result<()> {
        let whole = self.whole(folder);
        let own = self.prefix.parts().count();
        let of = |object: &ObjectMeta| Listed {
            path: object.location.parts().skip(own).collect::<Path>().to_string(),
            bytes: object.size,
            written_at_s: object.last_modified.timestamp(),
        };
        // A folder has no order: what has come before an error says nothing of what is left.
        let has_order = self.folder.is_none();
        let mut last: Option<Path> = None;
        let mut begun = Instant::now();
        let mut backoff = limits::ARCHIVE_BACKOFF_FIRST;
        loop {
            let mut objects = match &last {
                Some(last) => self.store.list_with_offset(Some(&whole), last),
                None => self.store.list(Some(&whole)),
            };
            let mut held = Vec::new();
            let error = loop {
                match tokio::time::timeout(limits::ARCHIVE_ATTEMPT_MAX, objects.next()).await {
                    Ok(Some(Ok(object))) if has_order => {
                        if !take(of(&object)) {
                            return Ok(());
                        }
                        last = Some(object.location);
                        (begun, backoff) = (Instant::now(), limits::ARCHIVE_BACKOFF_FIRST);
                    }
                    Ok(Some(Ok(object))) => held.push(of(&object)),
                    Ok(Some(Err(source))) if is_missing(&source) => break None,
                    Ok(Some(Err(source))) => break Some(failed(folder, source)),
                    Ok(None) => break None,
                    Err(_) => {
                        let path = folder.to_owned();
                        break Some((ArchiveError::NoAnswer { what: LISTING, path }, false));
                    }
                }
            };
            let Some((error, is_final)) = error else {
                held.into_iter().all(take);
                return Ok(());
            };
            let pause = backoff.mul_f64(crate::upstream::jitter());
            if is_final || begun.elapsed() + pause > self.call_max {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            backoff = (backoff * 2).min(limits::ARCHIVE_BACKOFF_MAX);
        }
    }
}

/// The error of a listing, and whether trying again is of no use.
fn failed(folder: &str, source: object_store::Error) -> (ArchiveError, bool) {
    let is_final = is_final(&source);
    let (path, source) = (folder.to_owned(), Box::new(source));
    (ArchiveError::Store { what: LISTING, path, source }, is_final)
}

const LISTING: &str = "listing";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::store::late::Late;
    use bytes::Bytes;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn a_listing_may_take_long_and_goes_on_where_it_was_cut_off() {
        let store = Late::new();
        let archive = Archive::over(Arc::new(store.clone()));
        for number in 0..40 {
            let path = format!("runs/{number:03}");
            archive.replace(&path, Bytes::from_static(b"1")).await.unwrap();
        }
        store.list_slowly();
        let listed = archive.list("runs").await.unwrap();
        let paths: Vec<&str> = listed.iter().map(|object| object.path.as_str()).collect();
        let expected: Vec<String> = (0..40).map(|number| format!("runs/{number:03}")).collect();
        assert_eq!(paths, expected, "each once");
        assert!(store.listings() > 3, "it was cut off again and again");
        assert_eq!(archive.list_up_to("runs", 40).await.unwrap().len(), 40);
        let error = archive.list_up_to("runs", 39).await.unwrap_err();
        assert!(matches!(error, ArchiveError::TooMany(_)), "{error}");
    }
}
