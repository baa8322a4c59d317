//! A restore under way, and its result so far.

use dm_contract::plan::Plan;
use dm_contract::restored::{ConflictGroup, RESTORE_RESULT_VERSION, RestoreResult};
use dm_engine::archive::ledger;
use dm_engine::restore::{Restore, RestoreReport};

/// A restore under way.
#[derive(Debug)]
pub struct Restoring {
    pub restore: Restore,
    pub plan: Plan,
    /// When it began, RFC 3339.
    pub started_at: String,
}

impl Restoring {
    /// What it has done so far.
    pub fn result(&self) -> RestoreResult {
        let report = self.restore.report();
        result(&self.plan, &self.restore, &report, self.started_at.clone())
    }
}

/// Returns the result of what is done so far.
pub fn result(
    plan: &Plan,
    restore: &Restore,
    report: &RestoreReport,
    started_at: String,
) -> RestoreResult {
    RestoreResult {
        version: RESTORE_RESULT_VERSION,
        mode: plan.mode,
        of: plan.restore.map_or(0, |restore| restore.run),
        started_at,
        finished_at: ledger::now(),
        finished: false,
        counts: report.counts,
        conflicts: report.conflicts,
        groups: groups(&report.groups, plan.policy.show_values),
        left_out: u32::try_from(report.left_out).unwrap_or(u32::MAX),
        read_units: report.read_units,
        write_units: report.write_units,
        journal: restore.journaled().map(|(journal, _)| journal),
        archived: None,
        problem: None,
        differs: None,
        journal_problem: None,
        not_restored: report.not_restored.clone(),
        nothing_written: report.nothing_written,
    }
}

/// Conflicts by table and kind, with keys only where they may be seen.
fn groups(all: &[ConflictGroup], show_keys: bool) -> Vec<ConflictGroup> {
    let mut groups = all.to_vec();
    if !show_keys {
        for group in &mut groups {
            group.keys.clear();
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::restored::Conflict;

    #[test]
    fn keys_of_conflicts_are_told_only_where_they_may_be_seen() {
        let all = [ConflictGroup {
            table: "cars".into(),
            conflict: Conflict::AttributeChanged("price".into()),
            count: 7,
            keys: vec![serde_json::json!({"id": {"S": "a"}})],
        }];
        assert_eq!(groups(&all, true), all);
        let hidden = groups(&all, false);
        assert_eq!((hidden[0].count, hidden[0].keys.len()), (7, 0));
    }
}
