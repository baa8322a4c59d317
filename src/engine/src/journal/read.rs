//! Reads a run's journal, segment by segment. Nothing that was acknowledged may be missing: only the
//! puts that were under way when a guard ended can be, or be torn where the archive does not put
//! objects in one piece. Those that came after them say so. Anything else that is wrong is refused.

use std::collections::BTreeSet;

use dm_core::journal::{Record, Settled};
use dm_core::limits;

use super::frame::{self, FrameError, Segment};
use crate::archive::{Archive, ArchiveError, RunName};

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The archive.
    #[error("reading the journal of {run}")]
    Archive {
        /// Whose.
        run: RunName,
        /// Why.
        source: ArchiveError,
    },
    /// A segment is missing.
    #[error("segment {segment} of the journal of {run} is missing")]
    Missing {
        /// Whose.
        run: RunName,
        /// Which.
        segment: u32,
    },
    /// A segment is damaged.
    #[error("segment {segment} of the journal of {run} cannot be read")]
    Damaged {
        /// Whose.
        run: RunName,
        /// Which.
        segment: u32,
        /// Why.
        source: FrameError,
    },
    /// A segment that was known to be durable ends too early.
    #[error("segment {segment} of the journal of {run} is torn, and was whole once")]
    Torn {
        /// Whose.
        run: RunName,
        /// Which.
        segment: u32,
    },
}

type Result<T> = std::result::Result<T, ReadError>;

/// Reads one run's journal.
#[derive(Clone, Debug)]
pub struct JournalReader {
    archive: Archive,
    run: RunName,
    segments: u32,
    cut_off: BTreeSet<u32>,
    bytes: u64,
}

/// What a whole journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalSummary {
    /// Segments.
    pub segments: u64,
    /// Entries.
    pub entries: u64,
    /// Entries of writes that nothing bound to their images.
    pub unverified: u64,
    /// Writes known to have been carried out.
    pub written: u64,
    /// Writes known not to have been.
    pub refused: u64,
    /// Bytes in the archive.
    pub bytes: u64,
    /// Bytes of a torn end.
    pub torn_bytes: u64,
}

impl JournalReader {
    /// Finds the segments.
    pub async fn open(archive: &Archive, run: &RunName) -> Result<Self> {
        let failed = |source| ReadError::Archive { run: run.clone(), source };
        let listed = archive.list(&run.journal()).await.map_err(failed)?;
        let there: BTreeSet<u32> =
            listed.iter().filter_map(|object| RunName::segment_number(&object.path)).collect();
        let segments = there.last().copied().unwrap_or(0);
        let bytes = listed.iter().map(|object| object.bytes).sum();
        let cut_off = BTreeSet::new();
        let mut reader =
            Self { archive: archive.clone(), run: run.clone(), segments, cut_off, bytes };
        // The first that is missing is enough: of more than a few there is no reason to look.
        let absent = (1..segments).filter(|segment| !there.contains(segment));
        reader.cut_off = absent.take(limits::JOURNAL_PUTS_AT_ONCE).collect();
        for segment in &reader.cut_off {
            if !reader.was_under_way(*segment).await? {
                return Err(ReadError::Missing { run: run.clone(), segment: *segment });
            }
        }
        Ok(reader)
    }

    /// Whether all segments after this one say that it was under way when they were put.
    async fn was_under_way(&self, segment: u32) -> Result<bool> {
        // No put is overtaken by more.
        if (self.segments - segment) as usize >= limits::JOURNAL_PUTS_AT_ONCE {
            return Ok(false);
        }
        for later in segment + 1..=self.segments {
            if self.cut_off.contains(&later) {
                continue;
            }
            let told = |record: &Record| match record {
                Record::UnderWay(segments) => segments.contains(&segment),
                Record::Entry(_) | Record::Settled(_) => false,
            };
            if !self.unchecked(later).await?.records.iter().any(told) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Segments that are not there, and of which nothing was acknowledged.
    pub fn cut_off(&self) -> impl Iterator<Item = u32> {
        self.cut_off.iter().copied()
    }

    /// How many segments there are; they are numbered from 1.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// Bytes of all segments in the archive.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One segment, checked; empty if it was cut off.
    pub async fn segment(&self, segment: u32) -> Result<Segment> {
        if self.cut_off.contains(&segment) {
            return Ok(Segment::default());
        }
        let read = self.unchecked(segment).await?;
        if read.torn_bytes > 0 {
            if !self.was_under_way(segment).await? {
                return Err(ReadError::Torn { run: self.run.clone(), segment });
            }
            tracing::warn!(run = %self.run, segment, bytes = read.torn_bytes, "a torn end is cut");
        }
        Ok(read)
    }

    /// The same, torn or not.
    async fn unchecked(&self, segment: u32) -> Result<Segment> {
        let run = || self.run.clone();
        let there = self.archive.get(&self.run.segment(segment)).await;
        let there = there.map_err(|source| ReadError::Archive { run: run(), source })?;
        let Some(bytes) = there else { return Err(ReadError::Missing { run: run(), segment }) };
        frame::read(&format!("{}/{segment}", self.run), &bytes)
            .map_err(|source| ReadError::Damaged { run: run(), segment, source })
    }

    /// Reads and checks everything.
    pub async fn verify(&self) -> Result<JournalSummary> {
        let mut summary = JournalSummary {
            segments: u64::from(self.segments),
            bytes: self.bytes,
            ..JournalSummary::default()
        };
        for segment in 1..=self.segments {
            let read = self.segment(segment).await?;
            summary.torn_bytes += read.torn_bytes as u64;
            for record in &read.records {
                match record {
                    Record::Entry(entry) => {
                        summary.entries += 1;
                        summary.unverified += u64::from(entry.unverified);
                    }
                    Record::Settled(Settled { written, refused }) => {
                        summary.written += written.len() as u64;
                        summary.refused += refused.len() as u64;
                    }
                    Record::UnderWay(_) => {}
                }
            }
        }
        Ok(summary)
    }
}
