//! One key of the overlay: the item as the database had it, and as the program has made it.

use dm_core::value::{Item, item_from_json, item_to_json};

/// Both images of one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// As the database had it when the overlay first looked; it is not asked again.
    pub base: Option<Item>,
    /// As the program sees it.
    pub now: Option<Item>,
    /// Whether a write of the program succeeded on it.
    pub written: bool,
}

const WRITTEN: u8 = 1;
const HAS_BASE: u8 = 2;
const HAS_NOW: u8 = 4;
/// The image now is the base image, and is not stored twice.
const SAME: u8 = 8;

impl Entry {
    /// As it was read.
    pub fn unchanged(base: Option<Item>) -> Self {
        Self { now: base.clone(), base, written: false }
    }

    /// Into bytes: items are kept encoded, because as values they take several times the memory.
    pub fn encode(&self) -> Vec<u8> {
        let mut flags = if self.written { WRITTEN } else { 0 };
        let base = self.base.as_ref().map(json);
        let now = self.now.as_ref().filter(|_| self.now != self.base).map(json);
        if base.is_some() {
            flags |= HAS_BASE;
        }
        if self.now.is_some() {
            flags |= if self.now == self.base { SAME } else { HAS_NOW };
        }
        let base = base.unwrap_or_default();
        let now = now.unwrap_or_default();
        let length = u32::try_from(base.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(5 + base.len() + now.len());
        bytes.push(flags);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&base);
        bytes.extend_from_slice(&now);
        bytes
    }

    /// Back from bytes; `None` when they are damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (base, now) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let base = if flags & HAS_BASE == 0 { None } else { Some(item(base)?) };
        let now = if flags & SAME != 0 {
            base.clone()
        } else if flags & HAS_NOW != 0 {
            Some(item(now)?)
        } else {
            None
        };
        Some(Self { base, now, written: flags & WRITTEN != 0 })
    }
}

fn json(item: &Item) -> Vec<u8> {
    item_to_json(item).to_string().into_bytes()
}

fn item(json: &[u8]) -> Option<Item> {
    item_from_json(&serde_json::from_slice(json).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_encoding() {
        let item = |n: i64| Some(Item::from([("a".to_owned(), n.into())]));
        for base in [None, item(1)] {
            for now in [None, item(1), item(2)] {
                for written in [false, true] {
                    let entry = Entry { base: base.clone(), now: now.clone(), written };
                    assert_eq!(Entry::decode(&entry.encode()), Some(entry));
                }
            }
        }
        assert_eq!(Entry::decode(&[]), None);
        assert_eq!(Entry::decode(&[HAS_BASE, 9, 0, 0, 0]), None);
    }
}
