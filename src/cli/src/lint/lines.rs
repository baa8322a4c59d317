//! Lines of a manifest, found by their text: a parsed manifest has none.

use std::fs;
use std::path::Path;

/// The line of a field whose path the text begins with, or of the nearest field around it.
pub fn line_of_field(file: &Path, text: &str) -> usize {
    let path = text.split([':', ' ']).next().unwrap_or_default().trim_end_matches(',');
    let manifest = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = manifest.lines().collect();
    field(&lines, path).map_or(1, |at| at + 1)
}

/// Each member of the path is at or below the line of the one before.
fn field(lines: &[&str], path: &str) -> Option<usize> {
    let (mut found, mut rest) = (None, path);
    loop {
        let below = found.unwrap_or(0);
        let at = |member: &str| lines[below..].iter().position(|line| has(line, member));
        // The name of an entry may itself be a path, as in `set.details.color`.
        if let Some(at) = at(rest) {
            return Some(below + at);
        }
        let (first, inner) = rest.split_once('.').unwrap_or((rest, ""));
        let Some(at) = at(first.split('[').next().unwrap_or_default()) else { return found };
        if inner.is_empty() {
            return Some(below + at);
        }
        (found, rest) = (Some(below + at), inner);
    }
}

/// The first line of a file with this YAML member, or 1.
pub fn line_of(file: &Path, member: &str) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().position(|line| has(line, member)).map_or(1, |at| at + 1)
}

/// Whether a line has a member of this name.
fn has(line: &str, member: &str) -> bool {
    let line = line.trim_start().trim_start_matches("- ");
    let begins = |part: &str| {
        let part = part.trim_start();
        // The name may be in quotes of YAML, which a message does not have.
        let bare = part.strip_prefix(['\'', '"']).unwrap_or(part);
        let rest = [part, bare].into_iter().filter_map(|part| part.strip_prefix(member));
        rest.map(|rest| rest.trim_start_matches(['\'', '"'])).any(|rest| rest.starts_with(':'))
    };
    // Within braces, as in `{name: x}`.
    begins(line) || line.split(['{', ',']).any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_below_the_fields_around_it() {
        let lines = [
            "kind: DataMigration",
            "metadata:",
            "  name: m",
            "spec:",
            "  target: {name: dev}",
            "  transform:",
            "    table: shop",
            "    to: {table: other}",
            "    rename:",
            "      name: sk",
            "    set:",
            "      details.color: \"'red'\"",
            "      '\"first-name\"': \"1\"",
            "      '': \"1\"",
            "    remove: [a, b]",
        ];
        for (path, expected) in [
            ("metadata.name", Some("  name: m")),
            ("spec.target.name", Some("  target: {name: dev}")),
            ("spec.transform.table", Some("    table: shop")),
            ("spec.transform.to.table", Some("    to: {table: other}")),
            ("spec.transform.rename.name", Some("      name: sk")),
            ("spec.transform.set.details.color", Some("      details.color: \"'red'\"")),
            ("spec.transform.set.\"first-name\"", Some("      '\"first-name\"': \"1\"")),
            ("spec.transform.set.''", Some("      '': \"1\"")),
            ("spec.transform.remove[1]", Some("    remove: [a, b]")),
            ("spec.transform.filter", Some("  transform:")),
            ("status", None),
        ] {
            assert_eq!(field(&lines, path).map(|at| lines[at]), expected, "{path}");
        }
    }
}
