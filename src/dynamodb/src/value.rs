//! Attribute values and items, as DynamoDB holds them.
//!
//! Every value here is valid: numbers in range, sets neither empty nor with duplicates, names and
//! nesting within DynamoDB's bounds. So nothing after the conversion from JSON checks these again.

mod arithmetic;
mod folded;
mod json;
mod map;
mod name;
mod number;
mod parse;
mod size;
mod text;

use std::collections::BTreeSet;

pub use arithmetic::Rounding;
pub use folded::{item_to_folded_json, unfolded, value_to_folded_json, write_json, write_members};
pub(crate) use json::{binary_from_json, bool_from_json, not_convertible, string_from_json};
pub use json::{item_from_json, item_to_json, parse_item, whole_from_json};
pub use map::Item;
pub(crate) use name::check_name;
pub use number::{Number, NumberError};
pub use parse::{ParseError, parse_body};
pub(crate) use size::check_document_size;
pub use size::{ITEM_BYTES_MAX, check_item_size, item_size};
pub(crate) use text::ItemText;

/// How many levels an item may have, itself being the first (DynamoDB Developer Guide, "Service
/// quotas", nested attribute depth). So a scalar may stand in 31 lists and maps.
pub const NESTING_DEPTH_MAX: usize = 32;

/// The value of one attribute. Sets keep their elements in order, so equal sets are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    S(String),
    N(Number),
    B(Vec<u8>),
    Bool(bool),
    Null,
    M(Item),
    L(Vec<AttributeValue>),
    /// A set of strings.
    Ss(BTreeSet<String>),
    /// A set of numbers.
    Ns(BTreeSet<Number>),
    /// A set of byte strings.
    Bs(BTreeSet<Vec<u8>>),
}

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    S,
    N,
    B,
    Bool,
    Null,
    M,
    L,
    Ss,
    Ns,
    Bs,
}

impl AttributeType {
    /// Every type, in the order of the service model.
    pub const ALL: [Self; 10] = [
        Self::S,
        Self::N,
        Self::B,
        Self::Ss,
        Self::Ns,
        Self::Bs,
        Self::M,
        Self::L,
        Self::Null,
        Self::Bool,
    ];

    /// Its name on the wire: `S`, `BOOL`, `NS`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::M => "M",
            Self::L => "L",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
        }
    }

    /// The type of that name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its name in some of DynamoDB's messages: `STRING`, `NUMBER_SET`, …
    pub fn long_name(self) -> &'static str {
        match self {
            Self::S => "STRING",
            Self::N => "NUMBER",
            Self::B => "BINARY",
            Self::Bool => "BOOLEAN",
            Self::Null => "NULL",
            Self::M => "MAP",
            Self::L => "LIST",
            Self::Ss => "STRING_SET",
            Self::Ns => "NUMBER_SET",
            Self::Bs => "BINARY_SET",
        }
    }

    /// Whether it is one of the three set types.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Ss | Self::Ns | Self::Bs)
    }
}

impl std::fmt::Display for AttributeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AttributeValue {
    pub fn kind(&self) -> AttributeType {
        match self {
            Self::S(_) => AttributeType::S,
            Self::N(_) => AttributeType::N,
            Self::B(_) => AttributeType::B,
            Self::Bool(_) => AttributeType::Bool,
            Self::Null => AttributeType::Null,
            Self::M(_) => AttributeType::M,
            Self::L(_) => AttributeType::L,
            Self::Ss(_) => AttributeType::Ss,
            Self::Ns(_) => AttributeType::Ns,
            Self::Bs(_) => AttributeType::Bs,
        }
    }

    /// DynamoDB's order of two values: `None` unless both are strings, numbers or binaries of one
    /// type. Strings and binaries compare by their bytes.
    pub fn order(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::S(left), Self::S(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Self::N(left), Self::N(right)) => Some(left.cmp(right)),
            (Self::B(left), Self::B(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    /// How many levels it has: 1 for a scalar, a set, or an empty list or map.
    pub fn levels(&self) -> usize {
        match self {
            Self::M(map) => 1 + map.values().map(Self::levels).max().unwrap_or(0),
            Self::L(list) => 1 + list.iter().map(Self::levels).max().unwrap_or(0),
            _ => 1,
        }
    }
}

impl From<&str> for AttributeValue {
    fn from(value: &str) -> Self {
        Self::S(value.to_owned())
    }
}

impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        Self::N(value.into())
    }
}

impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
