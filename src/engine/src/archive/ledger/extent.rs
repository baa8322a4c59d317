//! How far a run's journal has come, noted beside the ledger's entries and not beside the journal:
//! so that segments which are gone are missed. What is noted is a lower bound, never more than was
//! durable.

use dm_contract::verdict::JournalExtent;
use serde::{Deserialize, Serialize};

use crate::archive::RunName;
use crate::archive::ledger::{LEDGER_VERSION, Result, json, now, read_entry};
use crate::archive::store::Archive;

/// The object of an extent. It is overwritten while its run continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Noted {
    version: u32,
    segments: u32,
    entries: u64,
    at: String,
}

impl Noted {
    fn of(extent: JournalExtent) -> Self {
        let JournalExtent { segments, entries } = extent;
        Self { version: LEDGER_VERSION, segments, entries, at: now() }
    }
}

/// Notes that a journal has not begun, unless something is noted already. It comes before the entry
/// that the run was begun: so a run without a note is one of an earlier version, or has lost it.
pub async fn expect(archive: &Archive, run: &RunName) -> Result<()> {
    archive.create(&run.extent(), json(&Noted::of(JournalExtent::default()))).await?;
    Ok(())
}

/// Notes how far a journal has come. Only its one writer calls this, one note at a time.
pub async fn note(archive: &Archive, run: &RunName, extent: JournalExtent) -> Result<()> {
    Ok(archive.replace(&run.extent(), json(&Noted::of(extent))).await?)
}

/// What is noted of a journal.
pub async fn noted(archive: &Archive, run: &RunName) -> Result<Option<JournalExtent>> {
    let path = run.extent();
    let Some(there) = archive.get(&path).await? else { return Ok(None) };
    let Noted { segments, entries, .. } = read_entry(&path, &there)?;
    Ok(Some(JournalExtent { segments, entries }))
}
