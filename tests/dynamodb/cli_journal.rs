//! `--archive` of the verbs on a laptop: only runs that write have a journal, a guard's as well.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::bed::{Endpoint, REGION, database};
use crate::cli::{cars, datamigration, ended, succeed};

#[test]
fn a_dry_run_has_no_journal() {
    for (words, flag) in [
        (&["exec", "--archive", "file:///nowhere", "--", "true"][..], "--apply"),
        (&["guard", "--archive", "file:///nowhere"], "--mode apply"),
    ] {
        let (_, err, code) = ended(&datamigration(words).output().unwrap());
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(flag), "{err}");
    }
}

/// Nobody knows what it did, so nobody adopts it.
#[test]
fn an_apply_whose_program_sent_no_request_has_failed_in_the_ledger_too() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().display());
    let says = |words: &[&str]| {
        let (out, err, code) = ended(&datamigration(words).output().unwrap());
        (out + &err, code)
    };
    let run = ["exec", "--apply", "--archive", &archive, "--migration", "m", "--"];
    let (told, code) = says(&[&run[..], &["true"]].concat());
    assert_eq!(code, Some(125), "{told}");
    assert!(told.contains("the program sent no request to the guard"), "{told}");
    let (listed, _) = says(&["archive", "ls", "--archive", &archive]);
    assert!(listed.contains("m/1") && listed.contains("failed"), "{listed}");
    assert!(!listed.contains("succeeded"), "{listed}");
    let (shown, _) = says(&["archive", "show", "--archive", &archive, "--run", "m/1"]);
    assert!(shown.contains("sent no request to the guard"), "{shown}");
}

/// A guard's runs are journaled and restored like those of `exec`.
#[tokio::test]
async fn a_guard_that_applies_keeps_a_journal() {
    let database = database();
    let table = cars(&database).await;
    let before = database.items(&table).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().display());
    let words = ["guard", "--mode", "apply", "--listen", "127.0.0.1:0", "--archive", &archive];
    let mut command = datamigration(&[&words[..], &["--migration", "by-hand"]].concat());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("AWS_ACCESS_KEY_ID=") {
        assert_ne!(err.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let after = |words: &str, end| {
        let (_, rest) = said.split_once(words).unwrap_or_else(|| panic!("{said}"));
        rest.split(end).next().unwrap().to_owned()
    };
    let guard =
        Endpoint::new(after("behind ", ';')).signing(&after("AWS_ACCESS_KEY_ID=", ' '), REGION);
    guard.ok("DeleteItem", &json!({"TableName": table, "Key": {"id": {"S": "c"}}})).await;
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    err.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("The outcome of run by-hand/1 stays unknown"), "{said}");
    assert_ne!(database.items(&table).await, before);
    let restore = ["restore", "--archive", &archive, "--run", "by-hand/1"];
    let (out, err, code) = ended(&datamigration(&restore).output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("1  items recreated, because the run deleted them"), "{out}");
    assert_eq!(database.items(&table).await, before);
}
