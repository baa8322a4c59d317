//! Measures a restore: a journal of a million entries, written by the journal's own writer, is
//! restored in its own process, whose memory is what counts. Run by `cargo xtask bench
//! restore`; prints, judges nothing.
//!
//! The database is a mock that answers in constant time and keeps of each item whether it has its
//! price: a real one would measure itself. The archive is a folder.

mod database;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use dm_contract::plan::{
    ArchivePlan, Mode, PLAN_VERSION, Plan, Policy, RateLimits, RunId, Upstream,
};
use dm_dynamodb::journal::After;
use dm_dynamodb::value::Item;
use dm_engine::CredentialSource;
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::{Draft, JournalReader, Settlement, Writer};
use dm_engine::restore::Restore;
use dm_engine::restore::RestoreOptions;

/// Items of the run that is restored, unless the first argument says otherwise.
const ITEMS: usize = 1_000_000;
/// Entries that come together: a segment each.
const TOGETHER: usize = 2_000;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["restore", archive, database] => restore(archive, database).await,
        [] => measure(ITEMS).await,
        [items] => measure(items.parse()?).await,
        _ => Err("one argument at most: how many items".into()),
    }
}

async fn measure(items: usize) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let url = format!("file://{}", folder.path().join("archive").display());
    let archive = Archive::open(&named(&url), REGION).await?;
    let run = RunName::new(MIGRATION, 1)?;
    let begun = Instant::now();
    write_journal(&archive, &run, items).await?;
    let journal = JournalReader::open(&archive, &run).await?;
    println!(
        "a journal of {items} entries in {} segments, {} MB, written in {:.0?}",
        journal.segments(),
        journal.bytes() / 1_000_000,
        begun.elapsed()
    );
    let database = database::serve(items).await?;
    let begun = Instant::now();
    let output = tokio::task::spawn_blocking({
        let (url, endpoint) = (url.clone(), database.endpoint.clone());
        move || Command::new(std::env::current_exe()?).args(["restore", &url, &endpoint]).output()
    })
    .await??;
    let took = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let left = database.left();
    #[allow(clippy::cast_precision_loss)] // A number of items.
    let per_second = items as f64 / took;
    println!("restored in {took:.1} s: {per_second:.0} items a second; {left} items left over");
    Ok(())
}

const REGION: &str = "eu-west-1";
const MIGRATION: &str = "bench";

fn named(url: &str) -> ArchivePlan {
    ArchivePlan { url: url.into(), migration: MIGRATION.into(), ..ArchivePlan::default() }
}

fn item(number: usize) -> Item {
    Item::from([
        ("id".to_owned(), format!("car-{number:08}").as_str().into()),
        ("brand".to_owned(), "a brand of cars".into()),
        ("text".to_owned(), "some words about it. ".repeat(10).as_str().into()),
    ])
}

async fn write_journal(archive: &Archive, run: &RunName, items: usize) -> Result<(), Error> {
    let writer = Writer::open(archive.clone(), run.clone()).await?;
    let numbers: Vec<usize> = (0..items).collect();
    for part in numbers.chunks(TOGETHER) {
        let drafts = part.iter().map(|number| {
            let before = item(*number);
            let mut after = before.clone();
            after.insert("price".into(), 7.into());
            let key = before.iter().filter(|(name, _)| *name == "id");
            let key = key.map(|(name, value)| (name.clone(), value.clone())).collect();
            let after = After::of(Some(&before), Some(&after));
            let (table, before) = ("cars".to_owned(), Some(before));
            Draft { table, key, before, after, unverified: false, transaction: None }
        });
        let entries = writer.append_all(drafts.collect()).await;
        for sequence in entries.map_err(|fault| fault.to_string())? {
            writer.settle(sequence, Settlement::Written);
        }
    }
    if writer.close().await { Ok(()) } else { Err("the journal was not written".into()) }
}

/// In its own process.
async fn restore(url: &str, database: &str) -> Result<(), Error> {
    let plan = Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "bench".into(), uid: "u".into(), number: 2 },
        mode: Mode::Apply,
        upstream: Upstream { region: REGION.into(), endpoint: Some(database.to_owned()) },
        policy: Policy::default(),
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        archive: Some(named(url)),
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    };
    let keys = Credentials::new("bench", "bench", None, None, "bench");
    let credentials = CredentialSource::new(SharedCredentialsProvider::new(keys));
    let archive = Restore::open_archive(&plan).await?;
    let restore = Restore::open(&plan, RestoreOptions::new(credentials, archive, 1))?;
    let report = restore.run().await?;
    println!(
        "{} keys, {} restored, {} conflicts, at most {} MB of memory",
        report.counts.items,
        report.counts.restored,
        report.conflicts,
        peak_bytes()? / 1_000_000
    );
    Ok(())
}

/// The most memory that this process has had, as Linux tells it.
fn peak_bytes() -> Result<u64, Error> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kilobytes.ok_or("no VmHWM in /proc/self/status")? * 1024)
}
