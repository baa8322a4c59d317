//! A seed into a database on disk: whole, or not at all, also if the process is killed during the
//! load. A file next to the database says that a load has begun; the next process that opens the
//! database deletes what it left.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use dm_engine::{Engine, Operation};
use serde_json::json;

use super::load::{self, Loaded};
use super::{Seed, SeedError};

/// The file's name in the database's folder.
const MARK: &str = "seeding";

/// Whether a seed is being loaded into the database of a folder, or was not loaded whole.
pub fn is_unfinished(folder: &Path) -> bool {
    folder.join(MARK).exists()
}

/// Deletes what an unfinished load has left; returns whether there was one. The database is open,
/// so no other process is loading.
pub async fn discard_unfinished(engine: &Arc<Engine>, folder: &Path) -> Result<bool, SeedError> {
    if !is_unfinished(folder) {
        return Ok(false);
    }
    let failed = |why| SeedError::Discard(folder.to_owned(), why);
    loop {
        let tables = load::tables(engine).await.map_err(failed)?;
        if tables.is_empty() {
            break;
        }
        for table in tables {
            let request = json!({"TableName": table});
            load::call(engine, Operation::DeleteTable, request).await.map_err(failed)?;
        }
    }
    unmark(folder)?;
    Ok(true)
}

impl Seed {
    /// Loads it into the empty database of a folder. On an error the load stays unfinished.
    pub async fn load_into(
        &self,
        engine: &Arc<Engine>,
        folder: &Path,
    ) -> Result<Loaded, SeedError> {
        mark(folder).map_err(|error| SeedError::Mark(folder.to_owned(), error))?;
        let loaded = self.load(engine).await?;
        unmark(folder)?;
        Ok(loaded)
    }
}

/// Durable, as each table and item is.
fn mark(folder: &Path) -> io::Result<()> {
    File::create(folder.join(MARK))?.sync_all()?;
    File::open(folder)?.sync_all()
}

fn unmark(folder: &Path) -> Result<(), SeedError> {
    fs::remove_file(folder.join(MARK)).map_err(|error| SeedError::Mark(folder.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seed(folder: &Path, items: &str) -> Seed {
        let file = folder.join("seed.json");
        let table = r#"{"key": {"id": "S"}, "items": ["#;
        let text = format!(r#"{{"tables": {{"cars": {table}]}}, "makers": {table}{items}]}}}}}}"#);
        fs::write(&file, text).unwrap();
        Seed::read(&file).unwrap()
    }

    #[tokio::test]
    async fn a_seed_that_was_not_loaded_whole_is_no_database() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("database");
        // What the engine before has answered may hold it for a moment.
        let open = async || loop {
            match Engine::embedded("us-east-1", Some(&folder)) {
                Ok(engine) => break Arc::new(engine),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let engine = open().await;
        let wrong = seed(root.path(), r#"{"id": "1"}, {"name": "no key"}"#);
        let error = wrong.load_into(&engine, &folder).await.unwrap_err().to_string();
        assert!(error.contains("tables.makers.items[1]"), "{error}");
        assert!(is_unfinished(&folder) && load::has_tables(&engine).await);
        drop(engine);

        let engine = open().await;
        assert!(discard_unfinished(&engine, &folder).await.unwrap());
        assert!(!is_unfinished(&folder) && !load::has_tables(&engine).await);
        let right = seed(root.path(), r#"{"id": "1"}, {"id": "2"}"#);
        let loaded = right.load_into(&engine, &folder).await.unwrap();
        assert_eq!(loaded, Loaded { tables: 2, items: 2 });
        assert!(!is_unfinished(&folder));
        assert!(!discard_unfinished(&engine, &folder).await.unwrap());
        assert!(load::has_tables(&engine).await, "what is whole stays");
    }
}
