//! Consumed capacity of what the overlay answers: what the same call would use if it were applied.
//!
//! From the Developer Guide, "Read and write operations consumption": reads by 4 KB of what is
//! evaluated, half when eventually consistent; writes by 1 KB of the larger image, once more per
//! index entry that changes, twice for one that moves; transactions double what the table uses, but
//! not what its indexes do (they are written after the commit; so measured at AWS by dynoxide's
//! authors).

use dm_dynamodb::request::CapacityLevel;
use dm_dynamodb::value::{Item, item_size};
use serde_json::{Map, Value, json};

use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;

/// Bytes of a block that a read pays for.
const READ_BLOCK: usize = 4096;

/// Whether a call is part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    Single,
    /// In a transaction all but the writing of indexes costs twice.
    Transaction,
}

/// Which kind of units a transaction used; its answer tells every sum under this name too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionUnits {
    NotOne,
    Read,
    Write,
}

/// Units used in one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Units {
    /// By the table itself.
    pub table: f64,
    /// By its indexes, those used.
    pub indexes: Vec<(usize, f64)>,
}

/// What a page has evaluated in a view.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// Bytes of what the view holds.
    bytes: usize,
    /// Blocks of the items that were fetched from the table.
    fetched: f64,
}

impl Evaluated {
    /// One more item. A local index that `fetches` attributes that it does not hold reads each
    /// item from the table, rounded up by itself (Developer Guide, "Local secondary indexes").
    pub fn add(&mut self, view: View<'_>, item: &Item, fetches: bool) {
        let size = item_size(item);
        match view.index_schema().filter(|_| fetches) {
            Some(index) => {
                self.bytes += item_size(&index.project(&view.table.schema, item));
                self.fetched += blocks(size, READ_BLOCK);
            }
            None => self.bytes += size,
        }
    }

    /// Its units.
    pub fn units(&self, view: View<'_>, consistent: bool) -> Units {
        let mut units = Units::of_read(view, self.bytes, consistent, Atomicity::Single);
        units.table += if consistent { self.fetched } else { self.fetched / 2.0 };
        units
    }
}

impl Units {
    pub fn total(&self) -> f64 {
        self.table + self.indexes.iter().map(|(_, units)| units).sum::<f64>()
    }

    /// Of a write that made one image of another.
    pub fn of_write(
        table: &Table,
        before: Option<&Item>,
        after: Option<&Item>,
        atomicity: Atomicity,
    ) -> Self {
        let factor = if atomicity == Atomicity::Transaction { 2.0 } else { 1.0 };
        let size = before.map_or(0, item_size).max(after.map_or(0, item_size));
        let mut indexes = Vec::new();
        for view in table.views() {
            let Some(index) = view.index else { continue };
            let units = index_units(view, before, after);
            if units > 0.0 {
                indexes.push((index, units));
            }
        }
        Self { table: write_units(size) * factor, indexes }
    }

    /// Of a read that evaluated this many bytes in a view.
    pub fn of_read(view: View<'_>, bytes: usize, consistent: bool, atomicity: Atomicity) -> Self {
        let blocks = blocks(bytes, READ_BLOCK);
        let units = match (atomicity, consistent) {
            (Atomicity::Transaction, _) => blocks * 2.0,
            (Atomicity::Single, true) => blocks,
            (Atomicity::Single, false) => blocks / 2.0,
        };
        match view.index {
            Some(index) => Self { table: 0.0, indexes: vec![(index, units)] },
            None => Self { table: units, indexes: Vec::new() },
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.table += other.table;
        for (index, units) in &other.indexes {
            match self.indexes.iter_mut().find(|(known, _)| known == index) {
                Some((_, sum)) => *sum += units,
                None => self.indexes.push((*index, *units)),
            }
        }
    }

    /// As an answer tells it, or not at all.
    pub fn to_json(&self, table: &Table, level: CapacityLevel) -> Option<Value> {
        self.to_json_of(TransactionUnits::NotOne, table, level)
    }

    /// The same for a transaction.
    pub fn to_json_of(
        &self,
        transaction: TransactionUnits,
        table: &Table,
        level: CapacityLevel,
    ) -> Option<Value> {
        if level == CapacityLevel::None {
            return None;
        }
        let kind = match transaction {
            TransactionUnits::NotOne => None,
            TransactionUnits::Read => Some("ReadCapacityUnits"),
            TransactionUnits::Write => Some("WriteCapacityUnits"),
        };
        let capacity = |units: f64| -> Map<String, Value> {
            let names = std::iter::once("CapacityUnits").chain(kind);
            names.map(|name| (name.to_owned(), units.into())).collect()
        };
        let mut told = capacity(self.total());
        told.insert("TableName".into(), table.schema.name.clone().into());
        if level == CapacityLevel::Indexes {
            told.insert("Table".into(), capacity(self.table).into());
            for (index, units) in &self.indexes {
                let Some(schema) = table.schema.indexes.get(*index) else { continue };
                let member = match schema.kind {
                    dm_dynamodb::schema::IndexKind::Local => "LocalSecondaryIndexes",
                    dm_dynamodb::schema::IndexKind::Global => "GlobalSecondaryIndexes",
                };
                let of_kind = told.entry(member).or_insert_with(|| json!({}));
                of_kind[&schema.name] = capacity(*units).into();
            }
        }
        Some(Value::Object(told))
    }
}

fn index_units(view: View<'_>, before: Option<&Item>, after: Option<&Item>) -> f64 {
    let entry = |item: Option<&Item>| {
        let item = item?;
        let place = view.place(item)?;
        let projected = view.index_schema()?.project(&view.table.schema, item);
        Some((place, projected))
    };
    match (entry(before), entry(after)) {
        (None, None) => 0.0,
        (Some((_, one)), None) | (None, Some((_, one))) => write_units(item_size(&one)),
        (Some((from, before)), Some((to, after))) if from == to => {
            if before == after {
                0.0
            } else {
                write_units(item_size(&before).max(item_size(&after)))
            }
        }
        (Some((_, before)), Some((_, after))) => {
            write_units(item_size(&before)) + write_units(item_size(&after))
        }
    }
}

fn write_units(bytes: usize) -> f64 {
    blocks(bytes, 1024)
}

/// At least one block, also for nothing.
fn blocks(bytes: usize, block: usize) -> f64 {
    let blocks = bytes.div_ceil(block).max(1);
    u32::try_from(blocks).map_or(f64::MAX, f64::from)
}
