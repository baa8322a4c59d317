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
    /// Tables whose effects this one sums up, in place of one table: the rest of a list that was
    /// too long.
    #[serde(default, skip_serializing_if = "crate::plan::is_zero")]
    pub more: u32,
}

impl TableEffect {
    /// Whether anything changed, in its items or in the table itself.
    pub fn changes(&self) -> bool {
        self.created + self.updated + self.deleted > 0 || self.change.is_some()
    }

    /// Returns this many entries at most: the first tables, and the sum of the others as the last.
    /// A change of a table itself is not summed up, so those tables come first.
    pub fn bounded(tables: &[Self], entries_max: usize) -> Vec<Self> {
        if tables.len() <= entries_max {
            return tables.to_vec();
        }
        let mut order: Vec<&Self> = tables.iter().collect();
        order.sort_by_key(|table| (table.more > 0, table.change.is_none(), !table.changes()));
        let (first, others) = order.split_at(entries_max.saturating_sub(1));
        let mut first: Vec<Self> = first.iter().copied().cloned().collect();
        first.sort_by(|one, other| one.name.cmp(&other.name));
        let mut rest = Self::default();
        for other in others {
            rest.more = rest.more.saturating_add(other.more.max(1));
            rest.add_counts(other);
        }
        let more = if first.is_empty() { "" } else { " more" };
        let tables = if rest.more == 1 { "table" } else { "tables" };
        rest.name = format!("{}{more} {tables}", rest.more);
        first.push(rest);
        first
    }

    fn add_counts(&mut self, other: &Self) {
        self.items_read = self.items_read.saturating_add(other.items_read);
        self.created = self.created.saturating_add(other.created);
        self.updated = self.updated.saturating_add(other.updated);
        self.deleted = self.deleted.saturating_add(other.deleted);
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
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

fn table(mut one: TableEffect, other: &TableEffect) -> TableEffect {
    one.add_counts(other);
    let mut settings: Vec<String> = one.settings.iter().chain(&other.settings).cloned().collect();
    settings.sort();
    settings.dedup();
    TableEffect {
        id: one.id.or_else(|| other.id.clone()),
        // Of the whole table, by whichever part.
        item_count: one.item_count.max(other.item_count),
        attributes: attributes(&one.attributes, &other.attributes),
        change: match (one.change, other.change) {
            (before, Some(next)) => TableChange::then(before, next),
            (before, None) => before,
        },
        settings,
        more: one.more.max(other.more),
        ..one
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_ends_with_the_sum_of_the_rest() {
        let table = |at: u64| TableEffect {
            name: format!("t{at}"),
            created: at,
            updated: 1,
            change: (at == 5).then_some(TableChange::Created),
            ..TableEffect::default()
        };
        let tables: Vec<TableEffect> = (1..=6).map(table).collect();
        assert_eq!(TableEffect::bounded(&tables, 6), tables);
        let told = |entries_max| {
            let bounded = TableEffect::bounded(&tables, entries_max);
            let again = TableEffect::bounded(&TableEffect::bounded(&tables, 5), entries_max);
            assert_eq!(bounded.last(), again.last(), "in two steps");
            let told = bounded.into_iter();
            told.map(|table| (table.name, table.created, table.updated)).collect::<Vec<_>>()
        };
        let own = |name: &str, created, updated| (name.to_owned(), created, updated);
        // The table that was created itself is named.
        assert_eq!(told(3), [own("t1", 1, 1), own("t5", 5, 1), own("4 more tables", 15, 4)]);
        assert_eq!(told(1), [own("6 tables", 21, 6)]);
    }
}
