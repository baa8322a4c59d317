//! Runs and locks of an archive as `archive ls` and `archive show` print them as data.

use std::collections::BTreeSet;

use dm_engine::archive::ledger::{Kind, LedgerEntry, RunOutcome};
use dm_engine::archive::locks::{Listed, LockState};
use dm_engine::journal::JournalSummary;
use serde::Serialize;

/// What `archive ls` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Runs {
    /// Every run of the ledger.
    pub runs: Vec<Run>,
    /// The tables that are not free.
    pub locks: Vec<Lock>,
}

/// What `archive show` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    #[serde(flatten)]
    pub run: Run,
    /// Its journal, unless the run wrote nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// Why the journal cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_problem: Option<String>,
    /// Log, report and other objects that are kept.
    pub kept: Vec<Kept>,
}

/// A run of the ledger.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// `MIGRATION/NUMBER`.
    #[serde(rename = "run")]
    pub name: String,
    /// `apply` or `restore`.
    pub kind: &'static str,
    /// The number of the run that a restore undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u32>,
    /// `succeeded`, `failed` or `unknown`.
    pub outcome: &'static str,
    /// How many pods did parts of it. Absent where one did the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// When the run began.
    pub begun_at: String,
    /// When its end was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// When its program was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<String>,
    /// When its program had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<String>,
    /// The tables that it wrote.
    pub tables: Vec<String>,
    /// What it did to items, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Conflicts of a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<u64>,
    /// What else was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a run did to the items of all its tables.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Items created. Absent where only requests were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Put requests of a run without a journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put: Option<u64>,
    pub updated: u64,
    pub deleted: u64,
}

/// A table that is not free.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    pub table: String,
    /// `held` by a run, or `forced`: a person took it from one.
    pub state: &'static str,
    /// The run, or the person.
    pub by: String,
    pub since: String,
    /// The reason that the person gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How much is in a journal.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    pub entries: u64,
    pub segments: u64,
    /// Bytes in the archive.
    pub bytes: u64,
    /// Writes known to have been carried out.
    pub written: u64,
    /// Writes known not to have been.
    pub refused: u64,
    /// Writes of which neither is known.
    pub in_doubt: u64,
    /// Entries of writes that nothing bound to their images.
    pub unverified: u64,
    /// Calls that changed tables themselves, which no restore undoes.
    pub control: u64,
}

/// An object that is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its path in the archive.
    pub path: String,
    pub bytes: u64,
}

impl From<&LedgerEntry> for Run {
    fn from(entry: &LedgerEntry) -> Self {
        let completed = entry.completed.as_ref();
        let (kind, restores) = match entry.begun.kind {
            Kind::Apply => ("apply", None),
            Kind::Restore(number) => ("restore", Some(number)),
        };
        Self {
            name: entry.run.to_string(),
            kind,
            restores,
            outcome: outcome(entry),
            parts: entry.begun.parts,
            begun_at: entry.begun.begun_at.clone(),
            completed_at: completed.map(|end| end.completed_at.clone()),
            execution_time: completed.and_then(|end| end.execution_time.clone()),
            finalization_time: completed.and_then(|end| end.finalization_time.clone()),
            tables: tables(entry),
            changes: changes(entry),
            conflicts: completed.and_then(|end| end.conflicts),
            message: completed.and_then(|end| end.message.clone()),
        }
    }
}

/// How a run ended, in one word.
pub fn outcome(entry: &LedgerEntry) -> &'static str {
    match entry.completed.as_ref().map(|completed| completed.outcome) {
        Some(RunOutcome::Succeeded) => "succeeded",
        Some(RunOutcome::Failed) => "failed",
        None => "unknown",
    }
}

/// The tables that a run wrote, and those that its result lists.
pub fn tables(entry: &LedgerEntry) -> Vec<String> {
    let summary = entry.completed.as_ref().and_then(|completed| completed.summary.as_ref());
    let listed =
        summary.into_iter().flat_map(|summary| summary.tables.iter().map(|table| &table.name));
    let names: BTreeSet<&String> = entry.tables.keys().chain(listed).collect();
    names.into_iter().cloned().collect()
}

/// What a run did to the items of all its tables.
pub fn changes(entry: &LedgerEntry) -> Option<Changes> {
    let summary = entry.completed.as_ref()?.summary.as_ref()?;
    let sum =
        |of: fn(&dm_contract::report::TableEffect) -> u64| summary.tables.iter().map(of).sum();
    let first: u64 = sum(|table| table.created);
    Some(Changes {
        created: summary.counts_items.then_some(first),
        put: (!summary.counts_items).then_some(first),
        updated: sum(|table| table.updated),
        deleted: sum(|table| table.deleted),
    })
}

impl Lock {
    /// A lock, unless it is free.
    pub fn of(listed: &Listed) -> Option<Self> {
        let table = listed.table.clone();
        match &listed.state {
            LockState::Free => None,
            LockState::Held(holder, _) => Some(Self {
                table,
                state: "held",
                by: holder.by.clone(),
                since: holder.since.clone(),
                reason: None,
            }),
            LockState::Forced(release) => Some(Self {
                table,
                state: "forced",
                by: release.by.clone(),
                since: release.at.clone(),
                reason: release.reason.clone(),
            }),
        }
    }
}

impl From<JournalSummary> for Journal {
    fn from(summary: JournalSummary) -> Self {
        let known = (summary.written + summary.refused).min(summary.entries);
        Self {
            entries: summary.entries,
            segments: summary.segments,
            bytes: summary.bytes,
            written: summary.written,
            refused: summary.refused,
            in_doubt: summary.entries - known,
            unverified: summary.unverified,
            control: summary.control,
        }
    }
}

#[cfg(test)]
mod tests {
    use dm_engine::archive::RunName;
    use dm_engine::archive::ledger::{Begun, Completed};
    use serde_json::json;

    use super::*;

    fn entry(kind: Kind, completed: Option<Completed>) -> LedgerEntry {
        let begun: Begun = serde_json::from_value(json!({
            "version": 1, "kind": "apply", "namespace": "shop", "name": "m", "uid": "u",
            "begunAt": "2026-12-01T10:00:00Z",
        }))
        .unwrap();
        LedgerEntry {
            run: RunName::parse("m/2").unwrap(),
            begun: Begun { kind, ..begun },
            completed,
            tables: [("cars".to_owned(), "id".to_owned())].into(),
        }
    }

    fn completed(of: &serde_json::Value) -> Completed {
        let mut all = json!({
            "version": 1, "outcome": "Succeeded", "completedAt": "2026-12-01T10:01:00Z",
        });
        all.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn an_apply_is_listed_with_its_times_and_counts() {
        let table = |name: &str, created: u64, updated: u64, deleted: u64| {
            json!({
                "name": name, "created": created, "updated": updated, "deleted": deleted,
                "itemsRead": 9, "unchanged": 0,
            })
        };
        let summary = json!({
            "executionTime": "2026-12-01T10:00:01Z", "finalizationTime": "2026-12-01T10:00:09Z",
            "summary": {"countsItems": true, "tables": [
                table("cars", 1, 2, 0),
                table("makers", 3, 0, 4),
            ]},
        });
        let run = Run::from(&entry(Kind::Apply, Some(completed(&summary))));
        assert_eq!(
            json!(run),
            json!({
                "run": "m/2", "kind": "apply", "outcome": "succeeded",
                "begunAt": "2026-12-01T10:00:00Z", "completedAt": "2026-12-01T10:01:00Z",
                "executionTime": "2026-12-01T10:00:01Z", "finalizationTime": "2026-12-01T10:00:09Z",
                "tables": ["cars", "makers"],
                "changes": {"created": 4, "updated": 2, "deleted": 4},
            })
        );
    }

    #[test]
    fn a_restore_names_its_run_and_an_open_run_has_an_unknown_outcome() {
        let end = completed(&json!({"conflicts": 2, "message": "2 conflicts"}));
        let restore = json!(Run::from(&entry(Kind::Restore(1), Some(end))));
        assert_eq!((&restore["kind"], &restore["restores"]), (&json!("restore"), &json!(1)));
        assert_eq!(
            (&restore["conflicts"], &restore["message"]),
            (&json!(2), &json!("2 conflicts"))
        );
        let open = json!(Run::from(&entry(Kind::Apply, None)));
        assert_eq!(open["outcome"], "unknown");
        assert!(open.get("completedAt").is_none() && open.get("changes").is_none(), "{open}");
    }

    #[test]
    fn writes_of_unknown_fate_are_in_doubt() {
        let summary =
            JournalSummary { entries: 10, written: 6, refused: 1, ..JournalSummary::default() };
        assert_eq!(Journal::from(summary).in_doubt, 3);
    }
}
