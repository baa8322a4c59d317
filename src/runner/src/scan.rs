//! Scanners and writers. A scanner reads one segment page by page and queues what has to change in
//! the segment's lane; two pages of a segment are under way at most.

use std::sync::Arc;

use dm_dynamodb::value::item_size;
use dm_engine::{Operation, Turns};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::change::{Change, Origin, Work};
use crate::page::{self, ScanPage};
use crate::position::PageCounts;
use crate::queue::{Flight, Lanes, Queued, Receiver, Sender};
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
        let Some(item) = self.work.read_key(key).await? else {
            self.work.is_gone(key);
            return Ok(());
        };
        self.work.tally.read(1);
        let bytes = item_size(&item);
        match self.work.look(item, &Origin::Failed) {
            Ok(Some(change)) => {
                // No page waits for it; a queue that is closed has seen the run's end.
                let (page, _) = mpsc::channel(1);
                let cost = change.cost(bytes);
                let _ = jobs.send(Job { change, _page: page }, cost).await;
            }
            Ok(None) => {}
            Err(()) => self.work.going.item_failed(),
        }
        Ok(())
    }

    async fn segment(&self, segment: Segment, jobs: &Arc<Sender<Job>>) -> Result<(), RequestError> {
        let Segment { number, mut after } = segment;
        let mut before: Option<Page> = None;
        loop {
            let page = self.page(number, after.as_ref(), jobs).await?;
            after.clone_from(&page.next);
            if let Some(before) = before.replace(page) {
                self.finish(number, before).await;
            }
            if after.is_none() || self.work.going.is_halted() {
                break;
            }
        }
        if let Some(last) = before {
            self.finish(number, last).await;
        }
        Ok(())
    }

    /// Waits for the changes of a page, and takes note that they are made. A writer that leaves one
    /// out has seen the run's halt before.
    async fn finish(&self, segment: u32, mut page: Page) {
        while page.done.recv().await.is_some() {}
        if !self.work.going.is_halted() {
            self.work.position.reached(segment, page.next.as_ref(), &page.counts);
        }
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

    async fn page(
        &self,
        segment: u32,
        after: Option<&Value>,
        jobs: &Arc<Sender<Job>>,
    ) -> Result<Page, RequestError> {
        let parameters = || self.parameters(segment, after);
        let (lane, work) = (Arc::clone(jobs), Arc::clone(&self.work));
        let turns = Turns::new(move |throttle| {
            let (lane, work) = (Arc::clone(&lane), Arc::clone(&work));
            async move {
                lane.page_throttled(throttle);
                work.going.unless_ended(lane.page_turn()).await.is_some()
            }
        });
        let (engine, going) = (&self.work.engine, &self.work.going);
        // Whether it was halted is asked below.
        let _ = going.unless_ended(jobs.page_turn()).await;
        let answer = send_paced(engine, going, Operation::Scan, parameters, Some(&turns)).await?;
        jobs.page_read();
        let ScanPage { items, next } = ScanPage::of(&answer)?;
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
    while let Some(Queued { what: Job { change, _page: page }, flight }) = jobs.next().await {
        // Those that have ended.
        while writes.try_join_next().is_some() {}
        if work.going.is_halted() {
            continue;
        }
        let work = Arc::clone(&work);
        writes.spawn(async move {
            let _page = page;
            let mut write = Unfinished { work: &work, is_finished: false };
            write_one(&work, change, flight).await;
            write.is_finished = true;
        });
    }
    while writes.join_next().await.is_some() {}
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

async fn write_one(work: &Arc<Work>, change: Change, flight: Flight<Job>) {
    let (flight, run) = (Arc::new(flight), Arc::clone(work));
    let turns = Turns::new(move |throttle| {
        let (flight, run) = (Arc::clone(&flight), Arc::clone(&run));
        async move { run.going.unless_ended(flight.again(throttle)).await == Some(true) }
    });
    match work.change(change, &turns).await {
        Ok(false) => {}
        Ok(true) => work.going.item_failed(),
        Err(error) => work.going.request_failed(&error),
    }
}
