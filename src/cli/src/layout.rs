//! How numbers, times and tables look. Pure.

use dm_contract::visible::visible;
use dm_report::markdown::escape;
use jiff::Timestamp;

pub use dm_report::numbers::{both_units, count, counted, read_units, span, were, write_units};

/// How long ago a time was.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    span(now.as_second() - since.as_second())
}

/// Columns under their heads, two spaces apart; the last one is not padded. No rows, no text.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| on_one_line(cell)).collect()).collect();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([heads[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    std::iter::once(&heads).chain(&rows).map(line).collect()
}

/// The same as a table of Markdown.
pub fn markdown_table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let cell = |cell: &String| escape::text(&on_one_line(cell));
    let mut text = line(heads.iter().map(|head| (*head).to_owned()).collect());
    text.extend(["|".to_owned(), "---|".repeat(heads.len()), "\n".to_owned()]);
    text.extend(rows.iter().map(|row| line(row.iter().map(cell).collect())));
    text
}

/// A cell: the lines of a description in one, and nothing in it that a terminal obeys.
fn on_one_line(cell: &str) -> String {
    visible(&cell.lines().collect::<Vec<_>>().join(" "))
}

/// Text in lines of at most this many columns, each behind the indent; a longer word has its own
/// line.
pub fn wrap(text: &str, indent: &str, columns: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let width = columns.saturating_sub(indent.chars().count());
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    behind(indent, lines.iter().map(String::as_str))
}

/// Each line behind the indent.
pub fn behind<'a>(indent: &str, lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines {
        if !line.is_empty() {
            text.push_str(indent);
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_words() {
        for (text, expected) in [
            ("", ""),
            ("one two three", "  one two\n  three\n"),
            ("a-very-long-word b", "  a-very-long-word\n  b\n"),
            ("one\n\ntwo", "  one\n\n  two\n"),
        ] {
            assert_eq!(wrap(text, "  ", 10), expected, "{text}");
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let rows = [vec!["a".into(), "long cell".into()], vec!["bcd".into(), String::new()]];
        assert_eq!(table(&["N", "TEXT"], &rows), "N    TEXT\na    long cell\nbcd\n");
    }

    #[test]
    fn a_cell_of_markdown_ends_no_cell_and_no_line() {
        let rows = [vec!["a|b".into(), "c\nd".into()], vec!["@org/x".into(), "<img>".into()]];
        assert_eq!(
            markdown_table(&["N", "TEXT"], &rows),
            "| N | TEXT |\n|---|---|\n| a\\|b | c d |\n| &#64;org/x | &lt;img&gt; |\n"
        );
    }

    #[test]
    fn a_cell_of_a_terminal_is_one_line_that_can_be_seen() {
        let rows = [vec!["a".into(), "one\ntwo \u{1b}[2K".into()]];
        assert_eq!(table(&["N", "TEXT"], &rows), "N  TEXT\na  one two \\u{1b}[2K\n");
    }
}
