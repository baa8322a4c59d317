//! The two sources of a merged page: the database's items, fetched as they are needed, and the
//! overlay's insertions; each in the order of the view.
//!
//! At equal sort keys the database's items come first, and insertions after them in the order of
//! their table keys; backward it is exactly the other way round. So a start key has one meaning:
//! if the database, as it was first seen, has it at that place, the database is read from there;
//! else it was an insertion.

use std::collections::VecDeque;

use dm_dynamodb::expression::{Comparator, SortCondition};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{AttributeValue, Item, item_from_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::ReadOperation;
use crate::overlay::Overlay;
use crate::overlay::read::page_request::{PageRequest, Range, Start};
use crate::overlay::state::direction::Direction;
use crate::overlay::state::entries::From;
use crate::overlay::state::table::Place;

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
}

/// Items that lie before the start of a page.
#[derive(Clone, Debug)]
struct Skip {
    sort_key: Vec<u8>,
    direction: Direction,
}

/// Behind what a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing: it is a first page.
    Start,
    /// An item that the database has where the start key points.
    Base,
    /// An insertion.
    Insertion,
    /// A key of a scan that no item has. Each source goes on behind it in its own order.
    Nobodys,
}

/// Where both sources begin.
#[derive(Debug)]
pub struct Walk {
    /// The database's.
    pub base: BaseItems,
    /// The overlay's.
    pub from: From,
}

impl Walk {
    /// Both sources at the start of a page. Insertions of a scan may begin behind a place.
    pub fn of(page: &PageRequest, beginning: Beginning, behind: Option<&Place>) -> Self {
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
        };
        Self { base, from }
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
    /// None are left.
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

/// Asks for the items of a partition from a sort key on. Ranges have no gaps, so those that come
/// are in range until the first that is not.
fn ask_from(
    partition: &[(String, AttributeValue)],
    name: &str,
    operator: &str,
    value: &AttributeValue,
    request: &mut Map<String, Value>,
) {
    ask_for_partition(partition, request);
    let expression = request.get("KeyConditionExpression").and_then(Value::as_str);
    let expression = format!("{} AND #s {operator} :s", expression.unwrap_or_default());
    request.insert("KeyConditionExpression".into(), expression.into());
    request["ExpressionAttributeNames"]["#s"] = name.into();
    request["ExpressionAttributeValues"][":s"] = value.to_json();
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

/// The request for the database's items: whole, unfiltered, so that they can be judged here.
fn base_request(page: &PageRequest) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("TableName".into(), page.table.schema.name.clone().into());
    request.insert("ReturnConsumedCapacity".into(), "TOTAL".into());
    if let Some(index) = page.view().index_schema() {
        request.insert("IndexName".into(), index.name.clone().into());
        let select = if page.fetches { "ALL_ATTRIBUTES" } else { "ALL_PROJECTED_ATTRIBUTES" };
        request.insert("Select".into(), select.into());
    }
    if page.consistent {
        request.insert("ConsistentRead".into(), true.into());
    }
    match &page.range {
        Range::Scan(None) => {}
        Range::Scan(Some((segment, total))) => {
            request.insert("Segment".into(), (*segment).into());
            request.insert("TotalSegments".into(), (*total).into());
        }
        Range::Query(condition, direction) => {
            request.insert("ScanIndexForward".into(), (*direction == Direction::Forward).into());
            ask_for_partition(condition.partition(), &mut request);
            for (at, (name, sort)) in condition.sort().enumerate() {
                ask_for_sort(at, name, sort, &mut request);
            }
        }
    }
    request
}

fn ask_for_partition(partition: &[(String, AttributeValue)], request: &mut Map<String, Value>) {
    let (mut clauses, mut names, mut values) = (Vec::new(), Map::new(), Map::new());
    for (at, (name, value)) in partition.iter().enumerate() {
        clauses.push(format!("#p{at} = :p{at}"));
        names.insert(format!("#p{at}"), name.clone().into());
        values.insert(format!(":p{at}"), value.to_json());
    }
    request.insert("KeyConditionExpression".into(), clauses.join(" AND ").into());
    request.insert("ExpressionAttributeNames".into(), names.into());
    request.insert("ExpressionAttributeValues".into(), values.into());
}

fn ask_for_sort(at: usize, name: &str, sort: &SortCondition, request: &mut Map<String, Value>) {
    let name_key = format!("#k{at}");
    let (low, high) = (format!(":k{at}"), format!(":l{at}"));
    let (clause, values) = match sort {
        SortCondition::Compare(comparator, value) => {
            (format!("{name_key} {} {low}", symbol(*comparator)), vec![(low, value)])
        }
        SortCondition::Between(from, to) => {
            (format!("{name_key} BETWEEN {low} AND {high}"), vec![(low, from), (high, to)])
        }
        SortCondition::BeginsWith(prefix) => {
            (format!("begins_with({name_key}, {low})"), vec![(low, prefix)])
        }
    };
    let expression = request.get("KeyConditionExpression").and_then(Value::as_str);
    let expression = format!("{} AND {clause}", expression.unwrap_or_default());
    request.insert("KeyConditionExpression".into(), expression.into());
    request["ExpressionAttributeNames"][&name_key] = name.into();
    for (key, value) in values {
        request["ExpressionAttributeValues"][&key] = value.to_json();
    }
}

fn symbol(comparator: Comparator) -> &'static str {
    match comparator {
        Comparator::Eq => "=",
        Comparator::Ne => "<>",
        Comparator::Lt => "<",
        Comparator::Le => "<=",
        Comparator::Gt => ">",
        Comparator::Ge => ">=",
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

    /// Takes the item that was peeked at.
    pub fn take(&mut self) -> Option<(ItemKey, Item)> {
        self.buffer.pop_front()
    }

    /// Where the next page of the database begins, if its last one was full.
    pub fn full_page_end(&self) -> Option<&Value> {
        self.next.as_ref().filter(|_| self.page_was_full && self.buffer.is_empty())
    }

    async fn fetch(
        &mut self,
        overlay: &Overlay,
        page: &PageRequest,
        wanted: Option<u32>,
    ) -> Result<(), Fault> {
        let mut request = self.request.clone();
        if let Some(wanted) = wanted {
            request.insert("Limit".into(), wanted.max(1).into());
        }
        if let Some(next) = &self.next {
            request.insert("ExclusiveStartKey".into(), next.clone());
        }
        let operation = match page.range {
            Range::Query(..) => ReadOperation::QUERY,
            Range::Scan(_) => ReadOperation::SCAN,
        };
        let mut answer = overlay.ask(operation, &json!(request)).await?;
        let Some(Value::Array(items)) = answer.remove("Items") else {
            return Err(Fault::Unavailable("it returned no items".into()));
        };
        let count = items.len();
        for item in &items {
            let item = item_from_json(item)?;
            if let Range::Query(condition, _) = &page.range
                && !condition.matches(&item)
            {
                // Behind the end of the range.
                self.ended = true;
                return Ok(());
            }
            let key = ItemKey::of(page.view().keys(), &item)
                .ok_or_else(|| Fault::Unavailable("it returned an item without its key".into()))?;
            if !self.skip.as_ref().is_some_and(|skip| skip.passes_over(&key)) {
                self.buffer.push_back((key, item));
            }
        }
        self.next = answer.remove("LastEvaluatedKey").filter(|next| !next.is_null());
        self.ended = self.next.is_none();
        let limited = wanted.is_some_and(|wanted| count >= wanted as usize);
        // A page that was passed over whole is not one of the program's.
        let passed_over = self.skip.is_some() && self.buffer.is_empty();
        self.page_was_full = self.next.is_some() && !limited && !passed_over;
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
