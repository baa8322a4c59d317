//! What a restore has done, or would do: types only.

use serde::{Deserialize, Serialize};

use super::dry_run::is_zero;
use crate::plan::OnConflict;
use crate::restored::{Conflict, ConflictGroup, NotRestored};

/// The items of a restore, by what it did, or in a preview would do, with them. The earlier names
/// are those of reports and results before version 0.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreCounts {
    /// All items that the run wrote, as far as the restore has come.
    #[serde(alias = "keys")]
    pub items: u64,
    /// Items whose attributes have their earlier values again.
    #[serde(alias = "updated")]
    pub restored: u64,
    /// Items that the run had created.
    pub deleted: u64,
    /// Items that the run had deleted.
    #[serde(alias = "put")]
    pub recreated: u64,
    /// Items that were already as before the run, or whose changes are all in conflict.
    #[serde(alias = "untouched")]
    pub unchanged: u64,
    /// Items restored of which it is not certain that they were just so before the run: their batch
    /// was journaled without being checked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unverified: u64,
    /// Items deleted, because the run had created them, of which no answer says what they were just
    /// then: the answer was lost, or the restore was killed before its journal had it. What others
    /// added to them at that moment is lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unconfirmed: u64,
}

impl RestoreCounts {
    /// Returns the number of items that the restore wrote.
    pub fn written(&self) -> u64 {
        self.restored + self.deleted + self.recreated
    }
}

/// What a restore has done, or would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    #[serde(flatten)]
    pub counts: RestoreCounts,
    /// Things that others changed since: attributes, and whole items.
    pub conflicts: u64,
    /// The first of them.
    pub listed: Vec<ListedConflict>,
    /// All of them by table and kind, the largest group first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ConflictGroup>,
    /// Conflicts that are in no group, because there were too many groups.
    #[serde(default)]
    pub left_out: u64,
    /// Read units used.
    pub read_units: f64,
    /// Write units used.
    pub write_units: f64,
    /// Calls of the run that changed tables themselves: they stand.
    #[serde(default)]
    pub not_restored: Vec<NotRestored>,
    /// Whether the run is on record and wrote nothing, so that there is nothing to restore.
    #[serde(default)]
    pub nothing_written: bool,
    /// Whether it is a preview, which writes nothing. Reports of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<bool>,
    /// What happens to conflicts. Reports of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
}

impl RestoreReport {
    /// Leaves the keys of items out. What changed, and how often, stays.
    pub fn hide_keys(&mut self) {
        for listed in &mut self.listed {
            listed.key = None;
        }
        for group in &mut self.groups {
            group.keys.clear();
        }
    }

    /// Whether the table already is as the restore would leave it.
    pub fn changes_nothing(&self) -> bool {
        self.counts.written() + self.conflicts == 0
    }
}

/// A conflict with its item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedConflict {
    pub table: String,
    /// The item's key, in DynamoDB's JSON. Absent where keys are hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<serde_json::Value>,
    pub conflict: Conflict,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_of_an_earlier_version_is_read() {
        let old = json!({
            "keys": 7, "updated": 1, "deleted": 0, "put": 2, "untouched": 4, "conflicts": 1,
            "listed": [{"table": "cars", "key": {"id": {"S": "a"}}, "conflict": "itemChanged"}],
            "readUnits": 1.0, "writeUnits": 1.0,
        });
        let mut report: RestoreReport = serde_json::from_value(old).unwrap();
        assert_eq!((report.preview, report.on_conflict), (None, None));
        let counts = RestoreCounts {
            items: 7,
            restored: 1,
            recreated: 2,
            unchanged: 4,
            ..RestoreCounts::default()
        };
        assert_eq!(report.counts, counts);
        assert_eq!(report.listed[0].key, Some(json!({"id": {"S": "a"}})));
        report.hide_keys();
        assert_eq!(json!(report)["listed"], json!([{"table": "cars", "conflict": "itemChanged"}]));
    }
}
