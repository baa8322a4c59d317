//! An archive in a folder: only its owner may read it, whatever the process's umask is, because journals
//! hold whole items. The archive's own root is closed only where it is made here: it may be a volume.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Permissions of every folder.
const FOLDER_MODE: u32 = 0o700;

/// Permissions of every file.
const FILE_MODE: u32 = 0o600;

/// The folder of an archive.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder that is there.
    pub fn existing(root: PathBuf) -> io::Result<Self> {
        if !std::fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self(root))
    }

    /// The same, made if it is not there. What an earlier version has left open in it is closed.
    pub fn for_writing(root: PathBuf) -> io::Result<Self> {
        make(&root)?;
        let folder = Self::existing(root)?;
        for entry in std::fs::read_dir(&folder.0)? {
            let entry = entry?;
            let is_ours = ["ledger", "locks", "runs"].iter().any(|name| entry.file_name() == *name);
            if is_ours && entry.file_type()?.is_dir() {
                // Of another user it is, and that user's to close.
                close(&entry.path(), FOLDER_MODE).ok();
            }
        }
        Ok(folder)
    }

    /// Makes the folders above an object, before it is put.
    pub fn prepare(&self, path: &str) -> io::Result<()> {
        match self.0.join(path).parent() {
            Some(folder) if !folder.is_dir() => make(folder),
            Some(_) | None => Ok(()),
        }
    }

    /// Closes an object, after it was put.
    pub fn close(&self, path: &str) -> io::Result<()> {
        close(&self.0.join(path), FILE_MODE)
    }
}

/// Makes a folder and those above it, each durable in the one above.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("/"));
    make(above)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => {
            close(folder, FOLDER_MODE)?;
            File::open(above)?.sync_all()
        }
        // Somebody else has just made it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn close(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}
