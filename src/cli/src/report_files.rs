//! The files of a report: the result, and next to it what a dry run would change, item by item.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dm_contract::plan::Mode;
use dm_engine::{DifferenceError, Engine};
use dm_report::file::RunReport;
use serde::Deserialize;
use tempfile::NamedTempFile;

/// Permissions of a new file: a report may show whole items, which others of the machine may not
/// read.
const NEW_FILE_MODE: u32 = 0o600;

/// The report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("writing the report {0}")]
    Result(PathBuf, #[source] io::Error),
    #[error("writing the report {0}")]
    Difference(PathBuf, #[source] DifferenceError),
    /// `--html` without a name would write its page over it.
    #[error("--report {0}: the report is JSON; name a file that does not end in .html")]
    Page(PathBuf),
    /// What is there is somebody's work.
    #[error("--report {0}: this file is not a report; remove it, or name another file")]
    NotReport(PathBuf),
}

/// Files that can be written when a run has ended.
#[derive(Debug)]
pub struct Prepared {
    result: Place,
    difference: Difference,
}

/// What becomes of the file with the difference.
#[derive(Debug)]
enum Difference {
    Written(Place),
    /// An apply has none. One of an earlier dry run would be taken for its own.
    Removed(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub result: PathBuf,
    /// The difference, if there is one.
    pub difference: Option<PathBuf>,
}

/// Checks that the files can be written before anything runs: a run's result must not be lost to a
/// wrong path. The files of an earlier run stay unchanged until this one has ended.
pub fn prepare(path: Option<&Path>, mode: Mode) -> Result<Option<Prepared>, ReportError> {
    let Some(path) = path else { return Ok(None) };
    let find = |path: PathBuf| {
        Place::find(&path).map_err(|source| ReportError::Result(path.clone(), source))
    };
    if path.extension().is_some_and(|suffix| suffix == "html") {
        return Err(ReportError::Page(path.into()));
    }
    if path.is_file() && !may_be_replaced(path) {
        return Err(ReportError::NotReport(path.into()));
    }
    let difference = match mode {
        Mode::DryRun => Difference::Written(find(difference_path(path))?),
        Mode::Apply => Difference::Removed(difference_path(path)),
    };
    Ok(Some(Prepared { result: find(path.into())?, difference }))
}

/// Writes the result as JSON, and the difference. Both are complete before either replaces the
/// file of an earlier run.
pub fn write(
    prepared: Option<Prepared>,
    report: &RunReport,
    engine: &Engine,
) -> Result<Option<Written>, ReportError> {
    let Some(Prepared { result, difference }) = prepared else { return Ok(None) };
    let failed = |place: &Place| {
        let path = place.path.clone();
        move |source| ReportError::Result(path, source)
    };
    let mut json = serde_json::to_vec_pretty(report)
        .map_err(|error| failed(&result)(io::Error::from(error)))?;
    json.push(b'\n');
    let difference = match &difference {
        Difference::Written(place) => {
            let mut file = place.begin().map_err(failed(place))?;
            let written = engine.write_difference(BufWriter::new(&mut file));
            written.map_err(|source| ReportError::Difference(place.path.clone(), source))?;
            Some((place, file))
        }
        Difference::Removed(path) => {
            let removed = fs::remove_file(path);
            let is_left = removed.err().filter(|error| error.kind() != io::ErrorKind::NotFound);
            if let Some(error) = is_left {
                return Err(ReportError::Result(path.clone(), error));
            }
            None
        }
    };
    let mut file = result.begin().map_err(failed(&result))?;
    file.write_all(&json).map_err(failed(&result))?;
    let difference = match difference {
        Some((place, file)) => {
            file.end().map_err(failed(place))?;
            Some(place.path.clone())
        }
        None => None,
    };
    file.end().map_err(failed(&result))?;
    Ok(Some(Written { result: result.path, difference }))
}

/// Whether a file is empty or a report of any version.
fn may_be_replaced(path: &Path) -> bool {
    #[derive(Deserialize)]
    struct AnyReport {
        #[serde(rename = "version")]
        _version: u64,
        #[serde(rename = "mode")]
        _mode: String,
    }
    let Ok(bytes) = fs::read(path) else { return true };
    bytes.is_empty() || serde_json::from_slice::<AnyReport>(&bytes).is_ok()
}

/// Writes a page. A new file is its owner's only; one that is there keeps its permissions.
pub fn write_page(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(NEW_FILE_MODE).open(path);
    file?.write_all(text.as_ref())
}

/// A file to write, and how.
#[derive(Debug)]
struct Place {
    /// As it was given.
    path: PathBuf,
    kind: PlaceKind,
}

#[derive(Debug)]
enum PlaceKind {
    /// A new file takes this path in one step, with the permissions of the file that it replaces.
    Replaced { path: PathBuf, permissions: Option<Permissions> },
    /// A terminal, a pipe or a device is written where it is, and so is a file whose folder does
    /// not accept another.
    InPlace(File),
}

/// A file that is being written.
#[derive(Debug)]
enum Output<'a> {
    Beside(NamedTempFile, &'a Path),
    InPlace(&'a File),
}

impl Place {
    /// Finds out how a path can be written. What is there stays unchanged.
    fn find(path: &Path) -> io::Result<Self> {
        let kind = match OpenOptions::new().write(true).open(path) {
            Ok(file) => PlaceKind::of_existing(path, file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                beside(path)?;
                PlaceKind::Replaced { path: path.to_owned(), permissions: None }
            }
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), kind })
    }

    fn begin(&self) -> io::Result<Output<'_>> {
        match &self.kind {
            PlaceKind::Replaced { path, permissions } => {
                let file = beside(path)?;
                if let Some(permissions) = permissions {
                    file.as_file().set_permissions(permissions.clone())?;
                }
                Ok(Output::Beside(file, path))
            }
            PlaceKind::InPlace(file) => {
                if file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                Ok(Output::InPlace(file))
            }
        }
    }
}

impl PlaceKind {
    fn of_existing(path: &Path, file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        // A name in /dev is of a file that this process has open; another file would not be it.
        if !metadata.is_file() || path.starts_with("/dev") {
            return Ok(Self::InPlace(file));
        }
        // The file is replaced, not a link to it.
        let path = fs::canonicalize(path)?;
        if beside(&path).is_err() {
            return Ok(Self::InPlace(file));
        }
        Ok(Self::Replaced { path, permissions: Some(metadata.permissions()) })
    }
}

impl Output<'_> {
    /// Puts the file in its place.
    fn end(self) -> io::Result<()> {
        let Self::Beside(file, path) = self else { return Ok(()) };
        // Else a power failure could leave the name with an empty file.
        file.as_file().sync_all()?;
        // No other file takes the name of a mount point.
        file.persist(path)
            .map(drop)
            .or_else(|refused| fs::copy(refused.file.path(), path).map(drop))
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside(file, _) => file.write(bytes),
            Self::InPlace(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside(file, _) => file.flush(),
            Self::InPlace(file) => file.flush(),
        }
    }
}

/// An empty file in the folder of a path. It is deleted when dropped.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".report-").permissions(Permissions::from_mode(NEW_FILE_MODE));
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
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
    use serde_json::{Value, json};

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

    fn report(mode: Mode) -> RunReport {
        let Value::Object(mut report) = json!({
            "version": 1, "mode": mode, "requests": 3, "writeCallsUpstream": 0,
            "readCallsUpstream": 0, "itemsRead": 0, "readUnits": 0.0, "writeUnits": 0.0,
            "tables": [], "effectsDigest": "",
        }) else {
            unreachable!("an object");
        };
        report.insert("about".into(), json!({"name": "new"}));
        serde_json::from_value(report.into()).unwrap()
    }

    /// The report of an earlier run, as far as it matters here.
    const APPROVED: &str = r#"{"version": 1, "mode": "DryRun"}"#;

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_that_does_not_start_leaves_the_report_of_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let (tried, items) =
            (folder.path().join("tried.json"), folder.path().join("tried.ndjson.zst"));
        fs::write(&tried, APPROVED).unwrap();
        fs::write(&items, "its items").unwrap();
        drop(prepare(Some(&tried), Mode::DryRun).unwrap());
        assert_eq!(fs::read_to_string(&tried).unwrap(), APPROVED);
        assert_eq!(fs::read_to_string(&items).unwrap(), "its items");
        drop(prepare(Some(&folder.path().join("new.json")), Mode::DryRun).unwrap());
        assert_eq!(names(folder.path()), ["tried.json", "tried.ndjson.zst"], "nothing is left");
        let missing = folder.path().join("missing/tried.json");
        assert!(prepare(Some(&missing), Mode::Apply).is_err(), "a wrong path is found first");
        assert!(prepare(Some(folder.path()), Mode::Apply).is_err(), "a folder is no file");
    }

    #[tokio::test]
    async fn a_finished_run_replaces_both_files_and_keeps_links_and_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (tried, link) = (folder.path().join("tried.json"), folder.path().join("last.json"));
        fs::write(&tried, APPROVED).unwrap();
        fs::set_permissions(&tried, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("tried.json", &link).unwrap();
        let engine = Engine::embedded("us-east-1", None).unwrap();
        let prepared = prepare(Some(&link), Mode::DryRun).unwrap();
        let written = write(prepared, &report(Mode::DryRun), &engine).unwrap().unwrap();
        assert_eq!(written.result, link);
        assert!(fs::read_to_string(&tried).unwrap().contains("\"name\": \"new\""));
        assert_eq!(fs::metadata(&tried).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let items = folder.path().join("last.ndjson.zst");
        assert!(!fs::read(&items).unwrap().is_empty());
        assert_eq!(fs::metadata(&items).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["last.json", "last.ndjson.zst", "tried.json"]);
    }

    #[test]
    fn only_a_report_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, right) in [
            ("tried.json", APPROVED, true),
            ("empty.json", "", true),
            ("seed.json", r#"{"tables": {}}"#, false),
            ("migration.yaml", "kind: DataMigration\n", false),
            ("page.html", "", false),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            assert_eq!(prepare(Some(&path), Mode::Apply).is_ok(), right, "{name}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
        }
        let page = folder.path().join("new.html");
        let error = prepare(Some(&page), Mode::DryRun).unwrap_err().to_string();
        assert!(error.contains("does not end in .html"), "{error}");
    }

    #[tokio::test]
    async fn an_apply_leaves_no_items_of_a_dry_run_beside_its_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        let engine = Engine::embedded("us-east-1", None).unwrap();
        for (mode, expected) in
            [(Mode::DryRun, &["r.json", "r.ndjson.zst"][..]), (Mode::Apply, &["r.json"])]
        {
            let prepared = prepare(Some(&path), mode).unwrap();
            write(prepared, &report(mode), &engine).unwrap();
            assert_eq!(names(folder.path()), expected);
        }
    }

    #[tokio::test]
    async fn a_pipe_is_written_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        let engine = Engine::embedded("us-east-1", None).unwrap();
        let prepared = prepare(Some(&pipe), Mode::Apply).unwrap();
        write(prepared, &report(Mode::Apply), &engine).unwrap();
        assert!(reader.join().unwrap().contains("\"name\": \"new\""));
        assert_eq!(names(folder.path()), ["pipe"]);
    }
}
