//! A migration's folder with a database of its own: in memory for a dry run, or below
//! `.datamigration/`, next to the migration, once something was applied there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dm_contract::plan::Upstream;
use dm_engine::{CredentialSource, Engine, KeptError};
use dm_guard::{Embedded, StartError};

use crate::layout::count;
use crate::local::{ANY_PORT, REGION};
use crate::print::say;
use crate::seed::{self, Loaded, SEED_FILE, Seed, SeedError};

/// What a migration's folder keeps, next to its seed.
const KEPT: &str = ".datamigration";

/// Why there is no embedded database.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The folder.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Its server.
    #[error("starting the embedded database")]
    Start(#[from] StartError),
    /// What is kept.
    #[error("preparing {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// Nothing was applied.
    #[error("{0} has no {KEPT}: nothing was applied there with `datamigration run --apply`")]
    NothingKept(PathBuf),
}

/// Whether what a run writes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Only if an earlier run has begun to.
    IfBegun,
    /// From now on.
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
        let belongs = |above: &&Path| {
            let base = folder.file_name().is_some_and(|name| name == "base");
            base || !folder.join(SEED_FILE).exists() && above.join(SEED_FILE).exists()
        };
        let above = folder.parent().filter(belongs);
        let folder = above.unwrap_or(folder);
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Self { folder: folder.to_owned() }
    }

    /// The migration's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a database of earlier runs. One whose seed is not loaded whole is none.
    pub fn is_kept(&self) -> bool {
        let database = self.database();
        database.is_dir() && !seed::is_unfinished(&database)
    }

    /// The archive of its runs, as a URL.
    pub fn archive(&self) -> Result<String, EmbeddedError> {
        let folder = self.archive_folder();
        let making = |error| EmbeddedError::Folder(folder.clone(), error);
        fs::create_dir_all(&folder).map_err(making)?;
        let folder = fs::canonicalize(&folder).map_err(making)?;
        Ok(format!("file://{}", folder.display()))
    }

    /// Forgets what earlier runs have left.
    pub fn reset(&self) -> Result<(), EmbeddedError> {
        match fs::remove_dir_all(self.kept()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::Folder(self.kept(), error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Starts the database with what earlier runs have left, or with the seed.
    pub async fn serve(&self, region: Option<&str>, keeps: Keeps) -> Result<Served, EmbeddedError> {
        let region = region.unwrap_or(REGION).to_owned();
        let engine = if self.is_kept() || keeps == Keeps::FromNowOn {
            self.on_disk(&region).await?
        } else {
            let engine = Arc::new(Engine::embedded(&region));
            if let Some(seed) = self.seed()? {
                self.say_loaded(seed.load(&engine).await?);
            }
            engine
        };
        let database = Embedded::start(engine, ANY_PORT).await?;
        Ok(Served { database, region })
    }

    /// The database on disk, with the seed if no run has begun there.
    async fn on_disk(&self, region: &str) -> Result<Arc<Engine>, EmbeddedError> {
        // Before anything is made: a seed that cannot be read must not leave a database behind.
        let seed = if self.is_kept() { None } else { Some(self.seed()?) };
        let kept = self.kept();
        fs::create_dir_all(&kept)
            .and_then(|()| fs::write(kept.join(".gitignore"), "*\n"))
            .map_err(|error| EmbeddedError::Folder(kept.clone(), error))?;
        let folder = self.database();
        let engine = Arc::new(Engine::embedded_in(&folder, region)?);
        // Only one process has it open: what another one was loading is finished or never will be.
        seed::discard_unfinished(&engine, &folder).await?;
        if seed::has_tables(&engine).await || self.archive_folder().is_dir() {
            say(&format!("database: embedded, kept in {}", kept.display()));
            return Ok(engine);
        }
        let seed = match seed {
            Some(seed) => seed,
            None => self.seed()?,
        };
        if let Some(seed) = seed {
            self.say_loaded(seed.load_into(&engine, &folder).await?);
        }
        Ok(engine)
    }

    /// The seed, if there is one.
    fn seed(&self) -> Result<Option<Seed>, SeedError> {
        let file = self.folder.join(SEED_FILE);
        if file.is_file() {
            return Seed::read(&file).map(Some);
        }
        say(&format!(
            "{} is missing, so the embedded database has no tables; --upstream URL names another \
             database, --upstream aws AWS's",
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

    /// Credentials for it, which takes any.
    pub fn credentials() -> CredentialSource {
        CredentialSource::of_keys("local", "local")
    }

    /// Ends it; what it keeps is on disk.
    pub async fn stop(self) {
        self.database.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_next_to_the_seed_wherever_the_manifest_is() {
        let root = tempfile::tempdir().unwrap();
        let migration = root.path().join("0001-x");
        fs::create_dir_all(migration.join("base")).unwrap();
        for path in ["", "base", "base/migration.yaml", "migration.yaml"] {
            assert_eq!(Home::of(&migration.join(path)).folder.components().as_path(), migration);
        }
        assert_eq!(Home::of(Path::new("migration.yaml")).folder, Path::new("."));
    }
}
