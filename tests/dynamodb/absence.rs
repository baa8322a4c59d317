//! What is not there: a journal that was removed, a run that never was, segments that are gone, a
//! run that wrote nothing. Each learns from the others, and none from a guess.

mod ledger_gone;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dm_contract::error_chain::chain;
use dm_contract::plan::{ArchivePlan, Mode, Plan, Policy};
use dm_contract::restored::JournalProblem;
use dm_contract::verdict::JournalExtent;
use dm_engine::archive::ledger;
use dm_engine::archive::locks::LockTimes;
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::{JournalReader, ReadError};
use dm_engine::restore::{Restore, RestoreError, RestoreOptions, RestoreReport};
use dm_engine::{Call, Engine, EngineOptions, Operation, Start};
use object_store::memory::InMemory;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::{self, ACCESS_KEY, REGION, database, fresh_name};
use crate::shorthand::expand;

/// A program without an SDK: it puts an item for each letter of its second argument.
const PROGRAM: &str = r#"
import json, os, sys, urllib.request
for letter in sys.argv[2]:
    body = {"TableName": sys.argv[1], "Item": {"id": {"S": letter}}}
    headers = {"X-Amz-Target": "DynamoDB_20120810.PutItem", "X-Amz-Date": "20261201T000000Z",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=%s/20261201/%s/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0" % (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_REGION"])}
    url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
"#;

/// An archive in a folder, and a table.
struct Laptop {
    folder: TempDir,
    table: String,
}

impl Laptop {
    async fn new() -> Self {
        let table = fresh_name("absence");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        Self { folder: tempfile::tempdir().unwrap(), table }
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    /// Runs the command line with the archive: exit code, and both outputs in one.
    fn says(&self, words: &[&str]) -> (i32, String) {
        says(&self.url(), words)
    }

    /// Runs the program; what is said.
    fn exec(&self, letters: &str) -> String {
        let program = ["--", "python3", "-c", PROGRAM, &self.table, letters];
        let flags = ["exec", "--apply", "--expect-no-requests", "--migration", "m"];
        let words = [&flags[..], &program[..]].concat();
        let (code, told) = self.says(&words);
        assert_eq!(code, 0, "{told}");
        told
    }

    async fn ids(&self) -> Vec<String> {
        ids(&self.table).await
    }
}

async fn ids(table: &str) -> Vec<String> {
    let items = database().items(table).await;
    items.iter().map(|item| item["id"]["S"].as_str().unwrap().to_owned()).collect()
}

fn says(archive: &str, words: &[&str]) -> (i32, String) {
    let at = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let output = Command::new(env!("CARGO_BIN_EXE_datamigration-under-test"))
        .args(&words[..at])
        .args(["--archive", archive])
        .args(&words[at..])
        .stdin(Stdio::null())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", database().url)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_removed_says_so_and_nothing_is_noted_as_restored() {
    let laptop = Laptop::new().await;
    laptop.exec("abc");
    // Whole seconds count.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let gc = ["archive", "gc", "--older-than-days", "0", "--keep", "0", "--journals-too"];
    assert_eq!(laptop.says(&gc).0, 0);
    for words in [
        &["restore", "--run", "m/1"][..],
        &["restore", "--run", "m/1", "--dry-run"],
        &["restore", "--run", "m/1", "--json"],
        &["archive", "verify", "--run", "m/1"],
        &["archive", "verify"],
        &["archive", "show", "--run", "m/1"],
    ] {
        let (code, told) = laptop.says(words);
        assert_eq!(code, 1, "{words:?}: {told}");
        assert!(told.contains("JournalGone") && told.contains("--journals-too"), "{told}");
    }
    let (_, listed) = laptop.says(&["archive", "ls"]);
    assert!(listed.contains("m/1") && !listed.contains("m/2"), "{listed}");
    assert_eq!(laptop.ids().await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_somebody_deleted_is_missed_too() {
    let laptop = Laptop::new().await;
    laptop.exec("abc");
    std::fs::remove_dir_all(laptop.folder.path().join("runs")).unwrap();
    let (code, told) = laptop.says(&["restore", "--run", "m/1"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("JournalGone") && told.contains("no record says who"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_never_was_is_named() {
    let laptop = Laptop::new().await;
    for words in [
        &["restore", "--run", "typo/1"][..],
        &["restore", "--run", "typo/1", "--dry-run"],
        &["archive", "verify", "--run", "typo/1"],
        &["archive", "show", "--run", "typo/1"],
    ] {
        let (code, told) = laptop.says(words);
        assert_eq!(code, 1, "{words:?}: {told}");
        assert!(told.contains("no run typo/1"), "{told}");
    }
    let nowhere = laptop.folder.path().join("nowhere");
    let (code, told) =
        says(&format!("file://{}", nowhere.display()), &["restore", "--run", "typo/1"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("there is no archive in") && !nowhere.exists(), "{told}");
    assert_eq!(
        std::fs::read_dir(laptop.folder.path().join("ledger")).map(Iterator::count).ok(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_writes_nothing_takes_its_number_and_has_nothing_to_restore() {
    let laptop = Laptop::new().await;
    assert!(laptop.exec("").contains("run: m/1"));
    let (code, told) = laptop.says(&["restore", "--run", "m/1", "--dry-run"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("nothing to restore: m/1 wrote nothing"), "{told}");
    let (code, told) = laptop.says(&["restore", "--run", "m/1"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("nothing to restore: m/1 wrote nothing"), "{told}");
    assert!(laptop.exec("").contains("run: m/3"));
    assert_eq!(laptop.says(&["archive", "verify"]).0, 0);
    let (_, listed) = laptop.says(&["archive", "ls"]);
    assert_eq!(listed.matches("succeeded").count(), 3, "{listed}");
    // One that cannot even be started is over, too.
    let (code, told) =
        laptop.says(&["exec", "--apply", "--migration", "m", "--", "no-such-program"]);
    assert_eq!(code, 127, "{told}");
    let (_, listed) = laptop.says(&["archive", "ls"]);
    assert!(listed.contains("m/4") && listed.contains("failed"), "{listed}");
}

/// A run in a store in memory, write by write, so that each has a segment.
struct Run {
    table: String,
    archive: Archive,
    plan: Plan,
    engine: Arc<Engine>,
    /// After which a restore takes its locks for those of a dead process.
    patience: Duration,
}

/// A guard of the run; the next one holds the locks of the one before.
fn guard(plan: &Plan, start: Start, archive: Option<Archive>) -> Arc<Engine> {
    let holder = Some("guard".to_owned());
    let options = EngineOptions { start, holder, ..bed::options(archive) };
    Arc::new(Engine::open(plan, options).unwrap())
}

impl Run {
    /// One that is on record and has written nothing; of a migration that others may run at the
    /// same time, or of one that runs once.
    async fn begun(again: bool) -> Self {
        let run = Self::with("", again).await;
        let begun = ledger::Begun::now(&run.plan, ledger::Kind::Apply);
        ledger::begin(&run.archive, &run.name(), &begun).await.unwrap();
        run
    }

    async fn of(letters: &str) -> Self {
        Self::with(letters, false).await
    }

    async fn with(letters: &str, again: bool) -> Self {
        let table = fresh_name("absence");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(ArchivePlan { again, ..bed::archive("memory://") });
        let archive = Archive::over(Arc::new(InMemory::new()));
        let opened = Some(archive.clone());
        let engine = guard(&plan, Start::First, opened);
        let patience = LockTimes::default().patience;
        let run = Self { table, archive, plan, engine, patience };
        for letter in letters.chars() {
            run.put(&letter.to_string()).await;
        }
        run
    }

    async fn put(&self, id: &str) {
        let (status, told) = self.answer(id).await;
        assert_eq!(status, 200, "{told}");
    }

    async fn answer(&self, id: &str) -> (u16, String) {
        let put = expand(&json!({"TableName": self.table, "Item": {"id": id}}));
        let Value::Object(body) = put else { unreachable!() };
        let call = Call::new(Operation::PutItem, body);
        let answer = self.engine.handle(call).await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    fn name(&self) -> RunName {
        RunName::new(&self.plan.archive.as_ref().unwrap().migration, 1).unwrap()
    }

    async fn segments(&self) -> u32 {
        u32::try_from(self.archive.list(&self.name().journal()).await.unwrap().len()).unwrap()
    }

    async fn restore(&self, mode: Mode) -> Result<RestoreReport, RestoreError> {
        let mut plan = Plan { mode, ..self.plan.clone() };
        plan.run.number = 2;
        let archive = self.archive.clone();
        let (hold, patience) = (Duration::from_millis(200), self.patience);
        let lock_times = LockTimes { hold, patience, ..LockTimes::default() };
        let options = RestoreOptions { lock_times, ..bed::restore_options(archive) };
        Restore::open(&plan, options).unwrap().run().await
    }

    async fn verify(&self) -> Result<u64, ReadError> {
        let reader = JournalReader::of_run(&self.archive, &self.name()).await?.remove(0);
        Ok(reader.verify().await?.entries)
    }

    /// Removes the last segments; from which one on.
    async fn cut(&self, count: u32) -> u32 {
        let all = self.segments().await;
        for segment in all - count + 1..=all {
            self.archive.delete(&self.name().segment(segment)).await.unwrap();
        }
        all - count + 1
    }

    async fn misses(&self, first: u32, last: u32) {
        let check = |error: &ReadError| {
            let ReadError::Missing { segment, last: end, .. } = error else { panic!("{error}") };
            assert_eq!((*segment, *end), (first, last));
            assert_eq!(error.problem(), Some(JournalProblem::JournalIncomplete));
        };
        check(&self.verify().await.unwrap_err());
        for mode in [Mode::DryRun, Mode::Apply] {
            let error = self.restore(mode).await.unwrap_err();
            let RestoreError::Journal(error) = &error else { panic!("{mode:?}: {error}") };
            check(error);
        }
        let entries = ledger::entries(&self.archive, None).await.unwrap();
        assert_eq!(entries.len(), 1, "nothing is noted of the restore");
        assert_eq!(ids(&self.table).await.len(), 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_of_a_closed_journal_is_missed() {
    let run = Run::of("abcdefg").await;
    assert!(run.engine.close().await);
    assert_eq!(run.verify().await.unwrap(), 7);
    let all = run.segments().await;
    let first = run.cut(4).await;
    run.misses(first, all).await;
    // One witness is enough, whichever is left.
    run.archive.delete(&run.name().closed()).await.unwrap();
    run.misses(first, all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_is_missed_although_its_guard_was_killed() {
    let mut run = Run::of("abcdefg").await;
    // Nobody closes it, and no heartbeat comes so soon.
    run.patience = Duration::from_millis(50);
    // What became of the last writes comes a little later; then all is noted.
    tokio::time::sleep(dm_engine::limits::JOURNAL_SETTLE_DELAY * 2).await;
    let noted = ledger::noted(&run.archive, &run.name()).await.unwrap().unwrap();
    assert_eq!((noted.entries, noted.segments), (7, run.segments().await));
    let first = run.cut(4).await;
    run.misses(first, noted.segments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_run_came_is_in_its_last_entry_and_stays_there() {
    let run = Run::of("abcdefg").await;
    assert!(run.engine.close().await);
    let completed = ledger::Completed::now(ledger::RunOutcome::Succeeded);
    ledger::complete(&run.archive, &run.name(), &completed).await.unwrap();
    let journal = ledger::completed(&run.archive, &run.name()).await.unwrap().unwrap().journal;
    assert_eq!(journal.unwrap().entries, 7);
    // Without its folder and without the note.
    for object in run.archive.list("runs").await.unwrap() {
        run.archive.delete(&object.path).await.unwrap();
    }
    run.archive.delete(&run.name().extent()).await.unwrap();
    let error = run.verify().await.unwrap_err();
    assert!(matches!(error, ReadError::Gone { segments: Some(_), .. }), "{error}");
}

/// Segments that lost bytes: what a power failure, a full disk or a broken copy leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_lost_bytes_is_missed_wherever_it_is() {
    let laptop = Laptop::new().await;
    laptop.exec("abcdefg");
    let journal = laptop.folder.path().join("runs/m/000001/journal");
    let mut segments: Vec<_> =
        std::fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let (middle, last) = (segments[segments.len() / 2].clone(), segments.last().unwrap().clone());
    let cases = [
        (vec![middle.clone()], 0),
        (vec![last.clone()], 0),
        (segments.clone(), 0),
        (vec![last], 5),
        (vec![middle], 5),
    ];
    for (damaged, left_out) in cases {
        let before: Vec<Vec<u8>> =
            damaged.iter().map(|path| std::fs::read(path).unwrap()).collect();
        for (path, whole) in damaged.iter().zip(&before) {
            let left = if left_out == 0 { 0 } else { whole.len() - left_out };
            std::fs::write(path, &whole[..left]).unwrap();
        }
        for words in [
            &["archive", "verify", "--run", "m/1"][..],
            &["restore", "--run", "m/1", "--dry-run"],
            &["restore", "--run", "m/1"],
        ] {
            let (code, told) = laptop.says(words);
            assert_eq!(code, 1, "{words:?}: {told}");
            assert!(told.contains("is torn, and was complete when it was written"), "{told}");
        }
        for (path, whole) in damaged.iter().zip(&before) {
            std::fs::write(path, whole).unwrap();
        }
    }
    let (_, listed) = laptop.says(&["archive", "ls"]);
    assert!(listed.contains("m/1") && !listed.contains("m/2"), "{listed}");
    assert_eq!(laptop.says(&["restore", "--run", "m/1"]).0, 0);
    assert!(laptop.ids().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_noted_and_are_not_there_are_missed() {
    let run = Run::of("abcdefg").await;
    assert!(run.engine.close().await);
    let noted = ledger::noted(&run.archive, &run.name()).await.unwrap().unwrap();
    // As many segments as were noted, one of them of a writer that was cut off.
    let name = run.name();
    let nothing = dm_engine::journal::frame::write(&format!("{name}/2"), 0, &[]).unwrap();
    run.archive.replace(&name.segment(2), nothing).await.unwrap();
    let there = noted.entries - 1;
    for error in [
        chain(&run.verify().await.unwrap_err()),
        chain(&run.restore(Mode::DryRun).await.unwrap_err()),
        chain(&run.restore(Mode::Apply).await.unwrap_err()),
    ] {
        let expected = format!("has {there} entries, and {} were noted", noted.entries);
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(ids(&run.table).await.len(), 7);
}

/// Where objects are not put in one piece, the put that a guard died in is torn. Nobody was told
/// that it was durable: the next guard of the run gives it an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_segment_that_nobody_noted_does_not_stop_the_next_guard() {
    let run = Run::of("abcdefg").await;
    tokio::time::sleep(dm_engine::limits::JOURNAL_SETTLE_DELAY * 2).await;
    let (name, last) = (run.name(), run.segments().await);
    let whole = run.archive.get(&name.segment(last)).await.unwrap().unwrap();
    let torn = whole.slice(..whole.len() - 1);
    run.archive.replace(&name.segment(last), torn).await.unwrap();
    assert!(matches!(run.verify().await, Err(ReadError::Torn { .. })), "it was noted");
    let earlier = JournalExtent { segments: last - 1, entries: 1 };
    ledger::note(&run.archive, &name, earlier).await.unwrap();
    let entries = run.verify().await.unwrap();

    let Run { table, archive, plan, engine, patience } = run;
    drop(engine);
    let engine = guard(&plan, Start::Again, Some(archive.clone()));
    let next = Run { table, archive, plan, engine, patience };
    next.put("h").await;
    assert!(next.engine.close().await);
    assert_eq!(next.verify().await.unwrap(), entries + 1);
    next.restore(Mode::Apply).await.unwrap();
}

/// What a run writes after its journal was read would be counted as restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_writes_yet_is_not_restored() {
    for again in [false, true] {
        let run = Run::begun(again).await;
        run.put("a").await;
        let error = run.restore(Mode::Apply).await.unwrap_err();
        let RestoreError::Writing { run: named, .. } = &error else { panic!("{error}") };
        assert_eq!(*named, run.name().to_string());
        assert_eq!(ledger::entries(&run.archive, None).await.unwrap().len(), 1, "again: {again}");
        run.put("b").await;
        assert!(run.engine.close().await);
        assert_eq!(run.restore(Mode::Apply).await.unwrap().counts.deleted, 2);
        assert!(ids(&run.table).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_restored_before_its_first_write_writes_nothing() {
    for again in [false, true] {
        let run = Run::begun(again).await;
        assert!(run.restore(Mode::Apply).await.unwrap().nothing_written);
        let (status, told) = run.answer("a").await;
        assert_eq!(status, 400);
        let restore = RunName::new(run.name().migration(), 2).unwrap();
        assert!(told.contains(&format!("{restore} restores this run")), "{told}");
        assert!(ids(&run.table).await.is_empty());
    }
}

/// Checks the modes of a folder and all in it; counts its files.
fn walk(folder: &Path, seen: &mut u32) {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, seen);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            *seen += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_in_a_folder_is_its_owners_alone_whatever_the_umask() {
    let laptop = Laptop::new().await;
    let root = laptop.folder.path().join("new/archive");
    let url = format!("file://{}", root.display());
    let script = "umask 0; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_datamigration-under-test")])
        .args(["exec", "--apply", "--archive", &url, "--", "python3", "-c", PROGRAM])
        .args([&laptop.table, "abc"])
        .stdin(Stdio::null())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", database().url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut seen = 0;
    walk(&root, &mut seen);
    assert!(seen > 4, "{seen} files");
}
