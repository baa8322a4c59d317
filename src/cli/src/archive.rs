//! `datamigration archive`: what an archive holds, whether it is whole, and what may go.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use dm_contract::error_chain::chain;
use dm_contract::report::TableEffect;
use dm_engine::archive::ledger::{self, Completed, Kind, LedgerEntry, Removal, RunOutcome};
use dm_engine::archive::locks as table_locks;
use dm_engine::archive::{Archive, LayoutError, Listed, Retention, RunName};
use dm_engine::journal::{JournalReader, JournalSummary, ReadError};
use dm_engine::limits;

use crate::archive_place::{Answered, ArchiveVerbError, Place};
use crate::{layout, locks, print};

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Flags of `datamigration archive`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  datamigration archive ls --archive file:///var/lib/archive
  datamigration archive verify --archive s3://bucket/prefix --run 0001-add-price-to-cars/1
  datamigration archive gc --archive s3://bucket/prefix --older-than-days 90 --keep 3 --dry-run";

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// List the runs of all migrations with their tables and counts, and the table locks
    Ls(Ls),
    /// Show one run
    Show(OneRun),
    /// Read the journal of a run, or of all, and check all of it
    Verify(Verify),
    /// Delete what is old: never the ledger, and journals only of runs that were restored
    Gc(Gc),
    /// Take a table's lock from the run that has it, on record
    Unlock(locks::Unlock),
}

#[derive(Clone, Debug, Args)]
struct Ls {
    #[command(flatten)]
    place: Place,
    /// Only runs of this migration
    #[arg(long, value_name = "NAME")]
    migration: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct OneRun {
    #[command(flatten)]
    place: Place,
    /// The run, as MIGRATION/NUMBER
    #[arg(long, value_name = "RUN", value_parser = run)]
    run: RunName,
}

#[derive(Clone, Debug, Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// The run, as MIGRATION/NUMBER [default: every one]
    #[arg(long, value_name = "RUN", value_parser = run)]
    run: Option<RunName>,
}

#[derive(Clone, Debug, Args)]
struct Gc {
    #[command(flatten)]
    place: Place,
    /// Runs younger than this stay
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32))]
    older_than_days: u32,
    /// The last runs of each migration stay
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep: usize,
    /// Journals of runs that were not restored go too: they can then never be restored
    #[arg(long)]
    journals_too: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

/// Reads `MIGRATION/NUMBER`.
pub fn run(text: &str) -> Result<RunName, LayoutError> {
    RunName::parse(text)
}

/// Does what is asked; the exit code.
pub async fn archive(flags: Flags) -> Answered<u8> {
    match flags.verb {
        Verb::Ls(flags) => ls(flags).await,
        Verb::Show(flags) => show(flags).await,
        Verb::Verify(flags) => verify(flags).await,
        Verb::Gc(flags) => gc(flags).await,
        Verb::Unlock(flags) => locks::unlock(flags).await,
    }
}

fn words(entry: &LedgerEntry) -> (String, &'static str) {
    let kind = match entry.begun.kind {
        Kind::Apply => "apply".to_owned(),
        Kind::Restore(number) => format!("restore of {number}"),
    };
    let outcome = match entry.completed.as_ref().map(|completed| completed.outcome) {
        Some(RunOutcome::Succeeded) => "succeeded",
        Some(RunOutcome::Failed) => "failed",
        None => "unknown",
    };
    (kind, outcome)
}

async fn ls(flags: Ls) -> Answered<u8> {
    let archive = flags.place.open().await?;
    let entries = ledger::entries(&archive, flags.migration.as_deref()).await?;
    let mut rows = Vec::with_capacity(entries.len());
    for entry in &entries {
        let (kind, outcome) = words(entry);
        let begun_at = entry.begun.begun_at.clone();
        let run = entry.run.to_string();
        rows.push(vec![run, kind, outcome.to_owned(), begun_at, tables(entry), changes(entry)]);
    }
    let mut text = layout::table(&["RUN", "KIND", "OUTCOME", "BEGUN", "TABLES", "CHANGES"], &rows);
    text += &locks::listed(&archive).await?;
    print::answer(&text)?;
    Ok(0)
}

/// The tables that a run wrote, and those that its result lists.
fn tables(entry: &LedgerEntry) -> String {
    let summary = entry.completed.as_ref().and_then(|completed| completed.summary.as_ref());
    let told =
        summary.into_iter().flat_map(|summary| summary.tables.iter().map(|table| &table.name));
    let names: BTreeSet<&String> = entry.tables.keys().chain(told).collect();
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() { "-".into() } else { names.join(",") }
}

/// What a run did to the items of all its tables.
fn changes(entry: &LedgerEntry) -> String {
    let Some(completed) = &entry.completed else { return "-".into() };
    match (&entry.begun.kind, &completed.summary, &completed.message) {
        (Kind::Restore(_), _, Some(message)) => message.clone(),
        (_, Some(summary), _) => {
            let sum =
                |of: fn(&TableEffect) -> u64| layout::count(summary.tables.iter().map(of).sum());
            let created = if summary.counts_items { "created" } else { "put" };
            format!(
                "{} updated, {} {created}, {} deleted",
                sum(|table| table.updated),
                sum(|table| table.created),
                sum(|table| table.deleted)
            )
        }
        (_, None, _) => "-".into(),
    }
}

async fn show(flags: OneRun) -> Answered<u8> {
    let archive = flags.place.open().await?;
    let entries = ledger::entries(&archive, Some(flags.run.migration())).await?;
    let entry = entries
        .iter()
        .find(|entry| entry.run == flags.run)
        .ok_or_else(|| ArchiveVerbError::NoRun(flags.run.clone()))?;
    let (kind, outcome) = words(entry);
    let completed = entry.completed.as_ref();
    let ended = completed.map_or("unknown", |completed| completed.completed_at.as_str());
    let message = completed.and_then(|completed| completed.message.as_deref()).unwrap_or_default();
    let journal = journal_words(&archive, &flags.run).await;
    let times = completed.map(times).unwrap_or_default();
    let kept = kept(&archive, &flags.run).await?;
    let (code, journal) = match &journal {
        Ok(journal) => (0, journal.clone()),
        Err(error) => (1, chain(error)),
    };
    print::answer(&format!(
        "run        {}\nkind       {kind}\noutcome    {outcome} {message}\nbegun      {}\n\
         completed  {ended}\ntables     {}\nchanges    {}\njournal    {journal}\n{times}{kept}",
        flags.run,
        entry.begun.begun_at,
        tables(entry),
        changes(entry),
    ))?;
    Ok(code)
}

/// What a run's journal holds, in words.
async fn journal_words(archive: &Archive, run: &RunName) -> Result<String, ReadError> {
    let reader = JournalReader::of_run(archive, run).await?;
    if reader.is_empty() {
        return Ok("empty: the run wrote nothing".into());
    }
    let journal = reader.verify().await?;
    let in_doubt = journal.entries - (journal.written + journal.refused).min(journal.entries);
    let control = match journal.control {
        0 => String::new(),
        calls => format!("; {} changes of tables, which no restore undoes", layout::count(calls)),
    };
    Ok(format!(
        "{} entries in {} segments, {} bytes: {} written, {} refused, {in_doubt} in doubt, {} \
         unverified{control}",
        layout::count(journal.entries),
        layout::count(journal.segments),
        layout::count(journal.bytes),
        layout::count(journal.written),
        layout::count(journal.refused),
        layout::count(journal.unverified),
    ))
}

/// When the program ran, if that is known.
fn times(completed: &Completed) -> String {
    let line = |what: &str, time: &Option<String>| {
        time.as_ref().map(|time| format!("{what:<10} {time}\n")).unwrap_or_default()
    };
    line("execution", &completed.execution_time) + &line("finalized", &completed.finalization_time)
}

/// What else there is of a run: log, report and others.
async fn kept(archive: &Archive, run: &RunName) -> Answered<String> {
    let objects = archive.list(&run.folder()).await?;
    let others = objects.iter().filter(|object| !object.path.starts_with(&run.journal()));
    let line = |object: &Listed| {
        format!("kept       {} ({} bytes)\n", object.path, layout::count(object.bytes))
    };
    Ok(others.map(line).collect())
}

async fn verify(flags: Verify) -> Answered<u8> {
    let archive = flags.place.open().await?;
    if let Some(run) = &flags.run {
        let (whole, told) = verified(&archive, run).await;
        print::answer(&format!("{run}  {told}\n"))?;
        return Ok(u8::from(!whole));
    }
    let mut code = 0;
    for entry in ledger::entries(&archive, None).await? {
        let (whole, told) = verified(&archive, &entry.run).await;
        code = code.max(u8::from(!whole));
        print::answer(&format!("{}  {told}\n", entry.run))?;
    }
    Ok(code)
}

/// Whether a run can be restored from its journal, and what is to be said of it.
async fn verified(archive: &Archive, run: &RunName) -> (bool, String) {
    let read = async {
        let reader = JournalReader::of_run(archive, run).await?;
        Ok((reader.is_empty(), reader.verify().await?))
    };
    match read.await {
        Ok((true, _)) => (true, "empty: the run wrote nothing".into()),
        Ok((false, summary)) if summary.torn_bytes > 0 => {
            let JournalSummary { entries, torn_bytes, .. } = summary;
            (true, format!("{entries} entries; a torn end of {torn_bytes} bytes is cut"))
        }
        Ok((false, summary)) => (true, format!("{} entries, whole", summary.entries)),
        // What it was for was done before.
        Err(ReadError::Removed { removal, .. }) if removal.restored => {
            let Removal { removed_at, by, .. } = &*removal;
            (true, format!("restored; its journal was removed at {removed_at} by {by}"))
        }
        Err(error) => (false, chain(&error)),
    }
}

async fn gc(flags: Gc) -> Answered<u8> {
    let archive = flags.place.open().await?;
    let restored: BTreeSet<RunName> = ledger::restored(&ledger::entries(&archive, None).await?);
    let retention = Retention {
        age_s_max: i64::from(flags.older_than_days) * DAY_S,
        runs_kept: flags.keep,
        journals_too: flags.journals_too,
    };
    let objects = archive.list("runs").await?;
    let mut chosen = retention.choose(&objects, &restored, jiff::Timestamp::now().as_second());
    let locks = table_locks::prune(&archive, limits::LOCKS_KEPT).await?;
    if !flags.dry_run {
        table_locks::note_pruned(&archive, &locks).await?;
    }
    for object in locks {
        chosen.bytes += object.bytes;
        chosen.paths.push(object.path);
    }
    if !flags.dry_run {
        let by = if flags.journals_too { " --journals-too" } else { "" };
        let by = format!("`datamigration archive gc{by}`");
        ledger::collect(&archive, &chosen, &by).await?;
    }
    let done = if flags.dry_run { "would go" } else { "deleted" };
    print::answer(&format!(
        "{} objects of {} runs, {} bytes {done}\n",
        layout::count(chosen.paths.len() as u64),
        layout::count(chosen.runs.len() as u64),
        layout::count(chosen.bytes),
    ))?;
    Ok(0)
}
