//! How one item is put back: from what the journal of a run says of it and what it is now, to
//! writes that hold only if it still is so. Pure.
//!
//! An attribute that the run changed gets back its value if it still has what the run left. An item
//! that the run created goes if it still is what the run left; one that the run deleted comes back
//! if its place is free. Whatever others have changed since is a conflict.

mod write;

#[cfg(test)]
mod model;

pub use write::{ConditionalWrite, WriteOperation, WriteRequest};

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;

use crate::journal::{ItemDigest, MergedEntry, Touched};
use crate::value::{AttributeValue, Item};

/// What is to be done with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nothing: it is as it was before the run, or all that is not is in conflict.
    Nothing,
    /// Some attributes get back their values.
    Update,
    /// It goes: the run created it.
    Delete,
    /// It comes back.
    Put,
}

/// What is to be done with one key of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What kind of thing.
    pub step: Step,
    /// The writes, each conditional on what was read, and to be sent in this order.
    pub writes: Vec<ConditionalWrite>,
    /// What others changed. With [`OnConflict::Overwrite`] the writes put these back too.
    pub conflicts: Vec<Conflict>,
}

impl Decision {
    fn nothing() -> Self {
        Self { step: Step::Nothing, writes: Vec::new(), conflicts: Vec::new() }
    }

    fn write(step: Step, write: ConditionalWrite) -> Self {
        Self { step, writes: vec![write], conflicts: Vec::new() }
    }

    /// A conflict about the whole item, put back if conflicts are.
    fn conflict(conflict: Conflict, on_conflict: OnConflict, overwritten: Self) -> Self {
        let decision = match on_conflict {
            OnConflict::Skip => Self::nothing(),
            OnConflict::Overwrite => overwritten,
        };
        Self { conflicts: vec![conflict], ..decision }
    }

    /// Whether nothing is left to do and nothing stands against it.
    pub fn is_done(&self) -> bool {
        self.writes.is_empty() && self.conflicts.is_empty()
    }
}

/// Decides for one key.
pub fn decide(entry: &MergedEntry, now: Option<&Item>, on_conflict: OnConflict) -> Decision {
    if entry.order_unknown {
        // Nobody knows what to put back, so it is not overwritten either.
        return Decision { conflicts: vec![Conflict::OrderUnknown], ..Decision::nothing() };
    }
    match (&entry.before, now) {
        (None, None) => Decision::nothing(),
        (None, Some(now)) => created(entry, now, on_conflict),
        (Some(before), None) => gone(entry, before, on_conflict),
        (Some(before), Some(now)) if entry.left_nothing() => {
            if now == before {
                return Decision::nothing();
            }
            let put = ConditionalWrite::put(entry, before, Some(now));
            Decision::conflict(Conflict::PlaceTaken, on_conflict, Decision::write(Step::Put, put))
        }
        (Some(_), Some(now)) => changed(entry, now, on_conflict),
    }
}

fn created(entry: &MergedEntry, now: &Item, on_conflict: OnConflict) -> Decision {
    // The run took away again what it had created: this one is somebody else's.
    if entry.left_nothing() {
        return Decision::nothing();
    }
    let delete = Decision::write(Step::Delete, ConditionalWrite::delete(entry, now));
    if entry.afters.contains(&Some(ItemDigest::of_item(now))) {
        delete
    } else {
        Decision::conflict(Conflict::ItemChanged, on_conflict, delete)
    }
}

fn gone(entry: &MergedEntry, before: &Item, on_conflict: OnConflict) -> Decision {
    let put = Decision::write(Step::Put, ConditionalWrite::put(entry, before, None));
    if entry.afters.contains(&None) {
        put
    } else {
        Decision::conflict(Conflict::ItemDeleted, on_conflict, put)
    }
}

fn changed(entry: &MergedEntry, now: &Item, on_conflict: OnConflict) -> Decision {
    let mut conflicts = Vec::new();
    let mut back: Vec<(&str, Option<&AttributeValue>)> = Vec::new();
    for (name, touched) in &entry.attributes {
        match attribute(touched, now.get(name)) {
            Attribute::Done => {}
            Attribute::Back => back.push((name, touched.before.as_ref())),
            Attribute::Conflict => {
                conflicts.push(Conflict::AttributeChanged(name.clone()));
                if on_conflict == OnConflict::Overwrite {
                    back.push((name, touched.before.as_ref()));
                }
            }
        }
    }
    let writes = ConditionalWrite::updates(entry, now, &back);
    let step = if writes.is_empty() { Step::Nothing } else { Step::Update };
    Decision { step, writes, conflicts }
}

enum Attribute {
    Done,
    Back,
    Conflict,
}

fn attribute(touched: &Touched, now: Option<&AttributeValue>) -> Attribute {
    if now == touched.before.as_ref() {
        Attribute::Done
    } else if touched.left(now) {
        Attribute::Back
    } else {
        Attribute::Conflict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{After, Entry, Outcome, Sequence};

    fn item(attributes: &[(&str, i64)]) -> Item {
        let id = ("id".to_owned(), AttributeValue::from("a"));
        let rest = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        std::iter::once(id).chain(rest).collect()
    }

    fn entry(before: Option<&Item>, after: Option<&Item>, outcome: Outcome) -> MergedEntry {
        let entry = Entry {
            sequence: Sequence::new(1, 0),
            table: "cars".into(),
            key: Item::from([("id".to_owned(), "a".into())]),
            before: before.cloned(),
            after: After::of(before, after),
            unverified: false,
            transaction: None,
        };
        MergedEntry::begin(entry, outcome).unwrap()
    }

    fn check(
        (before, after): (Option<&Item>, Option<&Item>),
        now: Option<&Item>,
        step: Step,
        conflicts: &[Conflict],
    ) {
        let entry = entry(before, after, Outcome::Written);
        let decision = decide(&entry, now, OnConflict::Skip);
        assert_eq!((decision.step, decision.conflicts.as_slice()), (step, conflicts));
        let forced = decide(&entry, now, OnConflict::Overwrite);
        assert_eq!(forced.conflicts, decision.conflicts);
        assert!(conflicts.is_empty() || !forced.writes.is_empty(), "overwriting does something");
    }

    #[test]
    fn each_kind_of_change_is_taken_back_unless_others_came_after() {
        let (one, two, three) = (item(&[("p", 1)]), item(&[("p", 2)]), item(&[("p", 3)]));
        let more = item(&[("p", 2), ("q", 9)]);
        let price = || Conflict::AttributeChanged("p".to_owned());
        let updated = (Some(&one), Some(&two));
        check(updated, Some(&two), Step::Update, &[]);
        check(updated, Some(&one), Step::Nothing, &[]);
        check(updated, Some(&more), Step::Update, &[]);
        check(updated, Some(&three), Step::Nothing, &[price()]);
        check(updated, Some(&item(&[])), Step::Nothing, &[price()]);
        check(updated, None, Step::Nothing, &[Conflict::ItemDeleted]);
        let created = (None, Some(&two));
        check(created, Some(&two), Step::Delete, &[]);
        check(created, Some(&more), Step::Nothing, &[Conflict::ItemChanged]);
        check(created, None, Step::Nothing, &[]);
        let deleted = (Some(&one), None);
        check(deleted, None, Step::Put, &[]);
        check(deleted, Some(&one), Step::Nothing, &[]);
        check(deleted, Some(&two), Step::Nothing, &[Conflict::PlaceTaken]);
    }

    #[test]
    fn a_write_in_doubt_is_taken_back_where_it_happened_and_else_nothing_is_done() {
        let (one, two) = (item(&[("p", 1)]), item(&[("p", 2)]));
        let check = |before, after, now, step| {
            let entry = entry(before, after, Outcome::InDoubt);
            let decision = decide(&entry, now, OnConflict::Skip);
            assert_eq!((decision.step, decision.conflicts), (step, Vec::new()));
        };
        check(Some(&one), Some(&two), Some(&one), Step::Nothing);
        check(Some(&one), Some(&two), Some(&two), Step::Update);
        check(None, Some(&two), Some(&two), Step::Delete);
        check(None, Some(&two), None, Step::Nothing);
        check(Some(&one), None, None, Step::Put);
        check(Some(&one), None, Some(&one), Step::Nothing);
    }

    #[test]
    fn conflicts_of_some_attributes_do_not_keep_the_others_from_going_back() {
        let (before, after) = (item(&[("a", 1), ("b", 1)]), item(&[("b", 2), ("c", 3)]));
        let entry = entry(Some(&before), Some(&after), Outcome::Written);
        let now = item(&[("b", 7), ("c", 3)]);
        let decision = decide(&entry, Some(&now), OnConflict::Skip);
        assert_eq!(decision.conflicts, [Conflict::AttributeChanged("b".to_owned())]);
        assert_eq!(decision.writes.len(), 1);
    }
}
