//! The hook that checks commit messages, given messages. The rules are in CONTRIBUTING.md.

use std::fs;
use std::process::Command;

use crate::root;

/// What the hook says to a message, or that it accepts it.
fn answer(message: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), message).unwrap();
    let hook = root().join(".githooks/commit-msg");
    let output = Command::new("sh").arg(hook).arg(file.path()).output().unwrap();
    if output.status.success() {
        return "accepted".into();
    }
    String::from_utf8(output.stderr).unwrap()
}

fn check(message: &str, expected: &str) {
    let said = answer(message);
    assert!(said.contains(expected), "{message:?}: {said}");
}

#[test]
fn a_message_has_a_short_subject_and_a_body() {
    let long = "x".repeat(73);
    let umlauts = "ü".repeat(72);
    check(
        "Pause dry runs in place\n\nTheir pods keep the overlay. Verified by a test.\n",
        "accepted",
    );
    check("docs: name the port of the operator\n", "accepted");
    check("test: wait for a condition\n# a comment of git\n", "accepted");
    check("Merge branch 'a'\n", "accepted");
    check(&format!("{umlauts}\n\nWhy.\n"), "accepted");
    check("Pause dry runs in place\n", "a body must say why");
    check("Pause dry runs in place\n\n# only a comment\n", "a body must say why");
    check(&format!("{long}\n\nWhy.\n"), "73 characters");
    check("Pause dry runs in place\nand more\n", "the second line must be empty");
    check("Pause dry runs in place.\n\nWhy.\n", "a period");
    check("\n\nWhy.\n", "empty");
}
