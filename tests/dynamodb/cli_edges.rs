//! What a command line promises at its edges: ignored signals stay ignored, wrong flags cost no
//! run, and a seed is loaded whole or not at all.

use std::path::Path;
use std::process::Command;

use crate::bed::{REGION, database};
use crate::cli::{cars, datamigration, ended, python};

/// The folder of a new transform that gives two of three products a status.
fn migration(within: &Path) -> String {
    let folder = within.join("0001-status").display().to_string();
    ran(&["new", &folder, "--transform"], 0);
    folder
}

/// What a command wrote to both outputs, if it ended with this code.
fn ran(words: &[&str], expected: i32) -> String {
    let (out, err, code) = ended(&datamigration(words).output().unwrap());
    assert_eq!(code, Some(expected), "{words:?}: {out}{err}");
    out + &err
}

#[test]
fn a_signal_that_is_ignored_stays_ignored_for_the_program_as_well() {
    let program = ["exec", "--expect-no-requests", "--", "grep", "SigIgn", "/proc/self/status"];
    let ignores = |trap: &str| {
        let command = datamigration(&program);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{trap} exec \"$0\" \"$@\"")]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (out, err, code) = ended(&shell.output().unwrap());
        assert_eq!(code, Some(0), "{err}");
        u64::from_str_radix(out.trim_start_matches("SigIgn:").trim(), 16).unwrap()
    };
    let (hang_up, quit) = (1, 1 << 2);
    assert_eq!(ignores("trap '' HUP;") & hang_up, hang_up, "as nohup starts it");
    assert_eq!(ignores("trap '' QUIT HUP;") & (hang_up | quit), hang_up | quit);
}

#[test]
fn a_wrong_flag_of_the_report_costs_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().join("jane@corp.example #1").display());
    for (flags, code, told) in [
        (["--compare", "missing.json"], 125, "missing.json"),
        (["--html", "page.htm"], 2, ".html"),
        (["--fail-on", "deletes,not-idempotent"], 2, "not-idempotent needs a second pass"),
    ] {
        let exec = ["exec", "--apply", "--archive", &archive];
        let said = ran(&[&exec[..], &flags, &["--", "false"]].concat(), code);
        assert!(said.contains(told) && !said.contains("run: "), "{said}");
        let guard = ["guard", "--mode", "apply", "--listen", "127.0.0.1:0", "--archive", &archive];
        let said = ran(&[&guard[..], &flags].concat(), code);
        assert!(said.contains(told) && !said.contains("run: "), "{said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no archive was made");
}

#[test]
fn a_folder_is_restored_to_before_its_last_run_that_changed_something() {
    let root = tempfile::tempdir().unwrap();
    // The name of a folder is a path's, not a URL's.
    let home = root.path().join("jane@corp.example");
    std::fs::create_dir(&home).unwrap();
    let folder = migration(&home);
    let applied = ran(&["run", &folder, "--apply"], 0);
    assert!(applied.contains("run: 0001-status/1"), "{applied}");
    let said = ran(&["run", &folder, "--apply", "--compare", "missing.json"], 125);
    assert!(!said.contains("run: "), "{said}");
    let again = ran(&["run", &folder, "--apply"], 0);
    assert!(again.contains("run: 0001-status/2"), "{again}");
    let restored = ran(&["restore", "--folder", &folder], 0);
    assert!(restored.contains("restored 0001-status/1"), "{restored}");
    assert!(restored.contains("2  items restored to their earlier attributes"), "{restored}");
}

#[test]
fn what_is_missing_of_a_folders_database_is_named() {
    let root = tempfile::tempdir().unwrap();
    let folder = migration(root.path());
    let kept = Path::new(&folder).join(".datamigration");
    ran(&["run", &folder, "--apply"], 0);
    std::fs::rename(kept.join("archive/ledger"), root.path().join("ledger")).unwrap();
    let said = ran(&["restore", "--folder", &folder], 1);
    assert!(said.contains("0001-status/1, and no run in its ledger"), "{said}");
    assert!(said.contains("Put the folder `ledger` back"), "{said}");
    std::fs::rename(root.path().join("ledger"), kept.join("archive/ledger")).unwrap();
    let restored = ran(&["restore", "--folder", &folder], 0);
    assert!(restored.contains("restored 0001-status/1"), "{restored}");

    std::fs::remove_dir_all(kept.join("database")).unwrap();
    let said = ran(&["restore", "--folder", &folder], 1);
    assert!(said.contains(".datamigration has an archive and no database"), "{said}");
}

#[test]
fn a_report_whose_items_are_damaged_names_their_file() {
    let root = tempfile::tempdir().unwrap();
    let folder = migration(root.path());
    let report = root.path().join("tried.json");
    let report = report.to_str().unwrap();
    ran(&["run", &folder, "--report", report], 0);
    std::fs::write(root.path().join("tried.ndjson.zst"), "not zstd").unwrap();
    let said = ran(&["report", report, "--html"], 1);
    assert!(said.contains("tried.ndjson.zst cannot be read"), "{said}");
    assert!(said.contains("make the dry run again"), "{said}");
}

#[test]
fn a_seed_is_corrected_without_a_reset() {
    let root = tempfile::tempdir().unwrap();
    let folder = migration(root.path());
    let seed = Path::new(&folder).join("seed.json");
    let right = std::fs::read_to_string(&seed).unwrap();
    // One is found by its reader, one by the database, after a part of it was loaded.
    for (wrong, told) in [
        (right.replace("{\"id\": \"p1\"", "\"id\": \"p1\""), "is not a seed"),
        (right.replace("{\"id\": \"p2\"", "{\"key\": \"p2\""), "tables.products.items[1]"),
    ] {
        assert_ne!(wrong, right);
        std::fs::write(&seed, wrong).unwrap();
        let said = ran(&["run", &folder, "--apply"], 125);
        assert!(said.contains(told), "{said}");
        let said = ran(&["restore", "--folder", &folder], 1);
        assert!(said.contains("nothing was applied there"), "{said}");
    }
    std::fs::write(&seed, right).unwrap();
    for flag in ["--dry-run", "--apply"] {
        let said = ran(&["run", &folder, flag], 0);
        assert!(said.contains("tables 1, items 3"), "{said}");
    }
    let said = ran(&["run", &folder, "--apply"], 0);
    assert!(said.contains("embedded, kept in"), "{said}");
}

#[tokio::test]
async fn without_a_region_a_run_says_so_and_the_flag_is_enough() {
    let run = |flags: &[&str]| {
        let mut command = datamigration(&[&["exec"], flags, &["--", "true"]].concat());
        let home = tempfile::tempdir().unwrap();
        command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
        command.env("HOME", home.path()).env_remove("AWS_PROFILE");
        ended(&command.output().unwrap())
    };
    let (_, err, code) = run(&[]);
    assert_eq!(code, Some(125), "{err}");
    assert!(err.contains("no region is configured; give --region, or set AWS_REGION"), "{err}");
    let (_, err, code) = run(&["--region", REGION, "--expect-no-requests"]);
    assert_eq!(code, Some(0), "{err}");
}

#[tokio::test]
async fn a_program_that_is_outlived_by_what_it_started_has_not_succeeded() {
    let table = cars(&database()).await;
    // The child has its own connection, and writes when its parent has ended.
    let program = "
import os, sys, time, boto3
table = lambda: boto3.resource('dynamodb').Table(sys.argv[1])
table().get_item(Key={'id': 'a'})
if sys.argv[2] == 'fork' and os.fork() == 0:
    mine = table()
    mine.get_item(Key={'id': 'b'})
    open(sys.argv[3], 'w').close()
    time.sleep(3)
    mine.put_item(Item={'id': 'late'})
    os._exit(0)
while sys.argv[2] == 'fork' and not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
";
    let folder = tempfile::tempdir().unwrap();
    let run = |how: &str| {
        let mut command = datamigration(&["exec", "--"]);
        command.arg(python()).args(["-c", program, &table, how]).arg(folder.path().join("ready"));
        ended(&command.output().unwrap())
    };
    let (_, err, code) = run("alone");
    assert_eq!(code, Some(0), "{err}");
    let (_, err, code) = run("fork");
    assert_eq!(code, Some(125), "{err}");
    assert!(err.contains("a process that it had started was connected to the guard"), "{err}");
}
