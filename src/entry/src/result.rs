//! The result as the container's termination message: cut to what the kubelet keeps, and written.
//! Only the last lines are ever cut, never times or codes.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dm_contract::limits::TERMINATION_MESSAGE_BYTES_MAX;
use dm_contract::report::{ProgramResult, REPORT_VERSION};

use crate::limits::START_ERROR_BYTES_MAX;
use crate::tail::cut;

/// A result that says nothing yet.
pub fn empty() -> ProgramResult {
    ProgramResult {
        version: REPORT_VERSION,
        started_at: None,
        finished_at: None,
        exit_code: None,
        signal: None,
        asked_to_end: None,
        left_running: None,
        start_error: None,
        second_run: None,
        last_lines: Vec::new(),
        log_problem: None,
    }
}

/// The result of a program that could not be started.
pub fn not_started(error: &str) -> ProgramResult {
    ProgramResult { start_error: Some(cut(error, START_ERROR_BYTES_MAX)), ..empty() }
}

/// Writes the result to a file that may be there already, as the kubelet's is.
pub fn write(json: &str, log: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(log)?;
    file.write_all(json.as_bytes())
}

/// JSON of at most [`TERMINATION_MESSAGE_BYTES_MAX`] bytes: the oldest lines go first, then the
/// end of the last one.
pub fn to_json(mut result: ProgramResult) -> serde_json::Result<String> {
    loop {
        let json = serde_json::to_string(&result)?;
        if json.len() <= TERMINATION_MESSAGE_BYTES_MAX {
            return Ok(json);
        }
        match result.last_lines.as_mut_slice() {
            [] => {
                result.start_error = result.start_error.map(|error| halved(&error));
                result.log_problem = result.log_problem.map(|problem| halved(&problem));
            }
            [line] => *line = halved(line),
            _ => {
                result.last_lines.remove(0);
            }
        }
    }
}

fn halved(text: &str) -> String {
    cut(text, text.len() / 2)
}

/// RFC 3339 in UTC with milliseconds.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let ms = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day since 1970-01-01. Counts in years that begin in March, so that the
/// leap day is the last one (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        // Seconds as `date -u -d … +%s` gives them.
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_798_761_599_007, "2026-12-31T23:59:59.007Z"),
            (1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, expected) in table {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(ms)), expected);
        }
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_small_result_is_written_whole() {
        let result = ProgramResult {
            started_at: Some("2026-12-01T10:02:11.000Z".into()),
            exit_code: Some(3),
            last_lines: vec!["olé \"x\"".into()],
            ..empty()
        };
        let expected = r#"{"version":1,"startedAt":"2026-12-01T10:02:11.000Z","exitCode":3,"lastLines":["olé \"x\""]}"#;
        assert_eq!(to_json(result).unwrap(), expected);
    }

    #[test]
    fn escapes_count_and_old_lines_go_first() {
        let quotes = "\"".repeat(500);
        let lines: Vec<_> = (0..6).map(|n| format!("{n}{quotes}")).collect();
        let json = to_json(ProgramResult { last_lines: lines.clone(), ..empty() }).unwrap();
        assert!(json.len() <= TERMINATION_MESSAGE_BYTES_MAX);
        let read: ProgramResult = serde_json::from_str(&json).unwrap();
        assert_eq!(read.last_lines, lines[3..]);
    }

    #[test]
    fn one_line_or_error_too_long_is_cut() {
        let long = "\\".repeat(5000);
        let json = to_json(ProgramResult { last_lines: vec![long.clone()], ..empty() }).unwrap();
        assert!(json.len() <= TERMINATION_MESSAGE_BYTES_MAX, "{}", json.len());
        let json = to_json(ProgramResult { start_error: Some(long), ..empty() }).unwrap();
        assert!(json.len() <= TERMINATION_MESSAGE_BYTES_MAX, "{}", json.len());
    }
}
