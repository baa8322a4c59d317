//! Query and Scan: one page merged from the database's items and the overlay's insertions.

use bytes::Bytes;
use dm_contract::report::Fidelity;
use dm_dynamodb::request::Page;
use dm_dynamodb::schema::{IndexKind, ItemKey};
use dm_dynamodb::value::{Item, item_from_json, item_size, write_json};
use serde_json::Value;

use crate::fault::Fault;
use crate::operation::{Operation, ReadOperation};
use crate::overlay::Overlay;
use crate::overlay::read::page_answer::PageAnswer;
use crate::overlay::read::page_request::{PageRequest, Range, Start, attributes_not_held};
use crate::overlay::read::walk::{Beginning, Walk, base_comes_first};
use crate::overlay::state::direction::Direction;
use crate::overlay::state::entries::{From, PageEnd, Source, State};
use crate::overlay::state::entry::Entry;
use crate::overlay::state::table::Place;

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
    Insertion {
        place: Place,
        item: Item,
        number: u64,
    },
    /// Nothing at hand; the database's page ended, and the program's ends with it.
    PageEnd(Value),
    End,
}

impl Next {
    fn source(&self) -> Option<Source> {
        match self {
            Self::Base(_) => Some(Source::Base),
            Self::Insertion { .. } => Some(Source::Insertion),
            Self::PageEnd(_) | Self::End => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Insertion { number, .. } => Some(*number),
            Self::Base(_) | Self::PageEnd(_) | Self::End => None,
        }
    }
}

/// Where a page begins, and what is known of its scan's beginning.
#[derive(Clone, Debug)]
struct Begin {
    at: Beginning,
    /// How many insertions there had been when the scan began.
    insertions: u64,
    /// Behind which place its insertions begin.
    behind: Option<Place>,
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
        let touched = self.state().touches(&table)?;
        // The database knows other indexes once the program has changed them.
        let index = asked.index.as_ref();
        let own = touched || (table.shape > 0 && index.is_some());
        if let (true, false, Some(read)) = (table.upstream, own, ReadOperation::of(operation)) {
            return self.forward(read, body).await;
        }
        if index.is_some_and(|index| table.unbuilt.contains(index)) {
            return Err(not_built(operation));
        }
        let upstream = table.upstream;
        match PageRequest::of(operation, asked, table) {
            Ok(page) => {
                self.note_filter(operation.name(), &page);
                let mut answer = PageAnswer::default();
                self.merge_page(&page, &mut answer).await?;
                self.tally().items_read(&page.table.schema.name, answer.evaluated().into());
                Ok(Bytes::from(write_json(&answer.into_json(&page))))
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
        let begin = self.begin_of(page).await?;
        let mut walk = Walk::of(page, begin.at, begin.behind.as_ref());
        let mut last = None;
        loop {
            if page.limit.is_some_and(|limit| answer.evaluated() >= limit) {
                self.end_at_last(page, answer, last, &begin);
                return Ok(());
            }
            let next = self.next(page, &mut walk, answer.evaluated()).await?;
            let item = match &next {
                Next::Base(item) => self.shown_base(page, item)?,
                Next::Insertion { item, .. } => Some(as_held(page, item)),
                Next::PageEnd(_) | Next::End => None,
            };
            if let Some(item) = item {
                let full = answer.bytes() + item_size(&item) > PAGE_BYTES_MAX;
                if full && answer.evaluated() > 0 {
                    self.end_at_last(page, answer, last, &begin);
                    return Ok(());
                }
                let passed = answer.evaluate(page, &item);
                last = next.source().zip(page.view().place(&item));
                if passed && next.number().is_some_and(|number| number >= begin.insertions) {
                    self.note_created(page);
                }
            }
            match next {
                Next::Base(_) => {
                    walk.base.take();
                }
                Next::Insertion { place, .. } => walk.from = From::Behind(place),
                Next::PageEnd(key) => {
                    let place = item_from_json(&key).ok().and_then(|key| page.view().place(&key));
                    self.remember_end(page, place.map(|place| (Source::Base, place)), &begin);
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

    fn remember_end(&self, page: &PageRequest, end: Option<(Source, Place)>, begin: &Begin) {
        if let (Range::Scan(_), Some((source, place))) = (&page.range, end) {
            let (insertions, behind) = (begin.insertions, begin.behind.clone());
            let end = PageEnd { source, began: insertions, behind };
            self.state().page_ends(page.view(), &place, end);
        }
    }

    /// Whether a scan of DynamoDB meets what is created while it is under way depends on a hash
    /// that is not known. Here it meets all of it.
    fn note_created(&self, page: &PageRequest) {
        if matches!(page.range, Range::Scan(_)) {
            let why = "a scan returned items that the program had created after it began";
            self.tally().remark(page.operation.name(), Fidelity::Approximate, why);
        }
    }

    /// Where a page begins in both sources.
    async fn begin_of(&self, page: &PageRequest) -> Result<Begin, Fault> {
        let Some(start) = &page.start else {
            let insertions = self.state().insertions();
            return Ok(Begin { at: Beginning::Start, insertions, behind: None });
        };
        let (known, ended, any_insertion) = {
            let state = self.state();
            let entry = state.entry(&page.table, &start.key)?;
            let any = state.next_insertion(page.view(), &[], &From::Start, Direction::Forward)?;
            (entry, state.page_ended(page.view(), &start.place), any.is_some())
        };
        let source = known.as_ref().and_then(|e| State::source_at(page.view(), e, &start.place));
        // A scan that began before the table was looked at began before there were insertions.
        let insertions = ended.as_ref().map_or(0, |ended| ended.began);
        let source = source.or(ended.as_ref().map(|ended| ended.source));
        let at = match (&page.range, source) {
            (_, Some(Source::Base)) => Beginning::Base,
            (Range::Query(..), None) if known.is_none() && page.table.upstream => Beginning::Base,
            (Range::Query(..), _) => Beginning::Insertion,
            (Range::Scan(_), Some(Source::Insertion)) => {
                check_segment(page, start)?;
                Beginning::Insertion
            }
            (Range::Scan(_), None) if known.is_some() => Beginning::Nobodys,
            // Without insertions it does not matter.
            (Range::Scan(_), None) if !any_insertion => Beginning::Base,
            (Range::Scan(_), None) if self.base_has(page, start).await? => Beginning::Base,
            (Range::Scan(_), None) => Beginning::Nobodys,
        };
        let behind = match at {
            Beginning::Nobodys => Some(start.place.clone()),
            Beginning::Base => ended.and_then(|ended| ended.behind),
            Beginning::Start | Beginning::Insertion => None,
        };
        Ok(Begin { at, insertions, behind })
    }

    /// Whether the database has an item at a start key that the overlay knows nothing of.
    async fn base_has(&self, page: &PageRequest, start: &Start) -> Result<bool, Fault> {
        if !page.table.upstream {
            return Ok(false);
        }
        let found = self.read_one(&page.table, &start.key).await?;
        let place = found.and_then(|(_, item)| page.view().place(&item));
        Ok(place.as_ref() == Some(&start.place))
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
            (Some((key, item)), Some((place, inserted, number))) => {
                if base_comes_first(page, &key, &place) {
                    Next::Base(item)
                } else {
                    Next::Insertion { place, item: inserted, number }
                }
            }
            (Some((_, item)), None) => Next::Base(item),
            (None, insertion) => match (walk.base.full_page_end(), insertion) {
                (Some(end), _) => Next::PageEnd(end.clone()),
                (None, Some((place, item, number))) => Next::Insertion { place, item, number },
                (None, None) => Next::End,
            },
        })
    }

    fn next_insertion(
        &self,
        page: &PageRequest,
        from: &From,
    ) -> Result<Option<(Place, Item, u64)>, Fault> {
        let (partition, direction): (&[u8], _) = match &page.range {
            Range::Query(condition, direction) => (condition.partition_bytes(), *direction),
            Range::Scan(_) => (&[], page.direction()),
        };
        let mut from = from.clone();
        let state = self.state();
        loop {
            let next = state.next_insertion(page.view(), partition, &from, direction)?;
            let Some((place, item, number)) = next else { return Ok(None) };
            let belongs = match &page.range {
                Range::Query(condition, _) => condition.matches(&item),
                Range::Scan(None) => true,
                Range::Scan(Some((segment, total))) => place.segment(*total) == *segment,
            };
            if belongs {
                return Ok(Some((place, item, number)));
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

/// Refuses the start key of another segment.
fn check_segment(page: &PageRequest, start: &Start) -> Result<(), Fault> {
    match page.range {
        Range::Scan(Some((segment, total))) if start.place.segment(total) != segment => {
            Err(Fault::validation(format!(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use \
                 ExclusiveStartKey with correct Segment. TotalSegments: {total} Segment: {segment}"
            )))
        }
        Range::Scan(_) | Range::Query(..) => Ok(()),
    }
}

/// An item of the overlay as the view holds it.
fn as_held(page: &PageRequest, item: &Item) -> Item {
    match page.view().index_schema() {
        Some(index) if !page.fetches => index.project(&page.table.schema, item),
        Some(_) | None => item.clone(),
    }
}
