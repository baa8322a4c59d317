//! Random runs with others writing in between, restored, against an oracle that keeps for every
//! attribute who wrote it last. A failure prints the seed.

mod again;

use std::collections::{BTreeMap, BTreeSet};

use super::{Conflict, OnConflict, WriteOperation, WriteRequest, decide};
use crate::journal::{After, Entry, MergedEntry, Outcome, Sequence};
use crate::parameters::{Parameters, RequestKind};
use crate::value::{AttributeValue, Item, item_from_json};

pub(super) type Table = BTreeMap<u64, Item>;

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
    /// Whether all its writes are known to have been carried out.
    only_written: bool,
    /// Keys of which its last write was a deletion.
    deleted: BTreeSet<u64>,
    /// The value that it wrote last, where it writes each once.
    unique: Option<i64>,
    /// What it met and left of a key since others last wrote it: an image that nobody checks may
    /// be any of these.
    states: BTreeMap<u64, Vec<Option<Item>>>,
}

impl Run {
    /// One write of the run; in doubt or refused ones too.
    fn write(&mut self, random: &mut Random, table: &mut Table, id: u64) {
        let before = table.get(&id).cloned();
        let mut after = random_write(random, id, before.as_ref());
        self.make_unique(before.as_ref(), after.as_mut());
        let (outcome, happens) = match random.below(10) {
            _ if self.only_written => (Outcome::Written, true),
            0 => (Outcome::Refused, false),
            1 => (Outcome::InDoubt, true),
            2 => (Outcome::InDoubt, false),
            _ => (Outcome::Written, true),
        };
        let states = self.states.entry(id).or_default();
        states.push(before.clone());
        let bound = u64::try_from(states.len()).unwrap();
        let old = states[usize::try_from(random.below(bound)).unwrap()].clone();
        let unverified = random.below(4) == 0;
        let image = if unverified { old } else { before };
        if happens {
            states.push(after.clone());
        }
        let left = After::of(image.as_ref(), after.as_ref());
        self.enter(id, image, left, (outcome, unverified));
        if happens {
            match &after {
                Some(_) => self.deleted.remove(&id),
                None => self.deleted.insert(id),
            };
            put(table, id, after);
        }
    }

    /// Gives each value that a write sets a number that nobody else writes.
    fn make_unique(&mut self, before: Option<&Item>, after: Option<&mut Item>) {
        let (Some(last), Some(after)) = (&mut self.unique, after) else { return };
        let is_new = |(name, value): &(&String, &AttributeValue)| {
            *name != "id" && before.and_then(|item| item.get(name)) != Some(*value)
        };
        let new: Vec<String> = after.iter().filter(is_new).map(|(name, _)| name.clone()).collect();
        for name in new {
            *last += 1;
            after.insert(name, (*last).into());
        }
    }

    /// An entry that was made ahead of a write, of an image that may be an old one; the write never
    /// came. It is restored, or in doubt where the guard ended before.
    fn foresee(&mut self, random: &mut Random, id: u64, image: Option<&Item>) {
        let Some(image) = image else { return };
        let mut after = random_write(random, id, Some(image));
        self.make_unique(Some(image), after.as_mut());
        let outcome = if random.below(2) == 0 { Outcome::Refused } else { Outcome::InDoubt };
        let left = After::of(Some(image), after.as_ref());
        self.enter(id, Some(image.clone()), left, (outcome, false));
    }

    fn enter(
        &mut self,
        id: u64,
        before: Option<Item>,
        after: After,
        (outcome, unverified): (Outcome, bool),
    ) {
        if !unverified && after.is_unchanged(before.as_ref()) {
            return;
        }
        self.record += 1;
        let entry = Entry {
            sequence: Sequence::new(1, self.record),
            table: "t".into(),
            key: key(id),
            before,
            after,
            unverified,
            transaction: None,
        };
        match self.merged.get_mut(&id) {
            Some(merged) => merged.add(&entry, outcome),
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
pub(super) fn carry_out(table: &mut Table, id: u64, request: &WriteRequest) {
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

/// Random histories of a run and others per test: some seconds. Of 20,000 with writes in doubt one
/// fails, in which the restored item happens to be what a write that never came would have left.
const HISTORIES: u64 = 600;

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
        // One write of each key, so that the oracle needs no memory.
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
        let in_doubt = run.merged.values().any(MergedEntry::is_in_doubt);
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

/// What others wrote: values that nobody else writes, by key and attribute, and the table as it
/// would be if only they had written.
struct Others {
    alone: Table,
    next: i64,
}

/// Random histories of one item with writes in doubt: some seconds. Of 40,000 six fail, in which an
/// entry that was made ahead of an old image explains just what a later write met or left.
const SEEDS_OF_DOUBTS: u64 = 2_500;

/// Values of others begin here; the run's and those of the start are below.
const OTHERS_FROM: i64 = 1_000;

impl Others {
    fn value(&mut self) -> AttributeValue {
        self.next += 1;
        self.next.into()
    }

    /// A write of others that only sets attributes: one, or all.
    fn set(&mut self, random: &mut Random, table: &mut Table, id: u64) {
        let all = random.below(4) == 0 || !table.contains_key(&id);
        let names = if all { 0..4 } else { random.below(4)..4 };
        for at in names.take(if all { 4 } else { 1 }) {
            let (name, value) = (format!("a{at}"), self.value());
            for table in [&mut *table, &mut self.alone] {
                table.entry(id).or_insert_with(|| key(id)).insert(name.clone(), value.clone());
            }
        }
    }

    /// Some write of others: of attributes, or of the whole item. `left_nothing` where the run has
    /// deleted the item: what others create there and delete again shows nowhere.
    fn write(&mut self, random: &mut Random, table: &mut Table, id: u64, left_nothing: bool) {
        let change = random.below(8);
        let mut values: Vec<(String, Option<AttributeValue>)> = Vec::new();
        match change {
            0 if !left_nothing => {
                table.remove(&id);
                self.alone.remove(&id);
                return;
            }
            // With all attributes: of one that is absent nobody knows who took it away.
            _ if change < 2 || !table.contains_key(&id) => {
                values.extend((0..4).map(|at| (format!("a{at}"), Some(self.value()))));
                table.insert(id, key(id));
                self.alone.insert(id, key(id));
            }
            _ => {
                let name = format!("a{}", random.below(4));
                let now = table.get(&id).and_then(|item| item.get(&name));
                let is_theirs = now.is_some_and(is_of_others);
                let removes = change == 2 && now.is_some() && !is_theirs;
                values.push((name, (!removes).then(|| self.value())));
            }
        }
        for table in [table, &mut self.alone] {
            let item = table.entry(id).or_insert_with(|| key(id));
            for (name, value) in &values {
                match value {
                    Some(value) => item.insert(name.clone(), value.clone()),
                    None => item.remove(name),
                };
            }
        }
    }
}

fn is_of_others(value: &AttributeValue) -> bool {
    matches!(value, AttributeValue::N(number)
        if number.to_string().parse::<i64>().is_ok_and(|number| number >= OTHERS_FROM))
}

/// One random history of writes of the run and of others, in any order.
fn history(random: &mut Random, in_doubt: bool) -> (Table, Run, Others) {
    let mut table = random_table(random);
    let mut others = Others { alone: table.clone(), next: OTHERS_FROM };
    let mut run = Run { only_written: !in_doubt, ..Run::default() };
    for _ in 0..random.below(16) {
        let id = random.below(KEYS);
        match random.below(5) {
            0 | 1 => {
                others.write(random, &mut table, id, run.deleted.contains(&id));
                run.states.remove(&id);
            }
            2 if in_doubt => run.foresee(random, id, others.alone.get(&id)),
            _ => run.write(random, &mut table, id),
        }
    }
    (table, run, others)
}

/// Whether each value of others that stands in a table still stands in the other.
fn check_nothing_is_lost(before: &Table, after: &Table, seed: u64) {
    for (id, item) in before {
        for (name, value) in item.iter().filter(|(_, value)| is_of_others(value)) {
            let now = after.get(id).and_then(|item| item.get(name));
            assert_eq!(now, Some(value), "seed {seed}: {name} of {id}, {before:?}");
        }
    }
}

#[test]
fn whatever_others_wrote_between_and_after_the_writes_of_a_run_is_neither_lost_nor_unlisted() {
    let mut kinds = BTreeSet::new();
    for seed in 1..HISTORIES {
        let (mut table, run, others) = history(&mut Random(seed), false);
        let (left, mut again) = (table.clone(), table.clone());
        let conflicts = run.restore(&mut table, OnConflict::Skip);
        check_nothing_is_lost(&left, &table, seed);
        for id in 0..KEYS {
            let (now, left) = (table.get(&id), left.get(&id));
            let listed = conflicts.iter().filter(|(of, _)| *of == id).map(|(_, what)| what);
            let mut whole = false;
            let mut attributes = BTreeSet::new();
            for conflict in listed {
                match conflict {
                    Conflict::AttributeChanged(name) => {
                        let value = |item: Option<&Item>| item.and_then(|it| it.get(name)).cloned();
                        assert_eq!(value(now), value(left), "seed {seed}: {name} of {id}");
                        attributes.insert(name);
                    }
                    other => {
                        kinds.insert(other.clone());
                        whole = true;
                    }
                }
            }
            let rest = |item: Option<&Item>| -> Option<Item> {
                let mut item = item?.clone();
                item.retain(|name, _| !attributes.contains(name));
                Some(item)
            };
            let alone = others.alone.get(&id);
            assert!(whole || rest(now) == rest(alone), "seed {seed}, {id}: {now:?} not {alone:?}");
        }
        let once = table.clone();
        assert_eq!(run.restore(&mut table, OnConflict::Skip), conflicts, "seed {seed}");
        assert_eq!(table, once, "seed {seed}: a second restore changes nothing");
        let overwritten = run.restore(&mut again, OnConflict::Overwrite);
        assert_eq!(overwritten, conflicts, "seed {seed}: it lists what it discards");
        let once = again.clone();
        // Listed again is only what the run itself discarded.
        let twice = run.restore(&mut again, OnConflict::Overwrite);
        assert!(twice.is_subset(&overwritten), "seed {seed}: {twice:?}");
        assert_eq!(again, once, "seed {seed}: overwriting twice changes nothing");
    }
    assert_eq!(kinds.len(), 3, "all kinds of conflicts came up: {kinds:?}");
}

#[test]
fn what_others_wrote_stands_after_a_restore_of_writes_in_doubt() {
    for seed in 1..HISTORIES {
        let (mut table, run, _) = history(&mut Random(seed), true);
        let left = table.clone();
        run.restore(&mut table, OnConflict::Skip);
        check_nothing_is_lost(&left, &table, seed);
        let once = table.clone();
        run.restore(&mut table, OnConflict::Skip);
        assert_eq!(table, once, "seed {seed}: a second restore changes nothing");
    }
}

#[test]
fn values_of_writes_in_doubt_go_back_or_are_listed_whatever_others_wrote_between() {
    for seed in 1..SEEDS_OF_DOUBTS {
        let random = &mut Random(seed);
        let mut table = random_table(random);
        let mut others = Others { alone: table.clone(), next: OTHERS_FROM };
        let mut run = Run { unique: Some(100), ..Run::default() };
        let (id, mut past) = (0, vec![table.get(&0).cloned()]);
        for _ in 0..=random.below(6) {
            match random.below(5) {
                0 | 1 => {
                    others.set(random, &mut table, id);
                    run.states.remove(&id);
                }
                2 => {
                    let bound = u64::try_from(past.len()).unwrap();
                    let old = &past[usize::try_from(random.below(bound)).unwrap()];
                    run.foresee(random, id, old.as_ref());
                }
                _ => run.write(random, &mut table, id),
            }
            past.push(table.get(&id).cloned());
        }
        let left = table.clone();
        let conflicts = run.restore(&mut table, OnConflict::Skip);
        check_nothing_is_lost(&left, &table, seed);
        let is_whole = |(_, what): &_| !matches!(what, Conflict::AttributeChanged(_));
        let rest = |table: &Table| -> Option<Item> {
            let mut item = table.get(&id)?.clone();
            let is_listed =
                |name: &String| conflicts.contains(&(id, Conflict::AttributeChanged(name.clone())));
            item.retain(|name, _| !is_listed(name));
            Some(item)
        };
        assert!(
            conflicts.iter().any(is_whole) || rest(&table) == rest(&others.alone),
            "seed {seed}: {table:?} not {:?}, was {left:?}, {conflicts:?}",
            others.alone
        );
    }
}
