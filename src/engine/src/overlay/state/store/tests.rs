//! The store is a map, wherever its parts are; random operations are compared with a plain map.

use super::*;
use crate::overlay::state::kept_disk;

const KIB: usize = 1024;

fn room(folder: &std::path::Path, memory_bytes_max: usize) -> Room {
    Room { folder: folder.to_owned(), memory_bytes_max, ..Room::default() }
}

#[test]
fn ranges_are_walked_both_ways_and_may_be_empty() {
    let mut store = Store::new(Room::default());
    for key in ["a", "b", "c"] {
        store.put(key.into(), Vec::new()).unwrap();
    }
    let first = |from, to, direction| store.first(from, to, direction).unwrap().map(|pair| pair.0);
    let (a, c): (&[u8], &[u8]) = (b"a", b"c");
    assert_eq!(
        first(Bound::Excluded(a), Bound::Unbounded, Direction::Forward),
        Some(b"b".to_vec())
    );
    assert_eq!(
        first(Bound::Included(a), Bound::Excluded(c), Direction::Backward),
        Some(b"b".to_vec())
    );
    assert_eq!(first(Bound::Excluded(c), Bound::Excluded(c), Direction::Forward), None);
    assert_eq!(first(Bound::Included(c), Bound::Included(a), Direction::Forward), None);
    assert!(store.disk.is_none(), "so little stays in memory");
}

/// Numbers that differ from seed to seed, and are the same for one.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn key(&mut self) -> Vec<u8> {
        format!("key-{:03}", self.below(500)).into_bytes()
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.below(4) {
            0 => Bound::Unbounded,
            1 => Bound::Excluded(self.key()),
            _ => Bound::Included(self.key()),
        }
    }
}

/// Removes a range of both.
fn clear(store: &mut Store, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, one: Vec<u8>, other: Vec<u8>) {
    let (from, end) = if one < other { (one, other) } else { (other, one) };
    model.retain(|key, _| *key < from || *key >= end);
    store.clear(from, end).unwrap();
}

/// The first key of a random range is the model's.
fn check_first(
    store: &Store,
    model: &BTreeMap<Vec<u8>, Vec<u8>>,
    numbers: &mut Numbers,
    direction: Direction,
) {
    let state = numbers.0;
    let (from, to) = (numbers.bound(), numbers.bound());
    let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
    let mut expected: Vec<_> =
        if is_empty(from, to) { Vec::new() } else { model.range::<[u8], _>((from, to)).collect() };
    if direction == Direction::Backward {
        expected.reverse();
    }
    let expected = expected.first().map(|(k, v)| ((*k).clone(), (*v).clone()));
    let found = store.first(from, to, direction).unwrap();
    assert_eq!(found, expected, "numbers {state} {direction:?}");
}

/// All of a store, read in parts.
fn all(store: &Store) -> Vec<Pair> {
    let mut walked: Vec<Pair> = Vec::new();
    loop {
        let from = walked.last().map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(&key[..]));
        let part = store.beginning(from, Bound::Unbounded, 3 * KIB).unwrap();
        if part.is_empty() {
            return walked;
        }
        walked.extend(part);
    }
}

/// Random operations on a store that moves to the disk all the time, and on a plain map.
fn check(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::new(room(folder.path(), 16 * KIB));
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut numbers = Numbers(seed);
    for step in 0..4_000 {
        let key = numbers.key();
        match numbers.below(10) {
            0..4 => {
                let length = usize::try_from(numbers.below(700)).unwrap();
                let value = vec![u8::try_from(step % 251).unwrap(); length];
                store.put(key.clone(), value.clone()).unwrap();
                model.insert(key, value);
            }
            4..6 => {
                store.remove(&key).unwrap();
                model.remove(&key);
            }
            6 => assert_eq!(store.get(&key).unwrap(), model.get(&key).cloned(), "seed {seed}"),
            7 if step % 50 == 0 => clear(&mut store, &mut model, key, numbers.key()),
            _ => {
                let direction =
                    if step % 2 == 0 { Direction::Forward } else { Direction::Backward };
                check_first(&store, &model, &mut numbers, direction);
            }
        }
        assert!(store.memory_bytes <= 16 * KIB, "seed {seed}");
    }
    assert!(all(&store).into_iter().eq(model), "seed {seed}");
    let counted: usize =
        store.memory.iter().map(|(key, value)| entry_bytes(key, value.as_deref())).sum();
    assert_eq!(store.memory_bytes, counted, "seed {seed}");
    assert!(store.disk.is_some());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
}

#[test]
fn a_store_that_is_mostly_on_disk_is_the_same_map() {
    for seed in 1..=8 {
        check(seed);
    }
}

#[test]
fn a_walk_over_memory_and_disk_sees_each_key_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::new(room(folder.path(), 4 * KIB));
    for number in 0..1_000_u32 {
        let scattered = number.wrapping_mul(2_654_435_761);
        store.put(scattered.to_be_bytes().to_vec(), number.to_be_bytes().to_vec()).unwrap();
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        loop {
            let last = seen.last().map(Vec::as_slice);
            let last = last.map_or(Bound::Unbounded, Bound::Excluded);
            let (from, to) = match direction {
                Direction::Forward => (last, Bound::Unbounded),
                Direction::Backward => (Bound::Unbounded, last),
            };
            let Some((key, _)) = store.first(from, to, direction).unwrap() else { break };
            seen.push(key);
        }
        if direction == Direction::Backward {
            seen.reverse();
        }
        assert_eq!(seen.len(), 1_000);
        assert!(seen.is_sorted());
    }
}

#[test]
fn when_the_disk_is_full_nothing_is_answered_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut store =
        Store::new(Room { disk_bytes_max: 4 * 1024 * 1024, ..room(folder.path(), 64 * KIB) });
    // What cannot be compressed, so that it fills the file.
    let mut numbers = Numbers(7);
    let mut value = || (0..8 * KIB).map(|_| numbers.below(256).try_into().unwrap()).collect();
    let failed = (0..10_000_u32).find(|number| {
        let put = store.put(number.to_be_bytes().to_vec(), value());
        put.is_err()
    });
    assert!(failed.is_some_and(|number| number > 8), "{failed:?}");
    let error = store.get(&0_u32.to_be_bytes()).unwrap_err();
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap();
    assert!(cause.to_string().contains("may use 4194304 bytes of disk"), "{cause}");
    assert!(store.first(Bound::Unbounded, Bound::Unbounded, Direction::Forward).is_err());
    assert!(store.put(vec![1], vec![1]).is_err());
    assert!(store.failure().is_some());
}

#[test]
fn without_a_folder_to_write_to_it_is_lost_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::new(room(&folder.path().join("missing"), KIB));
    assert!(store.put(vec![1], vec![0; KIB]).is_err());
    assert!(store.remove(&[1]).is_ok() || store.failure().is_some());
    assert!(store.get(&[1]).is_err());
}

fn open(folder: &std::path::Path) -> (Store, kept_disk::Writer) {
    let (disk, writer) = kept_disk::open(folder).unwrap();
    (Store::kept(disk).unwrap(), writer)
}

/// Random operations on a store that outlives its process, with batches that are on their way to
/// the disk for a while, and with kills.
fn check_kept(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = Some(open(folder.path()));
    let (mut model, mut on_disk) = (BTreeMap::new(), BTreeMap::new());
    let mut under_way = None;
    let mut numbers = Numbers(seed);
    for step in 0..3_000_u32 {
        let (store, writer) = opened.as_mut().unwrap();
        let key = numbers.key();
        match numbers.below(12) {
            0..4 => {
                let value = step.to_be_bytes().to_vec();
                store.put(key.clone(), value.clone()).unwrap();
                model.insert(key, value);
            }
            4 => {
                store.remove(&key).unwrap();
                model.remove(&key);
            }
            5 if step % 4 == 0 => clear(store, &mut model, key, numbers.key()),
            6 => {
                assert_eq!(store.get(&key).unwrap(), model.get(&key).cloned(), "seed {seed}");
                assert_eq!(store.contains(&key).unwrap(), model.contains_key(&key), "seed {seed}");
            }
            7 if under_way.is_none() => {
                let batch = store.batch();
                writer.write(&batch).unwrap();
                on_disk.clone_from(&model);
                under_way = Some(batch);
            }
            8 => {
                if let Some(batch) = under_way.take() {
                    store.saved(&batch, Ok(())).unwrap();
                }
            }
            9 if step % 16 == 0 => {
                under_way = None;
                drop(opened.take());
                opened = Some(open(folder.path()));
                model.clone_from(&on_disk);
            }
            10 if step % 8 == 0 => {
                assert!(all(store).into_iter().eq(model.clone()), "seed {seed} step {step}");
            }
            _ => {
                let direction =
                    if step % 2 == 0 { Direction::Forward } else { Direction::Backward };
                check_first(store, &model, &mut numbers, direction);
            }
        }
    }
}

#[test]
fn a_store_that_outlives_its_process_is_the_same_map_as_far_as_it_is_saved() {
    for seed in 1..=4 {
        check_kept(seed);
    }
}

#[test]
fn a_range_is_removed_without_memory_for_each_of_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, writer) = open(folder.path());
    for number in 0..10_000_u32 {
        store.put(number.to_be_bytes().to_vec(), vec![7; 100]).unwrap();
    }
    let batch = store.batch();
    store.saved(&batch, writer.write(&batch)).unwrap();
    let key = |number: u32| number.to_be_bytes().to_vec();
    store.put(key(5), vec![8]).unwrap();
    store.clear(key(1), key(9_999)).unwrap();
    store.put(key(7), vec![9]).unwrap();
    let batch = store.batch();
    assert_eq!(batch.pairs, [(key(7), Some(vec![9]))], "only what came after it");
    assert_eq!((store.memory.len(), batch.cleared.len()), (1, 1));
    let left = [(key(0), vec![7; 100]), (key(7), vec![9]), (key(9_999), vec![7; 100])];
    assert_eq!(all(&store), left);
    store.saved(&batch, writer.write(&batch)).unwrap();
    assert_eq!(all(&store), left);
    drop((store, writer));
    assert_eq!(all(&open(folder.path()).0), left);
}
