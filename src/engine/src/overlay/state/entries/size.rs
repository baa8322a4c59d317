//! How much the entries of one table hold.

use dm_dynamodb::value::item_size;

use crate::overlay::state::entry::Entry;

/// Items of a table, and their bytes by DynamoDB's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// How many items there are.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl TableSize {
    /// Counts an entry in its current state instead of as it was.
    pub fn replace(&mut self, before: &Entry, after: &Entry) {
        let (old, new) = (Self::of(before), Self::of(after));
        // An entry that was counted is part of the sum.
        self.items = (self.items + new.items).saturating_sub(old.items);
        self.bytes = (self.bytes + new.bytes).saturating_sub(old.bytes);
    }

    /// Into bytes.
    pub fn encode(self) -> Vec<u8> {
        [self.items.to_be_bytes(), self.bytes.to_be_bytes()].concat()
    }

    /// Back from bytes; `None` when they are damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (items, bytes) = bytes.split_first_chunk::<8>()?;
        let bytes = bytes.try_into().ok()?;
        Some(Self { items: u64::from_be_bytes(*items), bytes: u64::from_be_bytes(bytes) })
    }

    fn of(entry: &Entry) -> Self {
        let Some(item) = &entry.now else { return Self::default() };
        Self { items: 1, bytes: u64::try_from(item_size(item)).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::Item;

    #[test]
    fn a_table_counts_each_item_once_as_it_is_now() {
        let item = |name: &str| Item::from([(name.to_owned(), 1.into())]);
        let none = Entry::default();
        let short = none.written_as(Some(item("a")));
        let long = none.written_as(Some(item("abc")));
        let mut size = TableSize::default();
        size.replace(&none, &short);
        let first = size;
        assert_eq!(first.items, 1);
        size.replace(&short, &long);
        assert_eq!((size.items, size.bytes), (1, first.bytes + 2));
        assert_eq!(TableSize::decode(&size.encode()), Some(size));
        size.replace(&long, &none);
        assert_eq!(size, TableSize::default());
    }
}
