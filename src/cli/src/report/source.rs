//! Where a report and its items come from: files, an archive, the archive of a cluster's target.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dm_api::DataMigration;
use dm_api::migration::OnConflict;
use dm_api::status::RunRecord;
use dm_contract::report::RestoreReport;
use dm_engine::archive::ledger::{self, LedgerEntry};
use dm_engine::archive::{Archive, Listed, RunName};
use dm_report::file::{About, ReadError, RunReport};
use dm_report::items::{ItemsError, Listing};

use super::{ReportVerbError, parts};
use crate::archive_place::ArchiveVerbError;
use crate::cluster::{self, Cluster};
use crate::kept_log::{self, KeptError};
use crate::kept_parts;
use crate::output::{self, OutputError};
use crate::print::say;
use crate::report_files::difference_path;

/// Compressed bytes of a difference that are read from an archive: some ten million items, and what
/// a laptop has room for.
const DIFFERENCE_BYTES_MAX: u64 = 1 << 30;

/// A report that was found.
#[derive(Debug)]
pub enum Found {
    /// Of a dry run or an apply.
    Run(Box<FoundRun>),
    /// Of a restore or its preview.
    Restore {
        report: Box<RestoreReport>,
        of: String,
        /// The name of its page, where none is given.
        page: PathBuf,
    },
}

/// The report of a dry run or an apply.
#[derive(Debug)]
pub struct FoundRun {
    pub report: RunReport,
    pub listing: Items,
    /// The name of its page, where none is given.
    pub page: PathBuf,
    /// What was read, for the summary.
    pub files: Option<String>,
}

/// Where the items of a report are.
#[derive(Debug)]
pub enum Items {
    /// In a compressed file.
    File(PathBuf),
    /// In memory, compressed, in parts.
    Parts(Vec<Bytes>),
    /// Only the examples of the report.
    Samples(Box<RunReport>),
}

impl Items {
    pub fn read(self) -> Result<Listing, OutputError> {
        match self {
            Self::File(path) => {
                let file = File::open(&path).map_err(output::file("opening", &path))?;
                of_zstd(file).map_err(|source| OutputError::ItemsFile { path, source })
            }
            Self::Parts(parts) => {
                // One frame of zstd each, and such frames can be read one behind the other.
                let empty: Box<dyn Read> = Box::new(io::empty());
                let all = parts
                    .into_iter()
                    .fold(empty, |all, part| Box::new(all.chain(Cursor::new(part))));
                Ok(of_zstd(all)?)
            }
            Self::Samples(report) => {
                let samples = report.result.dry_run.map(|dry_run| dry_run.samples);
                Ok(Listing::of_samples(&samples.unwrap_or_default()))
            }
        }
    }
}

/// Reads a compressed difference.
fn of_zstd(packed: impl Read) -> Result<Listing, ItemsError> {
    let lines: Box<dyn BufRead> = Box::new(BufReader::new(zstd::Decoder::new(packed)?));
    Listing::read(lines)
}

/// A file, and the difference next to it.
pub fn of_file(path: &Path) -> Result<Found, ReportVerbError> {
    let json = fs::read(path).map_err(output::file("reading", path))?;
    let page = path.with_extension("html");
    let report = match parsed(&json, path)? {
        Parsed::Run(report) => *report,
        Parsed::Restore(report) => {
            let of = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Found::Restore { report: Box::new(report), of, page });
        }
    };
    let difference = difference_path(path);
    // Of an apply there is none: what has the name is of an earlier dry run.
    let (listing, files) = if report.is_dry_run() && difference.is_file() {
        let files = format!("{}   each item in {}", path.display(), difference.display());
        (Items::File(difference), files)
    } else {
        (Items::Samples(Box::new(report.clone())), path.display().to_string())
    };
    Ok(Found::Run(Box::new(FoundRun { report, listing, page, files: Some(files) })))
}

/// What a file holds.
enum Parsed {
    Run(Box<RunReport>),
    Restore(RestoreReport),
}

/// Reads either kind of report: a restore's has no version, and none of the members of a run's.
fn parsed(json: &[u8], path: &Path) -> Result<Parsed, OutputError> {
    match RunReport::from_json(json) {
        Ok(report) => Ok(Parsed::Run(Box::new(report))),
        Err(error @ ReadError::Json(_)) => match serde_json::from_slice(json) {
            Ok(report) => Ok(Parsed::Restore(report)),
            Err(_) => Err(OutputError::Report(path.to_owned(), error)),
        },
        Err(error) => Err(OutputError::Report(path.to_owned(), error)),
    }
}

/// A run in an archive.
pub async fn of_archive(archive: &Archive, run: &RunName) -> Result<Found, ReportVerbError> {
    let listed = archive.list(&run.folder()).await.map_err(ArchiveVerbError::Archive)?;
    let newest = listed
        .iter()
        .filter(|object| object.path.ends_with("/report.json"))
        .max_by_key(|object| object.written_at_s)
        .ok_or_else(|| ReportVerbError::NoReport(run.clone()))?;
    let page = PathBuf::from(format!("{}-{}.html", run.migration(), run.number()));
    let path = kept_parts::of_all(&newest.path);
    let mut found = kept(archive, &listed, &path, page).await?;
    if let Found::Run(found) = &mut found {
        // Dry runs are not in the ledger.
        let entries = if found.report.is_dry_run() {
            Vec::new()
        } else {
            let entries = ledger::entries(archive, Some(run.migration())).await;
            entries.map_err(ArchiveVerbError::Ledger)?
        };
        let about = found.report.about.get_or_insert_default();
        if about.name.is_empty() {
            about.name = run.to_string();
        }
        if let Some(entry) = entries.iter().find(|entry| entry.run == *run) {
            complete_from_ledger(about, entry);
        }
    }
    Ok(found)
}

/// Adds what the ledger knows of a run, and its guard did not: the guard writes its report before
/// it knows the program's times.
fn complete_from_ledger(about: &mut About, entry: &LedgerEntry) {
    let ended = entry.completed.as_ref();
    let started = ended.and_then(|end| end.execution_time.as_ref());
    let finished = ended.and_then(|end| end.finalization_time.clone());
    let begun_at = started.unwrap_or(&entry.begun.begun_at).clone();
    about.started_at.get_or_insert(begun_at);
    let finished = finished.or_else(|| ended.map(|end| end.completed_at.clone()));
    about.finished_at = about.finished_at.take().or(finished);
    about.took_ms = about.took_ms.or_else(|| took_ms(about));
    let database = entry.recorded().database.map(ToString::to_string);
    about.database = about.database.take().or(database);
}

/// The time between start and end, if both are known.
fn took_ms(about: &About) -> Option<u64> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
    let (started, finished) = (time(&about.started_at)?, time(&about.finished_at)?);
    u64::try_from(finished.as_millisecond() - started.as_millisecond()).ok()
}

/// A run of a cluster's migration, from the archive of its target.
pub async fn of_cluster(
    flags: &cluster::Flags,
    name: &str,
    run: Option<u32>,
) -> Result<Found, ReportVerbError> {
    let cluster = Cluster::connect(flags).await?;
    let migration = cluster.migration(name).await?;
    let namespace = &cluster.namespace;
    let (run, at) =
        report_url(&migration, run).ok_or_else(|| unnamed(&migration, namespace, name, run))?;
    let status = migration.status.as_ref();
    let record = status.and_then(|status| status.runs.iter().find(|record| record.number == run));
    let target = record.and_then(|record| record.target.clone());
    let target = target.unwrap_or_else(|| migration.spec.target.name.clone());
    let target = cluster.target(&target).await;
    let failed =
        |source| ReportVerbError::Kept { name: name.to_owned(), run, at: at.clone(), source };
    let (archive, path) = kept_log::open(target.as_ref(), &at).await.map_err(failed)?;
    let listed = archive.list(kept_parts::folder(&path)).await;
    let listed = listed.map_err(|error| failed(KeptError::Archive(error)))?;
    let mut found =
        kept(&archive, &listed, &path, PathBuf::from(format!("{name}-{run}.html"))).await?;
    match &mut found {
        Found::Run(found) => complete(&mut found.report, &migration, run),
        Found::Restore { report, .. } => {
            complete_restore(report, record);
            if !target.is_some_and(|target| target.spec.policy.show_values) {
                report.hide_keys();
            }
        }
    }
    Ok(found)
}

/// Adds what status knows of a restore, and reports of earlier versions do not say.
fn complete_restore(report: &mut RestoreReport, record: Option<&RunRecord>) {
    let Some(record) = record else { return };
    report.preview = Some(!record.kind.writes());
    report.on_conflict = report.on_conflict.or(record.on_conflict.map(|on| match on {
        OnConflict::Skip => dm_contract::plan::OnConflict::Skip,
        OnConflict::Overwrite => dm_contract::plan::OnConflict::Overwrite,
    }));
}

/// Why status names no report, or not that of this run.
fn unnamed(
    migration: &DataMigration,
    namespace: &str,
    name: &str,
    asked: Option<u32>,
) -> ReportVerbError {
    let (name, namespace) = (name.to_owned(), namespace.to_owned());
    let last = migration.status.as_ref().map_or(0, |status| status.last_run);
    match asked {
        Some(run) if run == 0 || run > last => ReportVerbError::NoRun { name, run, last },
        Some(run) if report_url(migration, None).is_some() => {
            ReportVerbError::NotNamed { name, namespace, run }
        }
        Some(_) | None => ReportVerbError::NotKept(name),
    }
}

/// The number of a run and the URL of its report: of the one that is asked for, or of the last.
fn report_url(migration: &DataMigration, asked: Option<u32>) -> Option<(u32, String)> {
    let status = migration.status.as_ref()?;
    let dry_run = status.dry_run.as_ref().map(|report| (report.run, report.report.clone()));
    let applied = status.applied.as_ref().map(|report| (report.run, report.report.clone()));
    let restored = [&status.restored, &status.restore_preview].into_iter().flatten();
    let restored = restored.map(|report| (report.run, report.report.clone()));
    dry_run
        .into_iter()
        .chain(applied)
        .chain(restored)
        .filter_map(|(run, url)| Some((run, url?)))
        .filter(|(run, _)| asked.is_none_or(|asked| asked == *run))
        .max_by_key(|(run, _)| *run)
}

/// Adds what status knows of the run, and its guard did not.
fn complete(report: &mut RunReport, migration: &DataMigration, run: u32) {
    let status = migration.status.as_ref();
    let record = status.and_then(|status| status.runs.iter().find(|record| record.number == run));
    let about = report.about.get_or_insert_default();
    about.name = migration.metadata.name.clone().unwrap_or_default();
    let Some(record) = record else { return };
    about.started_at = record.execution_time.as_ref().map(|time| time.0.to_string());
    about.finished_at = record.finalization_time.as_ref().map(|time| time.0.to_string());
    about.took_ms = took_ms(about);
    about.end = record.exit_code.map(dm_report::file::End::Exited);
}

/// A report in an archive, with the parts of its difference.
async fn kept(
    archive: &Archive,
    listed: &[Listed],
    path: &str,
    page: PathBuf,
) -> Result<Found, ReportVerbError> {
    let paths = kept_parts::paths(listed, path);
    let mut reports = Vec::new();
    for path in paths.values() {
        let json = archive.get(path).await.map_err(ArchiveVerbError::Archive)?.unwrap_or_default();
        match parsed(&json, Path::new(path))? {
            Parsed::Run(report) => reports.push(*report),
            Parsed::Restore(mut report) => {
                let of = page.with_extension("").display().to_string();
                // Dry runs have separate folders in the archive.
                report.preview.get_or_insert(path.contains("/dry-run-"));
                return Ok(Found::Restore { report: Box::new(report), of, page });
            }
        }
    }
    let report = parts::together(reports).ok_or_else(|| ReportVerbError::Gone(path.to_owned()))?;
    let mut parts = Vec::new();
    let mut bytes = 0;
    let folders = paths.values().map(|path| kept_parts::folder(path));
    for object in folders.flat_map(|folder| difference_parts(listed, folder)) {
        bytes += object.bytes;
        if bytes > DIFFERENCE_BYTES_MAX {
            say("the difference is too long to be read: only its first part is sampled");
            break;
        }
        let part = archive.get(&object.path).await.map_err(ArchiveVerbError::Archive)?;
        parts.extend(part);
    }
    let listing = if parts.is_empty() {
        Items::Samples(Box::new(report.clone()))
    } else {
        Items::Parts(parts)
    };
    Ok(Found::Run(Box::new(FoundRun { report, listing, page, files: None })))
}

/// The parts of a difference in a folder, in their order: `difference.ndjson.zst`, then `-2` and so
/// on.
fn difference_parts<'a>(listed: &'a [Listed], within: &str) -> Vec<&'a Listed> {
    let number = |object: &Listed| -> Option<u32> {
        let name = Path::new(&object.path).file_name()?.to_str()?;
        let middle = name.strip_prefix("difference")?.strip_suffix(".ndjson.zst")?;
        if middle.is_empty() { Some(1) } else { middle.strip_prefix('-')?.parse().ok() }
    };
    let mut parts: Vec<(u32, &Listed)> = listed
        .iter()
        .filter(|object| kept_parts::folder(&object.path) == within)
        .filter_map(|object| Some((number(object)?, object)))
        .collect();
    parts.sort_by_key(|(number, _)| *number);
    parts.into_iter().map(|(_, object)| object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::text::tests::migration;
    use serde_json::json;

    #[test]
    fn parts_are_in_the_order_of_their_numbers() {
        let listed: Vec<Listed> = [
            "runs/m/000001/dry-run-u/difference-10.ndjson.zst",
            "runs/m/000001/dry-run-u/difference-2.ndjson.zst",
            "runs/m/000001/dry-run-u/difference.ndjson.zst",
            "runs/m/000001/dry-run-u/report.json",
            "runs/m/000001/dry-run-u/attempt-2/difference.ndjson.zst",
        ]
        .iter()
        .map(|path| Listed { path: (*path).into(), bytes: 1, written_at_s: 0 })
        .collect();
        let found = difference_parts(&listed, "runs/m/000001/dry-run-u");
        let names: Vec<&str> = found.iter().map(|part| &part.path[24..]).collect();
        let expected =
            ["difference.ndjson.zst", "difference-2.ndjson.zst", "difference-10.ndjson.zst"];
        assert_eq!(names, expected);
    }

    #[test]
    fn parts_are_read_one_behind_the_other() {
        let line = |id: &str| {
            let line = json!({
                "version": 1, "table": "cars", "key": {"id": {"S": id}}, "kind": "created",
                "attributes": {"id": "added"}, "after": {"id": {"S": id}},
            });
            Bytes::from(zstd::encode_all((line.to_string() + "\n").as_bytes(), 3).unwrap())
        };
        let listing = Items::Parts(vec![line("a"), line("b")]).read().unwrap();
        let names: Vec<&str> = listing.items.iter().map(|item| item.name.text.as_str()).collect();
        assert_eq!(names, [r#"{id: "a"}"#, r#"{id: "b"}"#]);
    }

    #[test]
    fn an_archived_report_gets_its_times_from_the_ledger() {
        let entry = |completed: Option<serde_json::Value>| LedgerEntry {
            run: RunName::parse("m/2").unwrap(),
            begun: serde_json::from_value(json!({
                "version": 1, "kind": "apply", "namespace": "shop", "name": "m", "uid": "u",
                "begunAt": "2026-12-01T10:00:00Z",
            }))
            .unwrap(),
            completed: completed.map(|end| serde_json::from_value(end).unwrap()),
            tables: std::collections::BTreeMap::new(),
        };
        let filled = |completed| {
            let mut about = About::default();
            complete_from_ledger(&mut about, &entry(completed));
            (about.started_at.unwrap(), about.finished_at, about.took_ms)
        };
        let end = json!({
            "version": 1, "outcome": "Succeeded", "completedAt": "2026-12-01T10:00:12Z",
            "executionTime": "2026-12-01T10:00:01Z", "finalizationTime": "2026-12-01T10:00:09.5Z",
        });
        let (started, finished, took) = filled(Some(end.clone()));
        assert_eq!(started, "2026-12-01T10:00:01Z");
        assert_eq!((finished.as_deref(), took), (Some("2026-12-01T10:00:09.5Z"), Some(8_500)));
        let (started, finished, took) = filled(None);
        assert_eq!((started.as_str(), finished, took), ("2026-12-01T10:00:00Z", None, None));
        let mut known = About { started_at: Some("x".into()), ..About::default() };
        complete_from_ledger(&mut known, &entry(Some(end)));
        assert_eq!(known.started_at.as_deref(), Some("x"), "what the report says is kept");
    }

    #[test]
    fn the_last_run_with_a_report_is_taken_unless_one_is_asked_for() {
        let dry_run =
            json!({"run": 1, "result": "Succeeded", "programDigest": "", "report": "s3://b/1"});
        let applied =
            json!({"run": 2, "result": "Succeeded", "programDigest": "", "report": "s3://b/2"});
        let migration = migration(json!({}), json!({"dryRun": dry_run, "applied": applied}));
        let url = |asked| report_url(&migration, asked).map(|(_, url)| url);
        assert_eq!(url(None).as_deref(), Some("s3://b/2"));
        assert_eq!(url(Some(1)).as_deref(), Some("s3://b/1"));
        assert_eq!(url(Some(3)), None);
    }

    #[test]
    fn a_report_that_status_does_not_name_is_not_said_to_be_missing() {
        let dry_run =
            json!({"run": 2, "result": "Succeeded", "programDigest": "", "report": "s3://b/2"});
        let named = migration(json!({}), json!({"dryRun": dry_run, "lastRun": 2}));
        let none = migration(json!({}), json!({"lastRun": 2}));
        for (migration, run, expected) in [
            (&named, Some(1), "give --archive URL --run shop.m/1"),
            (&named, Some(3), "m has no run 3; its last run is 2"),
            (&none, Some(1), "its target needs spec.archive"),
            (&none, None, "its target needs spec.archive"),
        ] {
            let error = unnamed(migration, "shop", "m", run).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
