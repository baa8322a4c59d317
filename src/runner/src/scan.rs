//! Scanners and writers. A scanner reads one segment page by page and hands what has to change to
//! the pool of writers; two pages of a segment are under way at most.

use std::sync::Arc;

use dm_dynamodb::value::item_size;
use dm_engine::Operation;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, mpsc};

use crate::change::{Change, Origin, Work};
use crate::page::{self, ScanPage};
use crate::position::PageCounts;
use crate::queue::{Queued, Receiver, Sender};
use crate::request::{RequestError, send};
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
    pub async fn scan(&self, jobs: Sender<Job>) {
        while !self.work.going.is_halted() {
            let Some(segment) = self.left.lock().await.pop() else { return };
            if let Err(error) = self.segment(segment, &jobs).await {
                self.work.going.request_failed(&error);
            }
        }
    }

    /// Visits the items that failed before. They are before the positions from which the scan
    /// continues.
    pub async fn revisit(&self, jobs: Sender<Job>) {
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
                let _ = jobs.send(Job { change, _page: page }, bytes).await;
            }
            Ok(None) => {}
            Err(()) => self.work.going.item_failed(),
        }
        Ok(())
    }

    async fn segment(&self, segment: Segment, jobs: &Sender<Job>) -> Result<(), RequestError> {
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
        jobs: &Sender<Job>,
    ) -> Result<Page, RequestError> {
        let parameters = || self.parameters(segment, after);
        let answer = send(&self.work.engine, &self.work.going, Operation::Scan, parameters).await?;
        let ScanPage { items, next } = ScanPage::of(&answer)?;
        self.work.tally.read(items.len());
        let (page, done) = mpsc::channel(1);
        let counts = Arc::new(PageCounts::default());
        let origin = Origin::Page(Arc::clone(&counts));
        for raw in items {
            let item = page::item(raw, Operation::Scan)?;
            match self.work.look(item, &origin) {
                Ok(Some(change)) => {
                    let job = Job { change, _page: page.clone() };
                    if jobs.send(job, raw.get().len()).await.is_err() {
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
pub(crate) async fn write(work: Arc<Work>, jobs: Receiver<Job>) {
    // A job has its room in the queue until its change is made.
    while let Some(Queued { what: Job { change, _page }, _room }) = jobs.next().await {
        if work.going.is_halted() {
            continue;
        }
        match work.change(change).await {
            Ok(false) => {}
            Ok(true) => work.going.item_failed(),
            Err(error) => work.going.request_failed(&error),
        }
    }
}
