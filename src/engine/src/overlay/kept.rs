//! An embedded database that outlives its process: what it held is there when it opens, and a write
//! is on disk before it is answered.
//!
//! Writes that come while a batch is on its way to the disk share the next one, so that many
//! clients do not wait for one sync each.

use std::path::Path;
use std::sync::Arc;

use dm_dynamodb::schema::TableSchema;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::layers::tally::Tally;
use crate::overlay::Overlay;
use crate::overlay::state::entries::State;
use crate::overlay::state::kept_disk::{self, KeptError, Writer};
use crate::overlay::state::table::{Shape, Table};
use crate::upstream::ReadOnly;

/// What makes changes durable; locked while a batch is on its way.
pub type Keeper = Arc<tokio::sync::Mutex<Writer>>;

/// A table beside its items, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    /// How often its indexes have changed: the places of its items belong to these.
    shape: u32,
    made: Shape,
}

impl Overlay {
    /// Opens the database of a folder, or makes one there.
    pub fn kept_in(folder: &Path, nothing: ReadOnly, tally: Arc<Tally>) -> Result<Self, KeptError> {
        let damaged = |why: String| KeptError::Damaged(folder.to_owned(), why);
        let (disk, writer) = kept_disk::open(folder)?;
        let state = State::kept(disk);
        let mut state = state.map_err(|error| KeptError::Disk(folder.to_owned(), error))?;
        let overlay = Self::new(nothing, tally);
        for kept in state.kept_tables().map_err(|fault| damaged(fault.to_string()))? {
            let record = serde_json::from_slice(&kept.record);
            let Record { shape, made } = record.map_err(|error| damaged(error.to_string()))?;
            let described = Value::Object(made.members.clone());
            let schema = TableSchema::from_json(&described);
            let schema = schema.map_err(|error| damaged(error.to_string()))?;
            overlay.schemas().restore(Table::kept(schema, kept.number, shape), made);
        }
        let keeper = Arc::new(tokio::sync::Mutex::new(writer));
        Ok(Self { state: Mutex::new(state), keeper: Some(keeper), ..overlay })
    }

    /// Keeps a table in its present form, together with what is changed under the same lock.
    pub(super) fn keep_table(&self, state: &mut State, name: &str) -> Result<(), Fault> {
        if self.keeper.is_none() {
            return Ok(());
        }
        let Some((table, made)) = self.schemas().shape(name) else { return Ok(()) };
        let record = serde_json::to_vec(&Record { shape: table.shape, made });
        let record = record.map_err(|error| Fault::Unavailable(error.to_string()))?;
        state.keep_table(&table, record)
    }

    /// Waits until all changes so far are on disk.
    pub(super) async fn save(&self) -> Result<(), Fault> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let Some(last) = self.state().last_unsaved() else { return Ok(()) };
        let writer = Arc::clone(keeper).lock_owned().await;
        // Who was first has written it with theirs.
        if self.state().has_saved(last)? {
            return Ok(());
        }
        let batch = self.state().batch();
        let writing = tokio::task::spawn_blocking(move || {
            let written = writer.write(&batch);
            (writer, batch, written)
        });
        let written = writing.await;
        let (_writer, batch, written) =
            written.map_err(|error| Fault::Unavailable(error.to_string()))?;
        Ok(self.state().saved(&batch, written)?)
    }
}

#[cfg(test)]
mod tests;
