//! The file of an embedded database that outlives its process. Each batch is one transaction,
//! synced to disk before it counts as written.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits;
use redb::{Database, DatabaseError, ReadableDatabase as _, TableDefinition};

use crate::overlay::state::disk::{self, Disk, DiskError, Packer};
use crate::overlay::state::store::Batch;

/// The file's name in its folder.
const FILE: &str = "database.redb";

/// Permissions of a new folder.
const FOLDER_MODE: u32 = 0o700;

/// Permissions of a new file.
const FILE_MODE: u32 = 0o600;

/// What the file says of itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// The member of it that names the format of keys and values.
const FORMAT: &str = "format";

/// The format that this build writes, and the only one it reads.
const FORMAT_VERSION: u64 = 1;

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("making the folder {0}")]
    Folder(PathBuf, #[source] io::Error),
    #[error("{0} is in use by another process: stop that process, or name another folder")]
    InUse(PathBuf),
    /// Another program's file, or another version's.
    #[error(
        "{0} holds no database of this version of datamigration: name another folder, or delete \
         this one"
    )]
    Format(PathBuf),
    #[error("opening the database in {0}")]
    Open(PathBuf, #[source] Box<redb::Error>),
    #[error("reading the database in {0}")]
    Disk(PathBuf, #[source] DiskError),
    /// A table that it holds.
    #[error("the database in {0} is damaged: {1}")]
    Damaged(PathBuf, String),
}

/// Writes batches, one at a time.
pub struct Writer {
    database: Arc<Database>,
    packer: Packer,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Makes a batch durable. It blocks.
    pub fn write(&self, batch: &Batch) -> Result<(), DiskError> {
        let pairs = batch.pairs.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        disk::write(&self.database, &self.packer, &batch.cleared, pairs)
    }
}

/// Opens the database of a folder; both are made if they are missing.
pub fn open(folder: &Path) -> Result<(Disk, Writer), KeptError> {
    let making = |error| KeptError::Folder(folder.to_owned(), error);
    // It holds whole items, which others of the machine may not read.
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
    made.map_err(making)?;
    let file = folder.join(FILE);
    let is_new = !file.exists();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    drop(options.open(&file).map_err(making)?);
    let opened = Database::builder()
        .set_cache_size(limits::OVERLAY_DISK_CACHE_BYTES_MAX)
        .create(&file)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => KeptError::InUse(folder.to_owned()),
            error => KeptError::Open(folder.to_owned(), Box::new(error.into())),
        })?;
    let database = Arc::new(opened);
    let failed = |error| KeptError::Open(folder.to_owned(), Box::new(error));
    if is_new {
        name_format(&database).map_err(failed)?;
        // The name of a new file is durable with its folder only.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(making)?;
    } else if format(&database).map_err(failed)? != Some(FORMAT_VERSION) {
        return Err(KeptError::Format(folder.to_owned()));
    }
    let of_disk = |error| KeptError::Disk(folder.to_owned(), error);
    let packer = Packer::new().map_err(|error| of_disk(DiskError::File(error)))?;
    let writer = Writer { database: Arc::clone(&database), packer };
    // Makes the map where there is none yet.
    disk::write(&database, &writer.packer, &[], std::iter::empty()).map_err(of_disk)?;
    Ok((Disk::over(database).map_err(of_disk)?, writer))
}

fn name_format(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(FORMAT, FORMAT_VERSION)?;
    Ok(transaction.commit()?)
}

fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    match database.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(about.get(FORMAT)?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_process_at_a_time_and_one_format() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        assert!(matches!(open(folder.path()), Err(KeptError::InUse(_))));
        drop(first);
        drop(open(folder.path()).unwrap());
        let database = Database::create(folder.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(ABOUT).unwrap().insert(FORMAT, 2).unwrap();
        transaction.commit().unwrap();
        drop(database);
        assert!(matches!(open(folder.path()), Err(KeptError::Format(_))));
    }
}
