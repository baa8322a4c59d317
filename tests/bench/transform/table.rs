//! The table that is migrated: its items follow from their numbers, so that nothing has to be
//! loaded.

use std::ops::Range;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// What every item has beside its key and weight.
const REST: &str = r#""brand":{"S":"chevrolet"},"model":{"S":"chevelle malibu"},"color":{"S":"midnight blue"},"year":{"N":"1970"},"horsepower":{"N":"130"},"displacement":{"N":"307"},"tags":{"SS":["classic","coupe"]},"owner":{"M":{"name":{"S":"nobody"},"since":{"N":"1971"}}},"sold":{"BOOL":false}"#;

/// Bytes of an item in the database, about; a write of it takes one unit.
const ITEM_BYTES: u64 = 230;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The same number in each partition.
    Even,
    /// Five of seven under one partition key, so in one partition.
    Hot,
}

impl Shape {
    /// A table with a hot partition takes longer, so it has fewer items.
    pub fn divisor(self) -> u64 {
        match self {
            Self::Even => 1,
            Self::Hot => 4,
        }
    }
}

/// A table; written `items:partitions:shape`, without partitions if it has no buckets.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// How many it has.
    pub items: u64,
    /// Partitions with buckets, or 0.
    pub partitions: u64,
    pub shape: Shape,
}

impl Table {
    pub fn even(items: u64) -> Self {
        Self { items, partitions: 0, shape: Shape::Even }
    }

    /// The first items of this many are in one partition.
    fn hot(self) -> u64 {
        match self.shape {
            Shape::Even => 0,
            Shape::Hot => self.items * 5 / 7,
        }
    }

    /// The partition of an item.
    pub fn partition(self, item: u64) -> u64 {
        let hot = self.hot();
        if item < hot {
            return 0;
        }
        let (first, rest) = if hot == 0 { (0, self.partitions) } else { (1, self.partitions - 1) };
        first + (item - hot) * rest / (self.items - hot).max(1)
    }

    /// Items of the partition that has most.
    pub fn busiest(self) -> u64 {
        match self.shape {
            Shape::Even => self.items / self.partitions,
            Shape::Hot => self.hot(),
        }
    }

    /// Read units of one scan.
    pub fn read_units(self) -> f64 {
        crate::as_f64(self.items * ITEM_BYTES) / 8192.0
    }

    /// The items of a segment. One partition key is in one segment, as all its items have one hash.
    pub fn segment(self, segment: u64, total: u64) -> Range<u64> {
        let hot = self.hot();
        let at = |segment: u64| hot + (self.items - hot) * segment / total;
        let begin = if segment == 0 { 0 } else { at(segment) };
        begin..at(segment + 1)
    }

    /// An item's key as members of a JSON object. A table with a hot key has the maker as its
    /// partition key, and there is one maker of most items.
    pub fn key(self, item: u64) -> String {
        let id = format!(r#""id":{{"S":"{}"}}"#, key(item));
        match self.shape {
            Shape::Even => id,
            Shape::Hot if item < self.hot() => format!(r#""maker":{{"S":"ford"}},{id}"#),
            Shape::Hot => format!(r#""maker":{{"S":"maker-{item}"}},{id}"#),
        }
    }

    /// Its key's attributes, the partition key's first.
    pub fn keys(self) -> &'static [&'static str] {
        match self.shape {
            Shape::Even => &["id"],
            Shape::Hot => &["maker", "id"],
        }
    }

    /// An item as JSON.
    pub fn item(self, item: u64) -> String {
        format!(r#"{{{},"weight":{{"N":"{}"}},{REST}}}"#, self.key(item), weight(item))
    }

    /// Bytes of a number of items.
    pub fn bytes(items: u64) -> u64 {
        items * ITEM_BYTES
    }
}

impl FromStr for Table {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [items, partitions, shape] = parts.as_slice() else { bail!("no table: {text}") };
        let shape = if *shape == "hot" { Shape::Hot } else { Shape::Even };
        let number = |text: &str| text.parse().with_context(|| format!("no number: {text}"));
        Ok(Self { items: number(items)?, partitions: number(partitions)?, shape })
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape = if self.shape == Shape::Hot { "hot" } else { "even" };
        write!(f, "{}:{}:{shape}", self.items, self.partitions)
    }
}

/// The value of an item's key.
pub fn key(item: u64) -> String {
    format!("car-{item:012}")
}

/// The item's number, from the first key in a text.
pub fn number(text: &str) -> Option<u64> {
    text.split("car-").nth(1)?.get(..12)?.parse().ok()
}

/// An item's weight, which decides its price.
pub fn weight(item: u64) -> u64 {
    1_500 + item % 3_000
}

/// The price that every program gives an item.
pub fn price(item: u64) -> u64 {
    let exact = 12 * 130 * 2 + weight(item);
    // Half of it, to the nearest 50, ties to the even one.
    let (whole, rest) = (exact / 100, exact % 100);
    50 * (whole + u64::from(rest > 50 || rest == 50 && whole % 2 == 1))
}
