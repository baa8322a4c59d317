//! Finds likely mistakes in the text of programs. It parses no language, so a finding may be wrong;
//! each message names the correction.

use std::path::Path;

use dm_api::script::Files;

use super::Finding;
use super::language::Language;
use super::past_guard::Code;

/// What is wrong in files of this folder.
pub fn findings(folder: &Path, files: &Files) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let Some(language) = Language::of(name, text) else { continue };
        let path = folder.join(name);
        let lines: Vec<&str> = text.lines().collect();
        let is_prose = language.prose(&lines);
        let code = Code::new(language, &lines, &is_prose);
        for at in (0..lines.len()).filter(|at| !is_prose[*at]) {
            if let Some(past) = code.past_guard(at) {
                let finding = if past.is_certain { Finding::error } else { Finding::warning };
                found.push(finding(&path, at + 1, past.message));
            }
            if let Some(message) = language.swallowed(&lines, at) {
                found.push(Finding::warning(&path, at + 1, message));
            }
        }
        if language == Language::Shell && !lines.iter().any(|line| stops_at_errors(line)) {
            let message =
                "without `set -e` the script continues after a failed command, and ends with 0";
            found.push(Finding::warning(&path, 1, message));
        }
    }
    found
}

impl Language {
    /// Why a failure that this line handles stays unnoticed.
    fn swallowed(self, lines: &[&str], at: usize) -> Option<&'static str> {
        let line = lines[at];
        match self {
            Self::Python => {
                let broad =
                    ["except:", "except Exception", "except BaseException", "except ClientError"];
                let line = line.trim_start();
                (broad.iter().any(|begin| line.starts_with(begin)) && !leaves(lines, at)).then_some(
                    "the failure is caught and the program ends with 0; raise it, or end with \
                                sys.exit(1)",
                )
            }
            Self::JavaScript => {
                let caught = [".catch(", "catch (", "catch(", "catch {"];
                let caught =
                    caught.iter().any(|begin| line.contains(begin)) && logs_only(&block(lines, at));
                caught.then_some(
                    "the failure is caught and the program ends with 0; throw it, or set \
                                  process.exitCode = 1",
                )
            }
            Self::Shell => {
                let ignored = line.contains("|| true") || line.contains("|| :");
                ignored.then_some(
                    "the failure is ignored and the script continues; end it with `exit 1`",
                )
            }
        }
    }
}

/// Whether the indented block below a line raises, ends the program, or counts what failed.
fn leaves(lines: &[&str], at: usize) -> bool {
    let inline = lines[at].rsplit_once(':').map_or("", |(_, rest)| rest);
    let leaves = ["raise", "exit(", "return ", "+= 1", ".append("];
    let leaves =
        |line: &str| leaves.iter().any(|word| line.contains(word)) && !line.contains("exit(0)");
    block(lines, at).into_iter().skip(1).chain([inline]).any(leaves)
}

/// A line and the lines below it that are indented more.
fn block<'l>(lines: &[&'l str], at: usize) -> Vec<&'l str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(lines[at]);
    let inside = |line: &&&str| line.trim().is_empty() || indent(line) > outer;
    std::iter::once(lines[at]).chain(lines[at + 1..].iter().take_while(inside).copied()).collect()
}

/// Whether a block of JavaScript that catches a failure is empty or prints it, and no more.
fn logs_only(block: &[&str]) -> bool {
    let leaves = ["throw", "exit", "reject", "return ", "+= 1", "++", ".push("];
    let any =
        |words: &[&str]| block.iter().any(|line| words.iter().any(|word| line.contains(word)));
    (any(&["console.", "catch {}", "=> {})"])) && !any(&leaves)
}

/// `set -e`, `set -eu`, `set -o errexit`, or a first line with `-e`.
fn stops_at_errors(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let flag = |word: &str| word.starts_with('-') && !word.starts_with("--") && word.contains('e');
    (first == "set" || first.starts_with("#!")) && words.any(|word| flag(word) || word == "errexit")
}
