//! What a run changed, or in a dry run would change, per table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What happened to a table itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableChange {
    /// It was not there before.
    Created,
    /// It has other settings.
    Updated,
    /// It is gone, with all its items.
    Deleted,
    /// It was deleted, with all its items, and one of its name created.
    Replaced,
}

impl TableChange {
    /// What two changes of one table are together.
    pub fn then(before: Option<Self>, next: Self) -> Option<Self> {
        match (before, next) {
            (None | Some(Self::Updated), next) => Some(next),
            (Some(Self::Created), Self::Deleted) => None,
            (Some(Self::Created), _) => Some(Self::Created),
            (Some(Self::Deleted), Self::Created) => Some(Self::Replaced),
            (Some(Self::Deleted), _) | (Some(Self::Replaced), Self::Deleted) => Some(Self::Deleted),
            (Some(Self::Replaced), _) => Some(Self::Replaced),
        }
    }
}

/// What changed in one table. In an applied run without a journal only the calls that succeeded
/// are known: `created`, `updated` and `deleted` then count put, update and delete requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableEffect {
    pub name: String,
    /// The table's id, where it is known: another table of this name has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Items returned by reads of this table.
    pub items_read: u64,
    /// Items in the table, as DynamoDB counts them about every six hours; absent where the guard
    /// did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_count: Option<u64>,
    /// Items that were not there before.
    pub created: u64,
    /// Items that differ from before.
    pub updated: u64,
    /// Items that are gone.
    pub deleted: u64,
    /// Items the program wrote and left as they were.
    pub unchanged: u64,
    /// Top-level attributes that changed, in order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeEffect>,
    /// What happened to the table itself. Items of a table that was deleted are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<TableChange>,
    /// What of an existing table was set, in order: billing, indexes, stream, time to live, tags …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

impl TableEffect {
    /// Whether anything changed, in its items or in the table itself.
    pub fn changes(&self) -> bool {
        self.created + self.updated + self.deleted > 0 || self.change.is_some()
    }

    /// Returns the effects of all parts of a run on each table, in order of the tables' names.
    pub(crate) fn merged<'a>(effects: impl Iterator<Item = &'a Self>) -> Vec<Self> {
        let mut tables: BTreeMap<&str, Self> = BTreeMap::new();
        for effect in effects {
            let name = effect.name.as_str();
            let both = match tables.remove(name) {
                Some(before) => table(before, effect),
                None => effect.clone(),
            };
            tables.insert(name, both);
        }
        tables.into_values().collect()
    }
}

/// What changed in one top-level attribute of one table's items (of updated items only).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributeEffect {
    pub name: String,
    /// Items that got it.
    #[serde(default)]
    pub added: u64,
    /// Items in which its value changed.
    #[serde(default)]
    pub changed: u64,
    /// Items that lost it.
    #[serde(default)]
    pub removed: u64,
}

fn table(one: TableEffect, other: &TableEffect) -> TableEffect {
    let mut settings: Vec<String> = one.settings.iter().chain(&other.settings).cloned().collect();
    settings.sort();
    settings.dedup();
    TableEffect {
        id: one.id.or_else(|| other.id.clone()),
        items_read: one.items_read.saturating_add(other.items_read),
        // Of the whole table, by whichever part.
        item_count: one.item_count.max(other.item_count),
        created: one.created.saturating_add(other.created),
        updated: one.updated.saturating_add(other.updated),
        deleted: one.deleted.saturating_add(other.deleted),
        unchanged: one.unchanged.saturating_add(other.unchanged),
        attributes: attributes(&one.attributes, &other.attributes),
        change: match (one.change, other.change) {
            (before, Some(next)) => TableChange::then(before, next),
            (before, None) => before,
        },
        settings,
        name: one.name,
    }
}

fn attributes(one: &[AttributeEffect], other: &[AttributeEffect]) -> Vec<AttributeEffect> {
    let mut all: BTreeMap<&str, AttributeEffect> = BTreeMap::new();
    for effect in one.iter().chain(other) {
        let sum = all.entry(&effect.name).or_default();
        sum.name.clone_from(&effect.name);
        sum.added = sum.added.saturating_add(effect.added);
        sum.changed = sum.changed.saturating_add(effect.changed);
        sum.removed = sum.removed.saturating_add(effect.removed);
    }
    all.into_values().collect()
}
