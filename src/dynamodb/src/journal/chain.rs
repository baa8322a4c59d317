//! The entries of one key in the journals of several parts of a run. Within a part they are in
//! order; between parts their images tell it: an entry follows another if it found what that one
//! left. Where they tell no order, or more than one, the order is unknown, and nothing is guessed.

use super::{Entry, ItemDigest, MergedEntry, Outcome, Sequence};

/// Most entries of one key of several parts that are put in order. The parts of a transform write
/// an item once or twice each; the search takes a step for each order of entries that fit.
const CHAINED_MAX: usize = 32;

/// Most steps of the search. With more the order counts as unknown.
const STEPS_MAX: usize = 10_000;

/// All entries of one key of a run.
#[derive(Clone, Debug, Default)]
pub struct MergedKey {
    /// Whether other parts may have entries of the key.
    has_parts: bool,
    /// Where they may, the entries so far, up to a bound.
    entries: Vec<(Entry, Outcome)>,
    /// Else, or beyond it, what they say together.
    merged: Option<MergedEntry>,
    part: Option<u64>,
    /// Whether several parts have entries.
    several: bool,
}

/// An order of entries: what the first found, and what the last may have left.
type Ends = (Option<ItemDigest>, Vec<Option<ItemDigest>>);

impl MergedKey {
    /// That of a run with parts, or of one without.
    pub fn new(has_parts: bool) -> Self {
        Self { has_parts, ..Self::default() }
    }

    /// Takes in an entry. Those of one part come in their order, and the parts one after the other.
    pub fn add(&mut self, entry: Entry, outcome: Outcome) {
        if outcome == Outcome::Refused {
            return;
        }
        let part = entry.sequence.part();
        self.several |= self.part.is_some_and(|other| other != part);
        self.part = Some(part);
        if self.has_parts && self.merged.is_none() {
            self.entries.push((entry, outcome));
            if self.entries.len() > CHAINED_MAX {
                self.merged = merged(std::mem::take(&mut self.entries));
            }
            return;
        }
        match &mut self.merged {
            Some(merged) => merged.add(&entry, outcome),
            None => self.merged = MergedEntry::begin(entry, outcome),
        }
    }

    /// Returns what they say together; `None` where no write was carried out.
    pub fn whole(self) -> Option<MergedEntry> {
        let unknown = |mut merged: MergedEntry| {
            merged.order_unknown = true;
            merged
        };
        match (self.merged, self.several) {
            (Some(merged), false) => Some(merged),
            (Some(merged), true) => Some(unknown(merged)),
            (None, false) => merged(self.entries),
            (None, true) => chained(&self.entries).or_else(|| merged(self.entries).map(unknown)),
        }
    }
}

/// What entries say in this order.
fn merged(entries: impl IntoIterator<Item = (Entry, Outcome)>) -> Option<MergedEntry> {
    let mut merged: Option<MergedEntry> = None;
    for (entry, outcome) in entries {
        match &mut merged {
            Some(merged) => merged.add(&entry, outcome),
            None => merged = MergedEntry::begin(entry, outcome),
        }
    }
    merged
}

/// The entries of several parts in the only order that their images allow.
fn chained(entries: &[(Entry, Outcome)]) -> Option<MergedEntry> {
    let mut parts: Vec<Vec<Link>> = Vec::new();
    let mut last = None;
    for (at, (entry, outcome)) in entries.iter().enumerate() {
        let found = entry.before.as_ref().map(ItemDigest::of_item);
        let link = Link { at, found, left: entry.after.item, outcome: *outcome };
        if last == Some(entry.sequence.part()) {
            parts.last_mut()?.push(link);
        } else {
            parts.push(vec![link]);
        }
        last = Some(entry.sequence.part());
    }
    let mut search = Search { parts, found: Vec::new(), steps: 0, is_ambiguous: false };
    let taken = vec![0; search.parts.len()];
    search.follow(&taken, &mut Vec::new(), None);
    if search.is_ambiguous || search.steps > STEPS_MAX {
        return None;
    }
    let (order, _) = search.found.into_iter().next()?;
    let in_order = (0..).zip(order).map(|(record, at)| {
        let (mut entry, outcome) = entries[at].clone();
        entry.sequence = Sequence(record);
        (entry, outcome)
    });
    merged(in_order)
}

/// An entry, by its digests.
#[derive(Clone, Copy)]
struct Link {
    at: usize,
    found: Option<ItemDigest>,
    left: Option<ItemDigest>,
    outcome: Outcome,
}

struct Search {
    parts: Vec<Vec<Link>>,
    /// The first order that was found, and its ends.
    found: Vec<(Vec<usize>, Ends)>,
    steps: usize,
    is_ambiguous: bool,
}

impl Search {
    /// Tries every entry that may come next, after this many of each part. Orders between the same
    /// ends say the same.
    fn follow(&mut self, taken: &[usize], order: &mut Vec<usize>, ends: Option<&Ends>) {
        self.steps += 1;
        if self.is_ambiguous || self.steps > STEPS_MAX {
            return;
        }
        let mut is_whole = true;
        for part in 0..self.parts.len() {
            let Some(link) = self.parts[part].get(taken[part]).copied() else { continue };
            is_whole = false;
            let Some(ends) = next(ends, link) else { continue };
            let mut taken = taken.to_vec();
            taken[part] += 1;
            order.push(link.at);
            self.follow(&taken, order, Some(&ends));
            order.pop();
        }
        if let (true, Some(ends)) = (is_whole, ends) {
            match self.found.first() {
                Some((_, other)) => self.is_ambiguous |= other != ends,
                None => self.found.push((order.clone(), ends.clone())),
            }
        }
    }
}

/// The ends of an order with one more entry; `None` if it cannot follow.
fn next(ends: Option<&Ends>, link: Link) -> Option<Ends> {
    let first = match ends {
        Some((first, left)) if left.contains(&link.found) => *first,
        Some(_) => return None,
        None => link.found,
    };
    let mut left = vec![link.left];
    // Of a write in doubt it is not known whether it was carried out.
    if link.outcome == Outcome::InDoubt && link.left != link.found {
        left.push(link.found);
    }
    Some((first, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::After;
    use crate::value::Item;

    fn item(n: i64) -> Item {
        Item::from([("id".to_owned(), "a".into()), ("n".to_owned(), n.into())])
    }

    /// Merges writes of parts, each from one value to another; `None` is no item.
    fn of(writes: &[(u32, Option<i64>, Option<i64>, Outcome)]) -> MergedEntry {
        let mut key = MergedKey::new(true);
        for (record, (part, before, after, outcome)) in (0..).zip(writes) {
            let (before, after) = (before.map(item), after.map(item));
            let entry = Entry {
                sequence: Sequence::new(1, record).in_part(*part),
                table: "cars".into(),
                key: Item::from([("id".to_owned(), "a".into())]),
                after: After::of(before.as_ref(), after.as_ref()),
                before,
                unverified: false,
                transaction: None,
            };
            key.add(entry, *outcome);
        }
        key.whole().unwrap()
    }

    const OK: Outcome = Outcome::Written;

    fn check(writes: &[(u32, Option<i64>, Option<i64>, Outcome)], expected: Option<(i64, i64)>) {
        let merged = of(writes);
        assert_eq!(merged.order_unknown, expected.is_none(), "{writes:?}");
        if let Some((first, last)) = expected {
            assert_eq!(merged.first(), Some(&item(first)), "{writes:?}");
            let left = merged.life(Some(&item(last)));
            assert_eq!(left.afters, [Some(ItemDigest::of_item(&item(last)))]);
        }
    }

    #[test]
    fn entries_of_parts_follow_each_other_by_their_images() {
        check(&[(0, Some(1), Some(2), OK), (1, Some(2), Some(3), OK)], Some((1, 3)));
        check(&[(0, Some(2), Some(3), OK), (1, Some(1), Some(2), OK)], Some((1, 3)));
        let between = [
            (0, Some(1), Some(2), OK),
            (0, Some(3), Some(4), OK),
            (1, Some(2), Some(3), OK),
            (2, Some(4), Some(5), OK),
        ];
        check(&between, Some((1, 5)));
    }

    #[test]
    fn entries_that_tell_no_order_or_two_are_not_put_in_one() {
        check(&[(0, Some(1), Some(2), OK), (1, Some(5), Some(6), OK)], None);
        check(&[(0, Some(1), Some(2), OK), (1, Some(2), Some(1), OK)], None);
        check(&[(0, Some(1), Some(2), OK), (1, Some(1), Some(3), OK)], None);
    }

    #[test]
    fn one_part_needs_no_chain_and_refused_writes_are_no_links() {
        // What others wrote between two writes of one part is what is restored.
        check(&[(3, Some(1), Some(2), OK), (3, Some(5), Some(6), OK)], Some((5, 6)));
        let refused = (1, Some(9), Some(10), Outcome::Refused);
        check(&[(0, Some(1), Some(2), OK), refused], Some((1, 2)));
    }

    #[test]
    fn a_write_in_doubt_may_not_have_been_carried_out() {
        let doubt = Outcome::InDoubt;
        check(&[(0, Some(1), Some(2), doubt), (1, Some(1), Some(3), OK)], Some((1, 3)));
        check(&[(0, Some(1), Some(2), doubt), (1, Some(2), Some(3), OK)], Some((1, 3)));
        let created = of(&[(0, None, Some(1), OK), (1, Some(1), Some(2), OK)]);
        assert_eq!((created.first(), created.order_unknown), (None, false));
    }

    #[test]
    fn a_key_that_everybody_writes_is_given_up() {
        let many: Vec<_> = (0..40)
            .map(|i| (u32::try_from(i % 2).unwrap(), Some(i / 2), Some(i / 2 + 1), OK))
            .collect();
        let mut by_part = many.clone();
        by_part.sort_by_key(|write| write.0);
        check(&by_part, None);
    }
}
