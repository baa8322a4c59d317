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
