//! A table as the overlay knows it, and what is read of it: the table itself, or one of its
//! indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use dm_dynamodb::request::control::Tags;
use dm_dynamodb::schema::{IndexSchema, ItemKey, KeySchema, TableSchema};
use dm_dynamodb::value::Item;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::overlay::state::entry::Entry;

/// A table as the overlay knows it.
#[derive(Debug)]
pub struct Table {
    pub schema: TableSchema,
    /// Told apart from every other table of the run, also from one deleted and created again.
    pub number: u32,
    /// Goes up when the program changes the indexes: entries then stand in other places.
    pub shape: u32,
    /// Whether the database has it; else it exists in the overlay only.
    pub upstream: bool,
    /// Indexes that the program added to a table of the database. Nobody has built them.
    pub unbuilt: BTreeSet<String>,
    /// Whether the program has looked if it is there yet.
    pub awaited: AtomicBool,
}

impl Table {
    /// A table of an embedded database that was opened.
    pub fn kept(schema: TableSchema, number: u32, shape: u32) -> Self {
        let (unbuilt, awaited) = (BTreeSet::new(), true.into());
        Self { schema, number, shape, upstream: false, unbuilt, awaited }
    }

    /// The table and all its indexes.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        let indexes = (0..self.schema.indexes.len()).map(Some);
        std::iter::once(None).chain(indexes).map(|index| View { table: self, index })
    }
}

/// What the program has made of a table itself, beside its items.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shape {
    /// The whole description of a table that the program created; else the members of the
    /// database's that are other ones now.
    pub members: Map<String, Value>,
    /// What that means, by what is set.
    pub settings: BTreeMap<String, String>,
    /// Its tags, if it changed them.
    pub tags: Option<Tags>,
    /// Its TimeToLiveDescription, if it changed that.
    pub time_to_live: Option<Value>,
    /// Its ContinuousBackupsDescription, if it changed that.
    pub backups: Option<Value>,
}

impl Shape {
    /// A setting has this value now, and began with that one: it is no change if both are equal.
    pub fn set(&mut self, setting: &str, to: String, began: &Value) {
        if began.as_str() == Some(to.as_str()) {
            self.settings.remove(setting);
        } else {
            self.settings.insert(setting.to_owned(), to);
        }
    }
}

/// What is read: a table, or one of its indexes.
#[derive(Clone, Copy, Debug)]
pub struct View<'t> {
    pub table: &'t Table,
    /// Its index, by position.
    pub index: Option<usize>,
}

/// A place of an insertion: the key in the view, and the table's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key in the view.
    pub view_key: Vec<u8>,
    /// The key of the table.
    pub table_key: Vec<u8>,
}

impl<'t> View<'t> {
    /// The index's schema, if it is one.
    pub fn index_schema(self) -> Option<&'t IndexSchema> {
        self.index.and_then(|index| self.table.schema.indexes.get(index))
    }

    pub fn keys(self) -> &'t KeySchema {
        self.index_schema().map_or(&self.table.schema.keys, |index| &index.keys)
    }

    /// Where an item stands in it, if it does.
    pub fn place(self, item: &Item) -> Option<Place> {
        let view_key = match self.index_schema() {
            Some(index) => index.key_of(item)?,
            None => ItemKey::of(self.keys(), item)?,
        };
        Some(Place {
            view_key: view_key.bytes().to_vec(),
            table_key: ItemKey::of(&self.table.schema.keys, item)?.bytes().to_vec(),
        })
    }

    /// Where the entry now stands in this view, unless the database has it there.
    pub fn insertion(self, entry: &Entry) -> Option<Place> {
        let now = entry.now.as_ref().and_then(|item| self.place(item))?;
        (!self.base_is_at(entry, &now)).then_some(now)
    }

    /// Whether the database, as it was first seen, has the entry at this place, and nobody has
    /// moved it since. In the table itself no item moves.
    pub fn base_is_at(self, entry: &Entry, place: &Place) -> bool {
        let moved = entry.displaced && self.index.is_some();
        !moved && entry.base.as_ref().and_then(|item| self.place(item)).as_ref() == Some(place)
    }

    /// Whether the entry stands where the database has it.
    pub fn is_in_place(self, entry: &Entry) -> bool {
        entry.now.is_some()
            && self.insertion(entry).is_none()
            && entry.now.as_ref().and_then(|item| self.place(item)).is_some()
    }
}
