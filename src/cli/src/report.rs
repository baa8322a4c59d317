//! The report: a guard's result as a file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dm_core::report::GuardResult;

/// The report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing the report {path}")]
pub struct ReportError {
    path: PathBuf,
    source: io::Error,
}

/// A file that is open for its report.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    file: File,
}

/// Opens the file before anything runs: a run's result must not be lost to a wrong path.
pub fn prepare(path: Option<&Path>) -> Result<Option<Prepared>, ReportError> {
    let Some(path) = path else { return Ok(None) };
    let file = File::create(path).map_err(|source| ReportError { path: path.into(), source })?;
    Ok(Some(Prepared { path: path.into(), file }))
}

/// Writes the result as JSON.
pub fn write(prepared: Option<Prepared>, result: &GuardResult) -> Result<(), ReportError> {
    let Some(Prepared { path, mut file }) = prepared else { return Ok(()) };
    let mut json = match serde_json::to_vec_pretty(result) {
        Ok(json) => json,
        Err(error) => return Err(ReportError { path, source: error.into() }),
    };
    json.push(b'\n');
    file.write_all(&json).and_then(|()| file.flush()).map_err(|source| ReportError { path, source })
}
