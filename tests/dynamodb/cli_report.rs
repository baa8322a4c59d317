//! Reports on the command line: what `exec` prints and writes of a dry run, and that `report` shows
//! the same later, from the files and from an archive.

use std::process::Output;

use serde_json::Value;

use crate::bed::database;
use crate::cli::{PRICE, cars, datamigration, ended, python};

/// A dry run of the program that prices cars, with these flags of the report.
fn dry_run(folder: &std::path::Path, table: &str, flags: &[&str]) -> Output {
    let mut command = datamigration(&["exec", "--dry-run", "--report"]);
    command.arg(folder.join("tried.json")).args(flags);
    command.arg("--").arg(python()).args(["-c", PRICE, table]).output().unwrap()
}

#[tokio::test]
async fn a_dry_run_prints_a_comment_and_writes_a_page_and_report_shows_the_same_later() {
    let table = cars(&database()).await;
    let folder = tempfile::tempdir().unwrap();
    let output = dry_run(folder.path(), &table, &["-o", "markdown", "--html"]);
    let (out, err, code) = ended(&output);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("<!-- datamigration report"), "the comment only: {out}");
    assert!(err.contains("2 priced, 3 have a price"), "the program's own output: {err}");
    for part in ["### ✅ Dry run: nothing was written", "`price`", "+   price: 100"] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    let page = std::fs::read_to_string(folder.path().join("tried.html")).unwrap();
    assert!(page.contains("default-src 'none'") && page.contains(&table), "{page}");

    let tried = folder.path().join("tried.json");
    let report = |flags: &[&str]| {
        let mut command = datamigration(&["report"]);
        ended(&command.arg(&tried).args(flags).output().unwrap())
    };
    let (again, err, code) = report(&["-o", "markdown"]);
    assert_eq!((code, &again), (Some(0), &out), "the same comment from the files: {err}");
    let (text, _, _) = report(&[]);
    assert!(text.contains(&format!("{table}  6 items read · 2 would be updated")), "{text}");
    let (json, _, _) = report(&["-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["about"]["end"]["exited"], 0, "{json}");
    let (_, err, code) = report(&["--html", tried.to_str().unwrap()]);
    assert_eq!(code, Some(2), "a page must not replace a report: {err}");
    assert!(err.contains("the name of a page ends in .html"), "{err}");
}

#[tokio::test]
async fn a_check_that_fails_ends_with_4_and_the_programs_own_failure_comes_first() {
    let table = cars(&database()).await;
    let folder = tempfile::tempdir().unwrap();
    let (_, err, code) = ended(&dry_run(folder.path(), &table, &["--fail-on", "deletes,writes>2"]));
    assert_eq!(code, Some(0), "{err}");
    let output = dry_run(folder.path(), &table, &["--fail-on", "not-idempotent,writes>1"]);
    let (_, err, code) = ended(&output);
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("check failed: writes>1: 2 items or tables would be written"), "{err}");
    assert!(err.contains("second pass: no changes"), "the condition implies it: {err}");
    let mut command = datamigration(&["exec", "--fail-on", "refused", "--", "false"]);
    assert_eq!(ended(&command.output().unwrap()).2, Some(1));
}

#[tokio::test]
async fn what_differs_from_an_earlier_report_is_shown() {
    let table = cars(&database()).await;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(ended(&dry_run(folder.path(), &table, &[])).2, Some(0));
    let path = folder.path().join("tried.json");
    let mut last: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    last["tables"][0]["updated"] = 1.into();
    let before = folder.path().join("last.json");
    std::fs::write(&before, last.to_string()).unwrap();
    let flags = ["--compare", before.to_str().unwrap()];
    let (_, err, code) = ended(&dry_run(folder.path(), &table, &flags));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("since the last report:"), "{err}");
    assert!(err.contains("items updated  1       2"), "{err}");
    let wrong = ["--compare", folder.path().to_str().unwrap()];
    let (out, err, code) = ended(&dry_run(folder.path(), &table, &wrong));
    assert_eq!((out.as_str(), code), ("", Some(125)), "before the program starts: {err}");
}
