//! Whether an archive can do what runs ask of it: create an object once, read it, and list a
//! folder.

use crate::archive::store::{Archive, Result, probe};

/// A folder in which no object is ever created: listing it takes one short answer.
const EMPTY_FOLDER: &str = "check";

impl Archive {
    /// Creates, reads and lists. The only object that it leaves is the probe's, which every archive
    /// has.
    pub async fn check_usable(&self) -> Result<()> {
        probe::creates_once(self).await?;
        self.get(probe::PROBE).await?;
        self.list(EMPTY_FOLDER).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_check_leaves_one_object() {
        let archive = Archive::over(Arc::new(InMemory::new()));
        for _ in 0..2 {
            archive.check_usable().await.unwrap();
        }
        let left: Vec<_> = archive.list("").await.unwrap().into_iter().map(|o| o.path).collect();
        assert_eq!(left, [probe::PROBE]);
    }
}
