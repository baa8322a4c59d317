//! A restore as a comment.

use dm_contract::report::{ListedConflict, RestoreCounts, RestoreReport};

use super::escape::{code, text};
use crate::numbers::{both_units, count, counted};
use crate::restore::{self, Group, Restored, what};
use crate::shown;

/// Conflicts that are listed.
const LISTED_MAX: usize = 50;

/// Characters of a name or a key.
const CHARS_MAX: usize = 160;

pub fn comment(restored: &Restored<'_>) -> String {
    let RestoreReport { counts, conflicts, .. } = *restored.report;
    let icon = if conflicts == 0 { "✅" } else { "⚠️" };
    let kind = restore::kind(restored.report);
    let mut all = format!("### {icon} {kind} of {}\n\n", code(restored.of, CHARS_MAX));
    let sentences = [
        restore::caveat(restored.report).map(str::to_owned),
        restore::conflicts(restored.report),
        restore::unconfirmed(restored.report),
    ];
    for sentence in sentences {
        all.extend(sentence.map(|sentence| format!("{}\n\n", text(&sentence))));
    }
    all += "| Items | Restored | Recreated | Deleted | Unchanged | Conflicts |\n";
    all += "|--:|--:|--:|--:|--:|--:|\n";
    let RestoreCounts { items, restored: earlier, recreated, deleted, unchanged, .. } = counts;
    let numbers = [items, earlier, recreated, deleted, unchanged, conflicts].map(count);
    all += &format!("| {} |\n\n", numbers.join(" | "));
    let RestoreReport { write_units, read_units, .. } = restored.report;
    all += &format!("**Cost**: {}\n\n", both_units(*write_units, *read_units));
    all += &listed_conflicts(restored.report);
    for call in restored.report.not_restored.iter().take(LISTED_MAX) {
        let call = shown::text(&call.to_string(), CHARS_MAX).noted();
        all += &format!("- not restored: {}\n", text(&call));
    }
    all
}

/// Each conflict with its item; where keys are hidden, how many there are of each kind.
fn listed_conflicts(report: &RestoreReport) -> String {
    let table = |name: &str| code(name, CHARS_MAX);
    let (lines, shown): (Vec<String>, usize) = if restore::names_items(report) {
        let line = |listed: &ListedConflict| {
            let key = listed.key.as_ref().map(|key| shown::item(key, CHARS_MAX).noted());
            let key = key.map_or_else(|| "an item".into(), |key| code(&key, CHARS_MAX));
            format!("- {key} in {}: {}\n", table(&listed.table), text(&what(&listed.conflict)))
        };
        let shown = report.listed.len().min(LISTED_MAX);
        (report.listed.iter().take(shown).map(line).collect(), shown)
    } else {
        let line = |group: &Group<'_>| {
            let items = counted(group.items, "item");
            format!("- {items} in {}: {}\n", table(group.table), text(&what(group.conflict)))
        };
        let groups = restore::groups(report);
        let shown = groups.iter().take(LISTED_MAX).map(|group| group.items).sum::<u64>();
        let lines = groups.iter().take(LISTED_MAX).map(line).collect();
        (lines, usize::try_from(shown).unwrap_or(usize::MAX))
    };
    let mut all = lines.concat();
    let more = report.conflicts.saturating_sub(shown as u64);
    if more > 0 {
        all += &format!("- and {} more\n", count(more));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::plan::OnConflict;
    use dm_contract::restored::Conflict;
    use serde_json::json;

    fn report(preview: Option<bool>) -> RestoreReport {
        let listed = |id: &str| ListedConflict {
            table: "users".into(),
            key: Some(json!({"id": {"S": id}})),
            conflict: Conflict::AttributeChanged("price".into()),
        };
        RestoreReport {
            counts: RestoreCounts { items: 406, restored: 404, ..RestoreCounts::default() },
            conflicts: 3,
            listed: vec![listed("jane@example.com"), listed("joe@example.com")],
            preview,
            on_conflict: Some(OnConflict::Overwrite),
            ..RestoreReport::default()
        }
    }

    #[test]
    fn a_comment_says_what_was_written_and_what_was_not() {
        for (preview, heading, sentence) in [
            (Some(true), "⚠️ Preview of a restore of `m/1`", "Nothing was written: the counts"),
            (Some(false), "⚠️ Restore of `m/1`", "changed after the apply and were overwritten."),
            (None, "⚠️ Restore or its preview of `m/1`", "does not say whether it is a restore"),
        ] {
            let report = report(preview);
            let comment = comment(&Restored { report: &report, of: "m/1" });
            assert!(comment.starts_with(&format!("### {heading}\n")), "{comment}");
            assert!(comment.contains(sentence), "{comment}");
            assert!(comment.contains("jane@example.com"), "{comment}");
        }
    }

    #[test]
    fn hidden_keys_are_counted() {
        let mut report = report(Some(false));
        report.hide_keys();
        let comment = comment(&Restored { report: &report, of: "m/1" });
        assert!(!comment.contains("example.com"), "{comment}");
        let expected = "- 2 items in `users`: price changed after the run\n- and 1 more\n";
        assert!(comment.contains(expected), "{comment}");
    }
}
