//! What a guard that stops leaves in the archive: how the run ended, in the ledger; the program's
//! output; the full result; of a dry run its difference. Each has its time: the pod's does not
//! last.
//!
//! Nothing here changes what the run did: what cannot be kept is said in the result.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use bytes::Bytes;
use dm_contract::error_chain::chain;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan, RetentionPlan};
use dm_contract::report::{Archived, GuardResult, ProgramResult, Timeline};
use dm_contract::verdict::{RunOutcome, RunSummary};
use dm_engine::archive::ledger::{self, Begun, Completed};
use dm_engine::archive::{Archive, Created, Retention, RunName};
use dm_engine::journal::JournaledRun;
use dm_engine::{DifferenceParts, Engine};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::outcome::{Allowed, message, outcome};
use crate::program_log;

/// Where things go, and where they come from.
#[derive(Clone, Debug)]
pub struct Uploader {
    archive: Archive,
    run: JournaledRun,
    mode: Mode,
    /// The folder in the archive.
    folder: String,
    allowed: Allowed,
    retention: Option<RetentionPlan>,
    log_dir: Option<PathBuf>,
    part_bytes: usize,
}

/// The file of a report: the result, and what a termination message has no room for.
#[derive(Serialize)]
struct ReportFile<'a> {
    #[serde(flatten)]
    result: &'a GuardResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Timeline>,
}

/// The result of a run, as an object in its folder.
const REPORT: &str = "report.json";

/// The first, and mostly the only, part of a difference.
const DIFFERENCE: &str = "difference.ndjson.zst";

impl Uploader {
    /// For a plan that names an archive.
    pub fn of(plan: &Plan, archive: &Archive, log_dir: Option<PathBuf>) -> Option<Self> {
        let named = plan.archive.as_ref()?;
        let run = JournaledRun::of_plan(plan).ok().flatten()?;
        let folder = folder(&run, plan.mode);
        Some(Self {
            archive: archive.clone(),
            run,
            mode: plan.mode,
            folder,
            allowed: Allowed {
                // Its pods are replaced, and the end of one part is not the run's.
                repeatable: named.repeatable || plan.parts.is_some(),
                no_requests: named.expect_no_requests,
            },
            retention: named.retention,
            log_dir,
            part_bytes: limits::DIFFERENCE_PART_BYTES,
        })
    }

    /// The same for one part of the run.
    #[must_use]
    pub fn in_part(self, part: Option<Part>) -> Self {
        let run = self.run.in_part(part);
        Self { folder: folder(&run, self.mode), run, ..self }
    }

    /// The same, with parts of a difference of this size, about.
    #[must_use]
    pub fn in_parts_of(self, part_bytes: usize) -> Self {
        Self { part_bytes, ..self }
    }

    /// How the program ended, if the entry program has said it.
    pub fn program(&self) -> Option<ProgramResult> {
        program_log::result(self.log_dir.as_deref()?)
    }

    /// Keeps all there is. `say` is given the result as soon as the ledger is written: what comes
    /// after it may take longer than the pod has.
    pub async fn all(
        &self,
        engine: &Arc<Engine>,
        mut result: GuardResult,
        say: impl Fn(&GuardResult),
    ) -> GuardResult {
        if self.program().and_then(|program| program.second_run).is_some_and(|run| run.failed()) {
            result.second_run_failed();
        }
        if result.archived.is_some() {
            say(&result);
            return self.again(result).await;
        }
        let mut kept = Archived { run: self.name(), ..Archived::default() };
        say(&result);
        if self.mode == Mode::Apply {
            result.database = engine.database().await.or(result.database);
        }
        self.complete(&result, &mut kept).await;
        result.archived = Some(kept.clone());
        say(&result);
        self.upload(engine, &result, &mut kept).await;
        let cleans = kept.completed == Some(RunOutcome::Succeeded) && self.is_whole().await;
        result.archived = Some(kept);
        if cleans {
            say(&result);
            self.clean().await;
        }
        result
    }

    /// Does what the guard that completed the part may have left undone when it was lost: mostly
    /// nothing.
    async fn again(&self, mut result: GuardResult) -> GuardResult {
        let own = self.run.own_name();
        let completed = ledger::complete_run_of(&self.archive, &own);
        match tokio::time::timeout(limits::KEEP_LEDGER_MAX, completed).await {
            Ok(Ok(true)) => self.release_run().await,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "completing the run"),
            Err(_) => tracing::warn!("completing the run takes too long"),
        }
        let mut kept = result.archived.take().unwrap_or_default();
        if kept.report.is_none() {
            let file = ReportFile { result: &result, timeline: None };
            let report = async {
                let json = serde_json::to_vec_pretty(&file).map_err(|error| error.to_string());
                Some(match json {
                    Ok(json) => self.put(REPORT, Bytes::from(json)).await,
                    Err(error) => Err(error),
                })
            };
            kept.report = noted(&mut kept, "the report", in_time(report).await);
        }
        result.archived = Some(kept);
        result
    }

    /// Notes in the ledger how the run ended, as far as that is known.
    pub async fn complete(&self, result: &GuardResult, kept: &mut Archived) {
        if self.mode == Mode::DryRun {
            return;
        }
        // A run that gave way is on record already, or was never begun there.
        if result.gave_way.is_some() {
            return;
        }
        let Some(program) = self.program() else { return };
        let Some(outcome) = outcome(&program, result, self.allowed) else { return };
        let completed = Completed {
            message: message(&program, result),
            execution_time: program.started_at,
            finalization_time: program.finished_at,
            summary: Some(summary(result)),
            database: result.database.clone(),
            result: self.run.part.map(|_| Box::new(result.clone())),
            ..Completed::now(outcome)
        };
        let begun = Begun {
            database: result.database.clone(),
            ..Begun::now(&self.run.plan, self.run.kind.clone())
        };
        let name = self.run.own_name();
        let noted = ledger::record(&self.archive, &name, &begun, &completed);
        match tokio::time::timeout(limits::KEEP_LEDGER_MAX, noted).await {
            Ok(Ok(())) => {
                kept.completed = Some(outcome);
                self.release_run().await;
            }
            Ok(Err(error)) => trouble(kept, &format!("the ledger: {}", chain(&error))),
            Err(_) => trouble(kept, "the ledger: no answer in time"),
        }
    }

    /// Whether the run has succeeded with the part that has, as far as is known.
    async fn is_whole(&self) -> bool {
        let completed = ledger::completed(&self.archive, &self.run.name).await;
        completed.is_ok_and(|end| end.is_some_and(|end| end.outcome == RunOutcome::Succeeded))
    }

    /// Gives the locks of a run with parts back, if it is completed. They run out by themselves.
    async fn release_run(&self) {
        if self.run.part.is_none() || !self.is_whole().await {
            return;
        }
        let released = self.run.release_locks(&self.archive);
        match tokio::time::timeout(limits::KEEP_LEDGER_MAX, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "giving the run's locks back"),
            Err(_) => tracing::warn!("giving the run's locks back takes too long"),
        }
    }

    /// Uploads what there is.
    pub async fn upload(&self, engine: &Arc<Engine>, result: &GuardResult, kept: &mut Archived) {
        let log = async {
            let dir = self.log_dir.clone()?;
            let packed = tokio::task::spawn_blocking(move || program_log::packed(&dir)).await;
            match packed {
                Ok(Ok(Some(packed))) => Some(self.put("program.log.zst", packed).await),
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some(Err(error.to_string())),
                Err(_) => Some(Err("it could not be read".into())),
            }
        };
        let report = async {
            let file = ReportFile { result, timeline: engine.timeline() };
            match serde_json::to_vec_pretty(&file) {
                Ok(json) => self.put(REPORT, Bytes::from(json)).await,
                Err(error) => Err(error.to_string()),
            }
        };
        let difference = async {
            if self.mode == Mode::Apply {
                return None;
            }
            self.difference(Arc::clone(engine)).await.transpose()
        };
        // The report first: the others may be long.
        let (report, log, difference) =
            tokio::join!(in_time(async { Some(report.await) }), in_time(log), in_time(difference));
        kept.report = noted(kept, "the report", report);
        kept.log = noted(kept, "the program's output", log);
        if let Some((first, parts)) = noted(kept, "the difference", difference) {
            kept.difference = Some(first);
            kept.difference_parts = (parts > 1).then_some(parts);
        }
    }

    /// Puts the difference part by part as it is written; the first one's path, and how many.
    async fn difference(&self, engine: Arc<Engine>) -> Result<Option<(String, u32)>, String> {
        let (whole, mut parts) = mpsc::channel(1);
        let to = Parts { bytes_max: self.part_bytes, part: Vec::new(), whole };
        let writing = tokio::task::spawn_blocking(move || engine.write_difference_in_parts(to));
        let mut kept: Option<(String, u32)> = None;
        while let Some(part) = parts.recv().await {
            kept = Some(match kept {
                None => (self.put(DIFFERENCE, part).await?, 1),
                Some((first, parts)) => {
                    self.put_part(&first, parts + 1, part).await?;
                    (first, parts + 1)
                }
            });
        }
        match writing.await {
            Ok(Ok(_)) => Ok(kept),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("it could not be put together".into()),
        }
    }

    /// Puts a further part of a difference beside its first, which says whose attempt it is.
    async fn put_part(&self, first: &str, number: u32, content: Bytes) -> Result<(), String> {
        let name = first.strip_suffix(DIFFERENCE).unwrap_or(first);
        let path = format!("{name}difference-{number}.ndjson.zst");
        match self.archive.create(&path, content).await {
            Ok(Created::New) => Ok(()),
            Ok(Created::Exists(_)) => Err(format!("there is another {path} already")),
            Err(error) => Err(chain(&error)),
        }
    }

    /// Puts one object into the run's folder.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<String, String> {
        self.archive.keep(&self.folder, name, content).await.map_err(|error| chain(&error))
    }

    /// Deletes what the target's owner does not want to keep, of this migration.
    pub async fn clean(&self) {
        let Some(retention) = self.retention else { return };
        match tokio::time::timeout(limits::KEEP_RETENTION_MAX, self.clean_now(retention)).await {
            Ok(Ok(objects)) => tracing::info!(objects, "the archive was cleaned"),
            Ok(Err(error)) => tracing::warn!(error, "cleaning the archive"),
            Err(_) => tracing::info!("the archive is cleaned further after the next run"),
        }
    }

    async fn clean_now(&self, plan: RetentionPlan) -> Result<usize, String> {
        let migration = self.run.name.migration();
        let entries = ledger::entries(&self.archive, Some(migration)).await;
        let entries = entries.map_err(|error| chain(&error))?;
        let objects = self.archive.list(&format!("runs/{migration}")).await;
        let retention = Retention {
            age_s_max: i64::from(plan.max_age_days) * DAY_S,
            runs_kept: plan.keep_runs as usize,
            journals_too: plan.journals,
        };
        let objects = objects.map_err(|error| chain(&error))?;
        let now_s = jiff::Timestamp::now().as_second();
        let mut chosen = retention.choose(&objects, &entries, now_s);
        let own = self.run.name.clone();
        chosen.paths.retain(|path| RunName::of_path(path).as_ref() != Some(&own));
        let by = "the target's archive.retention";
        let collected = ledger::collect(&self.archive, &chosen, by).await;
        collected.map_err(|error| chain(&error))?;
        Ok(chosen.paths.len())
    }

    /// The run's name in the archive.
    pub fn name(&self) -> String {
        self.run.name.to_string()
    }
}

const DAY_S: i64 = 24 * 60 * 60;

/// Where a run's objects are kept, or those of a part of it.
fn folder(run: &JournaledRun, mode: Mode) -> String {
    match mode {
        Mode::Apply => run.own_name().folder(),
        Mode::DryRun => run.own_name().dry_run(&run.id.uid),
    }
}

/// What a run did to the data, for the ledger.
pub fn summary(result: &GuardResult) -> RunSummary {
    let tables = result
        .tables
        .iter()
        .map(|table| dm_contract::report::TableEffect { attributes: Vec::new(), ..table.clone() });
    RunSummary {
        requests: result.requests,
        items_read: result.items_read,
        read_units: result.read_units,
        write_units: result.write_units,
        tables: tables.collect(),
        left_out: result.left_out,
        counts_items: result.journal.is_some(),
    }
}

/// A difference on its way to the archive.
struct Parts {
    bytes_max: usize,
    part: Vec<u8>,
    whole: mpsc::Sender<Bytes>,
}

impl io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DifferenceParts for Parts {
    fn is_full(&self) -> bool {
        self.part.len() >= self.bytes_max
    }

    /// Waits until there is room for it.
    fn ends(&mut self) -> io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        self.whole.blocking_send(part).map_err(|_| io::Error::other("the upload has ended"))
    }
}

type Uploaded<T> = Option<Result<T, String>>;

async fn in_time<T>(upload: impl Future<Output = Uploaded<T>>) -> Uploaded<T> {
    let longest: Duration = limits::KEEP_UPLOADS_MAX;
    let timed = tokio::time::timeout(longest, upload).await;
    timed.unwrap_or_else(|_| Some(Err("no answer in time".into())))
}

fn noted<T>(kept: &mut Archived, what: &str, uploaded: Uploaded<T>) -> Option<T> {
    match uploaded? {
        Ok(kept) => Some(kept),
        Err(why) => {
            trouble(kept, &format!("{what}: {why}"));
            None
        }
    }
}

/// Notes something that could not be kept.
pub fn trouble(kept: &mut Archived, what: &str) {
    tracing::warn!(what, "not kept in the archive");
    let problem = kept.problem.get_or_insert_default();
    if !problem.is_empty() {
        problem.push_str("; ");
    }
    problem.push_str(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::{program, result};
    use crate::testing;

    #[tokio::test]
    async fn a_run_that_wrote_nothing_is_on_record_too_and_old_runs_go() {
        let (archive, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut plan = testing::plan(archive.path(), Mode::Apply);
        let opened = Archive::open(plan.archive.as_ref().unwrap(), "r").await.unwrap();
        let json = serde_json::json!(program(Some(0), None, None)).to_string();
        std::fs::write(logs.path().join(program_log::RESULT), json).unwrap();
        for number in 1..=3 {
            plan.run.number = number;
            let log_dir = Some(logs.path().to_owned());
            let uploader = Uploader::of(&plan, &opened, log_dir).unwrap();
            let mut kept = Archived::default();
            uploader.complete(&result(None), &mut kept).await;
            assert_eq!(kept.completed, Some(RunOutcome::Succeeded));
            uploader.put("report.json", Bytes::from_static(b"{}")).await.unwrap();
        }
        plan.archive.as_mut().unwrap().retention =
            Some(RetentionPlan { max_age_days: 0, keep_runs: 0, journals: false });
        std::thread::sleep(Duration::from_millis(2100));
        Uploader::of(&plan, &opened, None).unwrap().clean().await;
        let left = opened.list("runs").await.unwrap();
        assert_eq!(left.len(), 1, "its own stay: {left:?}");
        assert_eq!(ledger::entries(&opened, Some("m")).await.unwrap().len(), 3);
    }
}
