//! What a run has done so far, in counts: the guard's result. Names of tables and attributes only,
//! never keys or values.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;
use dm_contract::report::{ErrorCount, Fidelity, OperationCount, Remark, TableChange, TableEffect};
use parking_lot::Mutex;

use crate::layers::rates::Used;
use crate::operation::Operation;

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    counts: Mutex<Counts>,
}

/// Counts that belong together.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Items returned by reads, before filters.
    pub items_read: u64,
    /// Items of the database that were read on the way and not returned.
    items_hidden: u64,
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    pub tables: BTreeMap<String, TableEffect>,
    /// Items in each table, as its description has it.
    pub table_items: BTreeMap<String, u64>,
    /// What was not answered exactly.
    remarks: BTreeMap<(String, Fidelity, String), u64>,
    /// Calls that were answered, and those of them only approximately; and calls rejected.
    operations: BTreeMap<String, [u64; 3]>,
    /// Calls that were answered with an error, by operation and error.
    errors: BTreeMap<(String, String), u64>,
    /// How often write units were used: in a dry run once for each item that a call writes.
    pub writes: u64,
    /// Tables, remarks and errors that were one too many.
    pub dropped: u32,
}

/// Places in an operation's counts.
const ANSWERED: usize = 0;
const APPROXIMATE: usize = 1;
const REFUSED: usize = 2;

/// A kind of writing request, for counts of an applied run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// PutItem and the like.
    Put,
    /// UpdateItem and the like.
    Update,
    /// DeleteItem and the like.
    Delete,
}

impl Tally {
    /// One more request of the program.
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A call was answered.
    pub fn answered(&self, operation: &str) {
        self.counts.lock().count(operation, ANSWERED);
    }

    /// A call was answered with this error.
    pub fn error(&self, operation: &str, error: &str) {
        let key = (operation.to_owned(), error.to_owned());
        let mut counts = self.counts.lock();
        if counts.errors.len() >= limits::ERRORS_MAX && !counts.errors.contains_key(&key) {
            counts.dropped = counts.dropped.saturating_add(1);
            return;
        }
        *counts.errors.entry(key).or_default() += 1;
    }

    /// A call was not answered exactly.
    pub fn remark(&self, operation: &str, fidelity: Fidelity, why: &str) {
        let place = match fidelity {
            Fidelity::Approximate => APPROXIMATE,
            Fidelity::Refused => REFUSED,
        };
        let mut counts = self.counts.lock();
        counts.count(operation, place);
        counts.remark(operation, fidelity, why);
    }

    /// Notes statements that are not understood: they may be wrong or not, and the database cannot
    /// be asked, because they may write. They are answered as wrong.
    pub fn unknown_statements(&self, operation: Operation) {
        let why = "a statement is answered as wrong that the guard does not understand";
        self.remark(operation.name(), Fidelity::Approximate, why);
    }

    /// One call was answered approximately, for each of these reasons; exactly if there are none.
    pub fn approximate<'a>(&self, operation: &str, reasons: impl IntoIterator<Item = &'a str>) {
        let mut reasons = reasons.into_iter().peekable();
        if reasons.peek().is_none() {
            return;
        }
        let mut counts = self.counts.lock();
        counts.count(operation, APPROXIMATE);
        for why in reasons {
            counts.remark(operation, Fidelity::Approximate, why);
        }
    }

    /// Reads returned items of a table.
    pub fn items_read(&self, table: &str, items: u64) {
        let mut counts = self.counts.lock();
        counts.items_read += items;
        counts.table(table, |effect| effect.items_read += items);
    }

    /// Reads of the database returned items that the program does not see: it has deleted or moved
    /// them. They count towards the run's rate only.
    pub fn items_hidden(&self, items: u64) {
        self.counts.lock().items_hidden += items;
    }

    /// A table's description says how many items it has.
    pub fn item_count(&self, table: &str, items: u64) {
        let mut counts = self.counts.lock();
        if counts.table_items.len() < limits::TABLES_COUNTED_MAX {
            counts.table_items.insert(table.to_owned(), items);
        }
    }

    /// What has been used so far; throttles are not counted here.
    pub fn used(&self) -> Used {
        let counts = self.counts.lock();
        Used {
            items_read: counts.items_read + counts.items_hidden,
            read_units: counts.read_units,
            write_units: counts.write_units,
            ..Used::default()
        }
    }

    /// A table's items were written, by requests of this kind.
    pub fn written(&self, table: &str, kind: WriteKind, items: u64) {
        self.counts.lock().table(table, |effect| match kind {
            WriteKind::Put => effect.created += items,
            WriteKind::Update => effect.updated += items,
            WriteKind::Delete => effect.deleted += items,
        });
    }

    /// A table itself was changed.
    pub fn table_changed(&self, table: &str, change: TableChange) {
        self.counts
            .lock()
            .table(table, |effect| effect.change = TableChange::then(effect.change, change));
    }

    /// Read units were used.
    pub fn read_units(&self, units: f64) {
        self.counts.lock().read_units += units;
    }

    /// Write units were used.
    pub fn write_units(&self, units: f64) {
        let mut counts = self.counts.lock();
        counts.write_units += units;
        counts.writes += 1;
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }
}

impl Counts {
    fn table(&mut self, name: &str, change: impl FnOnce(&mut TableEffect)) {
        if let Some(effect) = self.tables.get_mut(name) {
            return change(effect);
        }
        if self.tables.len() >= limits::TABLES_COUNTED_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let mut effect = TableEffect { name: name.to_owned(), ..TableEffect::default() };
        change(&mut effect);
        self.tables.insert(name.to_owned(), effect);
    }

    fn remark(&mut self, operation: &str, fidelity: Fidelity, why: &str) {
        let key = (operation.to_owned(), fidelity, why.to_owned());
        if self.remarks.len() >= limits::REMARKS_MAX && !self.remarks.contains_key(&key) {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        *self.remarks.entry(key).or_default() += 1;
    }

    fn count(&mut self, operation: &str, place: usize) {
        if let Some(counts) = self.operations.get_mut(operation) {
            counts[place] += 1;
        } else if self.operations.len() < limits::OPERATIONS_COUNTED_MAX {
            self.operations.entry(operation.to_owned()).or_default()[place] = 1;
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// How each operation's calls were answered, in order of their names.
    pub fn operations(&self) -> Vec<OperationCount> {
        let count = |(operation, counts): (&String, &[u64; 3])| OperationCount {
            operation: operation.clone(),
            exact: counts[ANSWERED].saturating_sub(counts[APPROXIMATE]),
            approximate: counts[APPROXIMATE],
            refused: counts[REFUSED],
        };
        self.operations.iter().map(count).collect()
    }

    /// The errors, in order of operation.
    pub fn errors(&self) -> Vec<ErrorCount> {
        let error = |((operation, error), count): (&(String, String), &u64)| ErrorCount {
            operation: operation.clone(),
            error: error.clone(),
            count: *count,
        };
        self.errors.iter().map(error).collect()
    }

    /// The remarks, in order of operation.
    pub fn remarks(&self) -> Vec<Remark> {
        let remark =
            |((operation, fidelity, why), count): (&(String, Fidelity, String), &u64)| Remark {
                operation: operation.clone(),
                fidelity: *fidelity,
                why: why.clone(),
                count: *count,
            };
        self.remarks.iter().map(remark).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_remarks_are_one_with_a_count_and_their_number_is_bounded() {
        let tally = Tally::default();
        for _ in 0..3 {
            tally.remark("Scan", Fidelity::Refused, "because");
        }
        for i in 0..limits::REMARKS_MAX {
            tally.remark("Query", Fidelity::Refused, &i.to_string());
        }
        let counts = tally.counts();
        assert_eq!(counts.remarks().len(), limits::REMARKS_MAX);
        assert_eq!(counts.remarks().last().map(|remark| remark.count), Some(3));
        assert_eq!(counts.dropped, 1);
    }

    #[test]
    fn errors_are_counted_by_operation_and_name_and_their_number_is_bounded() {
        let tally = Tally::default();
        for (operation, error) in [("UpdateItem", "A"), ("UpdateItem", "B"), ("UpdateItem", "A")] {
            tally.error(operation, error);
        }
        let counted = |counts: &Counts| {
            let each = counts.errors().into_iter();
            each.map(|one| (one.operation, one.error, one.count)).collect::<Vec<_>>()
        };
        let update = |error: &str, count| ("UpdateItem".to_owned(), error.to_owned(), count);
        assert_eq!(counted(&tally.counts()), [update("A", 2), update("B", 1)]);
        for i in 0..limits::ERRORS_MAX {
            tally.error("Query", &i.to_string());
        }
        assert_eq!(tally.counts().errors().len(), limits::ERRORS_MAX);
        assert_eq!(tally.counts().dropped, 2);
    }

    #[test]
    fn answers_are_exact_unless_a_remark_says_otherwise() {
        let tally = Tally::default();
        for _ in 0..3 {
            tally.answered("Scan");
        }
        tally.remark("Scan", Fidelity::Approximate, "because");
        tally.remark("UpdateTable", Fidelity::Refused, "because");
        let operations = tally.counts().operations();
        let counts: Vec<_> = operations
            .iter()
            .map(|count| (count.operation.as_str(), count.exact, count.approximate, count.refused))
            .collect();
        assert_eq!(counts, [("Scan", 2, 1, 0), ("UpdateTable", 0, 0, 1)]);
    }

    #[test]
    fn a_call_is_approximate_once_for_all_its_reasons() {
        let tally = Tally::default();
        for reasons in [&[][..], &["one", "another"]] {
            tally.answered("Scan");
            tally.approximate("Scan", reasons.iter().copied());
        }
        let counts = tally.counts();
        let scans = &counts.operations()[0];
        assert_eq!((scans.exact, scans.approximate), (1, 1));
        assert_eq!(counts.remarks().len(), 2);
    }

    #[test]
    fn items_that_are_not_returned_count_towards_the_rate_only() {
        let tally = Tally::default();
        tally.items_read("cars", 1);
        tally.items_hidden(2);
        assert_eq!((tally.used().items_read, tally.counts().items_read), (3, 1));
    }

    #[test]
    fn reads_and_writes_are_counted_per_table() {
        let tally = Tally::default();
        tally.items_read("cars", 3);
        tally.written("cars", WriteKind::Put, 2);
        tally.written("bikes", WriteKind::Delete, 1);
        let counts = tally.counts();
        assert_eq!(counts.items_read, 3);
        assert_eq!(counts.tables["cars"].created, 2);
        assert_eq!(counts.tables["bikes"].deleted, 1);
    }
}
