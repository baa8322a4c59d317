//! How one item is restored: from what the journal of a run says of it and what it is now, to
//! writes that hold only if it still is so. Pure.
//!
//! An attribute that the run changed gets back its value if it still has what the run left. An item
//! that the run created is deleted if it still is what the run left; one that the run deleted is
//! recreated if its place is free. Whatever others have changed since is a conflict.

mod write;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod model;

pub use write::{ConditionalWrite, WriteOperation, WriteRequest};

use std::collections::BTreeMap;

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;

use crate::journal::{Life, MergedEntry, Overtaken, Touched, Undone};
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

    /// A conflict about the whole item, restored if conflicts are.
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
        // It is not known what to restore, so it is not overwritten either.
        return Decision { conflicts: vec![Conflict::OrderUnknown], ..Decision::nothing() };
    }
    let life = entry.life(now);
    match &life.overtaken {
        None => own(entry, life, now, on_conflict),
        Some(over) => overtaken(entry, (life, over), now, on_conflict),
    }
}

/// Of an item that others deleted, replaced or changed as a whole between two writes of the run. It
/// goes back to what they left, and what was before that is a conflict.
fn overtaken(
    entry: &MergedEntry,
    (life, over): (&Life, &Overtaken),
    now: Option<&Item>,
    on_conflict: OnConflict,
) -> Decision {
    // Of what the run created and others changed nobody knows whose it is.
    let is_shared = over.conflict == Conflict::ItemChanged;
    // The run may itself have left what was there first: over what others had written.
    let is_left = life.left(now) && on_conflict == OnConflict::Skip;
    if now == over.first.as_ref() && !is_left {
        // There is nothing to overwrite where the run itself discarded what others wrote.
        let conflicts = if life.left(now) { vec![over.conflict.clone()] } else { Vec::new() };
        return Decision { conflicts, ..Decision::nothing() };
    }
    let mut decision = match now {
        Some(_) if is_shared => Decision::nothing(),
        _ => own(entry, life, now, OnConflict::Skip),
    };
    if !decision.conflicts.contains(&over.conflict) {
        decision.conflicts.insert(0, over.conflict.clone());
    }
    match (on_conflict, &over.first, now) {
        (OnConflict::Skip, ..) | (_, None, None) => decision,
        (OnConflict::Overwrite, Some(first), now) => {
            let put = Decision::write(Step::Put, ConditionalWrite::put(entry, first, now));
            Decision { conflicts: decision.conflicts, ..put }
        }
        (OnConflict::Overwrite, None, Some(now)) => {
            let delete = Decision::write(Step::Delete, ConditionalWrite::delete(entry, now));
            Decision { conflicts: decision.conflicts, ..delete }
        }
    }
}

/// Of an item between whose writes others did not replace it.
fn own(entry: &MergedEntry, life: &Life, now: Option<&Item>, on_conflict: OnConflict) -> Decision {
    if life.undone == Undone::Item {
        return Decision::nothing();
    }
    match (&life.before, now) {
        (None, None) => Decision::nothing(),
        (None, Some(now)) => created(entry, life, now, on_conflict),
        (Some(before), None) => gone(entry, life, before, on_conflict),
        (Some(before), Some(now)) if life.left_nothing() => {
            if now == before {
                return Decision::nothing();
            }
            let put = ConditionalWrite::put(entry, before, Some(now));
            Decision::conflict(Conflict::PlaceTaken, on_conflict, Decision::write(Step::Put, put))
        }
        (Some(before), Some(now)) => changed(entry, life, (before, now), on_conflict),
    }
}

fn created(entry: &MergedEntry, life: &Life, now: &Item, on_conflict: OnConflict) -> Decision {
    // The run took away again what it had created: this one is somebody else's.
    if life.left_nothing() {
        return Decision::nothing();
    }
    let delete = Decision::write(Step::Delete, ConditionalWrite::delete(entry, now));
    if life.left(Some(now)) && life.undone != Undone::All {
        delete
    } else {
        Decision::conflict(Conflict::ItemChanged, on_conflict, delete)
    }
}

fn gone(entry: &MergedEntry, life: &Life, before: &Item, on_conflict: OnConflict) -> Decision {
    let put = |item| Decision::write(Step::Put, ConditionalWrite::put(entry, item, None));
    if life.left(None) {
        // Recreated by a restore, or by others before it, others have deleted it since.
        if life.undone == Undone::All { Decision::nothing() } else { put(before) }
    } else if life.attributes.is_empty() {
        // The run left it as it was, or all that it changed is restored.
        Decision::nothing()
    } else {
        let whole = life.overwritten(before);
        Decision::conflict(Conflict::ItemDeleted, on_conflict, put(&whole))
    }
}

fn changed(
    entry: &MergedEntry,
    life: &Life,
    (before, now): (&Item, &Item),
    on_conflict: OnConflict,
) -> Decision {
    let mut conflicts = Vec::new();
    let mut back: BTreeMap<&str, Option<&AttributeValue>> = BTreeMap::new();
    // Just what the run left: nobody else has changed anything since.
    let is_left = life.undone == Undone::Nothing && life.left(Some(now));
    if is_left {
        let differs = |name: &&String| before.get(name) != now.get(name);
        let names = before.keys().chain(now.keys()).filter(differs);
        back.extend(names.map(|name| (name.as_str(), before.get(name))));
    }
    // No update changes a key.
    let attributes = life.attributes.iter().filter(|(name, _)| !entry.key.contains_key(name));
    for (name, touched) in attributes.filter(|(_, touched)| !is_left || touched.is_lost()) {
        match attribute(touched, now.get(name)) {
            Attribute::Done => {}
            Attribute::Back => {
                back.insert(name, touched.before.as_ref());
            }
            Attribute::Conflict => {
                conflicts.push(Conflict::AttributeChanged(name.clone()));
                if on_conflict == OnConflict::Overwrite {
                    back.insert(name, touched.before.as_ref());
                }
            }
        }
    }
    let back: Vec<_> = back.into_iter().collect();
    let writes = ConditionalWrite::updates(entry, now, &back);
    let step = if writes.is_empty() { Step::Nothing } else { Step::Update };
    Decision { step, writes, conflicts }
}

/// The writes that return an item which a restore has deleted together with what others had just
/// put into it: all of it, or the attributes that the item lacks which others have put in its place
/// since.
pub fn writes_to_restore(
    entry: &MergedEntry,
    image: &Item,
    now: Option<&Item>,
) -> Vec<ConditionalWrite> {
    let Some(now) = now else { return vec![ConditionalWrite::put(entry, image, None)] };
    let lacking = image.iter().filter(|(name, _)| !now.contains_key(name));
    let lacking: Vec<_> = lacking.map(|(name, value)| (name.as_str(), Some(value))).collect();
    ConditionalWrite::updates(entry, now, &lacking)
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
    fn each_kind_of_change_is_restored_unless_others_came_after() {
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
    fn an_item_deleted_with_the_work_of_others_returns_whole_or_with_what_its_successor_lacks() {
        let (ours, shared) = (item(&[("a", 1)]), item(&[("a", 1), ("b", 2)]));
        let entry = entry(None, Some(&ours), Outcome::Written);
        let [put] = writes_to_restore(&entry, &shared, None).try_into().unwrap();
        let put = put.request();
        assert_eq!(put.operation, WriteOperation::Put);
        assert!(put.body["ConditionExpression"].as_str().unwrap().contains("attribute_not_exists"));
        let successor = item(&[("a", 7), ("c", 3)]);
        let [update] = writes_to_restore(&entry, &shared, Some(&successor)).try_into().unwrap();
        let update = update.request();
        assert_eq!(update.operation, WriteOperation::Update);
        let set = update.body["UpdateExpression"].as_str().unwrap();
        assert!(set.starts_with("SET ") && !set.contains(','), "only `b`: {set}");
        assert!(
            update.body["ConditionExpression"].as_str().unwrap().contains("attribute_not_exists")
        );
        assert_eq!(writes_to_restore(&entry, &shared, Some(&item(&[("a", 7), ("b", 8)]))), []);
    }

    #[test]
    fn behind_a_restore_that_came_to_its_end_all_is_the_work_of_others() {
        let (one, two) = (item(&[("p", 1)]), item(&[("p", 2)]));
        let price = || Conflict::AttributeChanged("p".to_owned());
        let check = |(before, after), now, expected: &[Conflict]| {
            for outcome in [Outcome::Written, Outcome::InDoubt] {
                let mut entry = entry(before, after, outcome);
                entry.settled();
                let skipped = decide(&entry, now, OnConflict::Skip);
                assert_eq!((skipped.writes, skipped.conflicts.as_slice()), (vec![], expected));
                let forced = decide(&entry, now, OnConflict::Overwrite);
                assert_eq!(
                    (!forced.writes.is_empty(), forced.conflicts),
                    (!expected.is_empty(), expected.to_vec())
                );
            }
        };
        let (updated, created, deleted) =
            ((Some(&one), Some(&two)), (None, Some(&two)), (Some(&one), None));
        // Others have written what the run had left.
        check(updated, Some(&two), &[price()]);
        check(created, Some(&two), &[Conflict::ItemChanged]);
        // They have deleted what the run had deleted.
        check(deleted, None, &[]);
        check(updated, Some(&one), &[]);
        check(created, None, &[]);
        check(deleted, Some(&one), &[]);
    }

    #[test]
    fn a_write_in_doubt_is_restored_where_it_happened_and_else_nothing_is_done() {
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

    /// One key's writes, each known or in doubt, from one image to another.
    fn history(writes: &[(Option<&Item>, Option<&Item>, Outcome)]) -> MergedEntry {
        MergedEntry::of_writes(writes.iter().copied()).unwrap()
    }

    #[test]
    fn an_item_that_others_changed_between_two_writes_of_the_run_stays() {
        let (ours, shared) = (item(&[("a", 1)]), item(&[("a", 1), ("b", 2)]));
        let last = item(&[("a", 3), ("b", 2)]);
        let entry = history(&[
            (None, Some(&ours), Outcome::Written),
            (Some(&shared), Some(&last), Outcome::Written),
        ]);
        let skipped = decide(&entry, Some(&last), OnConflict::Skip);
        assert_eq!((skipped.step, skipped.writes.len()), (Step::Nothing, 0));
        assert_eq!(skipped.conflicts, [Conflict::ItemChanged]);
        let forced = decide(&entry, Some(&last), OnConflict::Overwrite);
        assert_eq!((forced.step, forced.conflicts), (Step::Delete, vec![Conflict::ItemChanged]));
        // The run deleted it, so it is recreated as they left it.
        let entry = history(&[
            (None, Some(&ours), Outcome::Written),
            (Some(&shared), None, Outcome::Written),
        ]);
        let skipped = decide(&entry, None, OnConflict::Skip);
        assert_eq!((skipped.step, skipped.conflicts), (Step::Put, vec![Conflict::ItemChanged]));
        let again = decide(&entry, Some(&shared), OnConflict::Skip);
        assert_eq!((again.step, again.conflicts), (Step::Nothing, vec![Conflict::ItemChanged]));
    }

    #[test]
    fn an_item_that_others_deleted_between_two_writes_is_a_conflict_and_no_update() {
        let (before, after) = (item(&[("p", 1)]), item(&[("p", 2)]));
        let anew = item(&[("q", 5)]);
        let entry = history(&[
            (Some(&before), Some(&after), Outcome::Written),
            (None, Some(&anew), Outcome::Written),
        ]);
        let skipped = decide(&entry, Some(&anew), OnConflict::Skip);
        assert_eq!((skipped.step, skipped.conflicts), (Step::Delete, vec![Conflict::ItemDeleted]));
        let again = decide(&entry, None, OnConflict::Skip);
        assert_eq!((again.step, again.conflicts), (Step::Nothing, vec![Conflict::ItemDeleted]));
        let forced = decide(&entry, Some(&anew), OnConflict::Overwrite);
        assert_eq!((forced.step, forced.conflicts), (Step::Put, vec![Conflict::ItemDeleted]));
        assert!(decide(&entry, Some(&before), OnConflict::Overwrite).is_done());
    }

    #[test]
    fn an_item_that_others_created_in_the_place_of_a_deleted_one_loses_only_what_the_run_gave_it() {
        let before = item(&[("color", 1), ("old", 1)]);
        let (theirs, last) = (item(&[("color", 2)]), item(&[("color", 2), ("price", 1)]));
        let entry = history(&[
            (Some(&before), None, Outcome::Written),
            (Some(&theirs), Some(&last), Outcome::Written),
        ]);
        let skipped = decide(&entry, Some(&last), OnConflict::Skip);
        assert_eq!((skipped.step, skipped.conflicts), (Step::Update, vec![Conflict::PlaceTaken]));
        let body = skipped.writes[0].request().body;
        assert_eq!(body["UpdateExpression"], "REMOVE #m1");
        let again = decide(&entry, Some(&theirs), OnConflict::Skip);
        assert_eq!((again.step, again.conflicts), (Step::Nothing, vec![Conflict::PlaceTaken]));
    }

    #[test]
    fn a_write_in_doubt_that_a_later_image_disproves_leaves_no_trace() {
        let before = item(&[("color", 1), ("old", 1)]);
        let (theirs, last) = (item(&[("color", 2)]), item(&[("color", 2), ("price", 1)]));
        let changed = item(&[("color", 7), ("old", 1)]);
        for after in [None, Some(&changed)] {
            let entry = history(&[
                (Some(&before), after, Outcome::InDoubt),
                (Some(&theirs), Some(&last), Outcome::Written),
            ]);
            for on_conflict in [OnConflict::Skip, OnConflict::Overwrite] {
                let decision = decide(&entry, Some(&last), on_conflict);
                assert_eq!((decision.step, decision.conflicts), (Step::Update, Vec::new()));
                assert_eq!(decision.writes[0].request().body["UpdateExpression"], "REMOVE #m1");
                assert!(decide(&entry, Some(&theirs), on_conflict).is_done());
            }
        }
    }
}
