//! Query and Scan: one page merged from the database's items and the overlay's insertions.

use bytes::Bytes;
use dm_core::report::Fidelity;
use dm_core::schema::{IndexKind, ItemKey};
use dm_core::value::{Item, item_size};
use serde_json::Value;

use super::Overlay;
use super::entry::Entry;
use super::page_answer::PageAnswer;
use super::page_request::{PageRequest, Range, Start, attributes_not_held};
use super::parameters::Parameters;
use super::state::{From, Place};
use super::walk::{Walk, base_comes_first};
use crate::fault::Fault;
use crate::operation::{Operation, ReadOperation};

/// Bytes of items in one page (DynamoDB API Reference: 1 MB).
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// The refusal of a read of an index that would have to be built from all items of the database.
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
    Insertion(Place, Item),
    /// Nothing at hand; the database's page ended, and the program's ends with it.
    PageEnd(Value),
    End,
}

impl Overlay {
    /// One page of a Query or Scan.
    pub async fn page(&self, operation: Operation, body: Value) -> Result<Bytes, Fault> {
        let parameters = Parameters::of(&body)?;
        let table = self.schemas().table_of_items(parameters.table()?).await?;
        let touched = self.state().touches(&table)?;
        // The database knows other indexes once the program has changed them.
        let index = parameters.text("IndexName")?;
        let own = touched || (table.shape > 0 && index.is_some());
        if let (true, false, Some(read)) = (table.upstream, own, ReadOperation::of(operation)) {
            return self.forward(read, body).await;
        }
        if index.is_some_and(|index| table.unbuilt.contains(index)) {
            return Err(not_built(operation));
        }
        let upstream = table.upstream;
        match PageRequest::of(operation, parameters, table) {
            Ok(page) => {
                self.note_filter(operation.name(), &page);
                let mut answer = PageAnswer::default();
                self.merge_page(&page, &mut answer).await?;
                self.tally().items_read(&page.table.schema.name, answer.evaluated().into());
                Ok(Bytes::from(answer.into_json(&page).to_string()))
            }
            Err(fault) if upstream => self.refused_by_both(operation, body, fault).await,
            Err(fault) => Err(fault),
        }
    }

    /// Whether a scan's filter sees attributes that an index does not hold is not documented; here
    /// it does not.
    pub fn note_filter(&self, operation: &str, page: &PageRequest) {
        let held = |filter| attributes_not_held(filter, page.view()).is_empty();
        if !page.filter.as_ref().is_none_or(held) {
            let why = "a scan of an index filters by attributes that the index does not hold";
            self.tally().remark(operation, Fidelity::Approximate, why);
        }
    }

    /// Adds the page's items to an answer, up to its limits: a page of PartiQL may go on through
    /// several ranges.
    pub async fn merge_page(
        &self,
        page: &PageRequest,
        answer: &mut PageAnswer,
    ) -> Result<(), Fault> {
        let start_in_base = match &page.start {
            Some(start) => self.is_in_base(page, start)?,
            None => false,
        };
        let mut walk = Walk::of(page, start_in_base);
        loop {
            if page.limit.is_some_and(|limit| answer.evaluated() >= limit) {
                answer.end_at_last();
                return Ok(());
            }
            let next = self.next(page, &mut walk, answer.evaluated()).await?;
            let item = match &next {
                Next::Base(item) => self.shown_base(page, item)?,
                Next::Insertion(_, item) => Some(as_held(page, item)),
                Next::PageEnd(_) | Next::End => None,
            };
            if let Some(item) = item {
                let full = answer.bytes() + item_size(&item) > PAGE_BYTES_MAX;
                if full && answer.evaluated() > 0 {
                    answer.end_at_last();
                    return Ok(());
                }
                answer.evaluate(page, &item);
            }
            match next {
                Next::Base(_) => {
                    walk.base.take();
                }
                Next::Insertion(place, _) => walk.from = From::Behind(place),
                Next::PageEnd(key) => {
                    answer.end_at(key);
                    return Ok(());
                }
                Next::End => return Ok(()),
            }
        }
    }

    /// Whether the database has the start key where it points: it has, unless the overlay knows
    /// the key and first saw it elsewhere.
    fn is_in_base(&self, page: &PageRequest, start: &Start) -> Result<bool, Fault> {
        let entry = self.state().entry(&page.table, &start.key)?;
        Ok(match entry {
            Some(entry) => page.view().base_is_at(&entry, &start.place),
            None => page.table.upstream,
        })
    }

    async fn next(
        &self,
        page: &PageRequest,
        walk: &mut Walk,
        evaluated: u32,
    ) -> Result<Next, Fault> {
        let wanted = page.limit.map(|limit| limit.saturating_sub(evaluated));
        let base = walk.base.peek(self, page, wanted).await?.cloned();
        let insertion = match (&base, &page.range) {
            // In a scan, insertions come after the database's items.
            (Some(_), Range::Scan(_)) => None,
            _ => self.next_insertion(page, &walk.from)?,
        };
        Ok(match (base, insertion) {
            (Some((key, item)), Some((place, inserted))) => {
                if base_comes_first(page, &key, &place) {
                    Next::Base(item)
                } else {
                    Next::Insertion(place, inserted)
                }
            }
            (Some((_, item)), None) => Next::Base(item),
            (None, insertion) => match (walk.base.full_page_end(), insertion) {
                (Some(end), _) => Next::PageEnd(end.clone()),
                (None, Some((place, item))) => Next::Insertion(place, item),
                (None, None) => Next::End,
            },
        })
    }

    fn next_insertion(
        &self,
        page: &PageRequest,
        from: &From,
    ) -> Result<Option<(Place, Item)>, Fault> {
        let (partition, direction): (&[u8], _) = match &page.range {
            Range::Query(condition, direction) => (condition.partition_bytes(), *direction),
            Range::Scan(_) => (&[], page.direction()),
        };
        let mut from = from.clone();
        let state = self.state();
        loop {
            let next = state.next_insertion(page.view(), partition, &from, direction)?;
            let Some((place, item)) = next else { return Ok(None) };
            let belongs = match &page.range {
                Range::Query(condition, _) => condition.matches(&item),
                Range::Scan(None) => true,
                Range::Scan(Some((segment, total))) => place.segment(*total) == *segment,
            };
            if belongs {
                return Ok(Some((place, item)));
            }
            from = From::Behind(place);
        }
    }

    /// What the program sees of an item of the database: the overlay's image where it has one at
    /// the same place, nothing where the program deleted or moved it.
    fn shown_base(&self, page: &PageRequest, item: &Item) -> Result<Option<Item>, Fault> {
        let Some(key) = ItemKey::of(&page.table.schema.keys, item) else {
            return Ok(Some(item.clone()));
        };
        let mut state = self.state();
        let Some(entry) = state.entry(&page.table, &key)? else {
            return Ok(Some(item.clone()));
        };
        if differs_from_base(page, &entry, item) {
            state.changed_underneath(&page.table, &key, &entry)?;
        }
        drop(state);
        if !page.view().is_in_place(&entry) {
            return Ok(None);
        }
        Ok(entry.now.as_ref().map(|now| as_held(page, now)))
    }
}

/// Whether the database has another item than when the overlay first looked. Global indexes lag
/// behind, so they tell nothing.
fn differs_from_base(page: &PageRequest, entry: &Entry, item: &Item) -> bool {
    let lags = page.view().index_schema().is_some_and(|index| index.kind == IndexKind::Global);
    !lags && entry.base.as_ref().is_none_or(|base| as_held(page, base) != *item)
}

/// An item of the overlay as the view holds it.
fn as_held(page: &PageRequest, item: &Item) -> Item {
    match page.view().index_schema() {
        Some(index) if !page.fetches => index.project(&page.table.schema, item),
        Some(_) | None => item.clone(),
    }
}
