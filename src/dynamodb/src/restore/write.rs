//! The writes of a restore as requests: each holds only while the item is as it was read.

use std::collections::BTreeSet;

use dm_contract::restored::Conflict;
use serde_json::{Map, Value};

use crate::journal::MergedEntry;
use crate::schema::TableSchema;
use crate::unchanged::{Binding, Placeholding};
use crate::value::{AttributeValue, Item, item_to_json};

/// Attributes of one update. A condition has a comparison and an AND for each, and in text some
/// thirty bytes, an update up to twenty: so both stay under 300 operators and 4 KB.
const UPDATE_ATTRIBUTES_MAX: usize = 100;

/// A write of one item, and what the item has to be for it.
#[derive(Clone, PartialEq)]
pub struct ConditionalWrite {
    table: String,
    key: Item,
    change: Change,
    /// The item as it was read.
    expected: Option<Item>,
}

#[derive(Clone, PartialEq)]
enum Change {
    Put(Item),
    Delete,
    /// Attributes and what they get; `None` takes one away.
    Update(Vec<(String, Option<AttributeValue>)>),
}

/// Which operation carries a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOperation {
    Put,
    Update,
    Delete,
}

/// A write as DynamoDB takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteRequest {
    /// Its operation.
    pub operation: WriteOperation,
    pub body: Map<String, Value>,
    /// Whether the condition compares every attribute that was asked for.
    pub complete: bool,
}

impl ConditionalWrite {
    pub(super) fn put(entry: &MergedEntry, item: &Item, expected: Option<&Item>) -> Self {
        Self::new(entry, Change::Put(item.clone()), expected)
    }

    pub(super) fn delete(entry: &MergedEntry, expected: &Item) -> Self {
        Self::new(entry, Change::Delete, Some(expected))
    }

    /// As many updates as the attributes need. What is taken away goes first, so that no item is
    /// larger on its way than at one of its ends.
    pub(super) fn updates(
        entry: &MergedEntry,
        now: &Item,
        back: &[(&str, Option<&AttributeValue>)],
    ) -> Vec<Self> {
        let mut back: Vec<(String, Option<AttributeValue>)> =
            back.iter().map(|(name, value)| ((*name).to_owned(), value.cloned())).collect();
        back.sort_by_key(|(_, value)| value.is_some());
        back.chunks(UPDATE_ATTRIBUTES_MAX)
            .map(|part| Self::new(entry, Change::Update(part.to_vec()), Some(now)))
            .collect()
    }

    fn new(entry: &MergedEntry, change: Change, expected: Option<&Item>) -> Self {
        let (table, key) = (entry.table.clone(), entry.key.clone());
        Self { table, key, change, expected: expected.cloned() }
    }

    /// The writes of one attribute each that together do the same, for a database that rejects one
    /// of them; none where the write cannot be divided.
    pub fn divided(&self) -> Vec<Self> {
        match &self.change {
            Change::Update(attributes) if attributes.len() > 1 => attributes
                .iter()
                .map(|one| Self { change: Change::Update(vec![one.clone()]), ..self.clone() })
                .collect(),
            Change::Update(_) | Change::Put(_) | Change::Delete => Vec::new(),
        }
    }

    /// The conflict that it is if the database rejects it.
    pub fn rejected(&self) -> Conflict {
        match &self.change {
            Change::Update(attributes) => match attributes.as_slice() {
                [(name, _)] => Conflict::Rejected(Some(name.clone())),
                _ => Conflict::Rejected(None),
            },
            Change::Put(_) | Change::Delete => Conflict::Rejected(None),
        }
    }

    /// Whether this table's schema allows what the write leaves.
    pub fn fits(&self, table: &TableSchema) -> bool {
        match &self.change {
            Change::Put(item) => table.check_item(item).is_ok(),
            Change::Delete => true,
            Change::Update(attributes) => {
                let set = |(name, value): &(String, Option<AttributeValue>)| {
                    value.clone().map(|value| (name.clone(), value))
                };
                let set: Item = attributes.iter().filter_map(set).collect();
                table.check_index_keys(&set).is_ok()
            }
        }
    }

    /// The item before the write, as it was read.
    pub fn expected(&self) -> Option<&Item> {
        self.expected.as_ref()
    }

    /// The write as a request.
    pub fn request(&self) -> WriteRequest {
        let mut body = Map::new();
        body.insert("TableName".to_owned(), self.table.as_str().into());
        let compared: BTreeSet<&str> = match &self.change {
            Change::Update(attributes) => {
                attributes.iter().map(|(name, _)| name.as_str()).collect()
            }
            Change::Put(_) | Change::Delete => {
                self.expected.iter().flatten().map(|(name, _)| name.as_str()).collect()
            }
        };
        let mut binding = Binding::alone(&self.key, self.expected.as_ref());
        let complete = binding.presence() & binding.attributes(compared);
        let operation = match &self.change {
            Change::Put(item) => {
                body.insert("Item".to_owned(), item_to_json(item));
                WriteOperation::Put
            }
            Change::Delete => WriteOperation::Delete,
            Change::Update(attributes) => {
                let text = update_text(binding.placeholding(), attributes);
                body.insert("UpdateExpression".to_owned(), text.into());
                WriteOperation::Update
            }
        };
        if operation != WriteOperation::Put {
            body.insert("Key".to_owned(), item_to_json(&self.key));
        }
        binding.finish(&mut body);
        WriteRequest { operation, body, complete }
    }
}

fn update_text(
    placeholding: &mut Placeholding,
    attributes: &[(String, Option<AttributeValue>)],
) -> String {
    let mut set = Vec::new();
    let mut remove = Vec::new();
    for (name, value) in attributes {
        let name = placeholding.name(name);
        match value {
            Some(value) => set.push(format!("{name}={}", placeholding.value(value))),
            None => remove.push(name),
        }
    }
    let clause = |word: &str, actions: &[String]| {
        (!actions.is_empty()).then(|| format!("{word} {}", actions.join(",")))
    };
    let clauses = [clause("SET", &set), clause("REMOVE", &remove)];
    clauses.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

impl std::fmt::Debug for ConditionalWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let change = match &self.change {
            Change::Put(_) => "put".to_owned(),
            Change::Delete => "delete".to_owned(),
            Change::Update(attributes) => format!("update of {} attributes", attributes.len()),
        };
        f.debug_struct("ConditionalWrite")
            .field("table", &self.table)
            .field("change", &change)
            .finish_non_exhaustive()
    }
}
