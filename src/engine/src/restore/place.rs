//! Whether a restore is where its run was: asked before anything is written, of a preview too.

use dm_contract::identity::{Absent, Difference, Mismatch};

use crate::archive::ledger;
use crate::identity;
use crate::restore::tables::TableCalls;
use crate::restore::{Restore, RestoreError, Result};

impl Restore {
    /// Stops the restore of a run that deleted a table, unless a person has accepted that: no
    /// restore recreates it, so what the run wrote elsewhere may be the only copy of its items.
    pub(in crate::restore) fn check_tables(&self) -> Result<()> {
        let lost = self.table_calls.get().and_then(TableCalls::lost_table);
        let is_accepted = self.own.plan.accept.contains(&Mismatch::TableReplaced);
        let Some(table) = lost.filter(|_| !is_accepted) else { return Ok(()) };
        let what = format!(
            "the run deleted table {table}, which a restore cannot recreate. What the run wrote \
             elsewhere may be the only copy of its items"
        );
        let difference = Difference { reason: Mismatch::TableReplaced, what };
        Err(RestoreError::Differs { run: self.source.to_string(), difference })
    }

    /// Stops a restore in another database, or of a table that was replaced since, unless a person
    /// has accepted that.
    pub(in crate::restore) async fn check_place(&self) -> Result<()> {
        let entries = ledger::entries(&self.archive, Some(self.source.migration())).await?;
        let entry = entries.into_iter().find(|entry| entry.run == self.source);
        let Some(mut entry) = entry.filter(|entry| entry.recorded().database.is_some()) else {
            return Ok(());
        };
        let tables = entry.tables.keys().cloned().collect();
        let plan = &self.own.plan;
        let now = identity::look(self.images().reader(), &plan.upstream, &tables).await;
        let now = now.map_err(RestoreError::Identify)?;
        // A table that the run itself deleted is not missed here: its items are conflicts.
        let gone = |name: &String| now.tables.get(name).is_some_and(Option::is_none);
        entry.tables.retain(|name, _| !(gone(name) && self.was_deleted(name)));
        match entry.recorded().differs_in_place(&now, Absent::IsReplaced, &plan.accept) {
            None => Ok(()),
            Some(difference) => {
                Err(RestoreError::Differs { run: self.source.to_string(), difference })
            }
        }
    }
}
