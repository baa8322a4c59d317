//! How files are written and named. A rule here names the file and the line that breaks it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::literals::raw_lines;
use crate::root;

/// Past this a file holds more than one thing. Tests at its end do not count.
const LINES_MAX: usize = 500;

/// Characters of a line of code or comments. rustfmt leaves alone what it cannot break.
const CHARS_MAX: usize = 100;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"];

/// What only one machine knows: folders of its people, and mirrors of package registries. In two
/// parts each, so that this file does not break the rule.
const OF_ONE_MACHINE: &[(&str, &str)] = &[
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/wo", "rk/main"),
    ("/wo", "rk/shared"),
    ("index", "-url"),
    ("replace", "-with"),
    ("GOPROXY", "=http"),
    ("\"resol", "ved\":"),
];

/// The home folder inside our own image is everybody's.
const OF_EVERYBODY: &str = "/home/nonroot";

/// Tracked files, relative to the root.
pub fn tracked() -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    // A file that is being moved or deleted is still tracked.
    names.split_terminator('\0').filter(|n| root().join(n).is_file()).map(Into::into).collect()
}

/// Tracked Rust files with their text.
fn rust_files() -> Vec<(String, String)> {
    tracked()
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|suffix| suffix == "rs"))
        .map(|name| (fs::read_to_string(root().join(&name)).unwrap(), name))
        .map(|(text, name)| (name, text))
        .collect()
}

/// Fails with everything that breaks a rule, not only the first.
pub fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let broken: Vec<String> = rust_files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(name, _)| name)
        .collect();
    none("these files do not begin with `//! `", &broken);
}

#[test]
fn lines_fit_a_screen() {
    let mut broken = Vec::new();
    for (name, text) in rust_files() {
        let raw = raw_lines(&text);
        for (number, line) in (1..).zip(text.lines()) {
            let count = line.chars().count();
            if count > CHARS_MAX && !raw.contains(&number) {
                broken.push(format!("{name}:{number}: {count} characters"));
            }
        }
    }
    none(&format!("these lines have more than {CHARS_MAX} characters"), &broken);
}

#[test]
fn no_file_is_too_long() {
    let broken: Vec<String> = rust_files()
        .into_iter()
        .filter_map(|(name, text)| {
            let count = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            (count > LINES_MAX).then(|| format!("{name}: {count} lines"))
        })
        .collect();
    none(&format!("these files have more than {LINES_MAX} lines without their tests"), &broken);
}

#[test]
fn files_are_named_for_what_they_hold() {
    let broken: Vec<String> = tracked()
        .into_iter()
        .filter(|name| {
            Path::new(name)
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .any(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default()))
        })
        .collect();
    none("these names say nothing", &broken);
}

#[test]
fn nothing_of_one_machine_is_committed() {
    let mut broken = Vec::new();
    for name in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&name)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let line = line.replace(OF_EVERYBODY, "");
            for (begin, end) in OF_ONE_MACHINE {
                if line.contains(&format!("{begin}{end}")) {
                    broken.push(format!("{name}:{}: {begin}{end}", number + 1));
                }
            }
        }
    }
    none("these lines belong to one machine", &broken);
}
