//! The store is a map, wherever its parts are; random operations are compared with a plain map.

use super::*;

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
            _ => {
                let (from, to) = (numbers.bound(), numbers.bound());
                let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
                let mut expected: Vec<_> = if is_empty(from, to) {
                    Vec::new()
                } else {
                    model.range::<[u8], _>((from, to)).collect()
                };
                let direction =
                    if step % 2 == 0 { Direction::Forward } else { Direction::Backward };
                if direction == Direction::Backward {
                    expected.reverse();
                }
                let expected = expected.first().map(|(k, v)| ((*k).clone(), (*v).clone()));
                let found = store.first(from, to, direction).unwrap();
                assert_eq!(found, expected, "seed {seed} step {step} {direction:?}");
            }
        }
        assert!(store.memory_bytes <= 16 * KIB, "seed {seed}");
    }
    let mut walked: Vec<Pair> = Vec::new();
    loop {
        let from = walked.last().map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(&key[..]));
        let part = store.beginning(from, Bound::Unbounded, 3 * KIB).unwrap();
        if part.is_empty() {
            break;
        }
        walked.extend(part);
    }
    assert!(walked.into_iter().eq(model), "seed {seed}");
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
