//! Writes a run's journal. Entries that come within a moment share a segment, and several segments
//! are put at once, so that the archive's latency bounds neither throughput nor the wait of others.
//!
//! Names are used one after the other, each created if absent, and an entry is acknowledged when
//! its segment and all before it are durable: so of what was acknowledged a journal has no gaps,
//! and two guards of one run notice each other.

mod batch;
mod noting;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::limits;
use dm_dynamodb::journal::{After, Sequence, TransactionMark};
use dm_dynamodb::value::Item;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::archive::ledger::JournalExtent;
use crate::archive::{Archive, RunName};
use crate::fault::Fault;
use crate::journal::read::Unfinished;
use crate::journal::writer::noting::Noting;
use crate::journal::writer::task::Task;
use crate::journal::{JournalReader, ReadError, frame};

/// An entry that has no place in the journal yet.
#[derive(Clone)]
pub struct Draft {
    pub table: String,
    pub key: Item,
    /// The item before the write.
    pub before: Option<Item>,
    /// What the write leaves.
    pub after: After,
    /// Whether nothing makes sure that the write meets the image.
    pub unverified: bool,
    /// The transaction that the write is part of.
    pub transaction: Option<TransactionMark>,
}

/// What a journal holds, written down when it is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JournalCounts {
    /// Segments put by this guard.
    pub segments: u64,
    pub entries: u64,
    /// Bytes in the archive.
    pub bytes: u64,
    /// Number of the last segment that is durable, whoever put it, as are all before it.
    #[serde(default)]
    pub last: u32,
}

/// Takes entries of one run.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::UnboundedSender<Message>,
    state: watch::Receiver<State>,
    counters: Arc<Counters>,
    earlier: u32,
}

#[derive(Debug, Default)]
struct Counters {
    segments: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    last: AtomicU32,
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
    /// Operation and tables.
    Control(String, Vec<String>, oneshot::Sender<Sequence>),
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
    /// Continues after what the run's journal holds already. Puts of an earlier guard that were cut
    /// off get their places filled, so that they can come no more.
    pub async fn open(archive: Archive, run: RunName) -> Result<Self, ReadError> {
        let reader = JournalReader::open(&archive, &run).await?;
        for unfinished in reader.unfinished().await? {
            let (Unfinished::Absent(segment) | Unfinished::Torn(segment)) = unfinished;
            let failed = |source| ReadError::Damaged { run: run.clone(), segment, source };
            let nothing = frame::write(&format!("{run}/{segment}"), 0, &[]).map_err(failed)?;
            let path = run.segment(segment);
            let filled = match unfinished {
                // What is there by now is the other guard's, and was acknowledged to nobody.
                Unfinished::Absent(_) => archive.create(&path, nothing).await.map(drop),
                Unfinished::Torn(_) => archive.replace(&path, nothing).await,
            };
            filled.map_err(|source| ReadError::Archive { run: run.clone(), source })?;
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let (state_sender, state) = watch::channel(State::Works);
        let last = reader.segments();
        let counters = Arc::new(Counters { last: AtomicU32::new(last), ..Counters::default() });
        let shared = Arc::clone(&counters);
        // Of what an earlier guard left behind its last note the entries were not counted.
        let noted = reader.noted();
        let durable = JournalExtent { segments: last, ..noted };
        let noting = Noting::new(archive.clone(), run.clone(), noted, durable);
        let earlier = last;
        let task = Task::new(archive, run, noting, last, receiver, state_sender, shared);
        tokio::spawn(task.run());
        Ok(Self { sender, state, counters, earlier })
    }

    /// The last segment that an earlier guard of the run has written.
    pub(in crate::journal) fn earlier(&self) -> u32 {
        self.earlier
    }

    /// Makes an entry durable. When this fails its write must not be sent.
    pub async fn append(&self, draft: Draft) -> Result<Sequence, Fault> {
        self.durable(self.enqueue(draft)?).await
    }

    /// Makes durable that a call is about to change these tables themselves. When this fails it
    /// must not be sent.
    pub async fn append_control(
        &self,
        operation: &str,
        tables: Vec<String>,
    ) -> Result<Sequence, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.message(Message::Control(operation.to_owned(), tables, sender))?;
        self.durable(receiver).await
    }

    /// Begins to make an entry durable; its number comes when it is. One whose number nobody waits
    /// for any more is noted as refused.
    pub(in crate::journal) fn enqueue(
        &self,
        draft: Draft,
    ) -> Result<oneshot::Receiver<Sequence>, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.message(Message::Entry(Box::new(draft), sender))?;
        Ok(receiver)
    }

    fn message(&self, message: Message) -> Result<(), Fault> {
        if let State::Over(why) = &*self.state.borrow() {
            return Err(over(why));
        }
        self.sender.send(message).map_err(|_| self.reason())
    }

    /// Waits until an entry is durable.
    pub(in crate::journal) async fn durable(
        &self,
        appending: oneshot::Receiver<Sequence>,
    ) -> Result<Sequence, Fault> {
        match tokio::time::timeout(limits::JOURNAL_HOLD_MAX, appending).await {
            Ok(Ok(sequence)) => Ok(sequence),
            Ok(Err(_)) | Err(_) => Err(self.reason()),
        }
    }

    /// Makes several entries durable, together.
    pub async fn append_all(&self, drafts: Vec<Draft>) -> Result<Vec<Sequence>, Fault> {
        // All are on their way before the first is waited for.
        let appending: Vec<_> = drafts.into_iter().map(|draft| self.enqueue(draft)).collect();
        let mut sequences = Vec::with_capacity(appending.len());
        for appending in appending {
            match self.durable(appending?).await {
                Ok(sequence) => sequences.push(sequence),
                Err(fault) => {
                    // None of their writes is sent.
                    for sequence in sequences {
                        self.settle(sequence, Settlement::Refused);
                    }
                    return Err(fault);
                }
            }
        }
        Ok(sequences)
    }

    fn reason(&self) -> Fault {
        match &*self.state.borrow() {
            State::Over(why) => over(why),
            State::Waits(why) => Fault::NotJournaled(why.clone()),
            State::Works => Fault::NotJournaled("the archive is too slow".into()),
        }
    }

    /// Notes what became of a write. Nobody waits for it: until it is durable the write is in
    /// doubt.
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
            last: self.counters.last.load(Ordering::Relaxed),
        }
    }
}

fn over(why: &str) -> Fault {
    Fault::refused(
        format!("The guard sends no further write, because it cannot journal it: {why}"),
        "the journal is closed",
    )
}
