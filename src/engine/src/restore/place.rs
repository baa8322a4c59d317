//! Whether a restore is where its run was: asked before anything is written, of a preview too.

use std::collections::BTreeSet;

use dm_contract::identity::{Absent, Difference, Mismatch};

use crate::archive::ledger;
use crate::identity;
use crate::layers::policy::Policy;
use crate::restore::tables::TableCalls;
use crate::restore::{Restore, RestoreError, Result};

impl Restore {
    /// Stops the restore of a run that wrote a table which the policy does not allow.
    pub(in crate::restore) fn check_policy(&self, tables: &BTreeSet<String>) -> Result<()> {
        let plan = &self.own.plan;
        let policy = Policy::new(plan.policy.clone(), &plan.run, plan.mode);
        let Some((table, setting)) = policy.excluded(tables) else { return Ok(()) };
        let (run, table) = (self.source.to_string(), table.to_owned());
        Err(RestoreError::NotAllowed { run, table, setting })
    }

    /// Stops the restore of a run that deleted a table, unless a person has accepted that: no
    /// restore recreates it, so what the run wrote elsewhere may be the only copy of its items, and
    /// is kept in any case.
    /// Whether a deletion in doubt was carried out, the table says: one with the id on record was
    /// not deleted.
    pub(in crate::restore) async fn check_tables(&self, mut calls: TableCalls) -> Result<()> {
        let doubtful = calls.deleted_in_doubt();
        if !doubtful.is_empty() {
            let recorded = ledger::tables(&self.archive, &self.source).await?;
            let (reader, upstream) = (self.images().reader(), &self.own.plan.upstream);
            let now = identity::look(reader, upstream, &doubtful).await;
            let now = now.map_err(RestoreError::Identify)?.tables;
            let is_there = |table: &String| match (recorded.get(table), now.get(table)) {
                (Some(id), Some(Some(other))) => id == other,
                _ => false,
            };
            calls.found(doubtful.into_iter().filter(is_there).collect());
        }
        let calls = self.table_calls.get_or_init(|| calls);
        let Some(table) = calls.lost_table() else { return Ok(()) };
        if self.own.plan.accept.contains(&Mismatch::TableReplaced) {
            self.moves.see_lost_table();
            return Ok(());
        }
        let what = format!(
            "the run deleted table {table}, which a restore cannot recreate. What the run wrote \
             elsewhere may be the only copy of its items"
        );
        Err(self.differs(what))
    }

    fn differs(&self, what: String) -> RestoreError {
        let difference = Difference { reason: Mismatch::TableReplaced, what };
        RestoreError::Differs { run: self.source.to_string(), difference }
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
        let is_there = |name: &String| now.tables.get(name).is_some_and(Option::is_some);
        let other = |(name, id): &(&String, &String)| id.is_empty() && is_there(name);
        if let Some((table, _)) = entry.tables.iter().find(other)
            && !plan.accept.contains(&Mismatch::TableReplaced)
        {
            let what = format!("the run deleted table {table}, and another table now has its name");
            return Err(self.differs(what));
        }
        match entry.recorded().differs_in_place(&now, Absent::IsReplaced, &plan.accept) {
            None => Ok(()),
            Some(difference) => {
                Err(RestoreError::Differs { run: self.source.to_string(), difference })
            }
        }
    }
}
