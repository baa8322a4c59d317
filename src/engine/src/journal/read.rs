//! Reads a run's journal, segment by segment. A journal has no gaps; its last segment may be torn,
//! where the archive does not put objects in one piece. Anything else that is wrong is refused.

use dm_core::journal::{Record, Settled};

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
    /// A segment in the middle ends too early.
    #[error("segment {segment} of the journal of {run} is torn, and others come after it")]
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
    bytes: u64,
}

/// What a whole journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalSummary {
    /// Segments.
    pub segments: u64,
    /// Entries.
    pub entries: u64,
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
        let mut segments = 0;
        let mut bytes = 0;
        for object in &listed {
            let Some(segment) = RunName::segment_number(&object.path) else { continue };
            segments += 1;
            bytes += object.bytes;
            if segment != segments {
                return Err(ReadError::Missing { run: run.clone(), segment: segments });
            }
        }
        Ok(Self { archive: archive.clone(), run: run.clone(), segments, bytes })
    }

    /// How many segments there are; they are numbered from 1.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// Bytes of all segments in the archive.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One segment, checked.
    pub async fn segment(&self, segment: u32) -> Result<Segment> {
        let run = || self.run.clone();
        let there = self.archive.get(&self.run.segment(segment)).await;
        let there = there.map_err(|source| ReadError::Archive { run: run(), source })?;
        let Some(bytes) = there else { return Err(ReadError::Missing { run: run(), segment }) };
        let read = frame::read(&format!("{}/{segment}", self.run), &bytes)
            .map_err(|source| ReadError::Damaged { run: run(), segment, source })?;
        if read.torn_bytes > 0 {
            if segment < self.segments {
                return Err(ReadError::Torn { run: run(), segment });
            }
            tracing::warn!(run = %self.run, segment, bytes = read.torn_bytes, "a torn end is cut");
        }
        Ok(read)
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
                    Record::Entry(_) => summary.entries += 1,
                    Record::Settled(Settled { written, refused }) => {
                        summary.written += written.len() as u64;
                        summary.refused += refused.len() as u64;
                    }
                }
            }
        }
        Ok(summary)
    }
}
