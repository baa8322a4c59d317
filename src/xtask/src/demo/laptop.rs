//! The part of the demonstration without a cluster: a migration on the embedded database. It is
//! dry-run, applied and restored within minutes after a clone, and what the terminal showed becomes
//! the README's recording.

mod recording;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use super::teller::{Teller, print_chapter};
use dm_testbed::checkout::Checkout;
use dm_testbed::command::{command, run as run_quietly, show, succeeds};
use dm_testbed::console::{say, seconds, seconds_and_cpu, step};
use dm_testbed::fingerprint::Fingerprint;
use dm_testbed::parts::cached;
use recording::Recording;

/// The migration that is shown.
const MIGRATION: &str = "migrations/0001-add-price-to-cars";

/// The profile it is built with: nothing is optimized, and only one package is asked for.
const PROFILE: &str = "quick";

/// Where the recording is.
const FILE: &str = "docs/laptop.svg";

/// Whether the recording in the repository is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// It stays as it is.
    No,
    /// What is shown becomes the next one.
    Yes,
}

pub fn run(checkout: &Checkout, record: Record) -> Result<()> {
    let begun = Instant::now();
    let (programs, packages) = programs(checkout)?;
    let mut path = vec![programs];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(path).context("naming the program's folder in PATH")?;
    let mut variables = vec![("PATH".to_owned(), path.to_string_lossy().into_owned())];
    variables
        .extend(packages.map(|folder| ("PYTHONPATH".to_owned(), folder.display().to_string())));
    let mut teller = Teller::new(checkout, variables);
    let recording = tell(&mut teller, begun)?;
    if record == Record::Yes {
        let file = checkout.root.join(FILE);
        fs::write(&file, recording.svg()).with_context(|| format!("writing {FILE}"))?;
        say(&format!("The recording is in {FILE}."));
    }
    teller.verdict()?;
    say(&format!("This part took {}.", seconds_and_cpu(begun.elapsed())));
    Ok(())
}

/// The folder with the command line, and the one with boto3 if this machine's Python has none.
pub fn programs(checkout: &Checkout) -> Result<(PathBuf, Option<PathBuf>)> {
    Ok((build(checkout)?, packages(checkout)?))
}

/// Builds the command line; the folder that it is in.
fn build(checkout: &Checkout) -> Result<PathBuf> {
    step("building datamigration", || {
        let mut cargo = command("cargo", ["build", "--quiet", "--profile", PROFILE]);
        // The released allocator alone would take a quarter of the time.
        cargo.args(["--package", "dm-cli", "--no-default-features"]).current_dir(&checkout.root);
        show(&mut cargo, "building the command line")
    })?;
    Ok(checkout.target().join(PROFILE))
}

/// A folder with boto3, if this machine's Python has none.
fn packages(checkout: &Checkout) -> Result<Option<PathBuf>> {
    if succeeds(&mut command("python3", ["-c", "import boto3"])) {
        return Ok(None);
    }
    let requirements = checkout.testbed().join("images/python/requirements.txt");
    let key = Fingerprint::default().text("laptop 1").file(&requirements)?.key();
    let folder = cached(&checkout.cache, "laptop", "python", &key, |place| {
        step("installing boto3 with pip", || {
            run_quietly(
                command("python3", ["-m", "pip", "install", "--quiet", "--no-compile"])
                    .args(["--root-user-action=ignore", "--disable-pip-version-check"])
                    .arg("--requirement")
                    .arg(&requirements)
                    .arg("--target")
                    .arg(place),
                "installing boto3 with pip",
            )
        })
    })?;
    Ok(Some(folder))
}

fn tell(teller: &mut Teller, begun: Instant) -> Result<Recording> {
    let mut recording = Recording::default();
    let mut show = |teller: &Teller, line: &str| -> Result<String> {
        let shown = teller.read(&format!("{line} 2>&1"))?;
        recording.command(line, &shown);
        Ok(shown)
    };
    print_chapter("A dry run: the script is not changed, the database is in the program");
    let tried = show(teller, &format!("datamigration run {MIGRATION} --reset"))?;
    say(&format!("The first dry run ended {} after the start.", seconds(begun.elapsed())));
    holds(teller, "the dry run wrote nothing", &tried, "nothing was written");
    holds(teller, "24 cars would get a price", &tried, "24 would be updated");

    print_chapter("It is applied, and journaled");
    let applied = show(teller, &format!("datamigration run {MIGRATION} --apply"))?;
    holds(teller, "24 prices were added", &applied, "24 prices added");

    print_chapter("It is restored, attribute by attribute");
    let restored = show(teller, &format!("datamigration restore --folder {MIGRATION}"))?;
    holds(teller, "24 cars lost their price again", &restored, "24  items restored");
    holds(teller, "there were no conflicts", &restored, " 0  conflicts");
    teller.show(&format!("rm -rf {MIGRATION}/.datamigration"))?;
    Ok(recording)
}

fn holds(teller: &mut Teller, what: &str, text: &str, part: &str) {
    let found = if text.contains(part) { part } else { text };
    teller.expect(what, part, found);
}
