//! Random runs with others writing in between, restored, against an oracle that keeps for every
//! attribute who wrote it last. A failure prints the seed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Conflict, OnConflict, WriteOperation, WriteRequest, decide};
use crate::journal::{After, Entry, MergedEntry, Outcome, Sequence};
use crate::parameters::{Parameters, RequestKind};
use crate::value::{Item, item_from_json};

type Table = BTreeMap<u64, Item>;

/// A small generator (xorshift64*): the same numbers for the same seed on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

fn key(id: u64) -> Item {
    Item::from([("id".to_owned(), i64::try_from(id).unwrap().into())])
}

/// Some write of one key: what it makes of the item there.
fn random_write(random: &mut Random, id: u64, now: Option<&Item>) -> Option<Item> {
    let mut item = now.cloned().unwrap_or_else(|| key(id));
    match random.below(8) {
        0 => return None,
        1 => item = key(id),
        _ => {}
    }
    for _ in 0..=random.below(3) {
        let name = format!("a{}", random.below(4));
        match random.below(4) {
            0 => item.remove(&name),
            value => item.insert(name, i64::try_from(value).unwrap().into()),
        };
    }
    Some(item)
}

fn put(table: &mut Table, id: u64, item: Option<Item>) {
    match item {
        Some(item) => table.insert(id, item),
        None => table.remove(&id),
    };
}

/// A run's journal as its merged entries.
#[derive(Default)]
struct Run {
    merged: BTreeMap<u64, MergedEntry>,
    record: u32,
}

impl Run {
    /// One write of the run; in doubt or refused ones too.
    fn write(&mut self, random: &mut Random, table: &mut Table, id: u64) {
        let before = table.get(&id).cloned();
        let after = random_write(random, id, before.as_ref());
        let (outcome, happens) = match random.below(10) {
            0 => (Outcome::Refused, false),
            1 => (Outcome::InDoubt, true),
            2 => (Outcome::InDoubt, false),
            _ => (Outcome::Written, true),
        };
        let left = After::of(before.as_ref(), after.as_ref());
        self.enter(id, before, left, outcome);
        if happens {
            put(table, id, after);
        }
    }

    /// An entry that was made ahead of a write, of an image that may be an old one; the write never
    /// came. It is taken back, or in doubt where the guard ended before.
    fn foresee(&mut self, random: &mut Random, id: u64, image: Option<&Item>) {
        let Some(image) = image else { return };
        let after = random_write(random, id, Some(image));
        let outcome = if random.below(2) == 0 { Outcome::Refused } else { Outcome::InDoubt };
        self.enter(id, Some(image.clone()), After::of(Some(image), after.as_ref()), outcome);
    }

    fn enter(&mut self, id: u64, before: Option<Item>, after: After, outcome: Outcome) {
        if after.is_unchanged(before.as_ref()) {
            return;
        }
        self.record += 1;
        let entry = Entry {
            sequence: Sequence::new(1, self.record),
            table: "t".into(),
            key: key(id),
            before,
            after,
            unverified: false,
            transaction: None,
        };
        match self.merged.get_mut(&id) {
            Some(merged) => merged.add(entry, outcome),
            None => {
                self.merged.extend(MergedEntry::begin(entry, outcome).map(|merged| (id, merged)));
            }
        }
    }

    fn restore(&self, table: &mut Table, on_conflict: OnConflict) -> BTreeSet<(u64, Conflict)> {
        let mut conflicts = BTreeSet::new();
        for (id, entry) in &self.merged {
            let decision = decide(entry, table.get(id), on_conflict);
            conflicts.extend(decision.conflicts.iter().cloned().map(|conflict| (*id, conflict)));
            for write in &decision.writes {
                carry_out(table, *id, &write.request());
            }
        }
        conflicts
    }
}

/// Evaluates a request as DynamoDB does.
fn carry_out(table: &mut Table, id: u64, request: &WriteRequest) {
    let kind = match request.operation {
        WriteOperation::Update => RequestKind::Update,
        WriteOperation::Put | WriteOperation::Delete => RequestKind::Write,
    };
    let parameters = Parameters::read(kind, &request.body).unwrap();
    let now = table.get(&id).cloned();
    let condition = parameters.condition.expect("every write of a restore is conditional");
    assert!(condition.matches(&now.clone().unwrap_or_default()), "nobody wrote in between");
    let after = match request.operation {
        WriteOperation::Put => Some(item_from_json(&request.body["Item"]).unwrap()),
        WriteOperation::Delete => None,
        WriteOperation::Update => {
            Some(parameters.update.unwrap().apply(&now.unwrap()).unwrap().item)
        }
    };
    put(table, id, after);
}

const KEYS: u64 = 4;

/// Random runs per test: about a second.
const SEEDS: u64 = 500;

fn random_table(random: &mut Random) -> Table {
    let mut table = Table::new();
    for id in 0..KEYS {
        let item = random_write(random, id, None);
        put(&mut table, id, item);
    }
    table
}

#[test]
fn journal_and_restore_together_change_nothing_when_nobody_else_writes() {
    for seed in 1..SEEDS {
        let random = &mut Random(seed);
        let before = random_table(random);
        let mut table = before.clone();
        let mut run = Run::default();
        for _ in 0..random.below(12) {
            let id = random.below(KEYS);
            // The image as it is, or as it was before the run.
            match random.below(6) {
                0 => run.foresee(random, id, table.get(&id)),
                1 => run.foresee(random, id, before.get(&id)),
                _ => run.write(random, &mut table, id),
            }
        }
        let conflicts = run.restore(&mut table, OnConflict::Skip);
        assert_eq!((&table, conflicts.len()), (&before, 0), "seed {seed}");
        assert_eq!(run.restore(&mut table, OnConflict::Skip).len(), 0, "seed {seed}");
        assert_eq!(table, before, "seed {seed}: a second restore changes nothing");
    }
}

/// What must remain of one item when others wrote only after the run: attributes that others
/// changed since keep what they have; all others have what they had.
fn oracle(before: Option<&Item>, left: Option<&Item>, now: Option<&Item>) -> Option<Item> {
    match (before, left, now) {
        (None, Some(left), Some(now)) => (now != left).then(|| now.clone()),
        // The run did nothing, or others did what stays.
        (None, _, now) | (Some(_), Some(_), now @ None) => now.cloned(),
        (Some(before), None, now) => Some(now.unwrap_or(before).clone()),
        (Some(before), Some(left), Some(now)) => {
            let names: BTreeSet<&String> =
                before.keys().chain(left.keys()).chain(now.keys()).collect();
            let kept = names.into_iter().filter_map(|name| {
                let ours = before.get(name) != left.get(name) && now.get(name) == left.get(name);
                let value = if ours { before.get(name) } else { now.get(name) };
                value.map(|value| (name.clone(), value.clone()))
            });
            Some(kept.collect())
        }
    }
}

#[test]
fn what_others_changed_since_stays_and_everything_else_goes_back() {
    for seed in 1..SEEDS {
        let random = &mut Random(seed);
        let before = random_table(random);
        let mut table = before.clone();
        let mut run = Run::default();
        // One write of each key, so that the oracle needs no memory of its own.
        for id in 0..KEYS {
            if random.below(4) == 0 {
                run.foresee(random, id, table.get(&id));
            }
            run.write(random, &mut table, id);
        }
        let left = table.clone();
        for _ in 0..random.below(5) {
            let id = random.below(KEYS);
            let item = random_write(random, id, table.get(&id));
            put(&mut table, id, item);
        }
        let mut expected = Table::new();
        for id in 0..KEYS {
            let restored = oracle(before.get(&id), left.get(&id), table.get(&id));
            put(&mut expected, id, restored);
        }
        let mut again = table.clone();
        let conflicts = run.restore(&mut table, OnConflict::Skip);
        // A write in doubt may be taken for one that happened: others who wrote the very value that
        // it would have left are then taken for it.
        let in_doubt = run.merged.values().any(|entry| {
            entry.afters.len() > 1
                || entry.attributes.values().any(|touched| touched.afters.len() > 1)
        });
        if !in_doubt {
            assert_eq!(table, expected, "seed {seed}");
        }
        let after_once = table.clone();
        assert_eq!(run.restore(&mut table, OnConflict::Skip), conflicts, "seed {seed}");
        assert_eq!(table, after_once, "seed {seed}: a second restore changes nothing");

        // Overwriting leaves of the keys that the run changed nothing in conflict.
        run.restore(&mut again, OnConflict::Overwrite);
        assert_eq!(run.restore(&mut again, OnConflict::Overwrite).len(), 0, "seed {seed}");
    }
}
