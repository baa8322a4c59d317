//! Items that an earlier attempt of a restore deleted together with what others had just put into
//! them, and had not returned when it ended.
//!
//! No condition excludes an attribute that is added between a read and a delete. The delete returns
//! it, and its entry is corrected: the attempt's journal then has a second entry of the deletion,
//! with the item as it was. The item returns by a write with an entry that follows. Where that one
//! is missing, or its outcome is unknown, the journal alone holds the item.

use std::collections::{BTreeMap, BTreeSet};

use dm_dynamodb::journal::{Entry, ItemDigest, Outcome};
use dm_dynamodb::value::Item;

use crate::restore::partitions::Place;

/// An item that others had changed, and that an attempt deleted.
#[derive(Debug, PartialEq)]
pub struct Lost {
    /// The item as it was deleted.
    pub image: Item,
    /// Whether a write that returned it was prepared, so that it may have been carried out.
    pub may_be_back: bool,
}

/// What the entries of attempts say, each attempt's in their order.
#[derive(Debug, Default)]
pub struct LostItems {
    /// What each item was when this attempt began to delete it.
    deleted: BTreeMap<Place, ItemDigest>,
    lost: BTreeMap<Place, Lost>,
    /// Deletions whose outcome is not known, nor what they deleted if they did.
    unconfirmed: BTreeSet<Place>,
}

impl LostItems {
    /// The entries that follow are those of a later attempt.
    pub fn begin_attempt(&mut self) {
        self.deleted.clear();
    }

    /// Takes in the next entry of an attempt.
    pub fn see(&mut self, entry: &Entry, outcome: Outcome) {
        let place = (entry.table.clone(), ItemDigest::of_item(&entry.key));
        match (&entry.before, entry.after.item) {
            (Some(image), None) => {
                let digest = ItemDigest::of_item(image);
                let first = *self.deleted.entry(place.clone()).or_insert(digest);
                if outcome == Outcome::Refused {
                    return;
                }
                // A deletion of what was read shows that the item was there again.
                if first == digest && outcome == Outcome::InDoubt {
                    self.unconfirmed.insert(place.clone());
                } else {
                    self.unconfirmed.remove(&place);
                }
                if first == digest {
                    self.lost.remove(&place);
                } else {
                    let lost = Lost { image: image.clone(), may_be_back: false };
                    self.lost.insert(place, lost);
                }
            }
            (_, Some(_)) => match outcome {
                Outcome::Written => _ = self.lost.remove(&place),
                Outcome::InDoubt => {
                    if let Some(lost) = self.lost.get_mut(&place) {
                        lost.may_be_back = true;
                    }
                }
                Outcome::Refused => {}
            },
            (None, None) => {}
        }
    }

    /// Whether an item was perhaps deleted, and nothing says what it was then.
    pub fn is_unconfirmed(&self, place: &Place) -> bool {
        self.unconfirmed.contains(place)
    }

    /// The item of a place that is to be returned.
    pub fn get(&self, place: &Place) -> Option<&Lost> {
        self.lost.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::journal::{After, Sequence};

    fn item(names: &[&str]) -> Item {
        names.iter().map(|name| ((*name).to_owned(), 1.into())).collect()
    }

    /// Entries of one key: before, after, outcome; `None` separates attempts.
    type Step<'a> = Option<(&'a [&'a str], &'a [&'a str], Outcome)>;

    fn check(steps: &[Step<'_>], expected: Option<(&[&str], bool)>) {
        let mut items = LostItems::default();
        let key = item(&["id"]);
        for (record, step) in (0..).zip(steps) {
            let Some((before, after, outcome)) = step else {
                items.begin_attempt();
                continue;
            };
            let image = |names: &[&str]| (!names.is_empty()).then(|| item(names));
            let (before, after) = (image(before), image(after));
            let entry = Entry {
                sequence: Sequence::new(1, record),
                table: "cars".into(),
                key: key.clone(),
                after: After::of(before.as_ref(), after.as_ref()),
                before,
                unverified: false,
                transaction: None,
            };
            items.see(&entry, *outcome);
        }
        let found = items.get(&("cars".into(), ItemDigest::of_item(&key)));
        let found = found.map(|lost| (lost.image.clone(), lost.may_be_back));
        let expected = expected.map(|(names, may_be_back)| (item(names), may_be_back));
        assert_eq!(found, expected, "{steps:?}");
    }

    #[test]
    fn a_deletion_is_unconfirmed_until_its_outcome_or_what_it_deleted_is_known() {
        use Outcome::{InDoubt, Refused, Written};
        let check = |entries: &[(&[&str], Outcome)], expected| {
            let (mut items, key) = (LostItems::default(), item(&["id"]));
            for (record, (before, outcome)) in (0..).zip(entries) {
                let before = item(before);
                let entry = Entry {
                    sequence: Sequence::new(1, record),
                    table: "cars".into(),
                    key: key.clone(),
                    after: After::of(Some(&before), None),
                    before: Some(before),
                    unverified: false,
                    transaction: None,
                };
                items.see(&entry, *outcome);
            }
            let place = ("cars".into(), ItemDigest::of_item(&key));
            assert_eq!(items.is_unconfirmed(&place), expected, "{entries:?}");
        };
        let (ours, shared): (&[&str], &[&str]) = (&["id", "a"], &["id", "a", "b"]);
        check(&[(ours, InDoubt)], true);
        check(&[(ours, Written)], false);
        check(&[(ours, Refused)], false);
        check(&[(ours, InDoubt), (shared, InDoubt)], false);
        check(&[(ours, InDoubt), (ours, Written)], false);
        check(&[(ours, Refused), (ours, InDoubt)], true);
    }

    #[test]
    fn an_item_is_lost_from_its_corrected_deletion_until_a_write_has_returned_it() {
        use Outcome::{InDoubt, Refused, Written};
        let (ours, shared): (&[&str], &[&str]) = (&["id", "a"], &["id", "a", "b"]);
        let read = |outcome| Some((ours, &[][..], outcome));
        let corrected = |outcome| Some((shared, &[][..], outcome));
        let back = |outcome| Some((&[][..], shared, outcome));
        let (lost, sent) = (Some((shared, false)), Some((shared, true)));
        check(&[read(InDoubt)], None);
        check(&[read(InDoubt), corrected(InDoubt)], lost);
        check(&[read(Refused), corrected(Written)], lost);
        check(&[read(Refused), corrected(Written), back(InDoubt)], sent);
        check(&[read(Refused), corrected(Written), back(Refused)], lost);
        check(&[read(Refused), corrected(Written), back(Written)], None);
        // Others put another item there, and it got the attributes that it lacked.
        let merged = Some((&["id", "c"][..], &["id", "a", "b", "c"][..], Written));
        check(&[read(Refused), corrected(Written), back(Refused), merged], None);
        // The next attempt returns it, or finds and deletes what the run had left.
        check(&[read(Refused), corrected(Written), None, back(Written)], None);
        check(&[read(Refused), corrected(Written), None, read(Written)], None);
        check(&[read(Refused), corrected(Written), None, read(Refused)], lost);
        // What was deleted as it was read was meant to be: others' changes were overwritten.
        check(&[corrected(Written)], None);
        check(&[read(InDoubt), None, corrected(Written)], None);
    }
}
