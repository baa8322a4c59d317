//! Records in the ledger how many segments are durable, always after the segments themselves: one
//! note at a time, immediately while there are few segments, and at most once a second in a long
//! run. So of a run whose guard was killed only the end of the last second can go unmissed.

use crate::limits;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::archive::ledger::{self, JournalExtent};
use crate::archive::{Archive, RunName};

/// What is noted, and what is to be.
pub struct Noting {
    archive: Archive,
    run: RunName,
    noted: JournalExtent,
    durable: JournalExtent,
    under_way: Option<BoxFuture<'static, Option<JournalExtent>>>,
    begun: u32,
    not_before: Option<Instant>,
}

impl Noting {
    /// Continues after what is noted already; so much is there.
    pub fn new(
        archive: Archive,
        run: RunName,
        noted: JournalExtent,
        durable: JournalExtent,
    ) -> Self {
        Self { archive, run, noted, durable, under_way: None, begun: 0, not_before: None }
    }

    /// One more segment is durable, as are all before it.
    pub fn durable(&mut self, segment: u32, entries: u64) {
        self.durable.segments = segment;
        self.durable.entries += entries;
    }

    /// Whether all that is durable is noted.
    pub fn is_done(&self) -> bool {
        self.noted.segments >= self.durable.segments
    }

    /// Writes the next note, when there is one to write; whether it was written. Given up in the
    /// middle it continues where it was.
    pub async fn next(&mut self) -> bool {
        if self.under_way.is_none() {
            if self.is_done() {
                std::future::pending::<()>().await;
            }
            if let Some(not_before) = self.not_before {
                tokio::time::sleep_until(not_before).await;
            }
            self.begin();
        }
        let Some(under_way) = &mut self.under_way else { return true };
        let noted = under_way.await;
        self.under_way = None;
        match noted {
            Some(extent) => self.noted = extent,
            None => self.not_before = Some(Instant::now() + limits::JOURNAL_NOTE_SPACING),
        }
        noted.is_some()
    }

    /// The last note is not put off.
    pub fn hurry(&mut self) {
        self.not_before = None;
    }

    fn begin(&mut self) {
        self.begun = self.begun.saturating_add(1);
        self.not_before = (self.begun >= limits::JOURNAL_NOTES_AT_ONCE)
            .then(|| Instant::now() + limits::JOURNAL_NOTE_SPACING);
        let (archive, run, extent) = (self.archive.clone(), self.run.clone(), self.durable);
        self.under_way = Some(Box::pin(async move {
            match ledger::note(&archive, &run, extent).await {
                Ok(()) => Some(extent),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "noting how far the journal has come");
                    None
                }
            }
        }));
    }
}
