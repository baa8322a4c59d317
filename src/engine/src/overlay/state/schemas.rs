//! The tables a dry run has met: their schemas, asked from the database once, and what the program
//! has made of the tables themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dm_contract::report::{Fidelity, TableChange};
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::table_name::plain_name;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::layers::tally::Tally;
use crate::operation::ReadOperation;
use crate::overlay::state::table::{Shape, Table};
use crate::upstream::ReadOnly;

/// A name the run has met.
#[derive(Debug)]
struct Known {
    /// None once the program has deleted it.
    table: Option<Arc<Table>>,
    /// Whether the database has a table of that name.
    upstream: bool,
    shape: Shape,
    /// How what the program has changed was before that.
    began: BTreeMap<&'static str, Value>,
}

#[derive(Debug)]
pub struct Schemas {
    upstream: ReadOnly,
    tally: Arc<Tally>,
    known: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<String, Known>,
    /// How many tables there have been.
    count: u32,
}

impl Schemas {
    pub fn new(upstream: ReadOnly, tally: Arc<Tally>) -> Self {
        Self { upstream, tally, known: Mutex::default() }
    }

    /// The table of a name or ARN, or the error DynamoDB's data operations have for it.
    pub async fn table(&self, name_or_arn: &str) -> Result<Arc<Table>, Fault> {
        let name = plain_name(name_or_arn);
        if let Some(known) = self.known.lock().by_name.get(name) {
            return known.table.clone().ok_or_else(|| ServiceError::table_not_found().into());
        }
        let request = json!({"TableName": name});
        let described = match self.upstream.read(ReadOperation::DESCRIBE_TABLE, &request).await {
            Ok(described) => described,
            Err(fault) if fault.is_upstream("ResourceNotFoundException") => {
                return Err(ServiceError::table_not_found().into());
            }
            Err(fault) => return Err(fault),
        };
        let described: Value = serde_json::from_slice(&described)
            .map_err(|_| Fault::Unavailable("its description of a table is not JSON".into()))?;
        let schema = TableSchema::from_json(&described).map_err(|error| {
            tracing::warn!(%error, "description of a table not understood");
            Fault::refused(
                format!("The guard's dry run does not understand the table's description: {error}"),
                "the table's description is not understood",
            )
        })?;
        if let Some(items) = described.pointer("/Table/ItemCount").and_then(Value::as_u64) {
            self.tally.item_count(&schema.name, items);
        }
        let mut names = self.known.lock();
        // Another request may have been quicker.
        if let Some(known) = names.by_name.get(&schema.name) {
            return known.table.clone().ok_or_else(|| ServiceError::table_not_found().into());
        }
        Ok(names.add(schema, true, Shape::default()))
    }

    /// The same for a call that reads or writes items.
    pub async fn table_of_items(&self, name_or_arn: &str) -> Result<Arc<Table>, Fault> {
        let table = self.table(name_or_arn).await?;
        if !table.upstream && !table.awaited.swap(true, Ordering::Relaxed) {
            let why = "the program uses the table without waiting until it is active, which takes \
                       DynamoDB some seconds";
            self.tally.remark("CreateTable", Fidelity::Approximate, why);
        }
        Ok(table)
    }

    /// The program looks whether a table is there.
    pub fn awaited(&self, name: &str) {
        if let Some(table) =
            self.known.lock().by_name.get(name).and_then(|known| known.table.as_ref())
        {
            table.awaited.store(true, Ordering::Relaxed);
        }
    }

    /// What the program has made of a table that it has met and that is there.
    pub fn shape(&self, name: &str) -> Option<(Arc<Table>, Shape)> {
        let names = self.known.lock();
        let known = names.by_name.get(name)?;
        known.table.as_ref().map(|table| (Arc::clone(table), known.shape.clone()))
    }

    /// Whether the program deleted the table, and it is not there again.
    pub fn is_gone(&self, name: &str) -> bool {
        self.known.lock().by_name.get(name).is_some_and(|known| known.table.is_none())
    }

    /// Whether the table's keys or indexes are the program's, or it is gone: the database's answers
    /// are about another one.
    pub fn is_own(&self, name: &str) -> bool {
        self.known.lock().by_name.get(name).is_some_and(|known| {
            known.table.as_ref().is_none_or(|table| !table.upstream || table.shape > 0)
        })
    }

    /// Whether the program has changed the table itself in any way.
    pub fn is_touched(&self, name: &str) -> bool {
        self.known.lock().by_name.get(name).is_some_and(Known::is_touched)
    }

    /// Whether the program has created or deleted any table.
    pub fn anything_made(&self) -> bool {
        self.known.lock().by_name.values().any(Known::is_touched)
    }

    /// The tables of the database that the run has met, unless the program has deleted them.
    pub fn for_each_upstream(&self, mut see: impl FnMut(&TableSchema)) {
        let names = self.known.lock();
        let tables = names.by_name.values().filter_map(|known| known.table.as_ref());
        tables.filter(|table| table.upstream).for_each(|table| see(&table.schema));
    }

    /// Names of tables that exist here only, and of those that the program deleted.
    pub fn names(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let names = self.known.lock();
        let (mut created, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (name, known) in &names.by_name {
            match &known.table {
                Some(table) if !table.upstream => drop(created.insert(name.clone())),
                Some(_) => {}
                None => drop(gone.insert(name.clone())),
            }
        }
        (created, gone)
    }

    /// The program created a table.
    pub fn create(&self, schema: TableSchema, shape: Shape) -> Arc<Table> {
        self.known.lock().add(schema, false, shape)
    }

    /// A table that an embedded database has kept.
    pub fn restore(&self, table: Table, shape: Shape) {
        let mut names = self.known.lock();
        names.count = names.count.max(table.number.saturating_add(1));
        let name = table.schema.name.clone();
        let (upstream, began) = (false, BTreeMap::new());
        let known = Known { table: Some(Arc::new(table)), upstream, shape, began };
        names.by_name.insert(name, known);
    }

    /// The program changed a part of a table, which was like this before; whether the table has
    /// other settings now. The change is given how that part was before the first of its changes.
    pub fn change(
        &self,
        table: Arc<Table>,
        (part, before): (&'static str, Value),
        change: impl FnOnce(&mut Shape, &Value),
    ) -> bool {
        let mut names = self.known.lock();
        let Some(known) = names.by_name.get_mut(&table.schema.name) else { return false };
        let began = &*known.began.entry(part).or_insert(before);
        let before = (known.shape.settings.clone(), known.shape.tags.clone());
        change(&mut known.shape, began);
        known.table = Some(table);
        before != (known.shape.settings.clone(), known.shape.tags.clone())
    }

    /// The program deleted a table.
    pub fn delete(&self, table: &Table) {
        if let Some(known) = self.known.lock().by_name.get_mut(&table.schema.name) {
            known.table = None;
            known.shape = Shape::default();
            known.began.clear();
        }
    }

    /// What would change in tables themselves, with the settings in order of what is set.
    pub fn changes(&self) -> Vec<(String, TableChange, Vec<String>)> {
        let names = self.known.lock();
        let mut changes: Vec<_> = names
            .by_name
            .iter()
            .filter_map(|(name, known)| {
                let change = known.change()?;
                let setting = |(what, to): (&String, &String)| format!("{what} {to}");
                Some((name.clone(), change, known.shape.settings.iter().map(setting).collect()))
            })
            .collect();
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        changes
    }
}

impl Names {
    fn add(&mut self, schema: TableSchema, upstream: bool, shape: Shape) -> Arc<Table> {
        let number = self.count;
        self.count = self.count.saturating_add(1);
        let name = schema.name.clone();
        let table = Arc::new(Table {
            schema,
            number,
            shape: 0,
            upstream,
            unbuilt: BTreeSet::new(),
            awaited: upstream.into(),
        });
        let upstream = upstream || self.by_name.get(&name).is_some_and(|known| known.upstream);
        let began = BTreeMap::new();
        let known = Known { table: Some(Arc::clone(&table)), upstream, shape, began };
        self.by_name.insert(name, known);
        table
    }
}

impl Known {
    fn change(&self) -> Option<TableChange> {
        match (&self.table, self.upstream) {
            (None, true) => Some(TableChange::Deleted),
            (None, false) => None,
            (Some(table), false) => (!table.upstream).then_some(TableChange::Created),
            (Some(table), true) if !table.upstream => Some(TableChange::Replaced),
            (Some(_), true) => (!self.shape.settings.is_empty()).then_some(TableChange::Updated),
        }
    }

    fn is_touched(&self) -> bool {
        self.table.is_none() || self.change().is_some()
    }
}
