//! A migration's folder with its own database: in memory for a dry run, or below
//! `.datamigration/`, next to the migration, once something was applied there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dm_contract::plan::Upstream;
use dm_engine::{CredentialSource, Engine, KeptError};
use dm_guard::{Embedded, StartError};

use crate::layout::count;
use crate::local::{ANY_PORT, REGION};
use crate::print::say;
use crate::seed::{self, Loaded, SEED_FILE, Seed, SeedError};

/// The folder with the database and archive of a migration, next to its seed.
const KEPT: &str = ".datamigration";

/// Name of a file in it that exists while the database has had no table. So a seed that is written
/// later is loaded, and tables that an apply deleted stay deleted.
const UNSEEDED: &str = "unseeded";

/// Why there is no embedded database.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error("starting the embedded database")]
    Start(#[from] StartError),
    #[error("preparing {0}")]
    Folder(PathBuf, #[source] io::Error),
    #[error("{0} has no {KEPT}: nothing was applied there with `datamigration run --apply`")]
    NothingKept(PathBuf),
    /// Somebody deleted it.
    #[error(
        "{0} has an archive and no database: what its runs wrote is gone, and nothing can be \
         restored. Pass --reset to the next `datamigration run --apply` to begin again"
    )]
    DatabaseGone(PathBuf),
}

/// Whether what a run writes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Kept only if an earlier run is kept.
    IfBegun,
    FromNowOn,
}

/// The folder where a migration has its database, archive and seed.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

/// A database that serves a guard of this process.
#[derive(Debug)]
pub struct Served {
    database: Embedded,
    region: String,
}

impl Home {
    /// Of a migration's folder, or of its manifest.
    pub fn of(path: &Path) -> Self {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        // A manifest in base/, or beside it, belongs to the folder above, where the seed is.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        // `.` and `..` have no name and no parent in the path.
        let full = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let belongs = |above: &&Path| {
            let base = full.file_name().is_some_and(|name| name == "base");
            base || !full.join(SEED_FILE).exists() && above.join(SEED_FILE).exists()
        };
        let folder = match full.parent().filter(belongs) {
            Some(above) if folder.file_name().is_none() => above,
            Some(_) => folder.parent().unwrap_or(folder),
            None => folder,
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Self { folder: folder.to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a database of earlier runs. A database with a partly loaded seed does not
    /// count.
    pub fn is_kept(&self) -> bool {
        let database = self.database();
        database.is_dir() && !seed::is_unfinished(&database)
    }

    /// Why nothing is kept.
    pub fn missing(&self) -> EmbeddedError {
        if !self.database().is_dir() && self.archive_folder().is_dir() {
            return EmbeddedError::DatabaseGone(self.kept());
        }
        EmbeddedError::NothingKept(self.folder.clone())
    }

    /// The archive of its runs, as a URL.
    pub fn archive(&self) -> Result<String, EmbeddedError> {
        let folder = self.archive_folder();
        let making = |error| EmbeddedError::Folder(folder.clone(), error);
        private(&folder).map_err(making)?;
        let folder = fs::canonicalize(&folder).map_err(making)?;
        Ok(format!("file://{}", folder.display()))
    }

    /// Deletes what earlier runs left, unless another process has the database open.
    pub fn reset(&self) -> Result<(), EmbeddedError> {
        let database = self.database();
        let opened = database.is_dir().then(|| Engine::embedded(REGION, Some(&database)));
        if let Some(Err(error @ KeptError::InUse(_))) = opened {
            return Err(error.into());
        }
        match fs::remove_dir_all(self.kept()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::Folder(self.kept(), error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Starts the database with the data of earlier runs, or with the seed.
    pub async fn serve(&self, region: Option<&str>, keeps: Keeps) -> Result<Served, EmbeddedError> {
        let region = region.unwrap_or(REGION).to_owned();
        let engine = self.engine(&region, keeps).await?;
        let database = Embedded::start(engine, ANY_PORT).await?;
        Ok(Served { database, region })
    }

    async fn engine(&self, region: &str, keeps: Keeps) -> Result<Arc<Engine>, EmbeddedError> {
        let on_disk = self.is_kept() || keeps == Keeps::FromNowOn;
        if on_disk && let Some(engine) = self.on_disk(region, keeps).await? {
            return Ok(engine);
        }
        let engine = Arc::new(Engine::embedded(region, None)?);
        if let Some(seed) = self.seed()? {
            self.say_loaded(seed.load(&engine).await?);
        }
        Ok(engine)
    }

    /// The database on disk, with the seed if no run has begun there, or none has found a table
    /// there. `None` where a run that keeps nothing would load the seed.
    async fn on_disk(
        &self,
        region: &str,
        keeps: Keeps,
    ) -> Result<Option<Arc<Engine>>, EmbeddedError> {
        // Before a file is created: a seed that cannot be read must not leave a database.
        let seed = if self.is_kept() { None } else { Some(self.seed()?) };
        let kept = self.kept();
        private(&kept)
            .and_then(|()| fs::write(kept.join(".gitignore"), "*\n"))
            .map_err(|error| EmbeddedError::Folder(kept.clone(), error))?;
        let folder = self.database();
        let engine = Arc::new(Engine::embedded(region, Some(&folder))?);
        // Only one process has the database open: another process's load has ended, finished or
        // not.
        seed::discard_unfinished(&engine, &folder).await?;
        let has_tables = seed::has_tables(&engine).await;
        let is_unseeded = kept.join(UNSEEDED).exists();
        if has_tables || (self.archive_folder().is_dir() && !is_unseeded) {
            self.mark_unseeded(false)?;
            self.say_kept(has_tables);
            return Ok(Some(engine));
        }
        if keeps == Keeps::IfBegun {
            return Ok(None);
        }
        let seed = match seed {
            Some(seed) => seed,
            None => self.seed()?,
        };
        self.mark_unseeded(true)?;
        if let Some(seed) = seed {
            let loaded = seed.load_into(&engine, &folder).await?;
            self.mark_unseeded(loaded.tables == 0)?;
            self.say_loaded(loaded);
        }
        Ok(Some(engine))
    }

    /// Notes whether the database has had no table yet.
    fn mark_unseeded(&self, unseeded: bool) -> Result<(), EmbeddedError> {
        let mark = self.kept().join(UNSEEDED);
        let marked = if unseeded { fs::write(&mark, "") } else { fs::remove_file(&mark) };
        match marked {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::Folder(mark, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn say_kept(&self, has_tables: bool) {
        let kept = self.kept();
        say(&format!("database: embedded, kept in {}", kept.display()));
        if !has_tables {
            say(&format!(
                "It has no tables. {SEED_FILE} is not loaded, because an apply ran in this \
                 database. --reset deletes the database and loads {SEED_FILE}."
            ));
        }
    }

    /// The seed, if there is one.
    fn seed(&self) -> Result<Option<Seed>, SeedError> {
        let file = self.folder.join(SEED_FILE);
        if file.is_file() {
            return Seed::read(&file).map(Some);
        }
        say(&format!(
            "{} is missing, so the embedded database has no tables; pass --upstream URL for \
             another database, or --upstream aws for AWS",
            file.display()
        ));
        Ok(None)
    }

    fn say_loaded(&self, loaded: Loaded) {
        let file = self.folder.join(SEED_FILE);
        let (tables, items) = (count(loaded.tables as u64), count(loaded.items as u64));
        say(&format!(
            "database: embedded, from {}: tables {tables}, items {items}",
            file.display()
        ));
    }

    fn database(&self) -> PathBuf {
        self.kept().join("database")
    }

    fn archive_folder(&self) -> PathBuf {
        self.kept().join("archive")
    }

    fn kept(&self) -> PathBuf {
        self.folder.join(KEPT)
    }
}

impl Served {
    /// The database as a guard finds it.
    pub fn upstream(&self) -> Upstream {
        Upstream {
            region: self.region.clone(),
            endpoint: Some(format!("http://{}", self.database.address)),
        }
    }

    /// Credentials for the database, which accepts any.
    pub fn credentials() -> CredentialSource {
        CredentialSource::of_keys("local", "local")
    }

    /// Stops the database; kept data is on disk.
    pub async fn stop(self) {
        self.database.stop().await;
    }
}

/// Creates a folder that only its owner can read, because it contains items.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use dm_engine::{Call, Operation};
    use serde_json::{Value, json};

    #[test]
    fn the_place_is_next_to_the_seed_wherever_the_manifest_is() {
        let root = tempfile::tempdir().unwrap();
        let migration = root.path().join("0001-x");
        fs::create_dir_all(migration.join("base")).unwrap();
        for path in ["", "base", "base/migration.yaml", "migration.yaml"] {
            assert_eq!(Home::of(&migration.join(path)).folder.components().as_path(), migration);
        }
        assert_eq!(Home::of(Path::new("migration.yaml")).folder, Path::new("."));
        // As in `cd base/inner && datamigration run ..`.
        fs::create_dir(migration.join("base/inner")).unwrap();
        let full = fs::canonicalize(&migration).unwrap();
        assert_eq!(Home::of(&migration.join("base/inner/..")).folder, full);
    }

    const SEED: &str = r#"{"tables": {"cars": {"key": {"id": "S"}, "items": [{"id": "1"}]}}}"#;

    async fn opened(home: &Home, keeps: Keeps) -> Arc<Engine> {
        loop {
            match home.engine("us-east-1", keeps).await {
                Ok(engine) => return engine,
                // Answers of the previous engine may hold the lock for a moment.
                Err(EmbeddedError::Kept(KeptError::InUse(_))) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Whether the database of the next run has tables, and whether it is in memory.
    async fn next(home: &Home, keeps: Keeps) -> (bool, bool) {
        let engine = opened(home, keeps).await;
        let in_memory = Engine::embedded("us-east-1", Some(&home.database())).is_ok();
        (seed::has_tables(&engine).await, in_memory)
    }

    #[tokio::test]
    async fn a_seed_that_is_written_after_the_first_apply_is_loaded() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::of(root.path());
        assert_eq!(next(&home, Keeps::FromNowOn).await, (false, false));
        home.archive().unwrap();
        fs::write(root.path().join(SEED_FILE), SEED).unwrap();
        let in_memory = next(&home, Keeps::IfBegun).await;
        assert_eq!(in_memory, (true, true), "a dry run keeps nothing, not even the seed");
        assert_eq!(next(&home, Keeps::FromNowOn).await, (true, false));
        assert_eq!(next(&home, Keeps::IfBegun).await, (true, false));
    }

    #[tokio::test]
    async fn tables_that_an_apply_has_deleted_are_not_loaded_again() {
        for seeded_late in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let home = Home::of(root.path());
            if seeded_late {
                assert_eq!(next(&home, Keeps::FromNowOn).await, (false, false));
                home.archive().unwrap();
            }
            fs::write(root.path().join(SEED_FILE), SEED).unwrap();
            assert_eq!(next(&home, Keeps::FromNowOn).await, (true, false));
            home.archive().unwrap();
            delete_cars(&home).await;
            for keeps in [Keeps::FromNowOn, Keeps::IfBegun] {
                assert_eq!(next(&home, keeps).await, (false, false), "late: {seeded_late}");
            }
        }
    }

    async fn delete_cars(home: &Home) {
        let engine = opened(home, Keeps::FromNowOn).await;
        let Value::Object(request) = json!({"TableName": "cars"}) else {
            unreachable!("an object")
        };
        let answer = engine.handle(Call::new(Operation::DeleteTable, request)).await;
        assert_eq!(answer.status, 200);
    }
}
