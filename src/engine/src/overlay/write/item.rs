//! One write of one item of a table of the overlay.

use std::sync::Arc;

use dm_dynamodb::item_write::ItemWrite;
use dm_dynamodb::schema::ItemKey;

use crate::overlay::state::table::Table;

/// A write that has passed all checks that do not need the item.
#[derive(Debug)]
pub struct Write {
    pub table: Arc<Table>,
    /// What is done to an item of it.
    pub item: ItemWrite,
}

impl Write {
    pub fn key(&self) -> &ItemKey {
        &self.item.key
    }

    /// The item, as the overlay finds it.
    pub fn place(&self) -> (&Arc<Table>, &ItemKey) {
        (&self.table, &self.item.key)
    }
}
