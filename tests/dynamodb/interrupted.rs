//! Runs on a laptop whose programs end with 0 and did not do their work: told to stop, or locked
//! out and silent about it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::bed::{ACCESS_KEY, REGION, database, fresh_name};

/// A program that swallows every error: it writes an item, says so, waits to be told to go on or to
/// stop, writes another, and ends with the code that it was given.
const PROGRAM: &str = r#"
import json, os, signal, sys, time, urllib.request
table, go = sys.argv[1:3]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
def put(letter):
    try:
        body = {"TableName": table, "Item": {"id": {"S": letter}}}
        headers = {"X-Amz-Target": "DynamoDB_20120810.PutItem",
                   "Content-Type": "application/x-amz-json-1.0", "X-Amz-Date": "20261201T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=%s/20261201/%s/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0" % (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_REGION"])}
        url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
    except Exception:
        pass
put("a")
print("one", flush=True)
while not os.path.exists(go):
    time.sleep(0.05)
put("b")
sys.exit(int(sys.argv[3]))
"#;

struct Bed {
    folder: TempDir,
    table: String,
}

impl Bed {
    async fn new() -> Self {
        let table = fresh_name("interrupted");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        Self { folder: tempfile::tempdir().unwrap(), table }
    }

    fn go(&self) -> PathBuf {
        self.folder.path().join("go")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_datamigration-under-test"));
        command
            .args(words)
            .args(["--archive", &format!("file://{}/archive", self.folder.path().display())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", REGION)
            .env("AWS_ENDPOINT_URL_DYNAMODB", database().url);
        command
    }

    /// Starts the program, which has written its first item when this returns.
    fn started(&self) -> Child {
        self.started_with(&[], 0)
    }

    /// The same with more flags, and another exit code.
    fn started_with(&self, flags: &[&str], code: i32) -> Child {
        let mut command = self.command(&["exec", "--apply", "--migration", "m"]);
        command.args(flags).args(["--", "python3", "-c", PROGRAM, &self.table]);
        command.arg(self.go()).arg(code.to_string());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
        child
    }

    /// Exit code, and what the command line said.
    #[allow(clippy::unused_self)] // reads better beside the bed's other verbs
    fn ended(&self, mut child: Child) -> (i32, String) {
        let code = child.wait().unwrap().code().unwrap();
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (code, told)
    }

    /// Makes the ledger of the migration unwritable, also for a superuser.
    fn lose_ledger(&self) {
        let ledger = self.folder.path().join("archive/ledger/m");
        std::fs::remove_dir_all(&ledger).unwrap();
        std::fs::write(ledger, "").unwrap();
    }

    fn archive(&self, words: &[&str]) -> String {
        let output = self.command(&[&["archive"], words].concat()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn tell(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_with_0_because_it_was_told_to_stop_is_interrupted() {
    let bed = Bed::new().await;
    let child = bed.started();
    tell(&child, "TERM");
    let (code, told) = bed.ended(child);
    assert_eq!(code, 143, "{told}");
    assert!(told.contains("was interrupted: signal 15 asked it to stop"), "{told}");
    let listed = bed.archive(&["ls"]);
    assert!(listed.contains("failed") && !listed.contains("succeeded"), "{listed}");
    let shown = bed.archive(&["show", "--run", "m/1"]);
    assert!(shown.contains("Interrupted: signal 15") && shown.contains("1 written"), "{shown}");
    assert_eq!(database().items(&bed.table).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_told_nothing_succeeds() {
    let bed = Bed::new().await;
    let child = bed.started();
    std::fs::write(bed.go(), "").unwrap();
    let (code, told) = bed.ended(child);
    assert_eq!(code, 0, "{told}");
    assert!(bed.archive(&["ls"]).contains("succeeded"));
    assert_eq!(database().items(&bed.table).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_lock_is_no_success_though_its_program_says_so() {
    let bed = Bed::new().await;
    let child = bed.started();
    let words = ["unlock", "--table", &bed.table, "--reason", "test", "--by", "ada", "--yes"];
    assert!(bed.archive(&words).contains("was removed from run m/1"));
    // Its next heartbeat tells it.
    tokio::time::sleep(dm_engine::limits::LOCK_LEASE / 4 + Duration::from_secs(2)).await;
    std::fs::write(bed.go(), "").unwrap();
    let (code, told) = bed.ended(child);
    assert_eq!(code, 125, "{told}");
    assert!(
        told.contains("ada has released it") && told.contains("has no outcome of run"),
        "{told}"
    );
    let listed = bed.archive(&["ls"]);
    assert!(listed.contains("unknown") && !listed.contains("succeeded"), "{listed}");
    assert_eq!(database().items(&bed.table).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_that_it_waits_for_the_lock_of_one_that_was_killed() {
    let bed = Bed::new().await;
    let mut killed = bed.started();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let child = bed.started();
    // It looks every second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    std::fs::write(bed.go(), "").unwrap();
    let (code, told) = bed.ended(child);
    assert_eq!(code, 0, "{told}");
    let waits = format!("waiting for the lock of table {}: run m/1 has had it since", bed.table);
    assert_eq!(told.matches(&waits).count(), 1, "{told}");
    assert!(told.contains(&format!("this run has the lock of table {}", bed.table)), "{told}");
    assert_eq!(database().items(&bed.table).await.len(), 2);
}

/// Without an end in the ledger the run still has its summary, its report and its program's exit
/// code. The wait for the archive is announced once, and a second signal ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_end_cannot_be_recorded_keeps_its_summary_and_the_exit_code_of_its_program() {
    for (of_program, expected) in [(3, 3), (0, 125)] {
        let bed = Bed::new().await;
        let report = bed.folder.path().join("report.json");
        let mut child = bed.started_with(&["--report", report.to_str().unwrap()], of_program);
        bed.lose_ledger();
        std::fs::write(bed.go(), "").unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains("waiting for the archive") {
            assert_ne!(errors.read_line(&mut told).unwrap(), 0, "{told}");
        }
        let asked = std::time::Instant::now();
        // Two at once may arrive as one, and SIGINT is ignored where a script's `&` has started
        // this.
        tell(&child, "TERM");
        std::thread::sleep(Duration::from_millis(300));
        tell(&child, "TERM");
        errors.read_to_string(&mut told).unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(expected), "{told}");
        // The archive's own limit is longer.
        assert!(asked.elapsed() < dm_engine::limits::JOURNAL_CLOSE_MAX, "{told}");
        assert_eq!(told.matches("waiting for the archive").count(), 1, "{told}");
        let summary =
            told.find("write calls reached the database").unwrap_or_else(|| panic!("{told}"));
        if of_program == 3 {
            let error = told.find("could not be recorded").unwrap_or_else(|| panic!("{told}"));
            assert!(summary < error, "{told}");
            assert!(told[error..].contains("outcome is unknown"), "{told}");
            assert!(told[error..].contains("datamigration restore --archive file://"), "{told}");
        } else {
            assert!(told.contains("The end of the journal could not be written"), "{told}");
        }
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        assert_eq!(report["writeCallsUpstream"], 2, "{report}");
    }
}

/// The archive, or the runs in it, are moved away while a program runs that does not mind.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_journal_vanished_has_not_succeeded_and_offers_no_restore() {
    for moved in ["archive", "archive/runs"] {
        let bed = Bed::new().await;
        let child = bed.started();
        let (there, away) = (bed.folder.path().join(moved), bed.folder.path().join("away"));
        std::fs::rename(&there, away).unwrap();
        std::fs::write(bed.go(), "").unwrap();
        let (code, told) = bed.ended(child);
        assert_eq!(code, 125, "{told}");
        assert!(told.contains("journal is missing from the archive"), "{told}");
        assert!(told.contains("restore   not possible"), "{told}");
        assert!(!told.contains("datamigration restore --archive"), "{told}");
        if moved == "archive" {
            assert!(!there.exists(), "{told}");
        } else {
            let listed = bed.archive(&["ls"]);
            assert!(listed.contains("unknown") && !listed.contains("succeeded"), "{listed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_of_the_ledger_hides_no_other_run() {
    let bed = Bed::new().await;
    let child = bed.started();
    std::fs::write(bed.go(), "").unwrap();
    assert_eq!(bed.ended(child).0, 0);
    let of_other = bed.folder.path().join("archive/ledger/other");
    let of_m = bed.folder.path().join("archive/ledger/m");
    std::fs::create_dir(&of_other).unwrap();
    std::fs::copy(of_m.join("000001.begun.json"), of_other.join("000001.begun.json")).unwrap();
    std::fs::write(of_other.join("000001.completed.json"), "").unwrap();
    let output = bed.command(&["archive", "ls"]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.contains("m/1") && listed.contains("succeeded"), "{listed}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("ledger/other/000001.completed.json"), "{told}");
    assert_eq!(output.status.code(), Some(1), "{told}");
}

/// The ledger counts runs: without it the next one would have number 1 again.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_continue_the_journal_of_one_that_the_ledger_lost() {
    let bed = Bed::new().await;
    let child = bed.started();
    std::fs::write(bed.go(), "").unwrap();
    assert_eq!(bed.ended(child).0, 0);
    let journal = bed.folder.path().join("archive/runs/m/000001/journal");
    let segments = || std::fs::read_dir(&journal).unwrap().count();
    let before = segments();
    std::fs::remove_dir_all(bed.folder.path().join("archive/ledger")).unwrap();
    let mut command = bed.command(&["exec", "--apply", "--migration", "m"]);
    let output = command.args(["--", "python3", "-c", PROGRAM, &bed.table]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{told}");
    assert!(told.contains("runs/m/000001/journal"), "{told}");
    assert_eq!(segments(), before);
}
