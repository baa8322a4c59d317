//! PartiQL statements, as far as DynamoDB takes them: parsed into the same conditions and updates
//! that expressions become.
//!
//! Parsing needs the statement's parameters, because what a `?` is decides what a statement means.
//! It never panics: statements are at most [`STATEMENT_CHARS_MAX`] long, and nesting is capped.
//!
//! What the one who executes a statement has to know beyond it:
//! - SELECT reads what [`Select::plan`] says and returns, of what it read, what matches.
//! - INSERT on an existing item is a DuplicateItemException.
//! - UPDATE of a missing item is a ConditionalCheckFailedException.
//! - DELETE of a missing item succeeds; its condition only counts when the item is there.

mod condition;
mod cursor;
mod item;
mod keywords;
mod literal;
mod no_item;
mod plan;
mod several;
mod statement;
mod token;

use crate::error::ServiceError;
use crate::expression::{Condition, Path, Step, Update};
use crate::schema::{ItemKey, TableSchema};
use crate::value::{AttributeValue, Item};

pub use no_item::NoItem;
pub use plan::ReadPlan;
pub use several::{
    BATCH_STATEMENTS_MAX, TRANSACTION_STATEMENTS_MAX, check_batch, check_count, check_transaction,
    in_transaction, on_item_in_transaction,
};

/// Most characters of a statement (API reference, `ExecuteStatement`).
pub const STATEMENT_CHARS_MAX: usize = 8192;
/// Most partitions that one SELECT reads (Developer Guide, PartiQL operators: an IN may have up to
/// 50 values of a partition key).
pub const PARTITIONS_MAX: usize = 50;
/// How deep parentheses may stand in each other. Our own bound: no input may exhaust the stack.
pub const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Select(Select),
    /// Puts an item that is not there yet.
    Insert(Insert),
    Update(UpdateStatement),
    Delete(Delete),
    /// `EXISTS(SELECT …)`, a condition check; in transactions only.
    Exists(Select),
}

/// `SELECT … FROM … WHERE … ORDER BY …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// The table's name or ARN, as written.
    pub table: String,
    /// The index, if one is read.
    pub index: Option<String>,
    /// What is returned of each item: `None` for `*`.
    pub list: Option<Vec<Path>>,
    /// What an item must meet, keys included.
    pub condition: Option<Condition>,
    /// Attributes to order by, and whether each descends.
    pub order: Vec<(String, bool)>,
}

/// `INSERT INTO … VALUE {…}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The table's name or ARN, as written.
    pub table: String,
    pub item: Item,
}

/// `UPDATE … SET … REMOVE … WHERE … RETURNING …`.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateStatement {
    /// The table's name or ARN, as written.
    pub table: String,
    /// What is done to the item.
    pub update: Update,
    /// The item's key, and what else it must meet: see [`UpdateStatement::key`].
    pub condition: Option<Condition>,
    pub returning: Option<Returning>,
}

/// `DELETE FROM … WHERE … RETURNING ALL OLD *`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// The table's name or ARN, as written.
    pub table: String,
    /// The item's key, and what else it must meet: see [`Delete::key`].
    pub condition: Option<Condition>,
    /// Whether the item is returned as it was.
    pub returns_old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    /// The whole item, as it was.
    AllOld,
    /// The whole item, in its current state.
    AllNew,
    /// The places the statement names, as they were.
    ModifiedOld,
    /// The places the statement names, as they are now.
    ModifiedNew,
}

impl Returning {
    /// As a statement says it.
    fn words(self) -> &'static str {
        match self {
            Self::AllOld => "ALL OLD",
            Self::AllNew => "ALL NEW",
            Self::ModifiedOld => "MODIFIED OLD",
            Self::ModifiedNew => "MODIFIED NEW",
        }
    }
}

impl Statement {
    /// Parses a statement with its parameters.
    pub fn parse(text: &str, parameters: &[AttributeValue]) -> Result<Self, ServiceError> {
        statement::parse(text, parameters)
    }

    /// The table it works on: name or ARN, as written.
    pub fn table(&self) -> &str {
        match self {
            Self::Select(select) | Self::Exists(select) => &select.table,
            Self::Insert(insert) => &insert.table,
            Self::Update(update) => &update.table,
            Self::Delete(delete) => &delete.table,
        }
    }

    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Select(_) | Self::Exists(_))
    }

    /// Whether it returns an image of the item that it writes.
    pub fn returns_image(&self) -> bool {
        match self {
            Self::Select(_) | Self::Exists(_) | Self::Insert(_) => false,
            Self::Update(update) => update.returning.is_some(),
            Self::Delete(delete) => delete.returns_old,
        }
    }
}

impl Select {
    /// The key of the one item it asks for, if it asks for nothing else: an equality for each key
    /// attribute of the table, and no more.
    pub fn single_item(&self, table: &TableSchema) -> Result<Option<ItemKey>, ServiceError> {
        if self.index.is_some() {
            return Ok(None);
        }
        match plan::key_and_rest(self.condition.as_ref(), table)? {
            Some((key, None)) => ItemKey::from_key(table, &key).map(Some),
            Some((_, Some(_))) | None => Ok(None),
        }
    }

    /// What is returned of an item: each value under its path's last name (`a.b` gives `b`), which
    /// is how PartiQL differs from a projection.
    pub fn project(&self, item: &Item) -> Item {
        let Some(paths) = &self.list else { return item.clone() };
        paths.iter().filter_map(|path| Some((output_name(path), path.get(item)?.clone()))).collect()
    }
}

/// The last field's name, with the indexes after it: `b[0]` for `a.b[0]`.
fn output_name(path: &Path) -> String {
    let last = path.steps.iter().rposition(|step| matches!(step, Step::Field(_)));
    let indexes = path.steps.iter().skip(last.map_or(0, |at| at + 1));
    let name = match last.and_then(|at| path.steps.get(at)) {
        Some(Step::Field(name)) => name,
        _ => &path.root,
    };
    indexes.fold(name.clone(), |name, step| match step {
        Step::Index(index) => format!("{name}[{index}]"),
        Step::Field(_) => name,
    })
}
