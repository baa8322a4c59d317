//! How numbers and times look. Pure.

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

/// A count with its noun: 1 item, 2 items, 2 entries.
pub fn counted(number: u64, noun: &str) -> String {
    let number_text = count(number);
    match noun.strip_suffix("ry") {
        _ if number == 1 => format!("{number_text} {noun}"),
        Some(stem) => format!("{number_text} {stem}ries"),
        None => format!("{number_text} {noun}s"),
    }
}

/// The same as a subject: 1 item was, 2 items were.
pub fn were(number: u64, noun: &str) -> String {
    format!("{} {}", counted(number, noun), if number == 1 { "was" } else { "were" })
}

/// Units of capacity: whole where they are, else to the half that DynamoDB counts in.
pub fn units(units: f64) -> String {
    let tenths = format!("{units:.1}");
    let (whole, tenth) = tenths.split_once('.').unwrap_or((&tenths, "0"));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    if tenth == "0" { whole } else { format!("{whole}.{tenth}") }
}

/// Units of both kinds, in words.
pub fn both_units(write: f64, read: f64) -> String {
    format!("{}, {}", write_units(write), read_units(read))
}

pub fn write_units(number: f64) -> String {
    in_words(number, "write")
}

pub fn read_units(number: f64) -> String {
    in_words(number, "read")
}

fn in_words(number: f64, kind: &str) -> String {
    let number = units(number);
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {kind} unit{plural}")
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

/// A time span in milliseconds: tenths of a second below a minute.
pub fn span_ms(ms: u64) -> String {
    if ms < 60_000 {
        return format!("{}.{}s", ms / 1000, ms % 1000 / 100);
    }
    span(i64::try_from(ms / 1000).unwrap_or(i64::MAX))
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
        assert_eq!(both_units(1.0, 0.5), "1 write unit, 0.5 read units");
        assert_eq!(counted(1, "item"), "1 item");
        assert_eq!(counted(1_000, "item"), "1,000 items");
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(0, "entry"), "0 entries");
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
        for (ms, expected) in [(0, "0.0s"), (1_250, "1.2s"), (59_999, "59.9s"), (60_000, "60s")] {
            assert_eq!(span_ms(ms), expected, "{ms}");
        }
    }
}
