//! The files that a program leaves where it ran. A second pass has to begin with the files of a new
//! pod: a program that keeps its progress in its own one would find it, do nothing, and seem
//! safe to run again.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::limits::{FILES_COMPARED_MAX, FILES_KEPT_BYTES_MAX};

/// Folders of what an interpreter makes of source text by itself.
const CACHES: [&str; 1] = ["__pycache__"];

/// Inode, bytes, and time of the last change in seconds and nanoseconds.
type Stamp = (u64, u64, i64, i64);

/// The files of a folder before the program ran.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// `None` where they could not be looked at, or are too many.
    seen: Option<BTreeMap<PathBuf, Stamp>>,
}

impl Files {
    /// Looks at a folder and those below it, on the same file system.
    pub fn look(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), seen: look(folder).ok().flatten() }
    }

    /// What a new pod would not find in its current state, in a sentence without a full stop.
    pub fn left(&self) -> Option<String> {
        let now = look(&self.folder).ok().flatten();
        let (Some(before), Some(now)) = (&self.seen, now) else {
            let folder = self.folder.display();
            return Some(format!("what the program left in {folder} is not known"));
        };
        let other = |(path, stamp): &(&PathBuf, &Stamp)| before.get(*path) != Some(*stamp);
        let gone = || before.keys().find(|path| !now.contains_key(*path));
        let path = now.iter().find(other).map(|(path, _)| path).or_else(gone)?;
        let path = path.display();
        Some(format!("the program changed {path}, and a new pod would have the original"))
    }
}

fn look(folder: &Path) -> io::Result<Option<BTreeMap<PathBuf, Stamp>>> {
    let device = match fs::metadata(folder) {
        Ok(found) => found.dev(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(BTreeMap::new())),
        Err(error) => return Err(error),
    };
    // Where the program's output goes is no file of the program's.
    let output: Vec<(u64, u64)> = ["/proc/self/fd/1", "/proc/self/fd/2"]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|file| (file.dev(), file.ino()))
        .collect();
    let (mut seen, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // Nor can the program, which has the same user.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let found: Metadata = match entry.metadata() {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_cache = CACHES.iter().any(|cache| entry.file_name() == *cache);
            if found.dev() != device || is_cache || output.contains(&(found.dev(), found.ino())) {
                continue;
            }
            if found.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let stamp = (found.ino(), found.len(), found.ctime(), found.ctime_nsec());
            seen.insert(entry.path(), stamp);
            if seen.len() > FILES_COMPARED_MAX {
                return Ok(None);
            }
        }
    }
    Ok(Some(seen))
}

/// The files of a folder that is the program's alone, which can be restored.
#[derive(Debug)]
pub struct Own {
    folder: PathBuf,
    /// With their permissions; without bytes they are folders.
    kept: Vec<(PathBuf, u32, Option<Vec<u8>>)>,
}

impl Own {
    pub fn read(folder: &Path) -> io::Result<Self> {
        let (mut kept, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        let mut bytes = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let found = fs::metadata(&path)?;
                bytes += found.len();
                if bytes > FILES_KEPT_BYTES_MAX {
                    return Err(io::Error::other("the program's files are too large"));
                }
                let content = if found.is_dir() { None } else { Some(fs::read(&path)?) };
                if content.is_none() {
                    folders.push(path.clone());
                }
                kept.push((path, found.permissions().mode(), content));
            }
        }
        Ok(Self { folder: folder.to_owned(), kept })
    }

    /// Has them in the folder as they were, and nothing else.
    pub fn rewrite(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        // A folder comes before what is in it.
        for (path, mode, content) in &self.kept {
            match content {
                Some(content) => fs::write(path, content)?,
                None => fs::create_dir(path)?,
            }
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }
}

/// How a second pass gets the files of a new pod.
#[derive(Debug)]
pub struct Fresh {
    own: Option<io::Result<Own>>,
    compared: Vec<Files>,
}

impl Fresh {
    /// Of a program in this folder, which is the pod's own if its path is absolute: then its files
    /// are restored. Those of an image, and temporary files, are compared.
    pub fn of(given: &Path, folder: &Path) -> Self {
        let own = given.is_absolute().then(|| Own::read(folder));
        let shared = own.is_none().then(|| Files::look(folder));
        let temporary = Files::look(&env::temp_dir());
        Self { own, compared: shared.into_iter().chain([temporary]).collect() }
    }

    /// Restores what can be; else why a second pass would say nothing.
    pub fn begin(self) -> Result<(), String> {
        if let Some(left) = self.compared.iter().find_map(Files::left) {
            return Err(left);
        }
        let rewrite = self.own.map_or(Ok(()), |own| own.and_then(|own| own.rewrite()));
        rewrite.map_err(|error| format!("the program's files could not be written again: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_program_leaves_changes_or_deletes_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("lib")).unwrap();
        fs::write(path("lib/a"), "1").unwrap();
        let check = |change: &dyn Fn(), expected: Option<&str>| {
            let files = Files::look(folder.path());
            change();
            let left = files.left();
            match expected {
                None => assert_eq!(left, None),
                Some(name) => assert!(left.unwrap().contains(name), "{name}"),
            }
        };
        check(&|| {}, None);
        check(&|| fs::create_dir(path("__pycache__")).unwrap(), None);
        check(&|| fs::write(path("__pycache__/a.pyc"), "x").unwrap(), None);
        check(&|| fs::write(path("done.json"), "{}").unwrap(), Some("done.json"));
        check(&|| fs::write(path("lib/a"), "2").unwrap(), Some("lib/a"));
        check(&|| fs::remove_file(path("lib/a")).unwrap(), Some("lib/a"));
        let missing = Files::look(&path("missing"));
        assert_eq!(missing.left(), None);
        let no_folder = Files::look(&path("done.json"));
        assert!(no_folder.left().unwrap().contains("is not known"));
    }

    #[test]
    fn the_pods_own_folder_gets_back_the_files_of_a_new_pod() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("lib")).unwrap();
        fs::write(path("lib/a"), "1").unwrap();
        fs::set_permissions(path("lib/a"), fs::Permissions::from_mode(0o755)).unwrap();
        let own = Own::read(folder.path()).unwrap();
        fs::write(path("done.json"), "{}").unwrap();
        fs::create_dir_all(path("cache/b")).unwrap();
        fs::remove_dir_all(path("lib")).unwrap();
        own.rewrite().unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["lib"]);
        assert_eq!(fs::read_to_string(path("lib/a")).unwrap(), "1");
        assert_eq!(fs::metadata(path("lib/a")).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
