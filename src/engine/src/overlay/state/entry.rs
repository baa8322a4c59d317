//! One key of the overlay: the item as the database had it, and as the program has made it.

use dm_contract::report::ItemChange;
use dm_dynamodb::value::Item;

use crate::overlay::state::image::{read_item, write_item};

/// Both images of one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// As the database had it when the overlay first looked; it is not asked again.
    pub base: Option<Item>,
    /// As the program sees it.
    pub now: Option<Item>,
    /// Whether a write of the program succeeded on it.
    pub written: bool,
    /// What the first pass of the program left, if there is a second.
    pub first_pass: FirstPass,
    /// Whether somebody else has changed it in the database since.
    pub changed_underneath: bool,
    /// Whether somebody else has moved it in an index since: the database's place of it proves
    /// nothing any more.
    pub displaced: bool,
}

/// What the first pass of the program left of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FirstPass {
    /// What is there now.
    #[default]
    Now,
    /// This, or nothing; a second pass has written since.
    Left(Option<Item>),
}

const WRITTEN: u8 = 1;
const HAS_BASE: u8 = 2;
const HAS_NOW: u8 = 4;
/// The image now is the base image, and is not stored twice.
const SAME: u8 = 8;
const HAS_LEFT: u8 = 16;
/// What was left is an item.
const LEFT_ITEM: u8 = 32;
const CHANGED_UNDERNEATH: u8 = 64;
const DISPLACED: u8 = 128;
/// Flags and two lengths come first.
const IMAGES_AT: usize = 9;

impl Entry {
    /// As it was read.
    pub fn unchanged(base: Option<Item>) -> Self {
        Self { now: base.clone(), base, ..Self::default() }
    }

    /// As a write leaves it.
    pub fn written_as(&self, now: Option<Item>) -> Self {
        let (base, first_pass) = (self.base.clone(), self.first_pass.clone());
        Self { base, now, written: true, first_pass, ..*self }
    }

    /// Whether there is no item, there was none, and no pass left one.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.now.is_none() && self.first_pass == FirstPass::Now
    }

    /// What the first, or only, pass of the program made of it.
    pub fn outcome(&self) -> Option<&Item> {
        match &self.first_pass {
            FirstPass::Now => self.now.as_ref(),
            FirstPass::Left(left) => left.as_ref(),
        }
    }

    /// What that pass would do to the item, if anything.
    pub fn change(&self) -> Option<ItemChange> {
        match (self.base.as_ref(), self.outcome()) {
            (None, None) => None,
            (None, Some(_)) => Some(ItemChange::Created),
            (Some(_), None) => Some(ItemChange::Deleted),
            (Some(base), Some(outcome)) => (base != outcome).then_some(ItemChange::Updated),
        }
    }

    /// Whether a second pass made something else of it than the first.
    pub fn is_changed_again(&self) -> bool {
        match &self.first_pass {
            FirstPass::Now => false,
            FirstPass::Left(left) => *left != self.now,
        }
    }

    /// Into bytes: items are kept encoded, because as values they take several times the memory.
    pub fn encode(&self) -> Vec<u8> {
        let mut flags = if self.written { WRITTEN } else { 0 };
        if self.changed_underneath {
            flags |= CHANGED_UNDERNEATH;
        }
        if self.displaced {
            flags |= DISPLACED;
        }
        let is_same = self.now == self.base;
        if self.base.is_some() {
            flags |= HAS_BASE;
        }
        if self.now.is_some() {
            flags |= if is_same { SAME } else { HAS_NOW };
        }
        let left = match &self.first_pass {
            FirstPass::Now => None,
            FirstPass::Left(left) => {
                flags |= if left.is_some() { HAS_LEFT | LEFT_ITEM } else { HAS_LEFT };
                left.as_ref()
            }
        };
        let now = self.now.as_ref().filter(|_| !is_same);
        // The lengths of the first two come before them all, when they are known.
        let mut bytes = vec![0; IMAGES_AT];
        bytes[0] = flags;
        for (at, image) in [self.base.as_ref(), now].into_iter().enumerate() {
            let before = bytes.len();
            if let Some(item) = image {
                write_item(&mut bytes, item);
            }
            let length = u32::try_from(bytes.len() - before).unwrap_or(u32::MAX);
            bytes[1 + 4 * at..][..4].copy_from_slice(&length.to_le_bytes());
        }
        if let Some(item) = left {
            write_item(&mut bytes, item);
        }
        bytes
    }

    /// Back from bytes; `None` when they are damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (base_length, rest) = rest.split_first_chunk::<4>()?;
        let (now_length, rest) = rest.split_first_chunk::<4>()?;
        let (base, rest) = rest.split_at_checked(u32::from_le_bytes(*base_length) as usize)?;
        let (now, left) = rest.split_at_checked(u32::from_le_bytes(*now_length) as usize)?;
        let base = if flags & HAS_BASE == 0 { None } else { Some(read_item(base)?) };
        let now = if flags & SAME != 0 {
            base.clone()
        } else if flags & HAS_NOW != 0 {
            Some(read_item(now)?)
        } else {
            None
        };
        let first_pass = match (flags & HAS_LEFT != 0, flags & LEFT_ITEM != 0) {
            (false, _) => FirstPass::Now,
            (true, false) => FirstPass::Left(None),
            (true, true) => FirstPass::Left(Some(read_item(left)?)),
        };
        Some(Self {
            base,
            now,
            written: flags & WRITTEN != 0,
            first_pass,
            changed_underneath: flags & CHANGED_UNDERNEATH != 0,
            displaced: flags & DISPLACED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_encoding() {
        let item = |n: i64| Some(Item::from([("a".to_owned(), n.into())]));
        for base in [None, item(1)] {
            for now in [None, item(1), item(2)] {
                for first_pass in [FirstPass::Now, FirstPass::Left(None), FirstPass::Left(item(3))]
                {
                    for (written, changed_underneath) in [(false, true), (true, false)] {
                        let (base, now, first_pass) =
                            (base.clone(), now.clone(), first_pass.clone());
                        let entry = Entry {
                            base,
                            now,
                            written,
                            first_pass,
                            changed_underneath,
                            displaced: written,
                        };
                        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
                    }
                }
            }
        }
        assert_eq!(Entry::decode(&[]), None);
        assert_eq!(Entry::decode(&[HAS_BASE, 9, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
