//! What the overlay's entries add up to: per table created, updated, deleted, and the attributes.
//! Kept up to date with each write, so that a result never walks over all entries.

use std::collections::BTreeMap;

use crate::limits;
use dm_contract::report::{AttributeEffect, TableEffect};

use crate::overlay::state::entry::Entry;

/// Sums over one table's entries.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    created: i64,
    updated: i64,
    deleted: i64,
    unchanged: i64,
    attributes: BTreeMap<String, [i64; 3]>,
}

/// What happened to an attribute: the place of its count.
#[derive(Clone, Copy)]
enum Touch {
    Added = 0,
    Changed = 1,
    Removed = 2,
}

impl Effects {
    /// An entry changed: what it counted for before is restored.
    pub fn replace(&mut self, before: &Entry, after: &Entry) {
        self.count(before, -1);
        self.count(after, 1);
    }

    fn count(&mut self, entry: &Entry, by: i64) {
        match (&entry.base, &entry.now) {
            (None, None) => {}
            (None, Some(_)) => self.created += by,
            (Some(_), None) => self.deleted += by,
            (Some(base), Some(now)) if base == now => {
                if entry.written {
                    self.unchanged += by;
                }
            }
            (Some(base), Some(now)) => {
                self.updated += by;
                for (name, value) in now {
                    match base.get(name) {
                        None => self.touch(name, Touch::Added, by),
                        Some(before) if before != value => self.touch(name, Touch::Changed, by),
                        Some(_) => {}
                    }
                }
                for name in base.keys().filter(|name| !now.contains_key(name)) {
                    self.touch(name, Touch::Removed, by);
                }
            }
        }
    }

    fn touch(&mut self, name: &str, touch: Touch, by: i64) {
        if let Some(counts) = self.attributes.get_mut(name) {
            counts[touch as usize] += by;
            if *counts == [0; 3] {
                self.attributes.remove(name);
            }
        } else if self.attributes.len() < limits::ATTRIBUTES_COUNTED_MAX {
            let mut counts = [0; 3];
            counts[touch as usize] = by;
            self.attributes.insert(name.to_owned(), counts);
        }
    }

    /// As the report has it; counts that could not be kept are at least not negative.
    pub fn report(&self, table: &str) -> TableEffect {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let attribute = |(name, counts): (&String, &[i64; 3])| AttributeEffect {
            name: name.clone(),
            added: count(counts[Touch::Added as usize]),
            changed: count(counts[Touch::Changed as usize]),
            removed: count(counts[Touch::Removed as usize]),
        };
        TableEffect {
            id: None,
            name: table.to_owned(),
            items_read: 0,
            item_count: None,
            created: count(self.created),
            updated: count(self.updated),
            deleted: count(self.deleted),
            unchanged: count(self.unchanged),
            attributes: self.attributes.iter().map(attribute).collect(),
            change: None,
            settings: Vec::new(),
            more: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::Item;

    fn item(pairs: &[(&str, i64)]) -> Item {
        pairs.iter().map(|(name, n)| ((*name).to_owned(), (*n).into())).collect()
    }

    #[test]
    fn each_entry_counts_once_for_what_it_is_now() {
        let mut effects = Effects::default();
        let base = Some(item(&[("id", 1), ("a", 1), ("b", 1)]));
        let read = Entry::unchanged(base.clone());
        effects.replace(&Entry::default(), &read);
        let first = Entry {
            now: Some(item(&[("id", 1), ("a", 2), ("c", 1)])),
            written: true,
            ..read.clone()
        };
        effects.replace(&read, &first);
        let report = effects.report("t");
        assert_eq!((report.updated, report.unchanged), (1, 0));
        let names: Vec<_> = report
            .attributes
            .iter()
            .map(|a| (a.name.as_str(), a.added, a.changed, a.removed))
            .collect();
        assert_eq!(names, [("a", 0, 1, 0), ("b", 0, 0, 1), ("c", 1, 0, 0)]);

        let back = Entry { now: base, ..first.clone() };
        effects.replace(&first, &back);
        let report = effects.report("t");
        assert_eq!((report.updated, report.unchanged, report.attributes.len()), (0, 1, 0));

        let gone = Entry { now: None, ..back.clone() };
        effects.replace(&back, &gone);
        assert_eq!(effects.report("t").deleted, 1);
    }
}
