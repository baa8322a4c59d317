//! Merges all entries of one key: the item before the run, and what the run left.
//!
//! The image of an entry shows what the item was when the run wrote it again. What it shows and the
//! entry before did not leave is the work of others. A write that is known to have met its image
//! proves that, and the key's [`Life`] begins again there. A write in doubt does not: perhaps its
//! image is an old one and it never came. Its life is kept beside the proven one, for the case that
//! the item is found exactly as that write would have left it.

use super::{Entry, ItemDigest, Life, Outcome, Sequence, ValueDigest};
use crate::value::Item;

/// Lives of one key that are kept beside the first. Each holds an image. An item is found as the
/// last of them left it, if at all; where it is not, its changes are conflicts.
const LIVES_IN_DOUBT_MAX: usize = 8;

/// Digests kept of what the run met and left of one key, the newest: those of eight writes. An
/// eventually consistent read is about a second behind; an older image counts as the work of
/// others.
const STATES_MAX: usize = 16;

/// Transactions kept of one key, the newest. An item is moved by one.
const TRANSACTIONS_MAX: usize = 8;

/// One key's entries of a run, merged.
#[derive(Clone, PartialEq)]
pub struct MergedEntry {
    pub table: String,
    pub key: Item,
    /// Whether no condition bound the write to its image, so that others may have changed the item
    /// between the read and the write.
    pub unverified: bool,
    /// Whether several parts of the run wrote the item in an unknown order. Its state before the
    /// run and the state that the run left are then unknown.
    pub order_unknown: bool,
    /// The tokens of the transactions that wrote the item, the newest last, up to
    /// [`TRANSACTIONS_MAX`].
    pub transactions: Vec<ValueDigest>,
    /// The first is proven, if any is; each other one ends in a write in doubt.
    lives: Vec<Life>,
    /// What the run met and left, the newest last, up to [`STATES_MAX`].
    states: Vec<Option<ItemDigest>>,
    last: Sequence,
}

impl MergedEntry {
    /// Of a key's first entry; `None` if its write was refused.
    pub fn begin(entry: Entry, outcome: Outcome) -> Option<Self> {
        if outcome == Outcome::Refused {
            return None;
        }
        let mut life = Life::begin(entry.before.as_ref());
        let mut states = life.afters.clone();
        states.push(entry.after.item);
        life.take_in(&entry, outcome);
        let Entry { sequence: last, table, key, unverified, transaction, .. } = entry;
        let transactions = transaction.iter().map(|mark| mark.token).collect();
        let (order_unknown, lives) = (false, vec![life]);
        Some(Self { table, key, unverified, order_unknown, transactions, lives, states, last })
    }

    /// Takes in the key's next entry, in the order of their sequence.
    pub fn add(&mut self, entry: &Entry, outcome: Outcome) {
        debug_assert!(entry.sequence > self.last, "entries come in their order");
        if outcome == Outcome::Refused {
            return;
        }
        self.last = entry.sequence;
        self.unverified |= entry.unverified;
        if let Some(mark) = &entry.transaction {
            keep_newest(&mut self.transactions, mark.token, TRANSACTIONS_MAX);
        }
        let met = entry.before.as_ref().map(ItemDigest::of_item);
        let found = if self.lives[0].is_known() && self.lives[0].afters.contains(&met) {
            Some(0)
        } else {
            self.lives.iter().rposition(|life| life.afters.contains(&met))
        };
        let at = found.unwrap_or_else(|| self.evident(entry.before.as_ref()));
        // An image that nobody checked may be older than the run's own last write, but only if the
        // run itself met it or left it. Any other shows what others wrote.
        let is_new = !self.states.contains(&met);
        let by_others = found.is_none() && (is_new || !entry.unverified);
        for state in [met, entry.after.item] {
            keep_newest(&mut self.states, state, STATES_MAX);
        }
        let at = if by_others {
            let mut life = self.lives[at].overtaken_by(entry.before.as_ref());
            life.is_new = is_new;
            self.lives.push(life);
            self.lives.len() - 1
        } else {
            at
        };
        self.lives[at].take_in(entry, outcome);
        if outcome == Outcome::Written {
            let life = self.lives.swap_remove(at);
            self.lives = vec![life];
        } else if self.lives.len() > 1 + LIVES_IN_DOUBT_MAX {
            self.lives.remove(1);
        }
    }

    /// Returns the life to which the current item belongs.
    pub fn life(&self, now: Option<&Item>) -> &Life {
        let digest = now.map(ItemDigest::of_item);
        let (proven, in_doubt) = self.lives.split_at(1);
        let is_before = |life: &&Life| life.before.as_ref() == now;
        // What a life in doubt began with was left by others, not by the run.
        let is_left = |life: &&Life| life.afters[1..].contains(&digest);
        // No restore deletes what the run created and others changed, or what others created, but
        // the run may have.
        let is_of_others = |life: &Life| life.overtaken.is_some() || life.is_new;
        let is_deleted = |life: &&Life| now.is_none() && is_of_others(life) && is_left(life);
        // Then those to which it was restored, so that a second restore decides nothing else. Then
        // the writes in doubt before the proven ones: if the item is just what both left, others
        // would otherwise have undone their own change, which the later image shows.
        in_doubt
            .iter()
            .rev()
            .find(is_deleted)
            .or_else(|| proven.iter().find(is_before))
            .or_else(|| in_doubt.iter().rev().find(is_before))
            .or_else(|| in_doubt.iter().rev().find(is_left))
            .or_else(|| proven.iter().find(|life| life.afters.contains(&digest)))
            .unwrap_or_else(|| &self.lives[self.evident(now)])
    }

    /// Adds the writes of an earlier restore of the run, from the restore's journal. What it
    /// restored no longer belongs to the run: a value that others write there stays, even if it
    /// equals the value that the run left.
    pub fn restored(&mut self, by: &Self) {
        for life in &mut self.lives {
            life.restored(&by.lives[0]);
        }
    }

    /// Takes in that a restore has come to its end which has left nothing of the run here.
    pub fn settled(&mut self) {
        self.lives.iter_mut().for_each(Life::settled);
    }

    /// Whether a write changed this attribute, or may have.
    pub fn touches(&self, name: &str) -> bool {
        self.lives.iter().any(|life| life.attributes.contains_key(name))
    }

    /// The item before the run.
    pub fn first(&self) -> Option<&Item> {
        self.lives[self.likely()].first()
    }

    /// Its last entry's place in the journal.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Whether the run left no item, as far as anybody knows.
    pub fn left_nothing(&self) -> bool {
        self.lives[self.likely()].left_nothing()
    }

    /// The attributes that the run wrote last, or may have, with all values that it may have left.
    pub fn left(&self) -> impl Iterator<Item = (&str, &ValueDigest)> {
        self.lives.iter().flat_map(|life| &life.attributes).flat_map(|(name, touched)| {
            touched.afters.iter().flatten().map(|value| (name.as_str(), value))
        })
    }

    /// The last life with a write in doubt that alone explains a value of the item, or else the
    /// likely one.
    fn evident(&self, item: Option<&Item>) -> usize {
        let (proven, in_doubt) = self.lives.split_at(usize::from(self.lives[0].is_known()));
        let found = in_doubt.iter().rposition(|life| life.shows(item, proven.first()));
        found.map_or_else(|| self.likely(), |at| at + proven.len())
    }

    /// The proven life, or else the last: an image in it shows that the writes before were not
    /// carried out.
    fn likely(&self) -> usize {
        if self.lives[0].is_known() { 0 } else { self.lives.len() - 1 }
    }

    /// Of the key `a` of the table `cars`: writes, each from one image to another.
    #[cfg(test)]
    pub(crate) fn of_writes<'i>(
        writes: impl IntoIterator<Item = (Option<&'i Item>, Option<&'i Item>, Outcome)>,
    ) -> Option<Self> {
        let with = |(before, after, outcome)| (before, after, outcome, false);
        Self::of_entries(writes.into_iter().map(with))
    }

    /// The same, each with whether it is unverified.
    #[cfg(test)]
    pub(crate) fn of_entries<'i>(
        writes: impl IntoIterator<Item = (Option<&'i Item>, Option<&'i Item>, Outcome, bool)>,
    ) -> Option<Self> {
        let mut merged: Option<Self> = None;
        for (record, (before, after, outcome, unverified)) in (0..).zip(writes) {
            let entry = Entry {
                sequence: Sequence::new(1, record),
                table: "cars".into(),
                key: Item::from([("id".to_owned(), "a".into())]),
                before: before.cloned(),
                after: super::After::of(before, after),
                unverified,
                transaction: None,
            };
            match &mut merged {
                None => merged = Self::begin(entry, outcome),
                Some(merged) => merged.add(&entry, outcome),
            }
        }
        merged
    }

    /// Whether the outcome of a write that counts is in doubt.
    #[cfg(test)]
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.lives.len() > 1 || self.lives[0].is_in_doubt()
    }
}

/// Appends to a list that has each once, and at most this many.
fn keep_newest<T: PartialEq>(all: &mut Vec<T>, one: T, max: usize) {
    all.retain(|other| *other != one);
    all.push(one);
    if all.len() > max {
        all.remove(0);
    }
}

impl std::fmt::Debug for MergedEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergedEntry")
            .field("table", &self.table)
            .field("lives", &self.lives)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{ValueDigest, digest_of};
    use crate::value::AttributeValue;

    fn item(price: Option<i64>, color: &str) -> Item {
        let mut item =
            Item::from([("id".to_owned(), "a".into()), ("color".to_owned(), color.into())]);
        item.extend(price.map(|price| ("price".to_owned(), price.into())));
        item
    }

    /// Merges writes, each from one image to another.
    fn merged(writes: &[(Option<Item>, Option<Item>, Outcome)]) -> Option<MergedEntry> {
        let images = writes
            .iter()
            .map(|(before, after, outcome)| (before.as_ref(), after.as_ref(), *outcome));
        MergedEntry::of_writes(images)
    }

    fn price(merged: &MergedEntry) -> (Option<AttributeValue>, Vec<Option<ValueDigest>>) {
        let touched = &merged.lives[0].attributes["price"];
        (touched.before.clone(), touched.afters.clone())
    }

    fn digest(price: i64) -> Option<ValueDigest> {
        digest_of(Some(&price.into()))
    }

    #[test]
    fn the_first_image_and_the_last_value_win_and_what_others_did_between_is_theirs() {
        let own = merged(&[
            (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Written),
            (Some(item(Some(1), "red")), Some(item(Some(3), "red")), Outcome::Written),
        ])
        .unwrap();
        assert_eq!(price(&own), (None, vec![digest(3)]));
        let others = merged(&[
            (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Written),
            (Some(item(Some(5), "blue")), Some(item(Some(2), "blue")), Outcome::Written),
        ])
        .unwrap();
        assert_eq!(price(&others), (Some(5.into()), vec![digest(2)]));
        assert_eq!(others.lives[0].attributes.len(), 1);
        assert_eq!(others.lives[0].before, Some(item(Some(5), "blue")));
    }

    #[test]
    fn a_write_in_doubt_leaves_two_possibilities_until_one_is_known_again() {
        let (first, second) = (
            (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Written),
            (Some(item(Some(1), "red")), Some(item(Some(2), "red")), Outcome::InDoubt),
        );
        let in_doubt = merged(&[first.clone(), second.clone()]).unwrap();
        assert_eq!(price(&in_doubt), (None, vec![digest(1), digest(2)]));
        let third = (Some(item(Some(2), "red")), Some(item(Some(3), "red")), Outcome::Written);
        assert_eq!(price(&merged(&[first, second, third]).unwrap()), (None, vec![digest(3)]));
    }

    #[test]
    fn what_a_later_entry_shows_as_neither_before_nor_after_a_write_in_doubt_was_others() {
        let (doubt, later) = (
            (Some(item(Some(1), "red")), Some(item(Some(2), "red")), Outcome::InDoubt),
            (Some(item(Some(5), "blue")), Some(item(Some(3), "blue")), Outcome::Written),
        );
        let merged_of = |writes: &[_]| merged(writes).unwrap();
        let others = merged_of(&[doubt.clone(), later]);
        assert_eq!(price(&others), (Some(5.into()), vec![digest(3)]));
        assert_eq!(others.lives[0].before, Some(item(Some(5), "blue")));
        let ours = (Some(item(Some(2), "red")), Some(item(Some(3), "red")), Outcome::Written);
        let ours = merged_of(&[doubt, ours]);
        assert_eq!(price(&ours), (Some(1.into()), vec![digest(3)]));
        assert_eq!(ours.lives[0].before, Some(item(Some(1), "red")));
    }

    #[test]
    fn refused_writes_say_nothing() {
        let refused = (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Refused);
        assert!(merged(std::slice::from_ref(&refused)).is_none());
        let written = (Some(item(None, "blue")), Some(item(Some(2), "blue")), Outcome::Written);
        let later = merged(&[refused.clone(), written, refused]).unwrap();
        assert_eq!(later.lives[0].before, Some(item(None, "blue")));
        assert_eq!(price(&later), (None, vec![digest(2)]));
    }

    #[test]
    fn a_deleted_item_leaves_nothing_and_a_created_one_had_nothing_before() {
        let deleted = merged(&[(Some(item(None, "red")), None, Outcome::Written)]).unwrap();
        assert!(deleted.lives[0].left_nothing());
        let created = merged(&[(None, Some(item(None, "red")), Outcome::Written)]).unwrap();
        let created = &created.lives[0];
        assert_eq!((created.before.clone(), created.left_nothing()), (None, false));
        let both = merged(&[
            (None, Some(item(None, "red")), Outcome::Written),
            (Some(item(None, "red")), None, Outcome::InDoubt),
        ])
        .unwrap();
        assert_eq!(both.lives[0].afters.len(), 2);
    }
}
