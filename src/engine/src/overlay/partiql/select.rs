//! SELECT: one page, read as pages of Query or Scan are, through each of the ranges that the
//! statement's plan names.

use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::partiql::{ReadPlan, Select};
use dm_dynamodb::request::CapacityLevel;
use dm_dynamodb::value::item_from_json;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::capacity::Units;
use crate::overlay::partiql::next_token;
use crate::overlay::read::page::not_built;
use crate::overlay::read::page_answer::PageAnswer;
use crate::overlay::read::page_request::{PageRequest, Range, Selected, is_global};
use crate::overlay::state::direction::Direction;
use crate::overlay::state::table::Table;

/// What a request says beside its SELECT.
pub struct Asked {
    /// Whether the latest state is read.
    pub consistent: bool,
    /// How many items are evaluated at most.
    pub limit: Option<u32>,
    /// How much of the capacity is asked for.
    pub capacity: CapacityLevel,
}

impl Overlay {
    /// One page of a SELECT; the body binds its tokens to the statement.
    pub(in crate::overlay::partiql) async fn select(
        &self,
        select: Select,
        asked: Asked,
        body: &Value,
    ) -> Result<Value, Fault> {
        let after = next_token::after(body)?;
        let table = self.schemas().table_of_items(&select.table).await?;
        if select.index.as_ref().is_some_and(|index| table.unbuilt.contains(index)) {
            return Err(not_built(Operation::ExecuteStatement));
        }
        let selected = Selected {
            index: index(&select, &table)?,
            select: Arc::new(select),
            table,
            limit: asked.limit,
            consistent: asked.consistent,
            level: asked.capacity,
        };
        if selected.consistent && is_global(selected.view()) {
            return Err(Fault::validation(
                "Strongly consistent read is not supported on Global Secondary Indexes",
            ));
        }
        let mut ranges = ranges(&selected)?;
        if let Some(after) = &after {
            let begun = ranges.iter().position(|range| holds(range, after));
            ranges.drain(..begun.ok_or_else(next_token::invalid)?);
        }
        self.page_of_ranges(&selected, ranges, after, body).await
    }

    async fn page_of_ranges(
        &self,
        selected: &Selected,
        ranges: Vec<Range>,
        mut after: Option<Value>,
        body: &Value,
    ) -> Result<Value, Fault> {
        let mut answer = PageAnswer::default();
        let mut units = Units::default();
        for range in ranges {
            let page = PageRequest::of_select(selected, range, after.take().as_ref())?;
            self.merge_page(&page, &mut answer).await?;
            units.add(&answer.take_units(&page));
            if answer.is_cut() {
                break;
            }
        }
        self.tally().items_read(&selected.table.schema.name, answer.evaluated().into());
        self.tally().approximate(Operation::ExecuteStatement.name(), answer.remarks());
        let (items, end) = answer.into_parts();
        let mut told = Map::new();
        told.insert("Items".into(), items.into());
        if let Some(end) = end {
            told.insert("NextToken".into(), next_token::token(body, &end).into());
            told.insert("LastEvaluatedKey".into(), end);
        }
        if let Some(capacity) = units.to_json(&selected.table, selected.level) {
            told.insert("ConsumedCapacity".into(), capacity);
        }
        Ok(Value::Object(told))
    }
}

fn index(select: &Select, table: &Table) -> Result<Option<usize>, ServiceError> {
    let Some(name) = &select.index else { return Ok(None) };
    let position = table.schema.indexes.iter().position(|index| index.name == *name);
    let missing = || ServiceError::validation("The table does not have the specified index");
    position.ok_or_else(missing).map(Some)
}

/// What is read, in its order.
fn ranges(selected: &Selected) -> Result<Vec<Range>, ServiceError> {
    Ok(match selected.select.plan(selected.view().keys())? {
        ReadPlan::Scan => vec![Range::Scan(None)],
        ReadPlan::Queries { partitions, descends } => {
            let direction = if descends { Direction::Backward } else { Direction::Forward };
            partitions.into_iter().map(|one| Range::Query(one, direction)).collect()
        }
    })
}

/// Whether a page that ended with this key ended in this range.
fn holds(range: &Range, after: &Value) -> bool {
    match range {
        Range::Scan(_) => true,
        Range::Query(condition, _) => {
            item_from_json(after).is_ok_and(|item| condition.matches(&item))
        }
    }
}
