//! A journal sorted by keys within bounded memory: its entries go to files by a hash of their key,
//! and each file is then merged by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

use crate::limits;
use dm_dynamodb::journal::{
    ControlEntry, Entry, ItemDigest, MergedEntry, MergedKey, Outcome, Outcomes, Record,
    SEGMENT_RECORDS_MAX,
};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::journal::JournalReader;
use crate::restore::{RestoreError, Result};

/// A table and the digest of an item's key.
pub type Place = (String, ItemDigest);

/// Merged entries by their places.
pub type Merged = BTreeMap<Place, MergedEntry>;

/// A hash for use within one restore: it is not kept.
pub fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Entries by a hash of their keys, and what became of their writes.
#[derive(Debug)]
pub struct Partitions {
    parts: Vec<BufWriter<File>>,
    /// The part that is read next.
    next: usize,
    outcomes: Outcomes,
    controls: Vec<ControlEntry>,
    /// The tables of all entries.
    tables: BTreeSet<String>,
    /// Whether the run has parts.
    has_parts: bool,
}

impl Partitions {
    /// Reads the whole journal once, or those of all parts of a run.
    pub async fn fill(readers: &[JournalReader]) -> Result<Self> {
        let bytes = readers.iter().map(JournalReader::bytes).sum();
        Self::fill_in(readers, count(bytes)).await
    }

    /// The same in this many parts: a key is in the same part as in another journal with as many.
    pub async fn fill_in(readers: &[JournalReader], count: usize) -> Result<Self> {
        let (outcomes, controls, tables) = (Outcomes::default(), Vec::new(), BTreeSet::new());
        let has_parts = readers.len() > 1;
        let parts = parts(count)?;
        let mut partitions = Self { parts, next: 0, outcomes, controls, tables, has_parts };
        for (part, reader) in (0..).zip(readers) {
            partitions.read(part, reader).await?;
        }
        Ok(partitions)
    }

    async fn read(&mut self, part: u32, reader: &JournalReader) -> Result<()> {
        let mut segments = futures::stream::iter(1..=reader.segments())
            .map(|segment| reader.segment(segment))
            .buffered(segments_ahead(reader));
        let mut entries = 0;
        while let Some(segment) = segments.try_next().await? {
            for record in segment.records {
                entries += u64::from(matches!(record, Record::Entry(_) | Record::Control(_)));
                self.take(record.in_part(part)).map_err(RestoreError::Sorting)?;
            }
        }
        Ok(reader.check_entries(entries)?)
    }

    fn take(&mut self, record: Record) -> io::Result<()> {
        let entry = match record {
            Record::Settled(settled) => {
                self.outcomes.add(&settled);
                return Ok(());
            }
            Record::UnderWay(_) => return Ok(()),
            Record::Control(control) => {
                // A journal of more of them than one segment could hold has another trouble.
                if self.controls.len() < SEGMENT_RECORDS_MAX {
                    self.controls.push(control);
                }
                return Ok(());
            }
            Record::Entry(entry) => entry,
        };
        if !self.tables.contains(&entry.table) {
            self.tables.insert(entry.table.clone());
        }
        let place = hash(&(&entry.table, ItemDigest::of_item(&entry.key)));
        let at = usize::try_from(place % self.parts.len() as u64).unwrap_or(0);
        let mut line = Vec::new();
        Record::Entry(entry).write_line(&mut line);
        self.parts[at].write_all(&line)
    }

    /// Begins with the first part again.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// The tables that the run wrote, or may have.
    pub fn tables(&self) -> &BTreeSet<String> {
        &self.tables
    }

    /// Calls that changed tables, in their order, and what became of them.
    pub fn controls(&self) -> impl Iterator<Item = (&ControlEntry, Outcome)> {
        self.controls.iter().map(|control| (control, self.outcomes.of(control.sequence)))
    }

    /// The merged entries of the next part, table by table.
    pub fn next(&mut self) -> io::Result<Option<Vec<MergedEntry>>> {
        Ok(self.next_merged(|_, _| {})?.map(|merged| merged.into_values().collect()))
    }

    /// The same, by table and key. Hands over their entries before, in their order.
    pub fn next_merged(
        &mut self,
        mut see: impl FnMut(&Entry, Outcome),
    ) -> io::Result<Option<Merged>> {
        let mut keys: BTreeMap<(String, ItemDigest), MergedKey> = BTreeMap::new();
        let has_parts = self.has_parts;
        let any = self.next_entries(|entry, outcome| {
            see(&entry, outcome);
            let place = (entry.table.clone(), ItemDigest::of_item(&entry.key));
            keys.entry(place).or_insert_with(|| MergedKey::new(has_parts)).add(entry, outcome);
        })?;
        let whole = |(place, key): (_, MergedKey)| Some((place, key.whole()?));
        Ok(any.then(|| keys.into_iter().filter_map(whole).collect()))
    }

    /// Hands over the entries of the next part in their order; `false` if there is no further part.
    fn next_entries(&mut self, mut see: impl FnMut(Entry, Outcome)) -> io::Result<bool> {
        let Some(part) = self.parts.get_mut(self.next) else { return Ok(false) };
        self.next += 1;
        part.flush()?;
        let file = part.get_mut();
        file.rewind()?;
        for line in BufReader::new(file).split(b'\n') {
            // Lines of ours, written a moment ago.
            let Ok(Record::Entry(entry)) = Record::read_line(&line?) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let outcome = self.outcomes.of(entry.sequence);
            see(entry, outcome);
        }
        Ok(true)
    }
}

/// How many segments are read at once: many small ones, few large ones.
fn segments_ahead(reader: &JournalReader) -> usize {
    let bytes_each = reader.bytes() / u64::from(reader.segments().max(1));
    let count = limits::RESTORE_SEGMENT_BYTES_AHEAD / bytes_each.max(1);
    let count = usize::try_from(count).unwrap_or(limits::RESTORE_SEGMENTS_AHEAD_MAX);
    count.clamp(limits::RESTORE_READS_AHEAD, limits::RESTORE_SEGMENTS_AHEAD_MAX)
}

/// As many as keep each within its bytes.
fn count(archived_bytes: u64) -> usize {
    let bytes = archived_bytes.saturating_mul(limits::RESTORE_INFLATION);
    let wanted = bytes.div_ceil(limits::RESTORE_PARTITION_BYTES_MAX);
    usize::try_from(wanted).unwrap_or(usize::MAX).clamp(1, limits::RESTORE_PARTITIONS_MAX)
}

fn parts(count: usize) -> Result<Vec<BufWriter<File>>> {
    (0..count.max(1))
        .map(|_| tempfile::tempfile().map(BufWriter::new))
        .collect::<io::Result<_>>()
        .map_err(RestoreError::Sorting)
}
