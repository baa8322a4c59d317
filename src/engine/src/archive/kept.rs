//! What a run stores in the archive besides its journal: log, report, difference. Each object is
//! created once. If a run has several attempts, each later one has a separate folder.

use crate::limits;
use bytes::Bytes;

use crate::archive::store::{Archive, ArchiveError, Created};

impl Archive {
    /// Creates an object of a run's folder under this name, or of its first attempt's folder that
    /// has none; its path.
    pub async fn keep(
        &self,
        folder: &str,
        name: &str,
        content: Bytes,
    ) -> Result<String, ArchiveError> {
        for attempt in 1..=limits::KEPT_ATTEMPTS_MAX {
            let path = match attempt {
                1 => format!("{folder}/{name}"),
                later => format!("{folder}/attempt-{later}/{name}"),
            };
            if let Created::New = self.create(&path, content.clone()).await? {
                return Ok(path);
            }
        }
        Err(ArchiveError::TooMany(folder.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use std::sync::Arc;

    #[tokio::test]
    async fn attempts_do_not_overwrite_each_other_and_the_same_twice_is_one() {
        let archive = Archive::over(Arc::new(InMemory::new()));
        let keep = |text: &'static str| {
            archive.keep("runs/m/000001", "report.json", Bytes::from_static(text.as_bytes()))
        };
        assert_eq!(keep("a").await.unwrap(), "runs/m/000001/report.json");
        assert_eq!(keep("b").await.unwrap(), "runs/m/000001/attempt-2/report.json");
        assert_eq!(keep("a").await.unwrap(), "runs/m/000001/report.json");
        assert_eq!(keep("c").await.unwrap(), "runs/m/000001/attempt-3/report.json");
    }
}
