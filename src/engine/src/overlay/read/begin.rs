//! Where a page begins in each of its two sources, and what is remembered of where one ended.

use dm_dynamodb::request::Page;
use dm_dynamodb::value::item_from_json;
use serde_json::Value;

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::overlay::Overlay;
use crate::overlay::read::page_request::{PageRequest, Range, Start};
use crate::overlay::state::direction::Direction;
use crate::overlay::state::entries::{From, PageEnd, PageKind, Source, State};
use crate::overlay::state::table::{Place, Table, View};

/// Behind what a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing: it is a first page.
    Start,
    /// An item that the database has where the start key points, or had when the page before
    /// ended with it.
    Base,
    Insertion,
    /// A key of a scan that no item has. Each source continues behind it in its own order.
    Nobodys,
}

/// Where a page begins, and what is known of its scan's beginning.
#[derive(Clone, Debug)]
pub struct Begin {
    pub at: Beginning,
    /// How many insertions there had been when the scan began.
    pub insertions: u64,
    /// Behind which place the scan's insertions begin.
    pub behind: Option<Place>,
}

impl Range {
    fn kind(&self) -> PageKind {
        match self {
            Self::Query(..) => PageKind::Query,
            Self::Scan(_) => PageKind::Scan,
        }
    }
}

impl Overlay {
    /// Where a page begins in both sources.
    pub(in crate::overlay::read) async fn begin_of(
        &self,
        page: &PageRequest,
    ) -> Result<Begin, Fault> {
        let Some(start) = &page.start else {
            let insertions = self.state().insertions();
            return Ok(Begin { at: Beginning::Start, insertions, behind: None });
        };
        let view = page.view();
        let (known, ended, any_insertion, insertions) = {
            let state = self.state();
            let entry = state.entry(&page.table, &start.key)?;
            let any = state.next_insertion(view, None, &From::Start, Direction::Forward)?;
            let ended = state.page_ended(view, page.range.kind(), &start.place);
            (entry, ended, any.is_some(), state.insertions())
        };
        // What the item was when the page before ended with it, not what has become of it since:
        // it may have been deleted or moved, and then written again.
        let source = ended.as_ref().map(|ended| ended.source);
        let now = || known.as_ref().and_then(|e| State::source_at(view, e, &start.place));
        let source = source.or_else(now);
        // A scan from a key that no page ended with begins there.
        let insertions = ended.as_ref().map_or(insertions, |ended| ended.began);
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
        let place = found.and_then(|item| page.view().place(&item));
        Ok(place.as_ref() == Some(&start.place))
    }

    /// A page ends with an item of this source at this place, if it ends before the items do.
    pub(in crate::overlay::read) fn remember_end(
        &self,
        page: &PageRequest,
        end: Option<(Source, Place)>,
        begin: &Begin,
    ) {
        if let Some((source, place)) = end {
            let behind = begin.behind.clone();
            let end = PageEnd { source, began: begin.insertions, behind };
            self.state().page_ends(page.view(), page.range.kind(), &place, end);
        }
    }

    /// A page that the database answered by itself ends with one of its items. `began` is how many
    /// insertions there had been when it was asked: none of them in this table.
    pub(in crate::overlay::read) fn remember_forwarded(
        &self,
        table: &Table,
        asked: &Page,
        answer: &Members<'_>,
        began: u64,
    ) {
        let position = |name: &String| table.schema.indexes.iter().position(|i| i.name == *name);
        let view = View { table, index: asked.index.as_ref().and_then(position) };
        let kind = if asked.key.is_some() { PageKind::Query } else { PageKind::Scan };
        let last = answer.get::<Value>("LastEvaluatedKey");
        let last = last.and_then(|key| item_from_json(&key).ok());
        if let Some(place) = last.and_then(|key| view.place(&key)) {
            let end = PageEnd { source: Source::Base, began, behind: None };
            self.state().page_ends(view, kind, &place, end);
        }
    }
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
