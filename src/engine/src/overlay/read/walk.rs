//! The two sources of a merged page: the database's items, fetched as they are needed, and the
//! overlay's insertions; each in the order of the view.
//!
//! At equal sort keys the database's items come first, and insertions after them in the order of
//! their table keys; backward it is exactly the other way round. So a start key has one meaning:
//! if the database, as it was first seen, has it at that place, the database is read from there;
//! else it was an insertion.

use std::collections::VecDeque;
use std::time::Instant;

use dm_dynamodb::expression::{Comparator, SortCondition};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, parse_item};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::layers::metering::not_an_object;
use crate::limits;
use crate::operation::ReadOperation;
use crate::overlay::Overlay;
use crate::overlay::read::base_request::{ask_from, base_request};
use crate::overlay::read::begin::{Begin, Beginning};
use crate::overlay::read::page_request::{PageRequest, Range, Start};
use crate::overlay::state::direction::Direction;
use crate::overlay::state::entries::From;
use crate::overlay::state::table::Place;

/// Most items asked for in one request (the largest Integer of the API).
const LIMIT_MAX: u32 = i32::MAX.unsigned_abs();

/// The database's items of a view.
#[derive(Debug)]
pub struct BaseItems {
    request: Map<String, Value>,
    buffer: VecDeque<(ItemKey, Item)>,
    /// Where the database's last page ended, if it did not end with the items.
    next: Option<Value>,
    ended: bool,
    /// Whether the last page ended by its size, not by the limit asked for.
    page_was_full: bool,
    /// Items before this place are passed over: the database cannot be asked to begin behind it.
    skip: Option<Skip>,
    /// Items of the last batch that the program sees, and that it does not.
    shown: u32,
    hidden: u32,
    /// How many items the last batch was to have at most.
    asked: u32,
    /// Items of all batches that the program does not see.
    hidden_in_all: u64,
}

/// Items that lie before the start of a page.
#[derive(Clone, Debug)]
struct Skip {
    sort_key: Vec<u8>,
    direction: Direction,
}

/// Where both sources begin.
#[derive(Debug)]
pub struct Walk {
    pub base: BaseItems,
    pub from: From,
    /// Insertions of this number and above were made after the scan began.
    pub began: u64,
    /// Whether one of those was passed over that would have been returned.
    pub passed_over: bool,
    /// When the page has passed over items for as long as its client may wait.
    pub until: Instant,
}

impl Walk {
    /// Both sources at the start of a page.
    pub fn of(page: &PageRequest, begin: &Begin) -> Self {
        let (beginning, behind) = (begin.at, begin.behind.as_ref());
        let mut request = base_request(page);
        let (mut ended, mut skip) = (!page.table.upstream, None);
        let from = match &page.start {
            None => From::Start,
            Some(start) if beginning == Beginning::Base => {
                match behind_last_included(page, start, &mut request) {
                    Behind::Nothing => ended = true,
                    Behind::Asked | Behind::Skip(_) => {
                        request.insert("ExclusiveStartKey".into(), start.json.clone());
                    }
                }
                behind.map_or_else(|| from_base_start(page, start), |p| From::Behind(p.clone()))
            }
            Some(start) if beginning == Beginning::Nobodys => {
                request.insert("ExclusiveStartKey".into(), start.json.clone());
                From::Behind(start.place.clone())
            }
            Some(start) => {
                match behind_insertion(page, start, &mut request) {
                    Behind::Asked => {}
                    Behind::Nothing => ended = true,
                    Behind::Skip(passed) => skip = Some(passed),
                }
                From::Behind(start.place.clone())
            }
        };
        let base = BaseItems {
            request,
            buffer: VecDeque::new(),
            next: None,
            ended,
            page_was_full: false,
            skip,
            shown: 0,
            hidden: 0,
            asked: 0,
            hidden_in_all: 0,
        };
        let until = Instant::now() + limits::HIDDEN_ITEMS_TIME_MAX;
        Self { base, from, began: begin.insertions, passed_over: false, until }
    }
}

/// The overlay's start behind an item of the database. In a scan, all insertions come after it.
fn from_base_start(page: &PageRequest, start: &Start) -> From {
    match &page.range {
        Range::Scan(_) => From::Start,
        Range::Query(..) => From::Beside(start.view_key.bytes().to_vec()),
    }
}

/// How the database's items begin behind an insertion.
enum Behind {
    /// The request says it.
    Asked,
    Nothing,
    /// The request cannot say it.
    Skip(Skip),
}

/// DynamoDB Local takes no start key at the last sort key of a condition, because it tells none.
/// A table has nothing behind it; an index may have further items of that sort key.
fn behind_last_included(
    page: &PageRequest,
    start: &Start,
    request: &mut Map<String, Value>,
) -> Behind {
    if !page.is_last_included(&start.view_key.to_item()) {
        return Behind::Asked;
    }
    match (&page.range, page.view().keys().sort.as_slice(), page.index) {
        (_, _, None) => Behind::Nothing,
        (Range::Query(condition, direction), [only], Some(_)) => {
            if let Some(value) = start.view_key.get(&only.name) {
                let operator = if *direction == Direction::Forward { ">=" } else { "<=" };
                ask_from(condition.partition(), &only.name, operator, value, request);
            }
            Behind::Asked
        }
        (_, _, Some(_)) => Behind::Asked,
    }
}

fn behind_insertion(page: &PageRequest, start: &Start, request: &mut Map<String, Value>) -> Behind {
    let Range::Query(condition, direction) = &page.range else { return Behind::Nothing };
    let direction = *direction;
    let sort = &page.view().keys().sort;
    match (sort.as_slice(), direction) {
        ([], Direction::Forward) => Behind::Nothing,
        ([], Direction::Backward) => Behind::Asked,
        ([only], _) => {
            let Some(value) = start.view_key.get(&only.name) else { return Behind::Nothing };
            let equals = condition
                .sort()
                .any(|(_, sort)| matches!(sort, SortCondition::Compare(Comparator::Eq, _)));
            match (equals, direction) {
                (true, Direction::Forward) => return Behind::Nothing,
                (true, Direction::Backward) => return Behind::Asked,
                (false, _) => {}
            }
            let operator = if direction == Direction::Forward { ">" } else { "<=" };
            ask_from(condition.partition(), &only.name, operator, value, request);
            Behind::Asked
        }
        (_, direction) => Behind::Skip(Skip { sort_key: start.sort_key.clone(), direction }),
    }
}

impl BaseItems {
    /// The next item, with its key in the view, left in its place. Fetches a page if none is at
    /// hand, unless the page before it was full: then a page of the program ends too.
    pub async fn peek(
        &mut self,
        overlay: &Overlay,
        page: &PageRequest,
        wanted: Option<u32>,
    ) -> Result<Option<&(ItemKey, Item)>, Fault> {
        while self.buffer.is_empty() && !self.ended && !self.page_was_full {
            self.fetch(overlay, page, wanted).await?;
        }
        Ok(self.buffer.front())
    }

    /// Takes the item that was peeked at. The program sees it, or does not.
    pub fn take(&mut self, shown: bool) {
        if self.buffer.pop_front().is_some() {
            self.count(shown);
        }
    }

    fn count(&mut self, shown: bool) {
        self.shown += u32::from(shown);
        self.hidden += u32::from(!shown);
        self.hidden_in_all += u64::from(!shown);
    }

    /// Items of the database that were read and that the program does not see.
    pub fn hidden(&self) -> u64 {
        self.hidden_in_all
    }

    /// Where the next page of the database begins, if its last one was full.
    pub fn full_page_end(&self) -> Option<&Value> {
        self.next.as_ref().filter(|_| self.page_was_full && self.buffer.is_empty())
    }

    /// Whether the program does not see some of the last batch.
    pub fn ends_with_hidden(&self) -> bool {
        self.hidden > 0
    }

    /// Fetches the next page although the last one was full.
    pub fn continue_behind_page(&mut self) {
        self.page_was_full = false;
    }

    /// How many items to ask for where this many are wanted. Twice as many as before behind a batch
    /// that the program does not see most of: those that it deleted may be any number, and each
    /// batch is a request.
    fn ask_for(&mut self, wanted: Option<u32>) -> Option<u32> {
        let wanted = wanted?.max(1);
        let mostly_hidden = self.hidden > self.shown;
        let more = if mostly_hidden { self.asked.saturating_mul(2) } else { 0 };
        self.asked = more.max(wanted).min(LIMIT_MAX);
        Some(self.asked)
    }

    async fn fetch(
        &mut self,
        overlay: &Overlay,
        page: &PageRequest,
        wanted: Option<u32>,
    ) -> Result<(), Fault> {
        let mut request = self.request.clone();
        let asked = self.ask_for(wanted);
        if let Some(asked) = asked {
            request.insert("Limit".into(), asked.into());
        }
        if let Some(next) = &self.next {
            request.insert("ExclusiveStartKey".into(), next.clone());
        }
        let operation = match page.range {
            Range::Query(..) => ReadOperation::QUERY,
            Range::Scan(_) => ReadOperation::SCAN,
        };
        let answer = overlay.upstream().read(operation, &json!(request)).await?;
        let members = Members::of(&answer).ok_or_else(not_an_object)?;
        overlay.tally().read_units(members.consumed_units());
        let Some(items) = members.get::<Vec<&RawValue>>("Items") else {
            return Err(Fault::Unavailable("it returned no items".into()));
        };
        (self.shown, self.hidden) = (0, 0);
        for item in &items {
            let item = parse_item(item.get())?;
            if let Range::Query(condition, _) = &page.range
                && !condition.matches(&item)
            {
                // Behind the end of the range.
                self.ended = true;
                return Ok(());
            }
            let key = ItemKey::of(page.view().keys(), &item)
                .ok_or_else(|| Fault::Unavailable("it returned an item without its key".into()))?;
            if self.skip.as_ref().is_some_and(|skip| skip.passes_over(&key)) {
                self.count(false);
            } else {
                self.buffer.push_back((key, item));
            }
        }
        self.next = members.get::<Value>("LastEvaluatedKey").filter(|next| !next.is_null());
        self.ended = self.next.is_none();
        let limited = asked.is_some_and(|asked| items.len() >= asked as usize);
        self.page_was_full = self.next.is_some() && !limited;
        Ok(())
    }
}

impl Skip {
    fn passes_over(&self, key: &ItemKey) -> bool {
        match self.direction {
            Direction::Forward => key.sort_bytes() <= self.sort_key.as_slice(),
            Direction::Backward => key.sort_bytes() > self.sort_key.as_slice(),
        }
    }
}

/// Whether an item of the database comes before an insertion.
pub fn base_comes_first(page: &PageRequest, base: &ItemKey, insertion: &Place) -> bool {
    match &page.range {
        Range::Scan(_) => true,
        // Within one partition the whole keys compare as the sort keys do.
        Range::Query(_, Direction::Forward) => base.bytes() <= insertion.view_key(),
        Range::Query(_, Direction::Backward) => base.bytes() > insertion.view_key(),
    }
}
