//! Scanners and writers. A scanner reads one segment page by page and queues what has to change in
//! the segment's lane. Of a segment one page is written at a time; the next one is read in the
//! meantime, and waits until the checkpoint has the page before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dm_engine::{Call, Operation, RetryPacing};
use dm_transform::Statement;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::batch::{Done, Left};
use crate::change::{Attempt, Change, Origin, Work};
use crate::limits::{BATCH_LINGER, BATCH_STATEMENTS, WRITERS};
use crate::page::{self, ScanPage};
use crate::position::PageCounts;
use crate::queue::{Lanes, Queued, Receiver, Sender};
use crate::request::{RequestError, send_paced};
use crate::segments::Segment;

/// A change, and the page whose end it delays.
#[derive(Debug)]
pub(crate) struct Job {
    change: Change,
    _page: mpsc::Sender<()>,
}

/// What all scanners share.
#[derive(Debug)]
pub(crate) struct Scan {
    pub work: Arc<Work>,
    /// Keys of items that failed before, to be visited again.
    pub failed: Vec<Value>,
    /// Segments that no scanner has taken yet, the next one last.
    pub left: Mutex<Vec<Segment>>,
    pub total: u32,
}

/// A page whose changes are under way.
struct Page {
    done: mpsc::Receiver<()>,
    counts: Arc<PageCounts>,
    /// The key after it; none behind the last page of a segment.
    next: Option<Value>,
}

impl Scan {
    /// Scans segments until none is left.
    pub async fn scan(&self, lanes: Lanes<Job>) {
        while !self.work.going.is_halted() {
            let Some(segment) = self.left.lock().await.pop() else { return };
            if let Err(error) = self.segment(segment, &Arc::new(lanes.open())).await {
                self.work.going.request_failed(&error);
            }
        }
    }

    /// Visits the items that failed before. They are before the positions from which the scan
    /// continues.
    pub async fn revisit(&self, lanes: Lanes<Job>) {
        let jobs = lanes.open();
        drop(lanes);
        for key in &self.failed {
            if self.work.going.is_halted() {
                return;
            }
            if let Err(error) = self.revisit_one(key, &jobs).await {
                self.work.going.request_failed(&error);
            }
        }
    }

    async fn revisit_one(&self, key: &Value, jobs: &Sender<Job>) -> Result<(), RequestError> {
        let Some((change, bytes)) = self.work.look_again(key, false).await? else { return Ok(()) };
        // No page waits for it; a queue that is closed has seen the run's end.
        let (page, _) = mpsc::channel(1);
        let cost = change.cost(bytes);
        let _ = jobs.send(Job { change, _page: page }, cost).await;
        Ok(())
    }

    async fn segment(&self, segment: Segment, jobs: &Arc<Sender<Job>>) -> Result<(), RequestError> {
        let Segment { number, after } = segment;
        let mut answer = self.read(number, after.as_ref(), jobs).await?;
        loop {
            let page = self.queue(&answer, jobs).await?;
            // Its text is read.
            drop(std::mem::take(&mut answer));
            let next = page.next.clone().filter(|_| !self.work.going.is_halted());
            if let Some(after) = &next {
                answer = self.read(number, Some(after), jobs).await?;
            }
            let has_results = self.finish(number, page).await;
            if next.is_none() || self.work.going.is_halted() {
                return Ok(());
            }
            if has_results {
                self.work.saving.saved().await;
            }
        }
    }

    /// Waits for the changes of a page, and takes note that they are made; whether there are any. A
    /// writer that leaves one out has seen the run's halt before.
    async fn finish(&self, segment: u32, mut page: Page) -> bool {
        while page.done.recv().await.is_some() {}
        let has_results = page.counts.has_results();
        if !self.work.going.is_halted() {
            self.work.position.reached(segment, page.next.as_ref(), &page.counts);
        }
        has_results
    }

    /// The parameters of the request for a page.
    fn parameters(&self, segment: u32, after: Option<&Value>) -> Map<String, Value> {
        let transform = &self.work.transform;
        let mut body = Map::from_iter([
            ("TableName".to_owned(), Value::from(transform.table.as_str())),
            ("Segment".to_owned(), segment.into()),
            ("TotalSegments".to_owned(), self.total.into()),
        ]);
        if let Some(index) = &transform.index {
            body.insert("IndexName".into(), index.as_str().into());
        }
        if let Some(after) = after {
            body.insert("ExclusiveStartKey".into(), after.clone());
        }
        body
    }

    async fn read(
        &self,
        segment: u32,
        after: Option<&Value>,
        jobs: &Arc<Sender<Job>>,
    ) -> Result<Bytes, RequestError> {
        let call = || Call::new(Operation::Scan, self.parameters(segment, after));
        let (lane, work) = (Arc::clone(jobs), Arc::clone(&self.work));
        let pacing = RetryPacing::new(move |throttle| {
            let (lane, work) = (Arc::clone(&lane), Arc::clone(&work));
            async move {
                lane.page_throttled(throttle);
                work.going.unless_ended(lane.page_turn()).await.is_some()
            }
        });
        let (engine, going) = (&self.work.engine, &self.work.going);
        // Whether it was halted is asked when its items are queued.
        let _ = going.unless_ended(jobs.page_turn()).await;
        let answer = send_paced(engine, going, call, Some(&pacing)).await?;
        jobs.page_read();
        Ok(answer)
    }

    /// Queues what has to change of a page.
    async fn queue(&self, answer: &[u8], jobs: &Sender<Job>) -> Result<Page, RequestError> {
        let ScanPage { items, next } = ScanPage::of(answer)?;
        self.work.tally.read(items.len());
        let (page, done) = mpsc::channel(1);
        let counts = Arc::new(PageCounts::default());
        let origin = Origin::Page(Arc::clone(&counts));
        for raw in items {
            let item = page::item(raw, Operation::Scan)?;
            match self.work.look(item, &origin) {
                Ok(Some(change)) => {
                    let cost = change.cost(raw.get().len());
                    let job = Job { change, _page: page.clone() };
                    if jobs.send(job, cost).await.is_err() {
                        break;
                    }
                }
                Ok(None) => {}
                Err(()) => self.work.going.item_failed(),
            }
            if self.work.going.is_halted() {
                break;
            }
        }
        Ok(Page { done, counts, next })
    }
}

/// Makes changes until there are no more, or the run is halted; then it only empties the queue.
pub(crate) async fn write(work: Arc<Work>, mut jobs: Receiver<Job>) {
    let mut writes = JoinSet::new();
    let mut batches = work.batches.load(Ordering::Relaxed);
    while let Some(queued) = jobs.next().await {
        // Those that have ended.
        while writes.try_join_next().is_some() {}
        if work.going.is_halted() {
            continue;
        }
        let mut some = vec![queued];
        if work.batches.load(Ordering::Relaxed) {
            fill(&mut jobs, &mut some).await;
        } else if batches {
            jobs.limit(WRITERS);
            batches = false;
        }
        let (mut together, mut alone): (Vec<_>, Vec<_>) =
            some.into_iter().partition(|queued| queued.what.change.statement().is_some());
        if together.len() == 1 {
            // It is quicker alone.
            alone.append(&mut together);
        }
        spawn_all(&mut writes, &work, alone);
        if !together.is_empty() {
            let work = Arc::clone(&work);
            writes.spawn(async move { write_batch(work, together).await });
        }
    }
    while writes.join_next().await.is_some() {}
}

/// Takes as many changes as a batch has statements, if they come soon.
async fn fill(jobs: &mut Receiver<Job>, some: &mut Vec<Queued<Job>>) {
    jobs.fill(some, BATCH_STATEMENTS);
    if some.len() < BATCH_STATEMENTS {
        sleep(BATCH_LINGER).await;
        jobs.fill(some, BATCH_STATEMENTS);
    }
}

/// Makes each of these changes by its own write.
fn spawn_all(writes: &mut JoinSet<()>, work: &Arc<Work>, some: Vec<Queued<Job>>) {
    for queued in some {
        writes.spawn(write_all(Arc::clone(work), queued, Left::First(Attempt::None)));
    }
}

/// Makes these changes by one request, and those that it leaves undone by single writes.
async fn write_batch(work: Arc<Work>, some: Vec<Queued<Job>>) {
    if work.going.is_halted() {
        return;
    }
    let mut write = Unfinished { work: &work, is_finished: false };
    let statements: Vec<&Statement> =
        some.iter().filter_map(|queued| queued.what.change.statement()).collect();
    let done = work.send_batch(&statements).await;
    let mut rest = JoinSet::new();
    for (queued, done) in some.into_iter().zip(done) {
        match done {
            Done::Made => work.batched(&queued.what.change, true),
            Done::NotThere => work.batched(&queued.what.change, false),
            Done::Left(left) => {
                rest.spawn(write_all(Arc::clone(&work), queued, left));
            }
        }
    }
    while rest.join_next().await.is_some() {}
    write.is_finished = true;
}

/// A write that is under way. One that ends by a panic halts the run before its page counts as
/// done.
struct Unfinished<'a> {
    work: &'a Work,
    is_finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.work.going.part_failed(&"the write of an item did not end");
        }
    }
}

/// Makes a change, and those whose turn comes with its end.
async fn write_all(work: Arc<Work>, queued: Queued<Job>, left: Left) {
    let (mut queued, mut left) = (queued, left);
    while let Some(next) = write_one(&work, queued, left).await {
        (queued, left) = (next, Left::First(Attempt::None));
    }
}

/// Makes a change by its own write. Returns the one whose turn comes with its end.
async fn write_one(work: &Arc<Work>, queued: Queued<Job>, left: Left) -> Option<Queued<Job>> {
    let Queued { what: Job { change, _page: page }, flight } = queued;
    let mut write = Unfinished { work, is_finished: false };
    let (flight, run) = (Arc::new(flight), Arc::clone(work));
    let turn_of = Arc::clone(&flight);
    let pacing = RetryPacing::new(move |throttle| {
        let (flight, run) = (Arc::clone(&turn_of), Arc::clone(&run));
        async move { run.going.unless_ended(flight.again(throttle)).await == Some(true) }
    });
    let first = match left {
        Left::First(attempt) => Some(attempt),
        // Without another turn the run has ended.
        Left::Throttled(throttle) => pacing.wait(throttle).await.then_some(Attempt::None),
    };
    if let Some(first) = first {
        match work.change(change, first, &pacing).await {
            Ok(false) => {}
            Ok(true) => work.going.item_failed(),
            Err(error) => work.going.request_failed(&error),
        }
    }
    write.is_finished = true;
    drop((page, pacing));
    // Batches are made where all that is ready is seen, and a run that is halted ends there.
    if work.batches.load(Ordering::Relaxed) || work.going.is_halted() {
        return None;
    }
    Arc::into_inner(flight)?.land()
}
