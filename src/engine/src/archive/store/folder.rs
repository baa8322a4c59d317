//! An archive in a folder: only its owner may read it, whatever the process's umask is, because
//! journals hold whole items. The archive's own root is closed only where it is made here: it may
//! be a volume.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Permissions of every folder.
const FOLDER_MODE: u32 = 0o700;

/// Permissions of every file.
const FILE_MODE: u32 = 0o600;

/// The object that every archive has, from when it is opened for writing.
pub const MARKER: &str = "create-once.txt";

/// The folder of an archive.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    /// Whether the marker was seen in it.
    marked: Arc<AtomicBool>,
    /// As of a server that is slow.
    #[cfg(test)]
    pub answers_after: std::time::Duration,
}

impl Folder {
    /// A folder that is there.
    pub fn existing(root: PathBuf) -> io::Result<Self> {
        if !std::fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            root,
            marked: Arc::default(),
            #[cfg(test)]
            answers_after: std::time::Duration::ZERO,
        })
    }

    /// The same, made if it is not there. What an earlier version has left open in it is closed.
    pub fn for_writing(root: PathBuf) -> io::Result<Self> {
        make(&root)?;
        let folder = Self::existing(root)?;
        for entry in std::fs::read_dir(&folder.root)? {
            let entry = entry?;
            let is_ours = ["ledger", "locks", "runs"].iter().any(|name| entry.file_name() == *name);
            if is_ours && entry.file_type()?.is_dir() {
                // Of another user it is, and that user's to close.
                close(&entry.path(), FOLDER_MODE).ok();
            }
        }
        Ok(folder)
    }

    /// Makes the folders above an object, before it is put. The archive's own folder is never made
    /// again: it was moved or unmounted, and a journal of which a part is elsewhere cannot be
    /// restored.
    pub async fn prepare(&self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        self.blocking(move |folder| {
            folder.check_root()?;
            match path.parent() {
                Some(above) if !above.is_dir() => make(above),
                Some(_) | None => Ok(()),
            }
        })
        .await
    }

    /// Closes an object, after it was put.
    pub async fn close(&self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        self.blocking(move |_| close(&path, FILE_MODE)).await
    }

    /// Does it on a thread that may wait: a server of NFS that is away holds each call in the
    /// kernel, and with it whatever else the thread would do.
    async fn blocking(
        &self,
        work: impl FnOnce(&Self) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let folder = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            #[cfg(test)]
            std::thread::sleep(folder.answers_after);
            work(&folder)
        });
        work.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// An error where the archive's folder is gone, or an empty one is in its place as under a
    /// volume that was unmounted.
    fn check_root(&self) -> io::Result<()> {
        match std::fs::metadata(self.root.join(MARKER)) {
            Ok(_) => {
                self.marked.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.marked.load(Ordering::Relaxed) || !self.root.is_dir() {
                    let root = self.root.display();
                    let gone = format!("the archive is no longer in {root}: restore the folder");
                    return Err(io::Error::new(error.kind(), gone));
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_that_was_moved_is_not_begun_again_in_its_place() {
        let outer = tempfile::tempdir().unwrap();
        let (root, away) = (outer.path().join("archive"), outer.path().join("away"));
        let folder = Folder::for_writing(root.clone()).unwrap();
        folder.prepare("runs/m/1").await.unwrap();
        std::fs::write(root.join(MARKER), "x").unwrap();
        folder.prepare("runs/m/2").await.unwrap();
        std::fs::rename(&root, &away).unwrap();
        assert!(folder.prepare("runs/n/1").await.is_err());
        assert!(!root.exists());
        // As under a volume that was unmounted.
        std::fs::create_dir(&root).unwrap();
        let error = folder.prepare("runs/n/1").await.unwrap_err();
        assert!(error.to_string().contains("no longer in"), "{error}");
        std::fs::remove_dir(&root).unwrap();
        std::fs::rename(&away, &root).unwrap();
        folder.prepare("runs/n/1").await.unwrap();
        assert!(root.join("runs/n").is_dir());
    }
}
