//! Entries made durable ahead of their writes. A program that changes an item has mostly just read
//! it, and what it changes is mostly what it changed in the item before. So the images that pass by
//! in the answers of its reads are kept, the last write is tried on those that come next, and what
//! it would leave becomes entries like any others, while the program is still busy with the item
//! before.
//!
//! When the write comes and leaves just that, its entry is durable already: it is sent at once,
//! bound to every attribute of the image. When it leaves something else, the entry is noted as
//! refused, and the write waits for its own. How far ahead it goes grows with each entry that is
//! used and shrinks with each that is not, so that a program that cannot be foreseen costs little.
//!
//! Everything here happens beside the program's calls; nothing here may make a read wait.

mod pages;
mod pool;
mod template;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::journal::{After, Sequence};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::Item;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::journal::ahead::pages::Page;
pub use crate::journal::ahead::pages::Reading;
use crate::journal::ahead::pool::{Candidate, Pool};
use crate::journal::ahead::template::Template;
use crate::journal::images::Images;
use crate::journal::prepared::Prepared;
use crate::journal::{Draft, Settlement, Writer};

/// What is known ahead of a run's writes.
#[derive(Debug)]
pub struct Ahead {
    images: Arc<Images>,
    writer: OnceLock<Writer>,
    state: Mutex<State>,
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Answers that were not looked at yet.
    pages: VecDeque<Page>,
    pages_bytes: usize,
    pool: Pool,
    template: Option<Arc<Template>>,
    /// Entries that may be ahead of the writes.
    window: usize,
    /// Whether somebody looks at pages, or makes entries.
    busy: bool,
}

/// An image that the program has read, and perhaps the entry of the write that comes.
#[derive(Debug)]
pub struct Found {
    pub image: Item,
    entering: Option<Entering>,
}

/// An entry on its way into the journal, or there.
#[derive(Debug)]
struct Entering {
    after: After,
    sequence: oneshot::Receiver<Sequence>,
}

impl Ahead {
    pub fn new(images: Arc<Images>) -> Self {
        let (state, used) = (Mutex::default(), AtomicU64::new(0));
        Self { images, writer: OnceLock::new(), state, used }
    }

    pub fn enter_into(&self, writer: &Writer) {
        // There is one writer for the whole run.
        let _ = self.writer.set(writer.clone());
    }

    /// An answer that the program gets. It is looked at later: at once only while the program
    /// writes.
    pub fn pass(self: &Arc<Self>, reading: Reading, answer: &Bytes) {
        let mut state = self.state.lock();
        state.pages_bytes += answer.len();
        state.pages.push_back(Page { reading, answer: answer.clone() });
        while state.pages_bytes > limits::AHEAD_PAGES_BYTES_MAX
            && let Some(oldest) = state.pages.pop_front()
        {
            state.pages_bytes -= oldest.answer.len();
        }
        if state.template.is_some() {
            self.work(&mut state);
        }
    }

    /// What is known of an item that is about to be written. It is forgotten: the write changes it.
    pub fn take(self: &Arc<Self>, table: &str, key: &ItemKey) -> Option<Found> {
        let mut state = self.state.lock();
        if !state.pages.is_empty() {
            self.work(&mut state);
        }
        let (number, held) = state.pool.take(table, key)?;
        let skipped = state.pool.skipped_before(number);
        state.window = state.window.saturating_sub(skipped.len());
        self.drop_entries(skipped);
        Some(Found { image: held.image()?, entering: held.entering })
    }

    /// Whether something is known of an item.
    pub fn knows(&self, table: &str, key: &ItemKey) -> bool {
        self.state.lock().pool.knows(table, key)
    }

    /// The entry ahead of a write that leaves this: its number, as soon as it is durable, and what
    /// it says. `None` if there is none that is enough.
    pub async fn entry(
        &self,
        found: Found,
        enough: impl Fn(&After) -> bool,
    ) -> Option<(Result<Sequence, Fault>, After)> {
        let Some(entering) = found.entering else {
            self.foresee(&found.image, &enough);
            return None;
        };
        if enough(&entering.after) {
            self.used.fetch_add(1, Ordering::Relaxed);
            {
                let mut state = self.state.lock();
                state.window = (state.window + 1).min(limits::AHEAD_ENTRIES_MAX);
            }
            let durable = self.writer.get()?.durable(entering.sequence).await;
            return Some((durable, entering.after));
        }
        self.state.lock().window /= 2;
        self.drop_entry(entering);
        None
    }

    /// Writes that had their entries ahead of them.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// An entry of this item went into the journal. One that was made ahead of it comes before it
    /// there, so it must not become the entry of a later write.
    pub fn forget(&self, prepared: &Prepared) {
        let known = self.state.lock().pool.take(&prepared.table.name, &prepared.write.key);
        self.drop_entries(known.and_then(|(_, held)| held.entering));
    }

    /// Nothing comes of what was found.
    pub fn give_up(&self, found: Found) {
        self.drop_entries(found.entering);
    }

    /// Whether a write could have been foreseen, for the next ones.
    fn foresee(&self, image: &Item, enough: impl Fn(&After) -> bool) {
        let template = self.state.lock().template.clone();
        let foreseen = template.and_then(|template| template.predict(image));
        if foreseen.is_some_and(|(foreseen, _)| enough(&foreseen)) {
            let mut state = self.state.lock();
            state.window = (state.window + 2).min(limits::AHEAD_ENTRIES_MAX);
        }
    }

    /// A write was carried out: what comes next may be like it.
    pub fn learn(self: &Arc<Self>, prepared: &Arc<Prepared>, before: &Item, after: Option<&Item>) {
        let template = Template::of(prepared, before, after).map(Arc::new);
        let mut state = self.state.lock();
        if template.is_some() {
            state.template = template;
        }
        if state.window > 0 && state.pool.ahead() * 2 <= state.window {
            self.work(&mut state);
        }
    }

    /// Nothing more is written.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.template = None;
        let left = state.pool.clear();
        drop(state);
        self.drop_entries(left);
    }

    fn drop_entries(&self, entries: impl IntoIterator<Item = Entering>) {
        for entering in entries {
            self.drop_entry(entering);
        }
    }

    /// The write of this entry does not come.
    fn drop_entry(&self, mut entering: Entering) {
        // From here on the writer itself finds that nobody waits, and notes it as refused.
        entering.sequence.close();
        if let (Ok(sequence), Some(writer)) = (entering.sequence.try_recv(), self.writer.get()) {
            writer.settle(sequence, Settlement::Refused);
        }
    }

    /// Sees to it that somebody looks at pages and makes entries.
    fn work(self: &Arc<Self>, state: &mut State) {
        if !state.busy {
            state.busy = true;
            tokio::spawn(Arc::clone(self).look());
        }
    }

    async fn look(self: Arc<Self>) {
        loop {
            let page = {
                let mut state = self.state.lock();
                let page = state.pages.pop_front();
                match &page {
                    Some(page) => state.pages_bytes -= page.answer.len(),
                    None => state.busy = false,
                }
                page
            };
            let Some(page) = page else { break };
            for (table, items) in page.items() {
                // A table that cannot be described cannot be written to either.
                let Ok(schema) = self.images.table(&table).await else { continue };
                let dropped = pages::held(&schema, items, |key, text| {
                    self.state.lock().pool.hold(&schema.name, key, text)
                });
                self.drop_entries(dropped);
            }
            self.make_entries();
        }
        self.make_entries();
    }

    /// Makes entries for the images that come next.
    fn make_entries(&self) {
        let Some(writer) = self.writer.get() else { return };
        loop {
            let (template, candidates) = {
                let mut state = self.state.lock();
                let room = state.window.saturating_sub(state.pool.ahead());
                let Some(template) = state.template.clone().filter(|_| room > 0) else { return };
                let next = state.pool.next(template.table(), room);
                (template, next)
            };
            if candidates.is_empty() {
                return;
            }
            for Candidate { number, image } in candidates {
                let Some((after, draft)) = template.predict(&image) else { continue };
                self.enter(writer, number, after, draft);
            }
        }
    }

    fn enter(&self, writer: &Writer, number: u64, after: After, draft: Draft) {
        let Ok(sequence) = writer.enqueue(draft) else { return };
        let left = self.state.lock().pool.enter(number, Entering { after, sequence });
        // Its write came in the meantime.
        self.drop_entries(left);
    }
}
