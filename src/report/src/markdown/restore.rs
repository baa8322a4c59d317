//! A restore as a comment.

use dm_contract::report::RestoreReport;

use super::escape::{code, text};
use crate::html::restore::{Restored, what};
use crate::numbers::{count, units};
use crate::shown;

/// Conflicts that are listed.
const LISTED_MAX: usize = 50;

/// Characters of a name or a key.
const CHARS_MAX: usize = 160;

/// The comment.
pub fn comment(restored: &Restored<'_>) -> String {
    let RestoreReport { keys, updated, put, deleted, untouched, conflicts, .. } = *restored.report;
    let icon = if conflicts == 0 { "✅" } else { "⚠️" };
    let kind = if restored.preview == Some(true) { "Preview of the restore" } else { "Restore" };
    let mut all = format!("### {icon} {kind} of {}\n\n", code(restored.of, CHARS_MAX));
    all += "| Items | Restored | Re-created | Deleted | Untouched | Conflicts |\n";
    all += "|--:|--:|--:|--:|--:|--:|\n";
    let numbers = [keys, updated, put, deleted, untouched, conflicts].map(count);
    all += &format!("| {} |\n\n", numbers.join(" | "));
    all += &format!(
        "**Cost**: {} write units, {} read units\n\n",
        units(restored.report.write_units),
        units(restored.report.read_units)
    );
    for listed in restored.report.listed.iter().take(LISTED_MAX) {
        let key = code(&shown::item(&listed.key, CHARS_MAX).noted(), CHARS_MAX);
        let table = code(&listed.table, CHARS_MAX);
        all += &format!("- {key} in {table}: {}\n", text(&what(&listed.conflict)));
    }
    let listed = restored.report.listed.len().min(LISTED_MAX) as u64;
    let more = conflicts.saturating_sub(listed);
    if more > 0 {
        all += &format!("- and {} more\n", count(more));
    }
    for call in restored.report.not_restored.iter().take(LISTED_MAX) {
        let call = shown::text(&call.to_string(), CHARS_MAX).noted();
        all += &format!("- not restored: {}\n", text(&call));
    }
    all
}
