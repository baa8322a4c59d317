//! Fills the pod's folders before the program's container starts: this program itself, and the
//! program's files out of a mounted ConfigMap.
//!
//! The files are readable and writable for everybody, as the program's image may have any user and
//! nobody but this pod sees the folder.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dm_contract::program_files::{self, ProgramFiles};

use crate::args::{Files, Prepare};
use crate::limits::FILES_DEPTH_MAX;

/// Name of the copy of this program.
pub const ENTRY_NAME: &str = "datamigration-entry";

/// What could not be done, with which file.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The system refused something.
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        source: io::Error,
    },
    /// The files are others than those that the run was made for.
    #[error(
        "the program's files are not those of this run: their digest is {found}, expected \
         {expected}. The run's copy of them was replaced; nothing was run"
    )]
    OtherFiles {
        /// Of the files that were copied.
        found: String,
        /// Of the files that the operator read.
        expected: String,
    },
}

/// Fills the folders. Doing it again gives the same.
pub fn prepare(prepare: &Prepare) -> Result<(), PrepareError> {
    let own = env::current_exe().map_err(naming("finding", Path::new("/proc/self/exe")))?;
    copy_entry(&own, &prepare.bin)?;
    prepare.files.as_ref().map_or(Ok(()), copy_files)
}

fn copy_entry(own: &Path, bin: &Path) -> Result<(), PrepareError> {
    fs::create_dir_all(bin).map_err(naming("creating the folder", bin))?;
    // Never a half-written program under its name, and no writing into one that is running.
    let (partial, file) = (bin.join(".datamigration-entry.partial"), bin.join(ENTRY_NAME));
    fs::copy(own, &partial).map_err(naming("copying the entry program to", &partial))?;
    set_mode(&partial, 0o755)?;
    fs::rename(&partial, &file).map_err(naming("copying the entry program to", &file))
}

/// The kubelet's layout: each name is a link to `..data/name`, and `..data` one to the folder of
/// the present version. Following `..data` once gives files of one version only.
fn copy_files(files: &Files) -> Result<(), PrepareError> {
    let data = files.from.join("..data");
    let from = if data.is_dir() {
        fs::canonicalize(&data).map_err(naming("reading the folder", &data))?
    } else {
        files.from.clone()
    };
    if !files.to.is_dir() {
        create_folder(&files.to)?;
    }
    copy_folder(&from, &files.to, FILES_DEPTH_MAX)?;
    files.digest.as_ref().map_or(Ok(()), |expected| check(&files.to, expected))
}

/// Compares what will run with what the operator hashed: the mounted object may be another by now.
fn check(folder: &Path, expected: &str) -> Result<(), PrepareError> {
    let mut files = ProgramFiles::new();
    read_folder(folder, "", FILES_DEPTH_MAX, &mut files)?;
    let found = program_files::digest(&files);
    if found == expected {
        return Ok(());
    }
    Err(PrepareError::OtherFiles { found, expected: expected.to_owned() })
}

fn read_folder(
    folder: &Path,
    within: &str,
    depth: usize,
    files: &mut ProgramFiles,
) -> Result<(), PrepareError> {
    let reading = || naming("reading the folder", folder);
    if depth == 0 {
        return Err(reading()(io::Error::other("it is nested too deep")));
    }
    for entry in fs::read_dir(folder).map_err(reading())? {
        let entry = entry.map_err(reading())?;
        let path = entry.path();
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| reading()(io::Error::other("a name is not UTF-8")))?;
        let name = format!("{within}{name}");
        if entry.file_type().map_err(naming("reading", &path))?.is_dir() {
            read_folder(&path, &format!("{name}/"), depth - 1, files)?;
        } else {
            files.insert(name, fs::read(&path).map_err(naming("reading", &path))?);
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path, depth: usize) -> Result<(), PrepareError> {
    let reading = || naming("reading the folder", from);
    if depth == 0 {
        return Err(reading()(io::Error::other("it is nested too deep")));
    }
    for entry in fs::read_dir(from).map_err(reading())? {
        let name = entry.map_err(reading())?.file_name();
        if name.as_encoded_bytes().starts_with(b"..") {
            continue;
        }
        let (from, to) = (from.join(&name), to.join(&name));
        let is_dir = fs::metadata(&from).map_err(naming("reading", &from))?.is_dir();
        if is_dir {
            create_folder(&to)?;
            copy_folder(&from, &to, depth - 1)?;
        } else {
            fs::copy(&from, &to).map_err(naming("copying to", &to))?;
            set_mode(&to, if has_shebang(&from)? { 0o777 } else { 0o666 })?;
        }
    }
    Ok(())
}

fn create_folder(folder: &Path) -> Result<(), PrepareError> {
    fs::create_dir_all(folder).map_err(naming("creating the folder", folder))?;
    set_mode(folder, 0o777)
}

fn has_shebang(file: &Path) -> Result<bool, PrepareError> {
    let mut head = Vec::new();
    let read = fs::File::open(file).and_then(|file| file.take(2).read_to_end(&mut head));
    read.map_err(naming("reading", file))?;
    Ok(head == b"#!")
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PrepareError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(naming("changing", path))
}

fn naming(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::Io { action, path, source }
}
