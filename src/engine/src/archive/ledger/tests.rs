//! The ledger over a store in memory.

use super::*;
use object_store::memory::InMemory;
use std::sync::Arc;

fn begun(uid: &str, at: &str) -> Begun {
    Begun {
        version: LEDGER_VERSION,
        kind: Kind::Apply,
        namespace: "n".into(),
        name: "m".into(),
        uid: uid.into(),
        begun_at: at.into(),
        database: None,
        program: None,
        tables: TableIds::new(),
        baseline: false,
        accepted: Vec::new(),
        overrules: 0,
        parts: None,
    }
}

fn completed(outcome: RunOutcome) -> Completed {
    let completed_at = "2026-12-01T00:00:00.000Z".into();
    Completed { completed_at, ..Completed::now(outcome) }
}

#[tokio::test]
async fn a_run_is_begun_once_goes_on_as_itself_and_is_never_taken_over() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    assert_eq!(begin(&archive, &run, &begun("u", "1")).await.unwrap(), Begin::New);
    assert_eq!(begin(&archive, &run, &begun("u", "2")).await.unwrap(), Begin::Again);
    let taken = begin(&archive, &run, &begun("other", "3")).await.unwrap();
    assert_eq!(taken, Begin::Taken(begun("u", "1")));

    complete(&archive, &run, &completed(RunOutcome::Succeeded)).await.unwrap();
    complete(&archive, &run, &completed(RunOutcome::Succeeded)).await.unwrap();
    assert!(complete(&archive, &run, &completed(RunOutcome::Failed)).await.is_err());
    let over = begin(&archive, &run, &begun("u", "4")).await.unwrap();
    let journal = Some(JournalExtent::default());
    assert_eq!(over, Begin::Over(Completed { journal, ..completed(RunOutcome::Succeeded) }));
}

#[tokio::test]
async fn entries_tell_which_runs_have_no_known_outcome() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    for number in 1..=2 {
        let run = RunName::new("m", number).unwrap();
        begin(&archive, &run, &begun("u", "1")).await.unwrap();
    }
    let first = RunName::new("m", 1).unwrap();
    complete(&archive, &first, &completed(RunOutcome::Failed)).await.unwrap();
    let known: Vec<(u32, bool)> = entries(&archive, Some("m"))
        .await
        .unwrap()
        .iter()
        .map(|entry| (entry.run.number(), entry.completed.is_some()))
        .collect();
    assert_eq!(known, [(1, true), (2, false)]);
    assert!(entries(&archive, Some("other")).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    for wrong in ["", "{}", r#"{"version":2}"#, r#"{"version":1,"kind":"apply"}"#] {
        archive.replace(&run.begun(), Bytes::from(wrong)).await.unwrap();
        assert!(begin(&archive, &run, &begun("u", "1")).await.is_err(), "{wrong}");
    }
}

#[test]
fn entries_have_their_golden_form() {
    let kind = Kind::Restore(1);
    let begun = Begun { kind, ..begun("u", "2026-12-01T00:00:00.000Z") };
    assert_eq!(
        String::from_utf8_lossy(&json(&begun)),
        "{\"version\":1,\"kind\":{\"restore\":1},\"namespace\":\"n\",\"name\":\"m\",\
         \"uid\":\"u\",\"begunAt\":\"2026-12-01T00:00:00.000Z\"}\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&json(&completed(RunOutcome::Succeeded))),
        "{\"version\":1,\"outcome\":\"Succeeded\",\
         \"completedAt\":\"2026-12-01T00:00:00.000Z\"}\n"
    );
}

fn ids(ids: &[(&str, &str)]) -> TableIds {
    ids.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
}

#[tokio::test]
async fn tables_that_a_run_writes_later_are_on_record_and_in_its_completion() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    let database = DatabaseId::new("eu-west-1", None);
    let first = Begun {
        database: Some(database.clone()),
        tables: ids(&[("cars", "id-1")]),
        ..begun("u", "1")
    };
    begin(&archive, &run, &first).await.unwrap();
    // A guard that is started again does not know the tables yet, and is the same run.
    assert_eq!(begin(&archive, &run, &begun("u", "2")).await.unwrap(), Begin::Again);
    let both = ids(&[("cars", "id-1"), ("parts", "id-2")]);
    write_tables(&archive, &run, &both).await.unwrap();
    assert_eq!(tables(&archive, &run).await.unwrap(), both);
    let entry = entries(&archive, Some("m")).await.unwrap().remove(0);
    assert_eq!((entry.tables.clone(), entry.completed.is_none()), (both.clone(), true));

    complete(&archive, &run, &completed(RunOutcome::Succeeded)).await.unwrap();
    let entry = entries(&archive, Some("m")).await.unwrap().remove(0);
    let ended = entry.completed.clone().unwrap();
    assert_eq!((ended.tables, ended.database), (both, Some(database)));
    assert!(entry.recorded().database.is_some());
}

#[tokio::test]
async fn an_entry_of_an_older_version_is_read_and_differs_from_nothing() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    let old = r#"{"version":1,"kind":"apply","namespace":"n","name":"m","uid":"u","begunAt":"t"}"#;
    archive.replace(&run.begun(), Bytes::from(old)).await.unwrap();
    let entry = entries(&archive, Some("m")).await.unwrap().remove(0);
    assert_eq!((entry.begun.database.clone(), entry.tables.len()), (None, 0));
}

#[tokio::test]
async fn a_run_does_not_begin_in_the_journal_of_one_whose_ledger_is_gone() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    assert_eq!(begin(&archive, &run, &begun("u", "1")).await.unwrap(), Begin::New);
    for segment in [1, 7] {
        archive.create(&run.segment(segment), Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(begin(&archive, &run, &begun("u", "2")).await.unwrap(), Begin::Again);
        for object in archive.list("ledger").await.unwrap() {
            archive.delete(&object.path).await.unwrap();
        }
        let error = begin(&archive, &run, &begun("u", "3")).await.unwrap_err();
        assert!(error.to_string().contains("`runs/m/000001/journal`"), "{error}");
        assert!(archive.list("ledger").await.unwrap().is_empty());
        archive.delete(&run.segment(segment)).await.unwrap();
        assert_eq!(begin(&archive, &run, &begun("u", "4")).await.unwrap(), Begin::New);
    }
}

fn part_of(run: &RunName, index: u32) -> RunName {
    run.in_part(dm_contract::part::Part { index, of: 3 })
}

fn begun_in_parts(uid: &str) -> Begun {
    Begun { parts: Some(3), ..begun(uid, "1") }
}

#[tokio::test]
async fn the_first_part_begins_the_run_and_the_others_join_it() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    let first = begin(&archive, &part_of(&run, 2), &begun_in_parts("u")).await.unwrap();
    assert_eq!(first, Begin::New);
    for index in 0..3 {
        let joined = begin(&archive, &part_of(&run, index), &begun_in_parts("u")).await.unwrap();
        assert_eq!(joined, Begin::Again);
        assert!(noted(&archive, &part_of(&run, index)).await.unwrap().is_some(), "{index}");
    }
    let program = Begun {
        program: Some(ProgramId { digest: "sha256:2".into(), images: BTreeMap::new() }),
        ..begun_in_parts("u")
    };
    for other in [begun_in_parts("other"), begun("u", "1"), program] {
        let taken = begin(&archive, &part_of(&run, 1), &other).await.unwrap();
        assert!(matches!(taken, Begin::Taken(_)), "{other:?}");
    }
}

#[tokio::test]
async fn the_last_part_that_succeeds_completes_the_run() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    let ended = |index: u32| Completed {
        execution_time: Some(format!("2026-12-01T00:00:0{index}.000Z")),
        finalization_time: Some(format!("2026-12-01T00:01:0{index}.000Z")),
        summary: Some(RunSummary {
            requests: 5,
            counts_items: true,
            tables: vec![dm_contract::report::TableEffect {
                name: "cars".into(),
                updated: 10,
                ..Default::default()
            }],
            ..RunSummary::default()
        }),
        ..completed(RunOutcome::Succeeded)
    };
    for index in [1, 0, 2] {
        let part = part_of(&run, index);
        begin(&archive, &part, &begun_in_parts("u")).await.unwrap();
        let table = TableIds::from([(format!("t{index}"), "id".to_owned())]);
        write_tables(&archive, &part, &table).await.unwrap();
        assert_eq!(super::completed(&archive, &run).await.unwrap(), None, "{index}");
        complete(&archive, &part, &ended(index)).await.unwrap();
        let over = begin(&archive, &part, &begun_in_parts("u")).await.unwrap();
        assert!(matches!(over, Begin::Over(_)), "a part that has ended writes no more");
    }
    complete(&archive, &part_of(&run, 1), &ended(1)).await.unwrap();
    let entries = entries(&archive, Some("m")).await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let end = entries[0].completed.as_ref().unwrap();
    assert_eq!(end.outcome, RunOutcome::Succeeded);
    assert_eq!(end.execution_time.as_deref(), Some("2026-12-01T00:00:00.000Z"));
    assert_eq!(end.finalization_time.as_deref(), Some("2026-12-01T00:01:02.000Z"));
    let summary = end.summary.as_ref().unwrap();
    assert_eq!((summary.requests, summary.tables[0].updated), (15, 30));
    assert!(summary.counts_items);
    let tables: Vec<&String> = entries[0].tables.keys().collect();
    assert_eq!(tables, ["t0", "t1", "t2"]);
}

#[tokio::test]
async fn a_failed_part_leaves_the_end_of_the_run_to_the_recorder() {
    let archive = Archive::over(Arc::new(InMemory::new()));
    let run = RunName::new("m", 1).unwrap();
    for (index, outcome) in
        [RunOutcome::Succeeded, RunOutcome::Failed, RunOutcome::Succeeded].into_iter().enumerate()
    {
        let part = part_of(&run, u32::try_from(index).unwrap());
        begin(&archive, &part, &begun_in_parts("u")).await.unwrap();
        complete(&archive, &part, &completed(outcome)).await.unwrap();
    }
    assert_eq!(super::completed(&archive, &run).await.unwrap(), None);
    let failed = completed(RunOutcome::Failed);
    record(&archive, &run, &begun_in_parts("u"), &failed).await.unwrap();
    let known = entries(&archive, Some("m")).await.unwrap();
    assert_eq!(known[0].completed.as_ref().unwrap().outcome, RunOutcome::Failed);
}

#[tokio::test]
async fn the_journal_of_any_part_of_a_lost_run_is_found() {
    for (found, begins) in [(1, Some(3)), (1, None)] {
        let archive = Archive::over(Arc::new(InMemory::new()));
        let run = RunName::new("m", 1).unwrap();
        let segment = part_of(&run, found).segment(1);
        archive.create(&segment, Bytes::from_static(b"x")).await.unwrap();
        let begun = Begun { parts: begins, ..begun("u", "1") };
        let name = if begins.is_some() { part_of(&run, 0) } else { run.clone() };
        let Err(LedgerError::LeftOver { folder, .. }) = begin(&archive, &name, &begun).await else {
            panic!("it is written over");
        };
        assert_eq!(folder, "runs/m/000001/part-001/journal");
    }
}
