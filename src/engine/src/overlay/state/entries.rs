//! All entries of a dry run, and where each stands in its table and indexes. No requests here.
//!
//! An item's *place* in a view (the table or an index) is its key there. An entry whose place the
//! program has not moved is found where the database has it; one that it created or moved there is
//! an *insertion*, listed beside, in the order of the view.

mod kept;
mod others;
mod scans;
mod size;
mod tables;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::limits;
use dm_contract::error_chain::chain;
use dm_contract::report::{ChangedAgain, ItemChange, SecondPass, TableEffect};
use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_dynamodb::expression::{KeyRange, after_prefix};
use dm_dynamodb::schema::{ItemKey, KeySchema};
use dm_dynamodb::value::Item;

use crate::fault::Fault;
use crate::overlay::state::direction::Direction;
use crate::overlay::state::effect::Effects;
use crate::overlay::state::entries::scans::PageEnds;
pub use crate::overlay::state::entries::scans::{PageEnd, PageKind, Source};
pub use crate::overlay::state::entries::size::TableSize;
use crate::overlay::state::entry::{Entry, FirstPass};
use crate::overlay::state::store::{Room, Store, StoreError};
use crate::overlay::state::table::{Place, Table, View};

/// Where a walk over insertions begins.
#[derive(Clone, Debug)]
pub enum From {
    /// At the end of the range it comes from.
    Start,
    Behind(Place),
    /// Beside an item that the database has under this key of the view: insertions of the same key
    /// come after it, forward as in the order of the view, so backward they have been before it.
    Beside(Vec<u8>),
}

/// Everything a dry run remembers.
#[derive(Debug)]
pub struct State {
    store: Store,
    effects: BTreeMap<String, Effects>,
    /// Tables with entries, by their numbers.
    tables: BTreeMap<u32, (String, KeySchema)>,
    /// Where the first entries of each table are stored that are changed.
    samples: BTreeMap<u32, Vec<(ItemChange, Vec<u8>)>>,
    changed_underneath: u64,
    /// In a second pass, entries per table that it changed again; everything else is the first's.
    changed_again: Option<BTreeMap<String, u64>>,
    /// Tables that a second pass itself created, changed or deleted, and whether it began without
    /// them.
    tables_again: BTreeMap<String, bool>,
    /// How much each table with entries holds, by their numbers.
    sizes: BTreeMap<u32, TableSize>,
    /// Shapes of tables that the program has changed, by their number.
    shapes: BTreeMap<u32, u32>,
    /// How many insertions there have been.
    insertions: u64,
    scan_ends: PageEnds,
    query_ends: PageEnds,
}

/// An entry with the names of what it is.
#[derive(Debug)]
pub struct Named<'s> {
    pub table: &'s str,
    pub keys: &'s KeySchema,
    /// Where it is stored; the next ones are behind it.
    pub at: Vec<u8>,
    pub entry: Entry,
}

const ENTRY: u8 = 0;
const INSERTION: u8 = 1;

impl Place {
    /// Of keys already encoded.
    pub fn new(view_key: &ItemKey, table_key: &ItemKey) -> Self {
        Self { view_key: view_key.bytes().to_vec(), table_key: table_key.bytes().to_vec() }
    }

    /// Its segment of a parallel scan of this many: a range of a hash of the table's key, which is
    /// our own, because DynamoDB's hash is not known. As DynamoDB's, segments of twice as many are
    /// halves of these.
    pub fn segment(&self, total: u32) -> u32 {
        // The checksums of like keys have like high bits, until they are multiplied.
        let hash = crc32fast::hash(&self.table_key).wrapping_mul(0x9e37_79b1);
        u32::try_from((u64::from(hash) * u64::from(total)) >> 32).unwrap_or(0)
    }

    /// The key in the view, encoded.
    pub fn view_key(&self) -> &[u8] {
        &self.view_key
    }
}

impl View<'_> {
    fn prefix(self) -> Vec<u8> {
        let mut prefix = vec![INSERTION];
        prefix.extend_from_slice(&self.table.number.to_be_bytes());
        let view = self.index.map_or(0, |index| index + 1);
        prefix.extend_from_slice(&u32::try_from(view).unwrap_or(u32::MAX).to_be_bytes());
        prefix
    }

    /// Between which stored keys a walk's next insertion lies.
    fn bounds(self, range: Option<&KeyRange>, from: &From, direction: Direction) -> (Limit, Limit) {
        let prefix = self.prefix();
        let behind = |bytes: &[u8]| [&prefix, bytes].concat();
        let least = Bound::Included(behind(range.map_or(&[], |range| &range.from)));
        let until = range.and_then(|range| range.until.as_deref()).map(behind);
        let end = until.or_else(|| after_prefix(&prefix));
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        match (from, direction) {
            (From::Start, _) => (least, end),
            (From::Behind(place), Direction::Forward) => (Bound::Excluded(self.stored(place)), end),
            (From::Behind(place), Direction::Backward) => {
                (least, Bound::Excluded(self.stored(place)))
            }
            (From::Beside(key), direction) => {
                let beside = behind(key);
                match direction {
                    Direction::Forward => (Bound::Included(beside), end),
                    Direction::Backward => (least, Bound::Excluded(beside)),
                }
            }
        }
    }

    fn stored(self, place: &Place) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend_from_slice(&place.view_key);
        key.extend_from_slice(&place.table_key);
        key
    }
}

type Limit = Bound<Vec<u8>>;

fn as_slice(limit: &Limit) -> Bound<&[u8]> {
    match limit {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn entry_key(table: &Table, key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![ENTRY];
    bytes.extend_from_slice(&table.number.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// What is stored contradicts itself.
pub fn damaged() -> Fault {
    Fault::Unavailable("the dry run's memory is damaged".into())
}

impl std::convert::From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let causes = chain(&error);
        match error {
            StoreError::Lost(_) => Self::refused(
                format!(
                    "The guard's dry run has lost the items that it held, so it rejects all \
                     further calls: {causes}."
                ),
                "the items of the dry run could not be kept on disk",
            ),
            StoreError::Closed(_) => Self::Service(ServiceError::new(
                ErrorCode::InternalServerError,
                format!(
                    "The embedded database cannot use its disk: {causes}. What it has answered is \
                     kept; make room, and start it again."
                ),
            )),
        }
    }
}

impl State {
    pub fn new(room: Room) -> Self {
        Self::over(Store::new(room))
    }

    /// What a store holds.
    fn over(store: Store) -> Self {
        Self {
            store,
            effects: BTreeMap::new(),
            tables: BTreeMap::new(),
            samples: BTreeMap::new(),
            changed_underneath: 0,
            changed_again: None,
            tables_again: BTreeMap::new(),
            sizes: BTreeMap::new(),
            shapes: BTreeMap::new(),
            insertions: 0,
            scan_ends: PageEnds::default(),
            query_ends: PageEnds::default(),
        }
    }

    /// Why what it remembers is lost, if it is.
    pub fn problem(&self) -> Option<String> {
        self.store.failure().map(|error| {
            format!(
                "The guard could not continue the dry run, so its counts are incomplete; nothing \
                 was written to the database: {}.",
                chain(error)
            )
        })
    }

    /// The entry of a key, if the overlay has looked at it.
    pub fn entry(&self, table: &Table, key: &ItemKey) -> Result<Option<Entry>, Fault> {
        self.entry_at(table, key.bytes())
    }

    /// Whether the overlay has looked at a key.
    pub fn knows(&self, table: &Table, key: &ItemKey) -> Result<bool, Fault> {
        Ok(self.store.contains(&entry_key(table, key.bytes()))?)
    }

    fn entry_at(&self, table: &Table, key: &[u8]) -> Result<Option<Entry>, Fault> {
        let Some(bytes) = self.store.get(&entry_key(table, key))? else { return Ok(None) };
        Entry::decode(&bytes).map(Some).ok_or_else(damaged)
    }

    /// Whether the overlay has looked at any item of the table.
    pub fn touches(&self, table: &Table) -> Result<bool, Fault> {
        let prefix = entry_key(table, &[]);
        let end = after_prefix(&prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.store.first(Bound::Included(&prefix), to, Direction::Forward)?.is_some())
    }

    /// Sets an entry, and its places in all views. `known` is the entry as it is until now, which
    /// who changes it has read.
    pub fn put(
        &mut self,
        table: &Table,
        key: &ItemKey,
        known: Option<&Entry>,
        after: &Entry,
    ) -> Result<(), Fault> {
        self.check_current(table)?;
        let marked = self.marked(known, after);
        let after = marked.as_ref().unwrap_or(after);
        let absent = Entry::default();
        let before = known.unwrap_or(&absent);
        for view in table.views() {
            let (old, new) = (view.insertion(before), view.insertion(after));
            if old == new {
                continue;
            }
            if let Some(place) = old {
                self.store.remove(&view.stored(&place))?;
            }
            if let Some(place) = new {
                let numbered = self.numbered(&place);
                self.store.put(view.stored(&place), numbered)?;
            }
        }
        let named = || (table.schema.name.clone(), table.schema.keys.clone());
        self.tables.entry(table.number).or_insert_with(named);
        let stored = entry_key(table, key.bytes());
        if table.upstream || !after.is_empty() {
            self.store.put(stored.clone(), after.encode())?;
        } else {
            // Nobody has such an item, and the database has no table that it could hide.
            self.store.remove(&stored)?;
        }
        self.count_size(table, before, after)?;
        if let Some(changed_again) = &mut self.changed_again {
            let count = changed_again.entry(table.schema.name.clone()).or_default();
            *count += u64::from(after.is_changed_again());
            *count -= u64::from(before.is_changed_again());
            return Ok(());
        }
        let effects = self.effects.entry(table.schema.name.clone()).or_default();
        effects.replace(before, after);
        self.keep_sample(table, stored, after);
        Ok(())
    }

    /// An entry with what the first pass left of it, when a second one changes it first.
    fn marked(&self, known: Option<&Entry>, after: &Entry) -> Option<Entry> {
        let left = known.map_or(after.base.as_ref(), |before| before.now.as_ref());
        let first = self.changed_again.is_some()
            && after.first_pass == FirstPass::Now
            && after.now.as_ref() != left;
        let left = FirstPass::Left(left.cloned());
        first.then(|| Entry { first_pass: left, ..after.clone() })
    }

    fn keep_sample(&mut self, table: &Table, stored: Vec<u8>, entry: &Entry) {
        let samples = self.samples.entry(table.number).or_default();
        let kept = samples.iter().position(|(_, sample)| *sample == stored);
        let wanted = |kind: ItemChange, samples: &[(ItemChange, Vec<u8>)]| {
            samples.len() < limits::SAMPLES_PER_TABLE_MAX
                || samples.iter().all(|(kept, _)| *kept != kind)
        };
        match (kept, entry.change()) {
            (Some(at), None) => {
                samples.remove(at);
            }
            (Some(at), Some(kind)) => samples[at].0 = kind,
            (None, Some(kind)) if wanted(kind, samples) => samples.push((kind, stored)),
            (None, Some(_) | None) => {}
        }
    }

    /// The first entries of each table that are changed.
    pub fn sampled(&self) -> Result<Vec<Named<'_>>, Fault> {
        let mut sampled = Vec::new();
        let kept = self.samples.values().flatten();
        for (at, bytes) in kept.map(|(_, at)| (at, self.store.get(at))) {
            if let Some(bytes) = bytes? {
                sampled.push(self.named(at.clone(), &bytes)?);
            }
        }
        Ok(sampled)
    }

    /// From now on the program runs a second time.
    pub fn begin_second_pass(&mut self) {
        self.changed_again.get_or_insert_default();
    }

    /// What the second pass changed again, if there is one.
    pub fn second_pass(&self) -> Option<SecondPass> {
        let mut changed = self.changed_again.clone()?;
        changed.retain(|_, items| *items > 0);
        for table in self.tables_again.keys() {
            changed.entry(table.clone()).or_default();
        }
        let again = |(name, items)| ChangedAgain { name, items };
        let tables: Vec<ChangedAgain> = changed.into_iter().map(again).collect();
        Some(SecondPass { idempotent: tables.is_empty(), requests: None, tables })
    }

    /// The next insertion in a view, among the keys of a range or all of them, with its number.
    pub fn next_insertion(
        &self,
        view: View<'_>,
        range: Option<&KeyRange>,
        from: &From,
        direction: Direction,
    ) -> Result<Option<(Place, Item, u64)>, Fault> {
        self.check_current(view.table)?;
        let (low, high) = view.bounds(range, from, direction);
        let found = self.store.first(as_slice(&low), as_slice(&high), direction)?;
        let Some((key, stored)) = found else { return Ok(None) };
        let (place, number) = scans::numbered_place(view, &key, &stored)?;
        let entry = self.entry_at(view.table, &place.table_key)?.ok_or_else(damaged)?;
        let item = entry.now.ok_or_else(damaged)?;
        Ok(Some((place, item, number)))
    }

    /// Some of the entries behind a place, all tables' in order; none if there are no further.
    pub fn entries_behind(&self, at: Option<&[u8]>, bytes: usize) -> Result<Vec<Named<'_>>, Fault> {
        let from = at.map_or(Bound::Included(&[ENTRY][..]), Bound::Excluded);
        let stored = self.store.beginning(from, Bound::Excluded(&[INSERTION]), bytes)?;
        stored.into_iter().map(|(at, bytes)| self.named(at, &bytes)).collect()
    }

    fn named(&self, at: Vec<u8>, bytes: &[u8]) -> Result<Named<'_>, Fault> {
        let number = at.get(1..).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes);
        let (table, keys) = number.and_then(|n| self.tables.get(&n)).ok_or_else(damaged)?;
        let entry = Entry::decode(bytes).ok_or_else(damaged)?;
        Ok(Named { table, keys, at, entry })
    }

    /// How many items a table has that exists here only, and their bytes.
    pub fn size(&self, table: &Table) -> TableSize {
        self.sizes.get(&table.number).copied().unwrap_or_default()
    }

    /// What would change, per table.
    pub fn effects(&self) -> Vec<TableEffect> {
        self.effects.iter().map(|(table, effects)| effects.report(table)).collect()
    }
}

#[cfg(test)]
mod tests;
