//! What a transform did, in words that every format shares.

use dm_contract::plan::Mode;
use dm_contract::report::{FailedItem, TransformEnd, TransformResult};

use crate::numbers::{count, counted};
use crate::shown;

/// Failed items that are listed; the report itself has more.
pub const LISTED_MAX: usize = 10;

/// Characters of a key, and of a reason, which may quote a message of the database.
const KEY_CHARS_MAX: usize = 120;
const REASON_CHARS_MAX: usize = 300;

/// Returns what became of the items, in counts.
pub fn counts(mode: Mode, result: &TransformResult) -> String {
    let changed = match mode {
        Mode::DryRun => "would change",
        Mode::Apply => "changed",
    };
    let mut parts = vec![
        format!("{} read", count(result.read)),
        format!("{} {changed}", count(result.changed)),
        format!("{} already correct", count(result.unchanged)),
        format!("{} not selected", count(result.skipped)),
    ];
    if result.failed > 0 {
        parts.push(format!("{} failed", count(result.failed)));
    }
    if let Some(run) = &result.retried_run {
        parts.push(format!(
            "only those that failed in run {}",
            shown::text(run, KEY_CHARS_MAX).noted()
        ));
    }
    parts.join(" · ")
}

/// Returns how the transform ended; `None` where it changed every item that it selects.
pub fn ended(result: &TransformResult) -> Option<String> {
    let because = result.message.as_deref().unwrap_or_default();
    let because = shown::text(because, REASON_CHARS_MAX).noted();
    match result.end {
        TransformEnd::Succeeded => None,
        TransformEnd::PartiallyFailed => {
            Some(format!("{} could not be changed.", counted(result.failed, "item")))
        }
        TransformEnd::Failed => {
            Some(format!("The transform stopped: {}.", because.trim_end_matches('.')))
        }
        TransformEnd::Interrupted => Some(
            "The transform was interrupted. Run it again, and it changes what is left.".to_owned(),
        ),
    }
}

/// An item that could not be changed, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its table, and its key where values are shown.
    pub item: String,
    /// The field that failed, and why.
    pub reason: String,
}

/// Returns the first items that failed, and how many more there are.
pub fn failures(result: &TransformResult) -> (Vec<Failure>, u64) {
    let listed: Vec<Failure> = result.failures.iter().take(LISTED_MAX).map(failure).collect();
    let more = result.failed.saturating_sub(listed.len() as u64);
    (listed, more)
}

fn failure(failed: &FailedItem) -> Failure {
    let table = shown::text(&failed.table, KEY_CHARS_MAX).noted();
    let item = match &failed.key {
        Some(key) => format!("{table} {}", shown::item(key, KEY_CHARS_MAX).noted()),
        None => table,
    };
    Failure { item, reason: shown::text(&failed.reason, REASON_CHARS_MAX).noted() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(end: TransformEnd) -> TransformResult {
        let failed = |id: usize| FailedItem {
            table: "cars".into(),
            key: (id > 0).then(|| json!({"id": {"S": format!("{id}\u{202e}\n")}})),
            reason: "set.model: name is missing".into(),
        };
        TransformResult {
            retried_run: None,
            end,
            read: 4000,
            changed: 20,
            unchanged: 1,
            skipped: 2,
            failed: 17,
            failures: (0..12).map(failed).collect(),
            message: Some("Scan failed".into()),
        }
    }

    #[test]
    fn failed_items_are_named_and_counted() {
        let result = result(TransformEnd::PartiallyFailed);
        assert_eq!(
            counts(Mode::Apply, &result),
            "4,000 read · 20 changed · 1 already correct · 2 not selected · 17 failed"
        );
        let retried = TransformResult { retried_run: Some("m/1".into()), ..result.clone() };
        assert!(counts(Mode::Apply, &retried).ends_with("only those that failed in run m/1"));
        let (listed, more) = failures(&result);
        assert_eq!((listed.len(), more), (LISTED_MAX, 7));
        assert_eq!(listed[0].item, "cars");
        assert_eq!(listed[1].reason, "set.model: name is missing");
        let hostile = |c: char| c.is_control() || c == '\u{202e}';
        assert!(listed[1].item.starts_with("cars {id: \"1"), "{:?}", listed[1]);
        assert!(!listed[1].item.contains(hostile), "{:?}", listed[1]);
    }

    #[test]
    fn each_end_is_said_in_a_sentence() {
        let of = |end| ended(&result(end));
        assert_eq!(of(TransformEnd::Succeeded), None);
        assert_eq!(of(TransformEnd::Failed).unwrap(), "The transform stopped: Scan failed.");
        assert_eq!(of(TransformEnd::PartiallyFailed).unwrap(), "17 items could not be changed.");
        assert!(
            of(TransformEnd::Interrupted).unwrap().starts_with("The transform was interrupted")
        );
    }
}
