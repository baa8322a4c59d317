//! A second pass, what others change, and examples: on a state without requests.

use super::*;
use dm_dynamodb::schema::TableSchema;
use serde_json::json;

fn table() -> Table {
    let described = json!({"Table": {
        "TableName": "cars",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "N"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-n", "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }],
    }});
    let schema = TableSchema::from_json(&described).unwrap();
    Table {
        schema,
        number: 0,
        shape: 0,
        upstream: true,
        unbuilt: std::collections::BTreeSet::new(),
        awaited: true.into(),
    }
}

/// An item with a number, or none.
fn item(id: i64, n: Option<i64>) -> Option<Item> {
    let n = n?;
    Some(Item::from([("id".to_owned(), id.into()), ("n".to_owned(), n.into())]))
}

struct Bed {
    table: Table,
    state: State,
}

impl Bed {
    fn new() -> Self {
        Self { table: table(), state: State::new(Room::default()) }
    }

    fn key(&self, id: i64) -> ItemKey {
        ItemKey::of(&self.table.schema.keys, &item(id, Some(0)).unwrap()).unwrap()
    }

    /// As the overlay looks at an item before it is written.
    fn look_at(&mut self, id: i64, n: Option<i64>) {
        let key = self.key(id);
        self.state.put(&self.table, &key, None, &Entry::unchanged(item(id, n))).unwrap();
    }

    fn write(&mut self, id: i64, n: Option<i64>) {
        let key = self.key(id);
        let entry = self.entry(id);
        let after = entry.written_as(item(id, n));
        self.state.put(&self.table, &key, Some(&entry), &after).unwrap();
    }

    /// The keys and numbers of the insertions in the table, or in its index.
    fn insertions(&self, index: Option<usize>) -> Vec<(i64, u64)> {
        let view = View { table: &self.table, index };
        let (mut found, mut from) = (Vec::new(), From::Start);
        let next =
            |from: &From| self.state.next_insertion(view, None, from, Direction::Forward).unwrap();
        while let Some((place, item, number)) = next(&from) {
            let id = (0..100).find(|id| item["id"] == (*id).into()).unwrap();
            found.push((id, number));
            from = From::Behind(place);
        }
        found
    }

    fn entry(&self, id: i64) -> Entry {
        self.state.entry(&self.table, &self.key(id)).unwrap().unwrap_or_default()
    }

    /// Items that the second pass changed again.
    fn again(&self) -> u64 {
        let pass = self.state.second_pass().unwrap();
        assert_eq!(pass.idempotent, pass.tables.is_empty());
        pass.tables.iter().map(|table| table.items).sum()
    }
}

#[test]
fn a_second_pass_is_counted_apart_and_leaves_the_first_as_it_was() {
    let mut bed = Bed::new();
    bed.look_at(1, Some(1));
    bed.write(1, Some(2));
    bed.look_at(2, None);
    bed.write(2, Some(2));
    assert_eq!(bed.state.second_pass(), None);
    let first = bed.state.effects();

    bed.state.begin_second_pass();
    assert_eq!(bed.again(), 0);
    bed.write(1, Some(2));
    assert_eq!(bed.again(), 0, "the same again is no change");
    bed.write(1, Some(3));
    assert_eq!(bed.again(), 1);
    bed.write(2, None);
    assert_eq!(bed.again(), 2, "gone again");
    assert_eq!(bed.state.effects(), first);
    let outcomes = [1, 2].map(|id| bed.entry(id).outcome().cloned());
    assert_eq!(outcomes, [item(1, Some(2)), item(2, Some(2))]);

    bed.write(1, Some(2));
    bed.write(2, Some(2));
    assert_eq!(bed.again(), 0, "what was restored is as the first pass left it");
}

#[test]
fn an_item_that_only_the_second_pass_met_is_as_the_database_has_it() {
    let mut bed = Bed::new();
    bed.state.begin_second_pass();
    bed.look_at(1, Some(1));
    assert_eq!(bed.again(), 0, "to look at it is no change");
    bed.write(1, Some(1));
    assert_eq!(bed.again(), 0);
    bed.write(1, Some(5));
    bed.look_at(2, None);
    bed.write(2, Some(5));
    assert_eq!(bed.again(), 2);
    assert!(
        [1, 2].iter().all(|id| bed.entry(*id).change().is_none()),
        "the first pass changed neither"
    );
    assert!(bed.state.effects().iter().all(|table| table.created + table.updated == 0));
}

#[test]
fn what_others_changed_is_counted_once() {
    let mut bed = Bed::new();
    bed.look_at(1, Some(1));
    bed.write(1, Some(2));
    for _ in 0..2 {
        let (key, entry) = (bed.key(1), bed.entry(1));
        bed.state.changed_underneath(&bed.table, &key, &entry).unwrap();
    }
    assert_eq!(bed.state.count_changed_underneath(), 1);
    bed.write(1, Some(3));
    assert!(bed.entry(1).changed_underneath, "a write does not forget it");
}

#[test]
fn examples_are_the_first_items_that_stay_changed() {
    let mut bed = Bed::new();
    for id in 1..=5 {
        bed.look_at(id, Some(0));
        bed.write(id, Some(1));
    }
    bed.write(2, Some(0));
    bed.write(5, Some(7));
    let sampled = bed.state.sampled().unwrap();
    let sampled: Vec<_> = sampled.into_iter().map(|named| named.entry.now).collect();
    assert_eq!(sampled, [item(1, Some(1)), item(3, Some(1)), item(5, Some(7))]);
}

#[test]
fn an_item_that_others_moved_is_an_insertion_in_the_index_and_not_in_the_table() {
    let mut bed = Bed::new();
    bed.look_at(1, Some(1));
    assert_eq!(bed.insertions(Some(0)), []);
    for _ in 0..2 {
        let (key, entry) = (bed.key(1), bed.entry(1));
        bed.state.displace(&bed.table, &key, &entry).unwrap();
    }
    assert_eq!(bed.state.count_changed_underneath(), 1);
    assert_eq!((bed.insertions(None), bed.insertions(Some(0))), (vec![], vec![(1, 0)]));
    let view = View { table: &bed.table, index: Some(0) };
    assert!(!view.is_in_place(&bed.entry(1)));
    bed.write(1, Some(2));
    bed.write(1, Some(1));
    assert_eq!(bed.insertions(Some(0)), [(1, 1)], "written again at its first place");
    bed.write(1, None);
    assert_eq!(bed.insertions(Some(0)), []);
}

#[test]
fn a_second_pass_that_deletes_a_table_leaves_what_the_first_pass_would_change() {
    let mut bed = Bed::new();
    bed.look_at(1, None);
    bed.write(1, Some(1));
    let first = bed.state.effects();
    bed.state.begin_second_pass();
    bed.write(1, Some(2));
    assert_eq!(bed.again(), 1);
    bed.state.drop_table(&bed.table).unwrap();
    assert_eq!(bed.again(), 0, "the table is gone, and its items with it");
    assert_eq!(bed.state.effects(), first);
    let difference = bed.state.entries_behind(None, usize::MAX).unwrap();
    let outcomes: Vec<_> = difference.iter().map(|named| named.entry.outcome().cloned()).collect();
    assert_eq!(outcomes, [item(1, Some(1))]);
    assert_eq!(bed.state.sampled().unwrap().len(), 1);
}

#[test]
fn a_second_pass_that_deletes_the_table_that_it_made_changes_nothing() {
    let again = |made: &[&str]| {
        let mut bed = Bed::new();
        bed.state.begin_second_pass();
        for step in made {
            match *step {
                "create" => bed.state.table_created("t"),
                "change" => bed.state.table_changed("t"),
                _ => bed.state.table_deleted("t"),
            }
        }
        !bed.state.second_pass().unwrap().idempotent
    };
    assert!(again(&["create"]));
    assert!(!again(&["create", "change", "delete"]));
    assert!(again(&["delete"]));
    assert!(again(&["delete", "create"]), "the items were deleted");
    assert!(again(&["delete", "create", "delete"]));
}

#[test]
fn a_table_whose_items_are_on_disk_is_deleted_in_steps_that_do_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let room =
        Room { folder: folder.path().to_owned(), memory_bytes_max: 1 << 20, ..Room::default() };
    let mut bed = Bed { table: table(), state: State::new(room) };
    bed.table.upstream = false;
    for id in 0..10_000 {
        bed.write(id, Some(1));
    }
    let started = std::time::Instant::now();
    bed.state.drop_table(&bed.table).unwrap();
    let took = started.elapsed();
    assert!(!bed.state.touches(&bed.table).unwrap());
    // Some seconds on a slow machine; minutes if each step met all the steps before it.
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
}

#[test]
fn segments_of_twice_as_many_are_halves_of_segments() {
    let bed = Bed::new();
    let mut of_each = [0; 4];
    for id in 0..100 {
        let key = bed.key(id);
        let place = Place::new(&key, &key);
        assert_eq!(place.segment(1), 0);
        assert_eq!(place.segment(4), place.segment(8) / 2, "{id}");
        of_each[place.segment(4) as usize] += 1;
    }
    assert!(of_each.iter().all(|items| *items > 5), "{of_each:?}");
}
