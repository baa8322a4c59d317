//! A restore under way, and its result so far.

use std::collections::BTreeMap;

use dm_contract::plan::Plan;
use dm_contract::restored::{ConflictGroup, RESTORE_RESULT_VERSION, RestoreResult};
use dm_engine::archive::ledger;
use dm_engine::restore::{ListedConflict, Restore, RestoreReport};

/// Keys of one group in a result; all are in the archive.
const KEYS_SHOWN_MAX: usize = 5;

/// A restore under way.
#[derive(Debug)]
pub struct Restoring {
    /// The work.
    pub restore: Restore,
    /// Its plan.
    pub plan: Plan,
    /// When it began, RFC 3339.
    pub started_at: String,
}

impl Restoring {
    /// What it has done so far.
    pub async fn result(&self) -> RestoreResult {
        let report = self.restore.report().await;
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
        keys: report.keys,
        updated: report.updated,
        deleted: report.deleted,
        put: report.put,
        untouched: report.untouched,
        conflicts: report.conflicts,
        groups: groups(&report.listed, plan.policy.show_values),
        left_out: 0,
        read_units: report.read_units,
        write_units: report.write_units,
        journal: restore.journalled().map(|(journal, _)| journal),
        archived: None,
        problem: None,
        differs: None,
        journal_problem: None,
        not_restored: report.not_restored.clone(),
        nothing_written: report.nothing_written,
    }
}

/// Conflicts by table and kind, most first.
fn groups(listed: &[ListedConflict], show_keys: bool) -> Vec<ConflictGroup> {
    let mut groups: BTreeMap<_, (u64, Vec<serde_json::Value>)> = BTreeMap::new();
    for ListedConflict { table, key, conflict } in listed {
        let (count, keys) = groups.entry((table, conflict)).or_default();
        *count += 1;
        if show_keys && keys.len() < KEYS_SHOWN_MAX {
            keys.push(key.clone());
        }
    }
    let group =
        |((table, conflict), (count, keys)): ((&String, &dm_contract::restored::Conflict), _)| {
            ConflictGroup { table: table.clone(), conflict: conflict.clone(), count, keys }
        };
    let mut groups: Vec<ConflictGroup> = groups.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::restored::Conflict;

    #[test]
    fn conflicts_are_told_together_and_keys_only_where_they_may_be_seen() {
        let listed = |id: &str, conflict| ListedConflict {
            table: "cars".into(),
            key: serde_json::json!({"id": {"S": id}}),
            conflict,
        };
        let all: Vec<ListedConflict> = (0..7)
            .map(|i| listed(&i.to_string(), Conflict::AttributeChanged("price".into())))
            .chain([listed("x", Conflict::ItemDeleted)])
            .collect();
        let shown = groups(&all, true);
        assert_eq!(shown.iter().map(|group| group.count).collect::<Vec<_>>(), [7, 1]);
        assert_eq!(shown[0].keys.len(), KEYS_SHOWN_MAX);
        assert!(groups(&all, false).iter().all(|group| group.keys.is_empty()));
    }
}
