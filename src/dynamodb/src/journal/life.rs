//! One item through those writes of a run between which others did not replace it: how it would be
//! without them, and what they left. What others changed of its attributes between two writes
//! belongs to it; where they deleted it, put another in its place or changed what the run had
//! created, the next life begins.

use std::collections::BTreeMap;

use dm_contract::restored::Conflict;

use super::{Entry, ItemDigest, Outcome, ValueDigest};
use crate::value::{AttributeValue, Item};

/// One item through the writes of a run.
#[derive(Clone, PartialEq)]
pub struct Life {
    /// The item as it would be without the run's writes.
    pub before: Option<Item>,
    /// What the run may have left: what is known first, then what is in doubt.
    pub afters: Vec<Option<ItemDigest>>,
    /// The attributes that the run changed.
    pub attributes: BTreeMap<String, Touched>,
    /// What others did to the whole item between two writes of the run.
    pub overtaken: Option<Overtaken>,
    /// What an earlier restore has undone of it.
    pub undone: Undone,
    /// Whether it begins with an image that no earlier entry met or left.
    pub is_new: bool,
    /// Whether any write is known to have been carried out.
    is_known: bool,
}

/// What an earlier restore has undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    Nothing,
    /// Some attributes, which are not among those of the life any more.
    Attributes,
    /// All that was the run's: what was left then is what others wrote.
    All,
    /// The whole item: it was deleted or recreated, or became as it was before the run.
    Item,
}

/// What others did to the whole item, so that the run's writes before that cannot be undone.
#[derive(Clone, PartialEq)]
pub struct Overtaken {
    /// As a restore lists it.
    pub conflict: Conflict,
    /// The item before the run's first write.
    pub first: Option<Item>,
}

/// One attribute that a run changed.
#[derive(Clone, PartialEq)]
pub struct Touched {
    /// Its value before the run's first write of it, or what others wrote over that one.
    pub before: Option<AttributeValue>,
    /// What the run may have left, as [`Life::afters`]; nothing where others have written over it,
    /// or a restore has left it to others.
    pub afters: Vec<Option<ValueDigest>>,
    /// Whether any write of it is known to have been carried out.
    is_known: bool,
}

impl Life {
    /// Begins with an image that the run did not write.
    pub fn begin(before: Option<&Item>) -> Self {
        Self {
            before: before.cloned(),
            afters: vec![before.map(ItemDigest::of_item)],
            attributes: BTreeMap::new(),
            overtaken: None,
            undone: Undone::Nothing,
            is_new: false,
            is_known: false,
        }
    }

    /// Takes in the life of the item in a restore of the run.
    pub(super) fn restored(&mut self, by: &Self) {
        if !by.is_known {
            return;
        }
        let is_other = by.before.is_some() == by.afters.iter().all(Option::is_none);
        if is_other || by.left(self.before.as_ref()) {
            self.undone = Undone::Item;
        } else if self.undone == Undone::Nothing && self.before.is_some() {
            self.undone = Undone::Attributes;
        }
        self.attributes.retain(|name, touched| {
            let is_written = by.attributes.get(name).is_some_and(|by| by.is_known);
            let found = by.before.as_ref().and_then(|item| item.get(name));
            !is_written && found != touched.before.as_ref()
        });
    }

    /// Takes in that a restore has come to its end. It has looked at the item: what it did not
    /// restore was as before the run, or others had changed it.
    pub(super) fn settled(&mut self) {
        if self.undone != Undone::Item {
            self.undone = Undone::All;
        }
        self.attributes.values_mut().for_each(|touched| touched.afters.clear());
    }

    /// Takes in a write of what this life left.
    pub fn take_in(&mut self, entry: &Entry, outcome: Outcome) {
        let image = entry.before.as_ref();
        let is_written = outcome == Outcome::Written;
        if is_written {
            // Of the writes in doubt the image shows which were carried out. Where it is an old
            // one, the write left the whole item: with these values unless the entry names others.
            self.attributes.retain(|name, touched| {
                touched.is_lost() || touched.found(image.and_then(|item| item.get(name)))
            });
        }
        keep(&mut self.afters, entry.after.item, outcome);
        self.is_known |= is_written;
        // An item that is there is no evidence of its deletion, whatever attribute it lacks.
        let may_vanish = entry.after.item.is_none() && !is_written;
        for (name, after) in &entry.after.attributes {
            // The image says the same, except one that is older than the run's own last write.
            let value = self.before.as_ref().and_then(|item| item.get(name));
            let new = || Touched::begin(value);
            let touched = self.attributes.entry(name.clone()).or_insert_with(new);
            if touched.is_lost() {
                *touched = new();
            }
            touched.is_known |= is_written;
            if !may_vanish {
                keep(&mut touched.afters, *after, outcome);
            }
        }
    }

    /// The life that begins where a write met an image that this one did not leave.
    #[must_use]
    pub fn overtaken_by(&self, image: Option<&Item>) -> Self {
        let begun = Self::begin(image);
        let is_shown = self.shows(image, None);
        let left_item = self.afters.first().is_some_and(Option::is_some) || is_shown;
        match (image, &self.before) {
            (Some(image), Some(_)) if left_item => self.changed_by_others(image),
            // What is in doubt counts as not carried out, if no value shows that it was.
            _ if !self.is_known && !is_shown => begun,
            (None, _) => {
                let deleted = self.first().is_some().then_some(Conflict::ItemDeleted);
                Self { overtaken: self.overtaken_as(deleted), ..begun }
            }
            (Some(image), before) => {
                let is_replaced = self.overtaken.is_some() || before.is_some();
                let conflict = match (left_item, self.first()) {
                    (_, Some(first)) if first == image => None,
                    (true, None) => Some(Conflict::ItemChanged),
                    (true, Some(_)) => Some(Conflict::PlaceTaken),
                    (false, _) => is_replaced.then_some(Conflict::PlaceTaken),
                };
                Self { overtaken: self.overtaken_as(conflict), ..begun }
            }
        }
    }

    /// Of an item that was there and still is: attribute by attribute.
    fn changed_by_others(&self, image: &Item) -> Self {
        let (mut before, mut attributes) = (image.clone(), BTreeMap::new());
        for (name, touched) in &self.attributes {
            let value = image.get(name);
            let is_before = value == touched.before.as_ref();
            let mut touched = touched.clone();
            if touched.left(value) {
                if !touched.is_known && is_before {
                    continue;
                }
                set(&mut before, name, touched.before.as_ref());
            } else if touched.is_known && !is_before {
                touched.afters.clear();
            } else {
                continue;
            }
            attributes.insert(name.clone(), touched);
        }
        let afters = vec![Some(ItemDigest::of_item(image))];
        let (overtaken, is_known) = (self.overtaken.clone(), self.is_known);
        let (undone, is_new) = (Undone::Nothing, false);
        Self { before: Some(before), afters, attributes, overtaken, undone, is_new, is_known }
    }

    /// The item before the run's first write.
    pub fn first(&self) -> Option<&Item> {
        self.overtaken.as_ref().map_or(self.before.as_ref(), |over| over.first.as_ref())
    }

    fn overtaken_as(&self, conflict: Option<Conflict>) -> Option<Overtaken> {
        let first = self.first().cloned();
        conflict.map(|conflict| Overtaken { conflict, first })
    }

    /// The item before, also in the attributes that others wrote over what the run had left.
    pub fn overwritten(&self, before: &Item) -> Item {
        let mut item = before.clone();
        for (name, touched) in self.attributes.iter().filter(|(_, touched)| touched.is_lost()) {
            set(&mut item, name, touched.before.as_ref());
        }
        item
    }

    /// Whether the run left no item, as far as anybody knows.
    pub fn left_nothing(&self) -> bool {
        self.afters.iter().all(Option::is_none)
    }

    /// Whether the run may have left just this.
    pub fn left(&self, now: Option<&Item>) -> bool {
        self.afters.contains(&now.map(ItemDigest::of_item))
    }

    /// Whether an attribute of an item is as only a write in doubt has left it, among those that
    /// another life does not explain.
    pub fn shows(&self, item: Option<&Item>, other: Option<&Self>) -> bool {
        let Some(item) = item else { return false };
        self.attributes.iter().any(|(name, touched)| {
            let value = item.get(name);
            let left = value.map(ValueDigest::of_value);
            let in_doubt = touched.afters.iter().skip(1).any(|after| *after == left);
            let other = other.and_then(|other| other.attributes.get(name));
            in_doubt && !other.is_some_and(|other| other.left(value))
        })
    }

    /// Whether any of its writes is known to have been carried out.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    #[cfg(test)]
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.afters.len() > 1 || self.attributes.values().any(|touched| touched.afters.len() > 1)
    }
}

impl Touched {
    fn begin(before: Option<&AttributeValue>) -> Self {
        let afters = vec![before.map(ValueDigest::of_value)];
        Self { before: before.cloned(), afters, is_known: false }
    }

    /// It is known to have had this value where the item was just what the run left. Returns
    /// whether any write of it counts.
    fn found(&mut self, value: Option<&AttributeValue>) -> bool {
        let digest = value.map(ValueDigest::of_value);
        // The first possibility needs no write in doubt.
        self.is_known |= self.afters.first() != Some(&digest);
        self.afters = vec![digest];
        self.is_known || value != self.before.as_ref()
    }

    /// Whether this is a value that the run may have left.
    pub fn left(&self, value: Option<&AttributeValue>) -> bool {
        self.afters.contains(&value.map(ValueDigest::of_value))
    }

    /// Whether others have written over what the run left.
    pub fn is_lost(&self) -> bool {
        self.afters.is_empty()
    }
}

fn set(item: &mut Item, name: &str, value: Option<&AttributeValue>) {
    match value {
        Some(value) => item.insert(name.to_owned(), value.clone()),
        None => item.remove(name),
    };
}

/// What is known to have been written replaces everything before it; what is in doubt joins it.
fn keep<T: PartialEq>(afters: &mut Vec<T>, after: T, outcome: Outcome) {
    if outcome == Outcome::Written {
        afters.clear();
    }
    if !afters.contains(&after) {
        afters.push(after);
    }
}

impl std::fmt::Debug for Life {
    /// Names and counts only, no values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life")
            .field("before", &self.before.is_some())
            .field("afters", &self.afters.len())
            .field("attributes", &self.attributes.keys().collect::<Vec<_>>())
            .field("overtaken", &self.overtaken.as_ref().map(|over| &over.conflict))
            .finish_non_exhaustive()
    }
}
