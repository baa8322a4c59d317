//! Query and Scan: one page merged from the database's items and the overlay's insertions.

use std::time::Instant;

use bytes::Bytes;
use dm_dynamodb::request::Page;
use dm_dynamodb::schema::{IndexKind, ItemKey};
use dm_dynamodb::value::{Item, item_from_json, item_size, write_json};
use serde_json::Value;

use crate::fault::Fault;
use crate::operation::{Operation, ReadOperation};
use crate::overlay::Overlay;
use crate::overlay::read::begin::Begin;
use crate::overlay::read::insertions::{NextOfScan, as_held};
use crate::overlay::read::page_answer::PageAnswer;
use crate::overlay::read::page_request::{PageRequest, Range, attributes_not_held};
use crate::overlay::read::walk::{Walk, base_comes_first};
use crate::overlay::state::entries::{From, Source};
use crate::overlay::state::entry::Entry;
use crate::overlay::state::table::{Place, View};

/// Bytes of items in one page (DynamoDB API Reference: 1 MB).
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Rejects a read of an index that would have to be built from all items of the database.
pub fn not_built(operation: Operation) -> Fault {
    let name = operation.name();
    Fault::refused(
        format!(
            "The guard's dry run cannot answer this {name}: the program has added the index to a \
             table of the database, and a dry run does not build it."
        ),
        "reads an index that the program has added to a table of the database",
    )
}

/// The next item of a page.
enum Next {
    Base(Item),
    Insertion {
        place: Place,
        item: Item,
    },
    /// Too many insertions were passed over: the page ends with this one, which is not returned.
    PassedOver {
        place: Place,
        item: Item,
    },
    /// Nothing at hand; the database's page ended, and the program's ends with it.
    PageEnd(Value),
    End,
}

impl Overlay {
    /// One page of a Query or Scan.
    pub async fn page(
        &self,
        operation: Operation,
        asked: Page,
        body: &Value,
    ) -> Result<Bytes, Fault> {
        let table = self.schemas().table_of_items(&asked.table).await?;
        let (touched, insertions) = {
            let state = self.state();
            (state.touches(&table)?, state.insertions())
        };
        // The database knows other indexes once the program has changed them.
        let index = asked.index.as_ref();
        let own = touched || (table.shape > 0 && index.is_some());
        if let (true, false, Some(read)) = (table.upstream, own, ReadOperation::of(operation)) {
            return self
                .forward_seen(read, body, |answer| {
                    self.remember_forwarded(&table, &asked, answer, insertions);
                })
                .await;
        }
        if index.is_some_and(|index| table.unbuilt.contains(index)) {
            return Err(not_built(operation));
        }
        let upstream = table.upstream;
        match PageRequest::of(operation, asked, table) {
            Ok(page) => {
                let mut answer = PageAnswer::default();
                self.merge_page(&page, &mut answer).await?;
                self.tally().items_read(&page.table.schema.name, answer.evaluated().into());
                self.tally().approximate(operation.name(), answer.remarks());
                Ok(Bytes::from(write_json(&answer.into_json(&page))))
            }
            Err(fault) if upstream => self.refused_by_both(operation, body, fault).await,
            Err(fault) => Err(fault),
        }
    }

    /// Adds the page's items to an answer, up to its limits: a page of PartiQL may be of several
    /// ranges.
    pub async fn merge_page(
        &self,
        page: &PageRequest,
        answer: &mut PageAnswer,
    ) -> Result<(), Fault> {
        // Whether a scan's filter sees attributes that an index does not hold is not documented;
        // here it does not.
        let held = |filter| attributes_not_held(filter, page.view()).is_empty();
        if !page.filter.as_ref().is_none_or(held) {
            answer.remark("a scan of an index filters by attributes that the index does not hold");
        }
        let begin = self.begin_of(page).await?;
        let mut walk = Walk::of(page, &begin);
        let merged = self.merge(page, answer, &begin, &mut walk).await;
        self.tally().items_hidden(walk.base.hidden());
        // Whether a scan of DynamoDB returns what is created during it depends on a hash that is
        // not known. Here it returns none of it: each page could give rise to the next.
        if walk.passed_over {
            answer.remark("a scan did not return items that were created after it began");
        }
        merged
    }

    pub(in crate::overlay::read) async fn merge(
        &self,
        page: &PageRequest,
        answer: &mut PageAnswer,
        begin: &Begin,
        walk: &mut Walk,
    ) -> Result<(), Fault> {
        let mut last = None;
        loop {
            if page.limit.is_some_and(|limit| answer.evaluated() >= limit) {
                self.end_at_last(page, answer, last, begin);
                return Ok(());
            }
            let next = self.next(page, walk, answer.evaluated()).await?;
            let (item, source) = match &next {
                Next::Base(item) => (self.shown_base(page, item)?, Source::Base),
                Next::Insertion { item, .. } => (Some(as_held(page, item)), Source::Insertion),
                Next::PageEnd(_) if continues(walk, answer) => continue,
                Next::PassedOver { .. } | Next::PageEnd(_) | Next::End => (None, Source::Base),
            };
            let shown = item.is_some();
            if let Some(item) = item {
                let full = answer.bytes() + item_size(&item) > PAGE_BYTES_MAX;
                if full && answer.evaluated() > 0 {
                    self.end_at_last(page, answer, last, begin);
                    return Ok(());
                }
                answer.evaluate(page, &item);
                last = page.view().place(&item).map(|place| (source, place));
            }
            match next {
                Next::Base(_) => walk.base.take(shown),
                Next::Insertion { place, .. } => walk.from = From::Behind(place),
                Next::PassedOver { place, item } => {
                    answer.remark("a page ended early: it took too long to pass over new items");
                    self.remember_end(page, Some((Source::Insertion, place)), begin);
                    answer.end_with(page, &item);
                    return Ok(());
                }
                Next::PageEnd(key) => {
                    let place = item_from_json(&key).ok().and_then(|key| page.view().place(&key));
                    self.remember_end(page, place.map(|place| (Source::Base, place)), begin);
                    answer.end_at(key);
                    return Ok(());
                }
                Next::End => return Ok(()),
            }
        }
    }

    fn end_at_last(
        &self,
        page: &PageRequest,
        answer: &mut PageAnswer,
        last: Option<(Source, Place)>,
        begin: &Begin,
    ) {
        self.remember_end(page, last, begin);
        answer.end_at_last();
    }

    async fn next(
        &self,
        page: &PageRequest,
        walk: &mut Walk,
        evaluated: u32,
    ) -> Result<Next, Fault> {
        let wanted = page.limit.map(|limit| limit.saturating_sub(evaluated));
        let base = walk.base.peek(self, page, wanted).await?.cloned();
        if let (None, Some(end)) = (&base, walk.base.full_page_end()) {
            return Ok(Next::PageEnd(end.clone()));
        }
        let insertion = match (&base, &page.range) {
            // In a scan, insertions come after the database's items.
            (Some(_), Range::Scan(_)) => None,
            (None, Range::Scan(segment)) => match self.next_of_scan(page, *segment, walk).await? {
                NextOfScan::Returned(place, item) => Some((place, item)),
                NextOfScan::PassedOver(place, item) => {
                    return Ok(Next::PassedOver { place, item });
                }
                NextOfScan::End => None,
            },
            (_, Range::Query(condition, _)) => self.next_of_query(page, condition.range(), walk)?,
        };
        Ok(match (base, insertion) {
            (Some((key, item)), Some((place, inserted))) => {
                if base_comes_first(page, &key, &place) {
                    Next::Base(item)
                } else {
                    Next::Insertion { place, item: inserted }
                }
            }
            (Some((_, item)), None) => Next::Base(item),
            (None, Some((place, item))) => Next::Insertion { place, item },
            (None, None) => Next::End,
        })
    }

    /// What the program sees of an item of the database: the overlay's image where it has one at
    /// the same place, nothing where the program deleted or moved it, or others moved it.
    fn shown_base(&self, page: &PageRequest, item: &Item) -> Result<Option<Item>, Fault> {
        let Some(key) = ItemKey::of(&page.table.schema.keys, item) else {
            return Ok(Some(item.clone()));
        };
        let mut state = self.state();
        let Some(mut entry) = state.entry(&page.table, &key)? else {
            return Ok(Some(item.clone()));
        };
        if differs_from_base(page, &entry, item) {
            state.changed_underneath(&page.table, &key, &entry)?;
        }
        if is_displaced(page, &entry, item) {
            entry = state.displace(&page.table, &key, &entry)?;
        }
        drop(state);
        if !page.view().is_in_place(&entry) {
            return Ok(None);
        }
        Ok(entry.now.as_ref().map(|now| as_held(page, now)))
    }
}

/// Whether the program's page continues behind a page of the database: items that the program does
/// not see are no part of its page, unless a client would time out over them.
fn continues(walk: &mut Walk, answer: &mut PageAnswer) -> bool {
    if !walk.base.ends_with_hidden() {
        return false;
    }
    let in_time = Instant::now() < walk.until;
    if in_time {
        walk.base.continue_behind_page();
    } else {
        answer
            .remark("a page ended early: it took too long to pass over what was deleted or moved");
    }
    in_time
}

/// Whether the database has another item than when the overlay first looked. Global indexes lag
/// behind, so their attributes prove nothing.
fn differs_from_base(page: &PageRequest, entry: &Entry, item: &Item) -> bool {
    let lags = page.view().index_schema().is_some_and(|index| index.kind == IndexKind::Global);
    !lags && entry.base.as_ref().is_none_or(|base| as_held(page, base) != *item)
}

/// Whether the database has an item elsewhere in an index than when the overlay first looked. An
/// item as the table has it shows that for each of the indexes.
fn is_displaced(page: &PageRequest, entry: &Entry, item: &Item) -> bool {
    let (view, Some(base)) = (page.view(), &entry.base) else { return false };
    let elsewhere = |view: View<'_>| view.place(item) != view.place(base);
    !entry.displaced
        && match view.index {
            Some(_) => elsewhere(view),
            None => page.table.views().any(elsewhere),
        }
}
