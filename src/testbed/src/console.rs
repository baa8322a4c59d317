//! What a person sees while a task runs: one line per step with its time, with a spinner on a
//! terminal and plain lines in a log. Standard output stays free for results such as `cluster env`.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner turns: fast enough to look alive, slow enough to cost nothing.
const SPINNER_PERIOD: Duration = Duration::from_millis(120);

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

fn spinner(title: &str) -> Option<ProgressBar> {
    if !stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})").ok()?;
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(title.to_owned());
    spinner.enable_steady_tick(SPINNER_PERIOD);
    Some(spinner)
}
