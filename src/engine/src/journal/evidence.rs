//! What is known of a run's journal without reading it: its least length, and whether it was
//! removed on purpose. Without this, a lost journal looks like one that was never written.

use futures::try_join;
use serde::Deserialize;

use crate::archive::ledger::{self, Begun, Completed, JournalExtent, Removal};
use crate::archive::{Archive, RunName};
use crate::journal::read_error::ReadError;

/// What the ledger and the run's folder say of its journal.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// That the run was begun.
    pub begun: Option<Begun>,
    pub completed: Option<Completed>,
    /// The least length of its journal; `None` if an earlier version recorded nothing.
    pub extent: Option<JournalExtent>,
    /// That its journal was removed on purpose.
    pub removal: Option<Removal>,
}

/// What a guard wrote down when it closed the journal. Before there was `last`, `segments` counted
/// those of that guard alone: no more than there are.
#[derive(Deserialize)]
struct Closed {
    segments: u32,
    entries: u64,
    #[serde(default)]
    last: u32,
}

impl Evidence {
    pub async fn read(archive: &Archive, run: &RunName) -> Result<Self, ReadError> {
        let ledger = |source| ReadError::Evidence { run: run.clone(), source: Box::new(source) };
        let read = async {
            try_join!(
                ledger::begun(archive, run),
                ledger::completed(archive, run),
                ledger::noted(archive, run),
                ledger::removed(archive, run),
            )
        };
        let (begun, completed, noted, removal) = read.await.map_err(ledger)?;
        let there = archive.get(&run.closed()).await;
        let there = there.map_err(|source| ReadError::Archive { run: run.clone(), source })?;
        let closed = there.map(|there| {
            let closed = serde_json::from_slice::<Closed>(&there);
            closed.map_err(|source| ReadError::Closed { run: run.clone(), source })
        });
        let closed = closed.transpose()?.map(|Closed { segments, entries, last }| JournalExtent {
            segments: segments.max(last),
            entries,
        });
        let completed_extent = completed.as_ref().and_then(|completed| completed.journal);
        let all = [closed, noted, completed_extent];
        let extent = all.into_iter().flatten().reduce(|one, other| JournalExtent {
            segments: one.segments.max(other.segments),
            entries: one.entries.max(other.entries),
        });
        Ok(Self { begun, completed, extent, removal })
    }

    /// Whether the run is known to have journaled nothing. Of a run of an earlier version only its
    /// summary can tell.
    pub fn says_nothing_was_written(&self) -> bool {
        let summary = self.completed.as_ref().and_then(|completed| completed.summary.as_ref());
        match self.extent {
            Some(extent) => extent.segments == 0,
            None => summary.is_some_and(|summary| {
                summary.left_out == 0 && summary.tables.iter().all(|table| !table.changes())
            }),
        }
    }
}
