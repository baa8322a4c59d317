//! Lines of a manifest, found by their text: a parsed manifest has none.

use std::fs;
use std::path::Path;

/// The line of a field whose path the text begins with, or of the nearest field around it.
pub fn line_of_field(file: &Path, text: &str) -> usize {
    let path = text.split([':', ' ']).next().unwrap_or_default().trim_end_matches(',');
    let mut members = path.rsplit('.').map(|member| member.split('[').next().unwrap_or_default());
    members.find_map(|member| Some(line_of(file, member)).filter(|line| *line > 1)).unwrap_or(1)
}

/// The first line of a file with this YAML member, or 1.
pub fn line_of(file: &Path, member: &str) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    let has = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        let rest = line.strip_prefix(member).or_else(|| {
            // Within braces, as in `{name: x}`.
            line.split(['{', ',']).find_map(|part| part.trim_start().strip_prefix(member))
        });
        rest.is_some_and(|rest| rest.starts_with(':'))
    };
    text.lines().position(has).map_or(1, |at| at + 1)
}
