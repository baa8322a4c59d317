//! The segment that is being put together: its records as lines, and who waits for it.

use crate::limits;
use dm_dynamodb::journal::{ControlEntry, Entry, Record, SEGMENT_RECORDS_MAX, Sequence, Settled};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::journal::writer::{Draft, Settlement};

/// Records kept free: what became of writes, and the segments that are under way.
const RECORDS_RESERVED: usize = 2;

pub struct Batch {
    segment: u32,
    lines: Vec<u8>,
    records: usize,
    waiting: Waiting,
    settled: Settled,
    settled_since: Option<Instant>,
}

/// Who waits for an entry to be durable.
pub type Waiting = Vec<(Sequence, oneshot::Sender<Sequence>)>;

impl Batch {
    /// The segment of this number.
    pub fn new(segment: u32) -> Self {
        Self {
            segment,
            lines: Vec::new(),
            records: 0,
            waiting: Vec::new(),
            settled: Settled::default(),
            settled_since: None,
        }
    }

    /// Takes in an entry.
    pub fn enter(&mut self, draft: Draft, waiting: oneshot::Sender<Sequence>) {
        let sequence = self.next();
        let Draft { table, key, before, after, unverified, transaction } = draft;
        let entry = Entry { sequence, table, key, before, after, unverified, transaction };
        self.write(&Record::Entry(entry));
        self.waiting.push((sequence, waiting));
    }

    /// Takes in a call that changes tables.
    pub fn enter_control(
        &mut self,
        operation: String,
        tables: Vec<String>,
        waiting: oneshot::Sender<Sequence>,
    ) {
        let sequence = self.next();
        self.write(&Record::Control(ControlEntry { sequence, operation, tables }));
        self.waiting.push((sequence, waiting));
    }

    fn next(&self) -> Sequence {
        Sequence::new(self.segment, u32::try_from(self.records).unwrap_or(u32::MAX))
    }

    /// Notes what became of a write.
    pub fn settle(&mut self, sequence: Sequence, settlement: Settlement) {
        self.settled_since.get_or_insert_with(Instant::now);
        match settlement {
            Settlement::Written => self.settled.written.push(sequence),
            Settlement::Refused => self.settled.refused.push(sequence),
        }
    }

    /// Whether it takes no more.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= limits::JOURNAL_SEGMENT_BYTES_MAX
            || self.records + RECORDS_RESERVED >= SEGMENT_RECORDS_MAX
            || self.settled.written.len() + self.settled.refused.len() >= SEGMENT_RECORDS_MAX
    }

    /// Whether somebody waits for it.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether there is nothing to write down.
    pub fn is_empty(&self) -> bool {
        self.records == 0 && self.settled.is_empty()
    }

    /// When it is to be written although nobody waits for it.
    pub fn patience_ends(&self) -> Option<Instant> {
        self.settled_since.map(|since| since + limits::JOURNAL_SETTLE_DELAY)
    }

    /// Its lines and their number, after what is known last was added.
    pub fn finish(mut self, under_way: Vec<u32>) -> (Vec<u8>, usize, Waiting) {
        let settled = std::mem::take(&mut self.settled);
        if !settled.is_empty() {
            self.write(&Record::Settled(settled));
        }
        if !under_way.is_empty() {
            self.write(&Record::UnderWay(under_way));
        }
        (self.lines, self.records, self.waiting)
    }

    fn write(&mut self, record: &Record) {
        record.write_line(&mut self.lines);
        self.records += 1;
    }
}
