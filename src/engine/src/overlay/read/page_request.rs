//! What a Query or Scan asks for, parsed and checked.

mod start;

use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::{
    Comparator, Condition, KeyCondition, Path, Projection, SortCondition,
};
use dm_dynamodb::partiql::Select as Selection;
use dm_dynamodb::request::{CapacityLevel, Page, Select};
use dm_dynamodb::schema::{IndexKind, IndexProjection, IndexSchema};
use dm_dynamodb::value::{Item, item_to_json};
use serde_json::Value;

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::state::direction::Direction;
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;

pub use start::Start;

/// A page that is asked for.
#[derive(Debug)]
pub struct PageRequest {
    pub table: Arc<Table>,
    /// The index, by its position in the table's schema.
    pub index: Option<usize>,
    pub range: Range,
    /// Which of them are returned.
    pub filter: Option<Condition>,
    /// What of them is returned.
    pub shown: Shown,
    /// Whether only their number is returned.
    pub counts_only: bool,
    /// Whether a local index must fetch attributes that it does not hold.
    pub fetches: bool,
    /// How many are evaluated at most.
    pub limit: Option<u32>,
    pub start: Option<Start>,
    /// Whether the latest state is read.
    pub consistent: bool,
    /// How much of the capacity is returned.
    pub level: CapacityLevel,
}

/// What is returned of an item.
#[derive(Clone, Debug)]
pub enum Shown {
    Whole,
    /// What a projection leaves.
    Projected(Projection),
    /// What a PartiQL SELECT lists.
    Selected(Arc<Selection>),
}

impl Shown {
    /// Of a request with a projection, or without one.
    pub fn projected(projection: Option<Projection>) -> Self {
        projection.map_or(Self::Whole, Self::Projected)
    }

    /// What is shown of this item.
    pub fn of(&self, item: &Item) -> Item {
        match self {
            Self::Whole => item.clone(),
            Self::Projected(projection) => projection.apply(item),
            Self::Selected(select) => select.project(item),
        }
    }

    /// The JSON of what is shown of this item.
    pub fn json(&self, item: &Item) -> Value {
        match self {
            Self::Whole => item_to_json(item),
            Self::Projected(_) | Self::Selected(_) => item_to_json(&self.of(item)),
        }
    }
}

/// Which items of a view are read.
#[derive(Debug)]
pub enum Range {
    /// Those of a partition that meet the condition, in this direction.
    Query(KeyCondition, Direction),
    /// All, or this segment of this many.
    Scan(Option<(u32, u32)>),
}

/// A PartiQL SELECT on what it reads, with what its request says beside it.
#[derive(Debug)]
pub struct Selected {
    pub select: Arc<Selection>,
    pub table: Arc<Table>,
    /// The index, by its position in the table's schema.
    pub index: Option<usize>,
    /// How many items are evaluated at most.
    pub limit: Option<u32>,
    /// Whether the latest state is read.
    pub consistent: bool,
    /// How much of the capacity is returned.
    pub level: CapacityLevel,
}

impl Selected {
    /// The table or index.
    pub fn view(&self) -> View<'_> {
        View { table: &self.table, index: self.index }
    }
}

impl PageRequest {
    /// Of a Query or a Scan.
    pub fn of(operation: Operation, asked: Page, table: Arc<Table>) -> Result<Self, Fault> {
        let Page { filter, projection, consistent, .. } = asked;
        let index = asked.index.map(|name| index(&name, &table)).transpose()?.flatten();
        let view = View { table: &table, index };
        let direction = if asked.forward { Direction::Forward } else { Direction::Backward };
        if consistent && is_global(view) {
            return Err(ServiceError::validation(
                "Consistent reads are not supported on global secondary indexes",
            )
            .into());
        }
        let range = match asked.key {
            Some(key) => Range::Query(key.for_keys(view.keys())?, direction),
            None => Range::Scan(asked.segment),
        };
        if let Some(projection) = &projection {
            projection.check_key_paths(&table.schema)?;
        }
        if let Some(filter) = &filter {
            filter.check_key_paths(&table.schema)?;
        }
        if let (Operation::Query, Some(filter)) = (operation, &filter) {
            filter.check_filters_no_keys(asked.filter_name, view.keys())?;
            check_filter_is_projected(filter, view)?;
        }
        let select = asked.select.unwrap_or(match (&projection, view.index) {
            (Some(_), _) => Select::Specific,
            (None, Some(_)) => Select::Projected,
            (None, None) => Select::All,
        });
        let paths = projection.as_ref().map_or(&[][..], Projection::paths);
        let fetches = fetches(view, select, paths)?;
        let start = asked.start.as_ref().map(|json| Start::of(json, view, &range)).transpose()?;
        Ok(Self {
            range,
            filter,
            shown: Shown::projected(projection),
            counts_only: select == Select::Count,
            fetches,
            limit: asked.limit,
            start,
            consistent,
            level: asked.capacity,
            index,
            table,
        })
    }

    /// Of a PartiQL SELECT, for one of the ranges that it reads.
    pub fn of_select(
        selected: &Selected,
        range: Range,
        start: Option<&Value>,
    ) -> Result<Self, Fault> {
        let (view, select) = (selected.view(), &selected.select);
        let filter = select.condition.clone();
        if let (Range::Query(..), Some(filter)) = (&range, &filter) {
            check_filter_is_projected(filter, view)?;
        }
        let list = select.list.as_deref();
        let kind = if list.is_some() { Select::Specific } else { Select::Projected };
        let fetches = fetches(view, kind, list.unwrap_or_default())?;
        let start = start.map(|json| Start::of(json, view, &range)).transpose()?;
        Ok(Self {
            table: Arc::clone(&selected.table),
            index: selected.index,
            range,
            filter,
            shown: Shown::Selected(Arc::clone(select)),
            counts_only: false,
            fetches,
            limit: selected.limit,
            start,
            consistent: selected.consistent,
            level: selected.level,
        })
    }

    /// The table or index.
    pub fn view(&self) -> View<'_> {
        View { table: &self.table, index: self.index }
    }

    /// Whether the filter lets an item pass.
    pub fn passes(&self, item: &Item) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(item))
    }

    /// Whether an item has the last sort key that the condition includes.
    pub fn is_last_included(&self, item: &Item) -> bool {
        let Range::Query(condition, direction) = &self.range else { return false };
        condition.sort().any(|(name, sort)| {
            let last = match (sort, direction) {
                (
                    SortCondition::Between(_, last) | SortCondition::Compare(Comparator::Le, last),
                    Direction::Forward,
                )
                | (
                    SortCondition::Between(last, _) | SortCondition::Compare(Comparator::Ge, last),
                    Direction::Backward,
                ) => last,
                (SortCondition::Compare(..) | SortCondition::BeginsWith(_), _) => return false,
            };
            item.get(name) == Some(last)
        })
    }

    /// Which way it goes through the view.
    pub fn direction(&self) -> Direction {
        match &self.range {
            Range::Query(_, direction) => *direction,
            Range::Scan(_) => Direction::Forward,
        }
    }
}

fn index(name: &str, table: &Table) -> Result<Option<usize>, ServiceError> {
    table.schema.require_index(name)?;
    Ok(table.schema.indexes.iter().position(|index| index.name == name))
}

/// Whether a view is a global index, which is never read consistently.
pub fn is_global(view: View<'_>) -> bool {
    view.index_schema().is_some_and(|index| index.kind == IndexKind::Global)
}

/// Whether attributes are wanted that the index does not hold. A local index fetches them from
/// the table, a global one does not.
fn fetches(view: View<'_>, select: Select, paths: &[Path]) -> Result<bool, ServiceError> {
    let Some(index) = view.index_schema() else { return Ok(false) };
    if index.projection == IndexProjection::All {
        return Ok(false);
    }
    let missing: Vec<&str> = paths
        .iter()
        .map(|path| path.root.as_str())
        .filter(|name| !holds_attribute(view, index, name))
        .collect();
    match (index.kind, select, missing.is_empty()) {
        (IndexKind::Local, Select::All, _) | (IndexKind::Local, _, false) => Ok(true),
        (IndexKind::Global, Select::All, _) => Err(ServiceError::invalid_parameter(format!(
            "Select type ALL_ATTRIBUTES is not supported for global secondary index {} because \
             its projection type is not ALL",
            index.name
        ))),
        (IndexKind::Global, _, false) => Err(ServiceError::invalid_parameter(format!(
            "Global secondary index {} does not project [{}]",
            index.name,
            missing.join(", ")
        ))),
        (_, _, true) => Ok(false),
    }
}

/// A query's filter sees what the index holds, and must ask for nothing else.
fn check_filter_is_projected(filter: &Condition, view: View<'_>) -> Result<(), ServiceError> {
    let missing = attributes_not_held(filter, view);
    if missing.is_empty() {
        return Ok(());
    }
    let name = view.index_schema().map_or("", |index| index.name.as_str());
    Err(ServiceError::invalid_parameter(format!(
        "Secondary index {name} does not project one or more filter attributes: [{}]",
        missing.join(", ")
    )))
}

/// The attributes a filter looks at that the index does not hold.
pub fn attributes_not_held<'f>(filter: &'f Condition, view: View<'_>) -> Vec<&'f str> {
    let Some(index) = view.index_schema() else { return Vec::new() };
    let names = filter.paths().into_iter().map(|path| path.root.as_str());
    let mut missing: Vec<&str> = names.filter(|name| !holds_attribute(view, index, name)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn holds_attribute(view: View<'_>, index: &IndexSchema, name: &str) -> bool {
    let included = match &index.projection {
        IndexProjection::All => true,
        IndexProjection::KeysOnly => false,
        IndexProjection::Include(names) => names.iter().any(|included| included == name),
    };
    included || index.keys.contains(name) || view.table.schema.keys.contains(name)
}
