//! What a person sees while a task runs: one line per step with its time, with a spinner on a
//! terminal and plain lines in a log. Standard output stays free for results such as `cluster env`.

use std::cell::RefCell;
use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner turns: fast enough to look alive, slow enough to cost nothing.
const SPINNER_PERIOD: Duration = Duration::from_millis(120);

/// USER_HZ of x86-64 and arm64.
const TICKS_PER_SECOND: u64 = 100;

/// Runs one step and prints how long it took.
pub fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let spinner = spinner(title);
    if spinner.is_none() {
        eprintln!("  …  {title}");
    }
    let outcome = work();
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let mark = if outcome.is_ok() { "ok" } else { "!!" };
    eprintln!("  {mark} {title} ({})", seconds(begun.elapsed()));
    outcome
}

/// A wait whose text changes: a spinner on a terminal; in a log one line for each text.
pub struct Waiting {
    spinner: Option<ProgressBar>,
    shown: RefCell<String>,
}

impl Waiting {
    pub fn start(title: &str) -> Self {
        Self { spinner: spinner(title), shown: RefCell::default() }
    }

    /// Shows a text that differs from the last one. In a log its step counts, not the time left.
    pub fn show(&self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(text.to_owned());
            return;
        }
        let step = text.split(',').next().unwrap_or_default();
        if self.shown.replace(step.to_owned()) != step {
            eprintln!("  …  {text}");
        }
    }

    pub fn end(self) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// A line that is not a step.
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// A time as a person reads it.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A time, with the processors' time that this process and its ended children took.
pub fn seconds_and_cpu(time: Duration) -> String {
    let cpu = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| ticks(&stat));
    match cpu {
        Some(cpu) => format!("{}, {} CPU seconds", seconds(time), cpu / TICKS_PER_SECOND),
        None => seconds(time),
    }
}

/// The sum of utime, stime, cutime and cstime: fields 14 to 17 of proc_pid_stat(5).
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(11).take(4);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

fn spinner(title: &str) -> Option<ProgressBar> {
    if !stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})").ok()?;
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(title.to_owned());
    spinner.enable_steady_tick(SPINNER_PERIOD);
    Some(spinner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 8 7 6 100 20 3000 400 20 0 1 0";
        assert_eq!(ticks(stat), Some(3520));
        assert_eq!(ticks(""), None);
    }
}
