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
use crate::seed::{SEED_FILE, Seed, SeedError};

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

    /// Whether an earlier run has left something.
    pub fn is_kept(&self) -> bool {
        self.kept().is_dir()
    }

    /// The archive of its runs, as a URL.
    pub fn archive(&self) -> Result<String, EmbeddedError> {
        let folder = self.kept().join("archive");
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
        let begun = self.is_kept();
        let engine = if begun || keeps == Keeps::FromNowOn {
            let kept = self.kept();
            fs::create_dir_all(&kept)
                .and_then(|()| fs::write(kept.join(".gitignore"), "*\n"))
                .map_err(|error| EmbeddedError::Folder(kept.clone(), error))?;
            Engine::embedded_in(&kept.join("database"), &region)?
        } else {
            Engine::embedded(&region)
        };
        let engine = Arc::new(engine);
        if begun {
            let kept = self.kept();
            say(&format!("database: embedded, kept in {}", kept.display()));
        } else {
            self.seed(&engine).await?;
        }
        let database = Embedded::start(engine, ANY_PORT).await?;
        Ok(Served { database, region })
    }

    async fn seed(&self, engine: &Arc<Engine>) -> Result<(), EmbeddedError> {
        let file = self.folder.join(SEED_FILE);
        if !file.is_file() {
            say(&format!(
                "{} is missing, so the embedded database has no tables; --upstream URL names another \
                 database, --upstream aws AWS's",
                file.display()
            ));
            return Ok(());
        }
        let loaded = Seed::read(&file)?.load(engine).await?;
        let (tables, items) = (count(loaded.tables as u64), count(loaded.items as u64));
        say(&format!(
            "database: embedded, from {}: tables {tables}, items {items}",
            file.display()
        ));
        Ok(())
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
