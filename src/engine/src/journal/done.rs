//! A write that was carried out.

use dm_dynamodb::item_write::Made;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value};

/// A write that was carried out.
#[derive(Debug)]
pub struct Done {
    pub answer: Map<String, Value>,
    /// The image that was changed.
    pub before: Option<Item>,
    /// What was made of it.
    pub made: Made,
    /// Whether the answer's image was asked for by us.
    pub returns_old: bool,
    /// Whether its answer was lost, and the item alone showed that it was carried out. The image is
    /// then the one of its entry: what others had just added to it is not known.
    pub is_found: bool,
}
