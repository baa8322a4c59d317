//! Journals that were removed on purpose. A permanent record has the time and the cause. It is
//! written before the first segment is deleted, so no journal is removed without it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::archive::ledger::{LEDGER_VERSION, Result, json, now, read_entry};
use crate::archive::store::Archive;
use crate::archive::{Collected, RunName};

/// A run's journal was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Removal {
    /// Always [`LEDGER_VERSION`].
    pub version: u32,
    /// When, RFC 3339 in UTC.
    pub removed_at: String,
    /// The cause: the target's retention, or a command with its flags.
    pub by: String,
    /// Segments that were there.
    pub segments: u32,
    /// Whether the run had been restored, so that its journal was no longer needed.
    pub restored: bool,
}

/// Deletes what was chosen, journals only with their records.
pub async fn collect(archive: &Archive, chosen: &Collected, by: &str) -> Result<()> {
    let mut segments: BTreeMap<RunName, u32> = BTreeMap::new();
    for path in &chosen.paths {
        if RunName::segment_number(path).is_some()
            && let Some(run) = RunName::of_path(path)
        {
            *segments.entry(run).or_default() += 1;
        }
    }
    for (run, segments) in segments {
        let restored = chosen.restored.contains(&run);
        let (removed_at, by) = (now(), by.to_owned());
        let removal = Removal { version: LEDGER_VERSION, removed_at, by, segments, restored };
        // The first record stays: this continues an interrupted removal.
        archive.create(&run.removal(), json(&removal)).await?;
    }
    Ok(archive.delete_all(&chosen.paths).await?)
}

/// The record of a journal's removal, if it was removed.
pub async fn removed(archive: &Archive, run: &RunName) -> Result<Option<Removal>> {
    let path = run.removal();
    archive.get(&path).await?.map(|there| read_entry(&path, &there)).transpose()
}
