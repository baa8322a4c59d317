//! Reads a run's journal, segment by segment. Nothing that was acknowledged may be missing: only
//! the puts that were under way when a guard ended can be, or be torn where the archive does not
//! put objects in one piece. The later segments name them. Any other damage is an error.

use std::collections::BTreeSet;

use crate::limits;
use dm_dynamodb::journal::{Record, Settled};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::archive::ledger::{self, JournalExtent};
use crate::archive::{Archive, ArchiveError, Listed, RunName};
use crate::journal::evidence::Evidence;
use crate::journal::frame::{self, Segment};
use crate::journal::read_error::ReadError;

type Result<T> = std::result::Result<T, ReadError>;

/// Reads one run's journal.
#[derive(Clone, Debug)]
pub struct JournalReader {
    archive: Archive,
    run: RunName,
    evidence: Evidence,
    segments: u32,
    cut_off: BTreeSet<u32>,
    bytes: u64,
}

/// A segment whose put was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// It is not there.
    Absent(u32),
    /// It is there, and ends too early.
    Torn(u32),
}

/// What a whole journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalSummary {
    pub segments: u64,
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
    /// Calls that changed tables themselves, which no restore undoes.
    pub control: u64,
}

impl JournalSummary {
    /// Returns what two journals hold together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            segments: self.segments + other.segments,
            entries: self.entries + other.entries,
            unverified: self.unverified + other.unverified,
            written: self.written + other.written,
            refused: self.refused + other.refused,
            bytes: self.bytes + other.bytes,
            torn_bytes: self.torn_bytes + other.torn_bytes,
            control: self.control + other.control,
        }
    }
}

impl JournalReader {
    /// The journal of a run that is on record, or those of all its parts in their order: that each
    /// is whole, or that there is none because nothing was written, is known and not guessed.
    pub async fn of_run(archive: &Archive, run: &RunName) -> Result<Vec<Self>> {
        let names = ledger::begun_parts(archive, run).await;
        let unread = |source| ReadError::Evidence { run: run.clone(), source: Box::new(source) };
        let names = names.map_err(unread)?;
        let reading = names.iter().map(|name| Self::on_record(archive, name));
        let reading: Vec<_> = reading.collect();
        futures::stream::iter(reading).buffered(limits::RESTORE_READS_AHEAD).try_collect().await
    }

    async fn on_record(archive: &Archive, run: &RunName) -> Result<Self> {
        let evidence = Evidence::read(archive, run).await?;
        if evidence.begun.is_none() {
            return Err(ReadError::NoRun { run: run.clone() });
        }
        let reader = Self::find(archive, run, evidence).await?;
        if reader.segments == 0 && !reader.evidence.says_nothing_was_written() {
            return Err(ReadError::Gone { run: run.clone(), segments: None });
        }
        Ok(reader)
    }

    /// The journal of a run, on record or not. The segments that are known to be durable must still
    /// exist.
    pub async fn open(archive: &Archive, run: &RunName) -> Result<Self> {
        let evidence = Evidence::read(archive, run).await?;
        Self::find(archive, run, evidence).await
    }

    /// Finds the segments, after what is known of them: one that is put in the meantime is one
    /// more.
    async fn find(archive: &Archive, run: &RunName, evidence: Evidence) -> Result<Self> {
        if let Some(removal) = &evidence.removal {
            let removal = Box::new(removal.clone());
            return Err(ReadError::Removed { run: run.clone(), removal });
        }
        let failed = |source| ReadError::Archive { run: run.clone(), source };
        let (mut there, mut bytes) = (BTreeSet::new(), 0);
        let take = |object: Listed| {
            there.extend(RunName::segment_number(&object.path));
            bytes += object.bytes;
            true
        };
        archive.visit(&run.journal(), take).await.map_err(failed)?;
        let known = evidence.extent.map_or(0, |extent| extent.segments);
        look_behind(archive, run, &mut there, known).await.map_err(failed)?;
        let segments = there.last().copied().unwrap_or(0);
        if there.is_empty() && known > 0 {
            return Err(ReadError::Gone { run: run.clone(), segments: Some(known) });
        }
        if known > segments {
            return Err(ReadError::Missing {
                run: run.clone(),
                segment: segments + 1,
                last: known,
            });
        }
        let (archive, run, cut_off) = (archive.clone(), run.clone(), BTreeSet::new());
        let mut reader = Self { archive, run, evidence, segments, cut_off, bytes };
        // The first that is missing is enough: of more than a few there is no reason to look.
        let absent = (1..segments).filter(|segment| !there.contains(segment));
        reader.cut_off = absent.take(limits::JOURNAL_PUTS_AT_ONCE).collect();
        for segment in &reader.cut_off {
            if *segment <= known || !reader.was_under_way(*segment).await? {
                let follows = (*segment..segments).take_while(|other| !there.contains(other));
                let last = follows.last().unwrap_or(*segment);
                return Err(ReadError::Missing { run: reader.run, segment: *segment, last });
            }
        }
        Ok(reader)
    }

    /// Whether the run journaled nothing.
    pub fn is_empty(&self) -> bool {
        self.segments == 0
    }

    /// How far it has come at least, as was noted.
    pub fn noted(&self) -> JournalExtent {
        self.evidence.extent.unwrap_or_default()
    }

    /// Whether all segments after this one say that it was under way when they were put.
    async fn was_under_way(&self, segment: u32) -> Result<bool> {
        // At most this many puts can overtake one.
        if (self.segments - segment) as usize >= limits::JOURNAL_PUTS_AT_ONCE {
            return Ok(false);
        }
        for later in segment + 1..=self.segments {
            if self.cut_off.contains(&later) {
                continue;
            }
            let told = |record: &Record| match record {
                Record::UnderWay(segments) => segments.contains(&segment),
                Record::Entry(_) | Record::Settled(_) | Record::Control(_) => false,
            };
            if !self.unchecked(later).await?.records.iter().any(told) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Segments whose put was cut off, whether they are not there or torn. Nothing of them was
    /// acknowledged.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let mut found: Vec<Unfinished> =
            self.cut_off.iter().copied().map(Unfinished::Absent).collect();
        let puts = u32::try_from(limits::JOURNAL_PUTS_AT_ONCE).unwrap_or(u32::MAX);
        for segment in self.segments.saturating_sub(puts) + 1..=self.segments {
            if self.segment(segment).await?.torn {
                found.push(Unfinished::Torn(segment));
            }
        }
        Ok(found)
    }

    /// Checks that this many entries are no fewer than were noted.
    pub fn check_entries(&self, found: u64) -> Result<()> {
        let noted = self.noted().entries;
        if found >= noted {
            return Ok(());
        }
        Err(ReadError::Fewer { run: self.run.clone(), found, noted })
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
        if read.torn {
            if segment <= self.noted().segments || !self.was_under_way(segment).await? {
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
        let Some(bytes) = there else {
            return Err(ReadError::Missing { run: run(), segment, last: segment });
        };
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
                    Record::Control(_) => summary.control += 1,
                    Record::UnderWay(_) => {}
                }
            }
        }
        self.check_entries(summary.entries + summary.control)?;
        Ok(summary)
    }
}

/// Looks for segments by their names where a listing may leave some out: those that it leaves out
/// between others, those that are known to have been durable, and on a store that lists late those
/// behind the last.
async fn look_behind(
    archive: &Archive,
    run: &RunName,
    there: &mut BTreeSet<u32>,
    known: u32,
) -> std::result::Result<(), ArchiveError> {
    let last = there.last().copied().unwrap_or(0).max(known);
    let mut left_out: Vec<u32> = (1..=last).filter(|segment| !there.contains(segment)).collect();
    if !archive.lists_late() {
        // More than could have been under way are gone, and their number says so.
        left_out.truncate(limits::JOURNAL_PUTS_AT_ONCE + 1);
    }
    for segment in left_out {
        if archive.exists(&run.segment(segment)).await? {
            there.insert(segment);
        }
    }
    if !archive.lists_late() {
        return Ok(());
    }
    let mut next = there.last().copied().unwrap_or(0) + 1;
    let mut absent = 0;
    // No put is overtaken by more.
    while absent < limits::JOURNAL_PUTS_AT_ONCE {
        if archive.exists(&run.segment(next)).await? {
            there.insert(next);
            absent = 0;
        } else {
            absent += 1;
        }
        next += 1;
    }
    Ok(())
}
