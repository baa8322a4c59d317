//! How numbers, times and tables look. Pure.

use jiff::Timestamp;

/// A count with its thousands apart: 61,224.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Units of capacity: whole where they are, else to the half that DynamoDB counts in.
pub fn units(units: f64) -> String {
    let tenths = format!("{units:.1}");
    let (whole, tenth) = tenths.split_once('.').unwrap_or((&tenths, "0"));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    if tenth == "0" { whole } else { format!("{whole}.{tenth}") }
}

/// A time span as kubectl's AGE: the two largest units at most.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        172_800..691_200 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// How long ago a time was.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    span(now.as_second() - since.as_second())
}

/// Columns under their heads, two spaces apart; the last one is not padded. No rows, no text.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
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
    std::iter::once(&heads).chain(rows).map(line).collect()
}

/// Text in lines of at most so many columns, each behind the indent; a longer word has its own line.
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
    fn counts_and_units_are_easy_to_read() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (61_224, "61,224"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), expected);
        }
        for (number, expected) in [(0.0, "0"), (50.5, "50.5"), (406.0, "406"), (12_345.0, "12,345")]
        {
            assert_eq!(units(number), expected);
        }
    }

    #[test]
    fn spans_look_as_kubectl_writes_them() {
        for (seconds, expected) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (700, "11m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (30_000, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (800_000, "9d"),
        ] {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
    }

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
}
