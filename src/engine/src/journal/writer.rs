//! Writes a run's journal. Entries that come while a segment is being put into the archive wait
//! together for the next one, so that the archive's latency does not bound the throughput.
//!
//! One put at a time, and one name after the other, each created if absent: so a journal has no gaps,
//! and two guards of one run notice each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dm_core::journal::{After, Entry, Record, SEGMENT_RECORDS_MAX, Sequence, Settled};
use dm_core::limits;
use dm_core::value::Item;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::frame;
use crate::archive::{Archive, ArchiveError, Created, RunName};
use crate::fault::Fault;

/// An entry that has no place in the journal yet.
#[derive(Clone)]
pub struct Draft {
    /// The table's name.
    pub table: String,
    /// The item's key.
    pub key: Item,
    /// The item before the write.
    pub before: Option<Item>,
    /// What the write leaves.
    pub after: After,
}

/// What a journal holds, written down when it is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JournalCounts {
    /// Segments put by this guard.
    pub segments: u64,
    /// Entries made durable.
    pub entries: u64,
    /// Bytes in the archive.
    pub bytes: u64,
}

/// Takes entries of one run.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::UnboundedSender<Message>,
    state: watch::Receiver<State>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    segments: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Clone, Debug)]
enum State {
    Works,
    /// The last put failed; it is tried on.
    Waits(String),
    /// Nothing more will be written, for this reason.
    Over(String),
}

enum Message {
    Entry(Box<Draft>, oneshot::Sender<Sequence>),
    Settled(Sequence, Settlement),
    Close(oneshot::Sender<()>),
}

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was carried out.
    Written,
    /// It was not, and never will be.
    Refused,
}

impl Writer {
    /// Goes on after what the run's journal holds already.
    pub async fn open(archive: Archive, run: RunName) -> Result<Self, ArchiveError> {
        let listed = archive.list(&run.journal()).await?;
        let last = listed.iter().filter_map(|object| RunName::segment_number(&object.path)).max();
        let (sender, receiver) = mpsc::unbounded_channel();
        let (state_sender, state) = watch::channel(State::Works);
        let counters = Arc::new(Counters::default());
        let task = Task {
            archive,
            run,
            segment: last.unwrap_or(0),
            receiver,
            state: state_sender,
            counters: Arc::clone(&counters),
        };
        tokio::spawn(task.run());
        Ok(Self { sender, state, counters })
    }

    /// Makes an entry durable. When this fails its write must not be sent.
    pub async fn append(&self, draft: Draft) -> Result<Sequence, Fault> {
        if let State::Over(why) = &*self.state.borrow() {
            return Err(over(why));
        }
        let (sender, receiver) = oneshot::channel();
        let message = Message::Entry(Box::new(draft), sender);
        self.sender.send(message).map_err(|_| self.reason())?;
        match tokio::time::timeout(limits::JOURNAL_HOLD_MAX, receiver).await {
            Ok(Ok(sequence)) => Ok(sequence),
            Ok(Err(_)) | Err(_) => Err(self.reason()),
        }
    }

    fn reason(&self) -> Fault {
        match &*self.state.borrow() {
            State::Over(why) => over(why),
            State::Waits(why) => Fault::NotJournalled(why.clone()),
            State::Works => Fault::NotJournalled("the archive is too slow".into()),
        }
    }

    /// Notes what became of a write. Nobody waits for it: until it is durable the write is in doubt.
    pub fn settle(&self, sequence: Sequence, settlement: Settlement) {
        // A journal that is over does not take it, which leaves the write in doubt.
        let _ = self.sender.send(Message::Settled(sequence, settlement));
    }

    /// Writes what is left; whether all of it is durable.
    pub async fn close(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.sender.send(Message::Close(sender)).is_ok()
            && matches!(tokio::time::timeout(limits::JOURNAL_CLOSE_MAX, receiver).await, Ok(Ok(())))
    }

    /// What was written so far.
    pub fn counts(&self) -> JournalCounts {
        JournalCounts {
            segments: self.counters.segments.load(Ordering::Relaxed),
            entries: self.counters.entries.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }
}

fn over(why: &str) -> Fault {
    Fault::refused(
        format!("The guard writes nothing any more, because it cannot journal it: {why}"),
        "the journal is closed",
    )
}

struct Task {
    archive: Archive,
    run: RunName,
    segment: u32,
    receiver: mpsc::UnboundedReceiver<Message>,
    state: watch::Sender<State>,
    counters: Arc<Counters>,
}

/// Records that go into the next segment.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    records: usize,
    waiting: Vec<(Sequence, oneshot::Sender<Sequence>)>,
    settled: Settled,
    closing: Vec<oneshot::Sender<()>>,
}

impl Task {
    async fn run(mut self) {
        let mut settled = Settled::default();
        loop {
            let Some(mut batch) = self.collect(&mut settled).await else { return };
            let closing = std::mem::take(&mut batch.closing);
            if batch.records > 0 && !self.put(batch, &mut settled).await {
                return;
            }
            for waiting in closing {
                // Who asked may have gone.
                let _ = waiting.send(());
            }
        }
    }

    /// Waits for something that has to be written, and takes along what has come by then.
    async fn collect(&mut self, settled: &mut Settled) -> Option<Batch> {
        let mut batch = Batch { settled: std::mem::take(settled), ..Batch::default() };
        let segment = self.segment + 1;
        loop {
            let patience = async {
                if batch.settled.is_empty() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(limits::JOURNAL_SETTLE_DELAY).await;
            };
            tokio::select! {
                message = self.receiver.recv() => batch.take(message?, segment),
                () = patience => break,
            }
            if !batch.waiting.is_empty() || !batch.closing.is_empty() || batch.is_full() {
                break;
            }
        }
        while !batch.is_full()
            && let Ok(message) = self.receiver.try_recv()
        {
            batch.take(message, segment);
        }
        batch.write_settled();
        Some(batch)
    }

    /// Puts a segment, for as long as it takes. Whether the journal goes on.
    async fn put(&mut self, batch: Batch, settled: &mut Settled) -> bool {
        let segment = self.segment + 1;
        let name = format!("{}/{segment}", self.run);
        let frame = match frame::write(&name, batch.records, &batch.lines) {
            Ok(frame) => frame,
            Err(error) => return self.end(error.to_string()),
        };
        let begun = Instant::now();
        loop {
            match self.archive.create(&self.run.segment(segment), frame.clone()).await {
                Ok(Created::New) => break,
                Ok(Created::Exists(_)) => {
                    return self.end("another guard writes the journal of this run".to_owned());
                }
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        waits_s = begun.elapsed().as_secs(),
                        "the journal waits for the archive"
                    );
                    self.state.send_replace(State::Waits(why));
                    if self.receiver.is_closed() {
                        return false;
                    }
                    tokio::time::sleep(limits::ARCHIVE_BACKOFF_MAX).await;
                }
            }
        }
        self.segment = segment;
        self.state.send_replace(State::Works);
        self.count(&batch, &frame);
        for (sequence, waiting) in batch.waiting {
            // Who waited has given up, and will not send the write.
            if waiting.send(sequence).is_err() {
                settled.refused.push(sequence);
            }
        }
        true
    }

    fn count(&self, batch: &Batch, frame: &Bytes) {
        self.counters.segments.fetch_add(1, Ordering::Relaxed);
        self.counters.entries.fetch_add(batch.waiting.len() as u64, Ordering::Relaxed);
        self.counters.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
    }

    fn end(&self, why: String) -> bool {
        tracing::error!(why, "the journal is closed");
        self.state.send_replace(State::Over(why));
        false
    }
}

/// An error with its causes, for the program whose writes wait for the archive.
fn chain(error: &dyn std::error::Error) -> String {
    let first = error.to_string();
    match error.source() {
        Some(source) => format!("{first}: {}", chain(source)),
        None => first,
    }
}

impl Batch {
    fn take(&mut self, message: Message, segment: u32) {
        match message {
            Message::Entry(draft, waiting) => {
                let record = u32::try_from(self.records).unwrap_or(u32::MAX);
                let sequence = Sequence::new(segment, record);
                let Draft { table, key, before, after } = *draft;
                let entry = Entry { sequence, table, key, before, after };
                Record::Entry(entry).write_line(&mut self.lines);
                self.records += 1;
                self.waiting.push((sequence, waiting));
            }
            Message::Settled(sequence, Settlement::Written) => self.settled.written.push(sequence),
            Message::Settled(sequence, Settlement::Refused) => self.settled.refused.push(sequence),
            Message::Close(waiting) => self.closing.push(waiting),
        }
    }

    fn is_full(&self) -> bool {
        // One record is kept free for what became of writes.
        self.lines.len() >= limits::JOURNAL_SEGMENT_BYTES_MAX
            || self.records + 1 >= SEGMENT_RECORDS_MAX
            || self.settled.written.len() + self.settled.refused.len() >= SEGMENT_RECORDS_MAX
    }

    fn write_settled(&mut self) {
        let settled = std::mem::take(&mut self.settled);
        if !settled.is_empty() {
            Record::Settled(settled).write_line(&mut self.lines);
            self.records += 1;
        }
    }
}
