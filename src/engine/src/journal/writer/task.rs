//! Puts segments into the archive, several at once, and acknowledges them in their order: an entry
//! counts as durable when its segment and all before it are.
//!
//! A put that is under way hides nothing: the segments begun in the meantime name it, so that a
//! reader can tell a put that was cut off, of which nothing was acknowledged, from a segment that
//! was lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::limits;
use bytes::Bytes;
use dm_contract::error_chain::chain;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::archive::{Archive, Created, RunName};
use crate::journal::frame::FrameWriter;
use crate::journal::writer::batch::{Batch, Waiting};
use crate::journal::writer::noting::Noting;
use crate::journal::writer::{Counters, Message, Settlement, State};

/// The one who writes a run's journal.
pub struct Task {
    archive: Archive,
    run: RunName,
    receiver: mpsc::UnboundedReceiver<Message>,
    state: Arc<watch::Sender<State>>,
    counters: Arc<Counters>,
    /// The last segment that is durable, as are all before it.
    durable: u32,
    /// The last segment that was begun to be put.
    begun: u32,
    frames: FrameWriter,
    batch: Batch,
    closing: Vec<oneshot::Sender<()>>,
    puts: FuturesUnordered<BoxFuture<'static, Put>>,
    /// Segments that were put before one that comes before them.
    early: BTreeMap<u32, Done>,
    last_begun_at: Option<Instant>,
    noting: Noting,
}

/// How one put ended.
struct Put {
    segment: u32,
    /// Those who wait are with it in either case: they must not learn that nothing comes any more
    /// before they can learn why.
    done: Done,
    ended: Result<(), String>,
}

struct Done {
    waiting: Waiting,
    bytes: u64,
}

impl Task {
    /// Continues after this segment.
    pub fn new(
        archive: Archive,
        run: RunName,
        noting: Noting,
        last: u32,
        receiver: mpsc::UnboundedReceiver<Message>,
        state: watch::Sender<State>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            archive,
            run,
            receiver,
            state: Arc::new(state),
            counters,
            durable: last,
            begun: last,
            frames: FrameWriter::default(),
            batch: Batch::new(last + 1),
            closing: Vec::new(),
            puts: FuturesUnordered::new(),
            early: BTreeMap::new(),
            last_begun_at: None,
            noting,
        }
    }

    /// Works until nobody writes any more, or nothing can be written.
    pub async fn run(mut self) {
        let (mut open, mut answers) = (true, true);
        while open || !self.puts.is_empty() || (answers && !self.noting.is_done()) {
            self.close();
            let due = self.due();
            let pause = async {
                match due {
                    // A timer takes a millisecond at least, and is made again after each message:
                    // while these come, it would never end.
                    Some(due) if due <= Instant::now() => {}
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What has come goes into the segment before it is begun to be put.
                biased;
                message = self.receiver.recv(), if open && !self.batch.is_full() => {
                    open = message.is_some();
                    self.take(message);
                }
                Some(put) = self.puts.next(), if !self.puts.is_empty() => {
                    if !self.finish(put) {
                        return;
                    }
                }
                () = pause => {
                    if !self.begin() {
                        return;
                    }
                }
                noted = self.noting.next() => answers = noted,
            }
        }
    }

    fn take(&mut self, message: Option<Message>) {
        // Nobody writes any more.
        let Some(message) = message else { return self.noting.hurry() };
        match message {
            Message::Entry(draft, waiting) => self.batch.enter(*draft, waiting),
            Message::Control(operation, tables, waiting) => {
                self.batch.enter_control(operation, tables, waiting);
            }
            Message::Settled(sequence, settlement) => self.batch.settle(sequence, settlement),
            Message::Close(waiting) => {
                self.closing.push(waiting);
                self.noting.hurry();
            }
        }
    }

    /// When the next segment is to be put; `None` while there is no reason to, or no room.
    fn due(&self) -> Option<Instant> {
        // Counted from the first that is not durable, so that it bounds how far a put is overtaken.
        if (self.begun - self.durable) as usize >= limits::JOURNAL_PUTS_AT_ONCE {
            return None;
        }
        let now = Instant::now();
        let closing = !self.closing.is_empty() && !self.batch.is_empty();
        if self.batch.is_full() || closing {
            return Some(now);
        }
        if !self.batch.is_awaited() {
            return self.batch.patience_ends();
        }
        match self.last_begun_at {
            Some(last) if !self.puts.is_empty() => Some(last + limits::JOURNAL_PUT_SPACING),
            Some(_) | None => Some(now),
        }
    }

    /// Begins to put what has come. Whether the journal continues.
    fn begin(&mut self) -> bool {
        let segment = self.begun + 1;
        self.begun = segment;
        self.last_begun_at = Some(Instant::now());
        let batch = std::mem::replace(&mut self.batch, Batch::new(segment + 1));
        let (lines, records, waiting) = batch.finish(self.under_way(segment));
        let frame = match self.frames.write(&format!("{}/{segment}", self.run), records, &lines) {
            Ok(frame) => frame,
            Err(error) => return self.end(error.to_string()),
        };
        let bytes = frame.len() as u64;
        let path = self.run.segment(segment);
        let (archive, state) = (self.archive.clone(), Arc::clone(&self.state));
        self.puts.push(Box::pin(async move {
            let ended = put(&archive, &path, frame, &state).await;
            Put { segment, done: Done { waiting, bytes }, ended }
        }));
        true
    }

    /// The segments before this one that are not known to be durable.
    fn under_way(&self, segment: u32) -> Vec<u32> {
        (self.durable + 1..segment).filter(|segment| !self.early.contains_key(segment)).collect()
    }

    /// After a put: acknowledges what is durable now. Whether the journal continues.
    fn finish(&mut self, put: Put) -> bool {
        if let Err(why) = put.ended {
            return self.end(why);
        }
        self.early.insert(put.segment, put.done);
        self.state.send_replace(State::Works);
        while let Some(done) = self.early.remove(&(self.durable + 1)) {
            self.durable += 1;
            self.noting.durable(self.durable, done.waiting.len() as u64);
            self.counters.last.store(self.durable, Ordering::Relaxed);
            self.counters.segments.fetch_add(1, Ordering::Relaxed);
            self.counters.entries.fetch_add(done.waiting.len() as u64, Ordering::Relaxed);
            self.counters.bytes.fetch_add(done.bytes, Ordering::Relaxed);
            for (sequence, waiting) in done.waiting {
                // Who waited has given up, and will not send the write.
                if waiting.send(sequence).is_err() {
                    self.batch.settle(sequence, Settlement::Refused);
                }
            }
        }
        true
    }

    /// Tells those who wait for the journal's end, if it is there.
    fn close(&mut self) {
        if self.batch.is_empty() && self.puts.is_empty() && self.noting.is_done() {
            for closing in self.closing.drain(..) {
                // Who asked may have gone.
                let _ = closing.send(());
            }
        }
    }

    fn end(&self, why: String) -> bool {
        tracing::error!(why, "the journal is closed");
        self.state.send_replace(State::Over(why));
        false
    }
}

/// Puts one segment, for as long as it takes; returns why the journal cannot continue.
async fn put(
    archive: &Archive,
    path: &str,
    frame: Bytes,
    state: &watch::Sender<State>,
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match archive.create(path, frame.clone()).await {
            Ok(Created::New) => return Ok(()),
            Ok(Created::Exists(_)) => {
                return Err("another guard writes the journal of this run".to_owned());
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    waits_s = begun.elapsed().as_secs(),
                    "the journal waits for the archive"
                );
                state.send_replace(State::Waits(chain(&error)));
                if state.is_closed() {
                    return Err("nobody writes any more".to_owned());
                }
                tokio::time::sleep(limits::ARCHIVE_BACKOFF_MAX).await;
            }
        }
    }
}
