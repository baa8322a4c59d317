//! Whether a store creates an object only if there is none. Everything that must happen once rests
//! on it: one journal has one writer, and one run one number. Older gateways of S3's protocol
//! ignore `If-None-Match` without a word, and overwrite.

use bytes::Bytes;

use crate::archive::store::folder::MARKER;
use crate::archive::store::{Archive, ArchiveError, Created};

/// The object that is created again and again.
pub(super) const PROBE: &str = MARKER;

/// What it holds, for who finds it.
const WORDS: &str = "Shows that this store creates an object only if there is none. Written by";

/// Creates an object that is there. Only where an archive is new it is not.
pub async fn creates_once(archive: &Archive) -> Result<(), ArchiveError> {
    // Two attempts are enough: after the first one it is there.
    for _ in 0..2 {
        // Another content each time: the same would count as a first attempt whose answer was lost.
        let content = Bytes::from(format!("{WORDS} {}.\n", crate::fresh_name::fresh_name()));
        if let Created::Exists(_) = archive.create(PROBE, content).await? {
            return Ok(());
        }
    }
    Err(ArchiveError::Overwrites)
}

impl Archive {
    /// Whether it was ever opened for writing.
    pub async fn is_marked(&self) -> Result<bool, ArchiveError> {
        self.exists(PROBE).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_store_that_creates_once_passes_again_and_again() {
        let archive = Archive::over(Arc::new(InMemory::new()));
        creates_once(&archive).await.unwrap();
        let there = archive.get(PROBE).await.unwrap();
        creates_once(&archive).await.unwrap();
        assert_eq!(archive.get(PROBE).await.unwrap(), there, "it is created once");
    }
}
