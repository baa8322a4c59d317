//! The files of a report: the result, and next to it what a dry run would change, item by item.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dm_contract::plan::Mode;
use dm_engine::{DifferenceError, Engine};
use dm_report::file::RunReport;

/// The report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The result.
    #[error("writing the report {0}")]
    Result(PathBuf, #[source] io::Error),
    /// The difference.
    #[error("writing the report {0}")]
    Difference(PathBuf, #[source] DifferenceError),
}

/// Files that are open for a report.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    file: File,
    difference: Option<(PathBuf, File)>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The result.
    pub result: PathBuf,
    /// The difference, if there is one.
    pub difference: Option<PathBuf>,
}

/// Opens the files before anything runs: a run's result must not be lost to a wrong path.
pub fn prepare(path: Option<&Path>, mode: Mode) -> Result<Option<Prepared>, ReportError> {
    let Some(path) = path else { return Ok(None) };
    let create =
        |path: &Path| File::create(path).map_err(|source| ReportError::Result(path.into(), source));
    let difference = match mode {
        Mode::DryRun => {
            let path = difference_path(path);
            let file = create(&path)?;
            Some((path, file))
        }
        Mode::Apply => None,
    };
    Ok(Some(Prepared { path: path.into(), file: create(path)?, difference }))
}

/// Writes the result as JSON, and the difference.
pub fn write(
    prepared: Option<Prepared>,
    report: &RunReport,
    engine: &Engine,
) -> Result<Option<Written>, ReportError> {
    let Some(Prepared { path, mut file, difference }) = prepared else { return Ok(None) };
    let mut json = match serde_json::to_vec_pretty(report) {
        Ok(json) => json,
        Err(error) => return Err(ReportError::Result(path, error.into())),
    };
    json.push(b'\n');
    if let Err(source) = file.write_all(&json).and_then(|()| file.flush()) {
        return Err(ReportError::Result(path, source));
    }
    let difference = match difference {
        Some((path, file)) => match engine.write_difference(BufWriter::new(file)) {
            Ok(_) => Some(path),
            Err(source) => return Err(ReportError::Difference(path, source)),
        },
        None => None,
    };
    Ok(Some(Written { result: path, difference }))
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.result.display())?;
        match &self.difference {
            Some(difference) => write!(f, "   each item in {}", difference.display()),
            None => Ok(()),
        }
    }
}

/// The difference of `tried.json` is `tried.ndjson.zst`.
pub fn difference_path(report: &Path) -> PathBuf {
    let stem = match (report.extension(), report.file_stem()) {
        (Some(extension), Some(stem)) if extension == "json" => stem,
        _ => report.file_name().unwrap_or_default(),
    };
    let mut name = stem.to_owned();
    name.push(".ndjson.zst");
    report.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_lies_beside_the_result() {
        for (report, expected) in [
            ("tried.json", "tried.ndjson.zst"),
            ("a.b/tried", "a.b/tried.ndjson.zst"),
            ("/x/tried.v1.json", "/x/tried.v1.ndjson.zst"),
            ("tried.txt", "tried.txt.ndjson.zst"),
        ] {
            assert_eq!(difference_path(Path::new(report)), Path::new(expected), "{report}");
        }
    }
}
