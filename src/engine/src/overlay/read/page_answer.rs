//! A page as it is gathered, and as it is answered.

use std::collections::BTreeSet;

use dm_dynamodb::schema::KeySchema;
use dm_dynamodb::value::{Item, item_size, item_to_folded_json, item_to_json};
use serde_json::{Map, Value};

use crate::overlay::capacity::{Evaluated, Units};
use crate::overlay::read::page_request::{PageRequest, Shown};

/// Items of one page, and where it ends.
#[derive(Debug, Default)]
pub struct PageAnswer {
    items: Vec<Value>,
    matched: u32,
    evaluated: u32,
    bytes: usize,
    /// What was evaluated since the units were last taken.
    unpaid: Evaluated,
    last: Option<Item>,
    end: Option<Value>,
    remarks: BTreeSet<&'static str>,
}

impl PageAnswer {
    /// How many items were evaluated.
    pub fn evaluated(&self) -> u32 {
        self.evaluated
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Why the answer is approximate: once for the call, whatever gave rise to it.
    pub fn remark(&mut self, why: &'static str) {
        self.remarks.insert(why);
    }

    /// Every reason why the answer is approximate.
    pub fn remarks(&self) -> impl Iterator<Item = &'static str> {
        self.remarks.iter().copied()
    }

    /// One more item of the view.
    pub fn evaluate(&mut self, page: &PageRequest, item: &Item) {
        self.evaluated += 1;
        self.bytes += item_size(item);
        self.unpaid.add(page.view(), item, page.fetches);
        if page.passes(item) {
            self.matched += 1;
            if !page.counts_only {
                self.items.push(match &page.shown {
                    Shown::Whole => item_to_folded_json(item),
                    shown => item_to_folded_json(&shown.of(item)),
                });
            }
        }
        let view = page.view();
        self.last = Some(keys_of(item, view.keys(), &page.table.schema.keys));
    }

    /// The page ends with the last item that was evaluated.
    pub fn end_at_last(&mut self) {
        self.end = self.last.as_ref().map(item_to_json);
    }

    /// The page ends with this item, which is no part of it.
    pub fn end_with(&mut self, page: &PageRequest, item: &Item) {
        let (view, table) = (page.view().keys(), &page.table.schema.keys);
        self.end = Some(item_to_json(&keys_of(item, view, table)));
    }

    /// The page ends at this key.
    pub fn end_at(&mut self, key: Value) {
        self.end = Some(key);
    }

    /// Whether it ends before the items do.
    pub fn is_cut(&self) -> bool {
        self.end.is_some()
    }

    /// The units of what was evaluated since they were last taken.
    pub fn take_units(&mut self, page: &PageRequest) -> Units {
        std::mem::take(&mut self.unpaid).units(page.view(), page.consistent)
    }

    /// The items that passed, and the key that the page ends at, if it ends before the items do.
    pub fn into_parts(self) -> (Vec<Value>, Option<Value>) {
        (self.items, self.end)
    }

    /// The body of the answer.
    pub fn into_json(mut self, page: &PageRequest) -> Value {
        let units = self.take_units(page);
        let mut answer = Map::new();
        if !page.counts_only {
            answer.insert("Items".into(), self.items.into());
        }
        answer.insert("Count".into(), self.matched.into());
        answer.insert("ScannedCount".into(), self.evaluated.into());
        if let Some(end) = self.end {
            answer.insert("LastEvaluatedKey".into(), end);
        }
        if let Some(capacity) = units.to_json(&page.table, page.level) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        Value::Object(answer)
    }
}

fn keys_of(item: &Item, view: &KeySchema, table: &KeySchema) -> Item {
    let is_key = |name: &str| view.contains(name) || table.contains(name);
    item.iter()
        .filter(|(name, _)| is_key(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
