//! `datamigration archive verify`: whether each run can be restored from its journal.

use std::collections::BTreeSet;

use dm_contract::error_chain::chain;
use dm_engine::archive::ledger::{self, LedgerError, Removal};
use dm_engine::archive::{Archive, Listed, RunName};
use dm_engine::journal::{JournalReader, JournalSummary, ReadError};
use serde::Serialize;

use super::{Verify, none, verify_all};
use crate::answer::{self, Words};
use crate::archive_place::Answered;
use crate::layout::counted;
use crate::{layout, print};

/// What is to be said of one run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    /// `MIGRATION/NUMBER`.
    run: String,
    /// Whether the run can be restored, or was restored before its journal was removed.
    whole: bool,
    message: String,
}

/// All of them, as data.
#[derive(Debug, Serialize)]
struct All {
    runs: Vec<Verified>,
}

/// Runs as they are verified: on a terminal each is printed immediately, because a long journal
/// takes its time.
struct Answer {
    flags: answer::Flags,
    all: All,
}

impl Answer {
    fn add(&mut self, run: &RunName, whole: bool, message: String) -> Answered<()> {
        if self.flags.is_text() {
            print::answer(&format!("{run}  {message}\n"))?;
        }
        self.all.runs.push(Verified { run: run.to_string(), whole, message });
        Ok(())
    }

    /// Prints what was not printed; the exit code.
    fn end(self) -> Answered<u8> {
        let runs = &self.all.runs;
        if !self.flags.is_text() {
            self.flags.print(&self.all, |_: Words| {
                let row = |one: &Verified| {
                    let whole = if one.whole { "yes" } else { "no" };
                    vec![one.run.clone(), whole.to_owned(), one.message.clone()]
                };
                let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
                layout::markdown_table(&["RUN", "WHOLE", "JOURNAL"], &rows)
            })?;
        }
        Ok(u8::from(runs.iter().any(|one| !one.whole)))
    }
}

pub(super) async fn verify(flags: Verify) -> Answered<u8> {
    let archive = flags.place.open().await?;
    let mut answer = Answer { flags: flags.answer, all: All { runs: Vec::new() } };
    if let Some(run) = &flags.run {
        let (whole, message) = verified(&archive, run).await;
        answer.add(run, whole, message)?;
        return answer.end();
    }
    let (entries, damaged) = ledger::readable(&archive, None).await?;
    let mut known: BTreeSet<RunName> = damaged.iter().filter_map(LedgerError::run).collect();
    for run in entries.iter().map(|entry| &entry.run) {
        let (whole, message) = verified(&archive, run).await;
        answer.add(run, whole, message)?;
        known.insert(run.clone());
    }
    for error in &damaged {
        let Some(run) = error.run() else { continue };
        answer.add(&run, false, chain(error))?;
    }
    for run in journaled(&archive).await?.difference(&known) {
        let lost = "a journal without an entry in the ledger: the ledger was lost or deleted";
        answer.add(run, false, lost.to_owned())?;
    }
    let nothing = answer.all.runs.is_empty();
    let code = answer.end()?;
    if nothing { none(&flags.place, &archive, None).await } else { Ok(code) }
}

/// The runs that have a journal.
pub async fn journaled(archive: &Archive) -> Answered<BTreeSet<RunName>> {
    let mut runs = BTreeSet::new();
    let see = |object: Listed| {
        if RunName::is_of_journal(&object.path) {
            runs.extend(RunName::of_path(&object.path));
        }
        true
    };
    archive.visit("runs", see).await?;
    Ok(runs)
}

/// Whether a run can be restored from its journal, and what is to be said of it.
async fn verified(archive: &Archive, run: &RunName) -> (bool, String) {
    let read = async {
        let readers = JournalReader::of_run(archive, run).await?;
        let is_empty = readers.iter().all(JournalReader::is_empty);
        Ok((is_empty, verify_all(&readers).await?))
    };
    match read.await {
        Ok((true, _)) => (true, "empty: the run wrote nothing".into()),
        Ok((false, summary)) if summary.torn_bytes > 0 => {
            let JournalSummary { entries, torn_bytes, .. } = summary;
            let (entries, torn) = (counted(entries, "entry"), counted(torn_bytes, "byte"));
            (true, format!("{entries}; at its end {torn} of a torn entry, not read"))
        }
        Ok((false, summary)) => (true, format!("{}, complete", counted(summary.entries, "entry"))),
        // What it was for was done before.
        Err(ReadError::Removed { removal, .. }) if removal.restored => {
            let Removal { removed_at, by, .. } = &*removal;
            (true, format!("restored; its journal was removed at {removed_at} by {by}"))
        }
        Err(error) => (false, chain(&error)),
    }
}
