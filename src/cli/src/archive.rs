//! `datamigration archive`: what an archive holds, whether it is whole, and what may go.

mod collect;
mod record;
mod verify;

use clap::{Args, Subcommand};
use dm_contract::error_chain::chain;
use dm_engine::archive::ledger::{self, Kind, LedgerEntry};
use dm_engine::archive::locks as table_locks;
use dm_engine::archive::{Archive, LayoutError, RunName};
use dm_engine::journal::{JournalReader, JournalSummary, ReadError};

use crate::answer::{self, Words};
use crate::archive_place::{Answered, ArchiveVerbError, Place};
use crate::layout::counted;
use crate::print::say;
use crate::{layout, locks};
use record::{Changes, Journal, Kept, Lock, Run, Runs, Shown};

pub use verify::journaled;

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
  datamigration archive ls --archive s3://bucket/prefix -o json
  datamigration archive verify --archive s3://bucket/prefix --run 0001-add-price-to-cars/1
  datamigration archive gc --archive s3://bucket/prefix --older-than-days 90 --keep 3 --dry-run";

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// List the runs of all migrations with their tables and counts, and the table locks
    Ls(Ls),
    /// Show one run
    Show(OneRun),
    /// Read and verify the journal of a run, or of all runs
    Verify(Verify),
    /// Delete old reports, logs, and journals of restored runs; never the ledger
    Gc(Gc),
    /// Remove the lock of a table, and record who did so and why
    Unlock(locks::Unlock),
}

#[derive(Clone, Debug, Args)]
struct Ls {
    #[command(flatten)]
    place: Place,
    /// Only runs of this migration
    #[arg(long, value_name = "NAME")]
    migration: Option<String>,
    #[command(flatten)]
    answer: answer::Flags,
}

#[derive(Clone, Debug, Args)]
struct OneRun {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    answer: answer::Flags,
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
    #[command(flatten)]
    answer: answer::Flags,
}

#[derive(Clone, Debug, Args)]
struct Gc {
    #[command(flatten)]
    place: Place,
    /// Keep runs younger than this
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32))]
    older_than_days: u32,
    /// Number of newest runs of each migration to keep
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep: usize,
    /// Also delete journals of runs that were not restored. Such runs can then never be restored
    #[arg(long)]
    journals_too: bool,
    /// List what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    answer: answer::Flags,
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
        Verb::Verify(flags) => verify::verify(flags).await,
        Verb::Gc(flags) => collect::gc(flags).await,
        Verb::Unlock(flags) => locks::unlock(flags).await,
    }
}

/// The kind of a run, in words.
fn kind(entry: &LedgerEntry) -> String {
    match entry.begun.kind {
        Kind::Apply => "apply".to_owned(),
        Kind::Restore(number) => format!("restore of {number}"),
    }
}

async fn ls(flags: Ls) -> Answered<u8> {
    let archive = flags.place.open().await?;
    let (entries, damaged) = ledger::readable(&archive, flags.migration.as_deref()).await?;
    let locks = table_locks::all(&archive).await?;
    let data = Runs {
        runs: entries.iter().map(Run::from).collect(),
        locks: locks.iter().filter_map(Lock::of).collect(),
    };
    flags.answer.print(&data, |words| {
        let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
        let heads = ["RUN", "KIND", "OUTCOME", "BEGUN", "TABLES", "CHANGES"];
        match words {
            Words::Terminal => layout::table(&heads, &rows) + &locks::listed(&locks),
            Words::Markdown => {
                let locked = |lock: &Lock| {
                    let why = lock.reason.clone().unwrap_or_default();
                    vec![lock.table.clone(), lock.by.clone(), lock.since.clone(), why]
                };
                let locked: Vec<Vec<String>> = data.locks.iter().map(locked).collect();
                let heads_of_locks = ["TABLE", "LOCKED BY", "SINCE", "REASON"];
                let mut text = layout::markdown_table(&heads, &rows);
                if !locked.is_empty() {
                    text += "\n";
                    text += &layout::markdown_table(&heads_of_locks, &locked);
                }
                text
            }
        }
    })?;
    for error in &damaged {
        say(&format!("not listed: {}", chain(error)));
    }
    if entries.is_empty() && damaged.is_empty() {
        return none(&flags.place, &archive, flags.migration.as_deref()).await;
    }
    Ok(u8::from(!damaged.is_empty()))
}

fn row(entry: &LedgerEntry) -> Vec<String> {
    vec![
        entry.run.to_string(),
        kind(entry),
        record::outcome(entry).to_owned(),
        entry.begun.begun_at.clone(),
        tables(entry),
        changes(entry),
    ]
}

/// The tables that a run wrote, in words.
fn tables(entry: &LedgerEntry) -> String {
    let names = record::tables(entry);
    if names.is_empty() { "-".into() } else { names.join(",") }
}

/// What a run did to the items of all its tables, in words.
fn changes(entry: &LedgerEntry) -> String {
    let message = entry.completed.as_ref().and_then(|completed| completed.message.clone());
    match (&entry.begun.kind, record::changes(entry), message) {
        (Kind::Restore(_), _, Some(message)) => message,
        (_, Some(Changes { created, put, updated, deleted }), _) => {
            let (first, what) = match put {
                Some(put) => (put, "put"),
                None => (created.unwrap_or_default(), "created"),
            };
            let [updated, first, deleted] = [updated, first, deleted].map(layout::count);
            format!("{updated} updated, {first} {what}, {deleted} deleted")
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
    let (journal, journal_problem) = match journal(&archive, &flags.run).await {
        Ok(journal) => (journal.map(Journal::from), None),
        Err(error) => (None, Some(chain(&error))),
    };
    let code = u8::from(journal_problem.is_some());
    let kept = kept(&archive, &flags.run).await?;
    let data = Shown { run: Run::from(entry), journal, journal_problem, kept };
    flags.answer.print(&data, |words| {
        let facts = facts(entry, &data);
        match words {
            Words::Terminal => {
                let line = |(what, value): &(&str, String)| {
                    format!("{}\n", format!("{what:<10} {value}").trim_end())
                };
                facts.iter().map(line).collect()
            }
            Words::Markdown => {
                let row = |(what, value): (&str, String)| vec![what.to_owned(), value];
                let rows: Vec<Vec<String>> = facts.into_iter().map(row).collect();
                layout::markdown_table(&["", ""], &rows)
            }
        }
    })?;
    Ok(code)
}

/// What is shown of a run, in words.
fn facts(entry: &LedgerEntry, shown: &Shown) -> Vec<(&'static str, String)> {
    let run = &shown.run;
    let message = run.message.as_deref().unwrap_or_default();
    let journal = match (&shown.journal_problem, &shown.journal) {
        (Some(problem), _) => problem.clone(),
        (None, None) => "empty: the run wrote nothing".to_owned(),
        (None, Some(journal)) => journal_words(journal),
    };
    let mut facts = vec![
        ("run", run.name.clone()),
        ("kind", kind(entry)),
        ("outcome", format!("{} {message}", run.outcome).trim_end().to_owned()),
        ("begun", run.begun_at.clone()),
        ("completed", run.completed_at.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("tables", tables(entry)),
        ("changes", changes(entry)),
        ("journal", journal),
    ];
    facts.extend(run.parts.map(|parts| ("parts", parts.to_string())));
    facts.extend(run.execution_time.clone().map(|time| ("execution", time)));
    facts.extend(run.finalization_time.clone().map(|time| ("finalized", time)));
    let object =
        |one: &Kept| ("kept", format!("{} ({} bytes)", one.path, layout::count(one.bytes)));
    facts.extend(shown.kept.iter().map(object));
    facts
}

/// What a run's journal holds; nothing if the run wrote nothing.
async fn journal(archive: &Archive, run: &RunName) -> Result<Option<JournalSummary>, ReadError> {
    let readers = JournalReader::of_run(archive, run).await?;
    if readers.iter().all(JournalReader::is_empty) {
        return Ok(None);
    }
    verify_all(&readers).await.map(Some)
}

/// Reads and checks the journals of a run's parts; what they hold together.
async fn verify_all(readers: &[JournalReader]) -> Result<JournalSummary, ReadError> {
    let mut all = JournalSummary::default();
    for reader in readers {
        all = all.and(reader.verify().await?);
    }
    Ok(all)
}

fn journal_words(journal: &Journal) -> String {
    let control = match journal.control {
        0 => String::new(),
        1 => "; 1 change of tables, which is not restored".into(),
        calls => format!("; {} changes of tables, which are not restored", layout::count(calls)),
    };
    format!(
        "{} in {}, {}: {} written, {} rejected, {} in doubt, {} unverified{control}",
        counted(journal.entries, "entry"),
        counted(journal.segments, "segment"),
        counted(journal.bytes, "byte"),
        layout::count(journal.written),
        layout::count(journal.refused),
        layout::count(journal.in_doubt),
        layout::count(journal.unverified),
    )
}

/// What else there is of a run: log, report and others.
async fn kept(archive: &Archive, run: &RunName) -> Answered<Vec<Kept>> {
    let objects = archive.list(&run.folder()).await?;
    let others = objects.into_iter().filter(|object| !RunName::is_of_journal(&object.path));
    Ok(others.map(|object| Kept { path: object.path, bytes: object.bytes }).collect())
}

/// Says that there are no runs, which is no error of a new archive only.
async fn none(place: &Place, archive: &Archive, migration: Option<&str>) -> Answered<u8> {
    let is_marked = archive.is_marked().await?;
    let is_new = is_marked && table_locks::all(archive).await?.is_empty();
    let url = &place.archive;
    if let Some(migration) = migration.filter(|_| is_marked) {
        say(&format!("no runs of {migration} in {url}"));
        return Ok(0);
    }
    let told = if is_new {
        format!("no runs in {url} yet")
    } else {
        format!("no runs: there is no archive at {url}, or its ledger is gone")
    };
    say(&told);
    Ok(u8::from(!is_new))
}
