//! Running other programs: what was being done is always part of the error, and so is the end of
//! what the program printed. It must not know what any of the programs are for.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// How many of a failed program's last lines an error repeats: enough for a compiler's message.
const LAST_LINES_MAX: usize = 40;

/// A command with its arguments.
pub fn command<I, S>(program: impl AsRef<OsStr>, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a program quietly and returns what it printed on standard output.
pub fn capture(command: &mut Command, doing: &str) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| cannot_start(command, doing))?;
    finished(command, doing, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program quietly; only its failure is heard of.
pub fn run(command: &mut Command, doing: &str) -> Result<()> {
    capture(command, doing).map(|_| ())
}

/// Runs a program that reads `input`.
pub fn feed(command: &mut Command, input: &str, doing: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command, doing))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("{doing}: writing its input"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("{doing}: waiting"))?;
    finished(command, doing, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program whose output belongs on this terminal.
pub fn show(command: &mut Command, doing: &str) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| cannot_start(command, doing))?;
    if !status.success() {
        bail!("{doing}: {} ended with {status}", name(command));
    }
    Ok(())
}

/// Whether a program runs and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The last lines of a text, for errors.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The last lines of a log file, for errors; empty when there is none.
pub fn last_lines_of(path: &Path, count: usize) -> String {
    std::fs::read(path)
        .map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), count))
        .unwrap_or_default()
}

fn finished(command: &Command, doing: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let mut message = format!("{doing}: {} ended with {}", name(command), output.status);
    for stream in [&output.stdout, &output.stderr] {
        let text = last_lines(String::from_utf8_lossy(stream).trim_end(), LAST_LINES_MAX);
        if !text.is_empty() {
            let _ = write!(message, "\n{text}");
        }
    }
    bail!(message)
}

fn cannot_start(command: &Command, doing: &str) -> String {
    format!("{doing}: cannot start {}", name(command))
}

fn name(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned()
}
