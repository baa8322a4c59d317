//! The checkpoint of a run under way: positions and counts that always belong together. An item is
//! counted when the page that it came with is done.

use std::collections::HashSet;

use dm_engine::Usage;
use parking_lot::Mutex;
use serde_json::Value;

use crate::checkpoint::{Checkpoint, Counts};
use crate::limits::FAILED_KEYS_MAX;
use crate::tally::Happened;

/// What became of the items of one page, until it is done.
#[derive(Debug, Default)]
pub(crate) struct PageCounts(Mutex<Page>);

#[derive(Debug, Default)]
struct Page {
    counts: Counts,
    /// Keys of the items that failed or wait; of some it is not known.
    failed: Vec<Option<Value>>,
}

impl PageCounts {
    /// Counts one item. `key` is asked for where it failed.
    pub fn happened(&self, what: &Happened, key: impl FnOnce() -> Option<Value>) {
        let mut page = self.0.lock();
        match what {
            Happened::Failed(_) | Happened::Waits => page.failed.push(key()),
            other => count(&mut page.counts, other),
        }
    }

    /// Whether an item of it was changed, or failed: what is not to be repeated.
    pub fn has_results(&self) -> bool {
        let page = self.0.lock();
        page.counts.changed > 0 || !page.failed.is_empty()
    }
}

fn count(counts: &mut Counts, what: &Happened) {
    match what {
        Happened::Skipped => counts.skipped += 1,
        Happened::Unchanged => counts.unchanged += 1,
        Happened::Changed => counts.changed += 1,
        Happened::Moved => {
            counts.changed += 1;
            counts.gone += 1;
        }
        Happened::Failed(_) | Happened::Waits => {}
    }
}

/// The checkpoint of a run under way.
#[derive(Debug)]
pub(crate) struct Position(Mutex<Reached>);

#[derive(Debug)]
struct Reached {
    checkpoint: Checkpoint,
    /// Counts the changes of the checkpoint.
    version: u64,
    /// The version that was looked at last.
    looked: u64,
    /// Keys of items that are listed as failed and no longer are. They are taken out together,
    /// because each of up to [`FAILED_KEYS_MAX`] would be looked for among all others.
    settled: HashSet<Value>,
}

impl Reached {
    fn change(&mut self, work: impl FnOnce(&mut Checkpoint)) {
        self.version += 1;
        work(&mut self.checkpoint);
    }

    fn settle(&mut self) {
        if !self.settled.is_empty() {
            let settled = std::mem::take(&mut self.settled);
            self.checkpoint.failed.keys.retain(|key| !settled.contains(key));
        }
    }
}

impl Position {
    /// Begins where the run begins, or where an earlier guard was. The first checkpoint is always
    /// written.
    pub fn at(checkpoint: Checkpoint) -> Self {
        let settled = HashSet::new();
        Self(Mutex::new(Reached { checkpoint, version: 1, looked: 0, settled }))
    }

    /// Everything up to this key is done; without a key, the whole segment. `page` is what became
    /// of the items since the position before.
    pub fn reached(&self, segment: u32, key: Option<&Value>, page: &PageCounts) {
        let page = std::mem::take(&mut *page.0.lock());
        let mut reached = self.0.lock();
        if !page.failed.is_empty() {
            reached.settle();
        }
        reached.change(|checkpoint| {
            if let Some(key) = key {
                checkpoint.positions.insert(segment, key.clone());
            } else {
                checkpoint.positions.remove(&segment);
                checkpoint.done.insert(segment);
            }
            checkpoint.counts.get_or_insert_default().add(&page.counts);
            for key in page.failed {
                match key {
                    Some(key) if checkpoint.failed.keys.len() < FAILED_KEYS_MAX => {
                        checkpoint.failed.keys.push(key);
                    }
                    _ => checkpoint.failed.more = true,
                }
            }
        });
    }

    /// Notes what became of an item that had failed and was visited again.
    pub fn revisited(&self, key: Option<Value>, what: &Happened) {
        if matches!(what, Happened::Failed(_) | Happened::Waits) {
            return;
        }
        let mut reached = self.0.lock();
        reached.settled.extend(key);
        reached.change(|checkpoint| count(checkpoint.counts.get_or_insert_default(), what));
    }

    /// Notes that an item that had failed is no longer there. Returns whether it counts: a run that
    /// retries another one counts only what it finds.
    pub fn is_gone(&self, key: &Value) -> bool {
        let mut reached = self.0.lock();
        reached.settled.insert(key.clone());
        let counts = reached.checkpoint.retried_run.is_none();
        reached.change(|checkpoint| {
            checkpoint.counts.get_or_insert_default().skipped += u64::from(counts);
        });
        counts
    }

    /// Notes items that changed, are no longer there, and were not met.
    pub fn were_gone(&self, items: u64) {
        let counts = Counts { changed: items, gone: items, ..Counts::default() };
        self.0.lock().change(|checkpoint| checkpoint.counts.get_or_insert_default().add(&counts));
    }

    pub fn now(&self) -> Checkpoint {
        let mut reached = self.0.lock();
        reached.settle();
        reached.checkpoint.clone()
    }

    /// Returns the number of the checkpoint's last change, and how many failed items it lists.
    pub fn version(&self) -> (u64, usize) {
        let reached = self.0.lock();
        (reached.version, reached.checkpoint.failed.keys.len())
    }

    /// Returns the checkpoint with its version, unless that is the one of the last call and `ended`
    /// is false. `ended` is whether it is the last one of this guard.
    pub fn look(&self, usage: Usage, ended: bool) -> Option<(Checkpoint, u64)> {
        let mut reached = self.0.lock();
        if reached.looked == reached.version && !ended {
            return None;
        }
        reached.settle();
        reached.looked = reached.version;
        let guards = &mut reached.checkpoint.guards;
        (guards.usage, guards.ended) = (usage, ended);
        Some((reached.checkpoint.clone(), reached.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Subject;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    fn begun() -> Position {
        let subject = Subject { transform: "d".into(), table: Some("t".into()) };
        Position::at(Checkpoint::new(4, 7, subject))
    }

    fn look(position: &Position) -> Option<Checkpoint> {
        position.look(Usage::default(), false).map(|(checkpoint, _)| checkpoint)
    }

    #[test]
    fn a_position_and_the_counts_of_its_items_change_together() {
        let position = begun();
        let first = look(&position).expect("what now() gives is to be kept");
        assert_eq!(first.counts, None);
        assert_eq!(look(&position), None);
        let (one, other) = (PageCounts::default(), PageCounts::default());
        for what in [Happened::Skipped, Happened::Unchanged, Happened::Changed, Happened::Moved] {
            one.happened(&what, || None);
        }
        other.happened(&Happened::Failed("why".into()), || Some(json!({"id": {"S": "b"}})));
        assert_eq!(look(&position), None, "no page is done");
        position.reached(1, Some(&json!({"id": {"S": "a"}})), &one);
        position.reached(2, None, &other);
        let written = serde_json::to_value(look(&position).unwrap()).unwrap();
        assert_eq!(written["done"], json!([2]));
        assert_eq!(written["positions"], json!({"1": {"id": {"S": "a"}}}));
        assert_eq!(
            written["counts"],
            json!({"table": "", "skipped": 1, "unchanged": 1, "changed": 2, "gone": 1})
        );
        assert_eq!(written["failed"], json!({"keys": [{"id": {"S": "b"}}], "more": false}));
        assert_eq!(look(&position), None);
        position.reached(1, None, &PageCounts::default());
        let now = position.now();
        assert_eq!((now.done, now.positions), (BTreeSet::from([1, 2]), BTreeMap::new()));
        assert_eq!(serde_json::from_value::<Checkpoint>(written).unwrap().now_s, 7);
    }

    #[test]
    fn an_item_that_failed_is_listed_until_it_is_right() {
        let position = begun();
        let key = |id: &str| json!({"id": {"S": id}});
        let page = PageCounts::default();
        for id in ["a", "b", "c"] {
            page.happened(&Happened::Failed("why".into()), || Some(key(id)));
        }
        position.reached(0, None, &page);
        position.revisited(Some(key("a")), &Happened::Changed);
        position.revisited(Some(key("b")), &Happened::Failed("why".into()));
        position.is_gone(&key("c"));
        let now = position.now();
        assert_eq!(now.failed.keys, [key("b")]);
        let counts = now.counts.unwrap();
        assert_eq!((counts.changed, counts.skipped, counts.read()), (1, 1, 2));
    }

    #[test]
    fn too_many_failed_items_are_said_to_be_more() {
        let position = begun();
        let page = PageCounts::default();
        for number in 0..=FAILED_KEYS_MAX {
            page.happened(&Happened::Failed("why".into()), || Some(json!({"id": number})));
        }
        position.reached(0, None, &page);
        let failed = position.now().failed;
        assert_eq!((failed.keys.len(), failed.more), (FAILED_KEYS_MAX, true));
    }
}
