//! A journal sorted by keys within bounded memory: its entries go to files by a hash of their key,
//! and each file is then merged by itself. A small journal stays in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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

/// Entries by a hash of their keys, and what became of their writes.
#[derive(Debug)]
pub struct Partitions {
    parts: Vec<Part>,
    outcomes: Outcomes,
    controls: Vec<ControlEntry>,
    /// Whether the run has parts.
    has_parts: bool,
}

#[derive(Debug)]
enum Part {
    Memory(Vec<Entry>),
    File(BufWriter<File>),
}

impl Partitions {
    /// Reads the whole journal once, or those of all parts of a run.
    pub async fn fill(readers: &[JournalReader]) -> Result<Self> {
        let bytes = readers.iter().map(JournalReader::bytes).sum();
        Self::fill_in(readers, count(bytes)).await
    }

    /// The same in this many parts: a key is in the same part as in another journal with as many.
    pub async fn fill_in(readers: &[JournalReader], count: usize) -> Result<Self> {
        let (outcomes, controls) = (Outcomes::default(), Vec::new());
        let has_parts = readers.len() > 1;
        let mut partitions = Self { parts: parts(count)?, outcomes, controls, has_parts };
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
        let mut hasher = DefaultHasher::new();
        (&entry.table, ItemDigest::of_item(&entry.key)).hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % self.parts.len() as u64).unwrap_or(0);
        match &mut self.parts[at] {
            Part::Memory(entries) => entries.push(entry),
            Part::File(file) => {
                let mut line = Vec::new();
                Record::Entry(entry).write_line(&mut line);
                file.write_all(&line)?;
            }
        }
        Ok(())
    }

    /// How many parts are left.
    pub fn len(&self) -> usize {
        self.parts.len()
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
        let Some(part) = self.parts.pop() else { return Ok(false) };
        let mut see = |entry: Entry| {
            let outcome = self.outcomes.of(entry.sequence);
            see(entry, outcome);
        };
        match part {
            Part::Memory(entries) => entries.into_iter().for_each(see),
            Part::File(file) => {
                let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.rewind()?;
                for line in BufReader::new(file).split(b'\n') {
                    // Lines of ours, written a moment ago.
                    let Ok(Record::Entry(entry)) = Record::read_line(&line?) else {
                        return Err(io::ErrorKind::InvalidData.into());
                    };
                    see(entry);
                }
            }
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

fn parts(count: usize) -> Result<Vec<Part>> {
    if count <= 1 {
        return Ok(vec![Part::Memory(Vec::new())]);
    }
    (0..count)
        .map(|_| tempfile::tempfile().map(|file| Part::File(BufWriter::new(file))))
        .collect::<io::Result<_>>()
        .map_err(RestoreError::Sorting)
}
