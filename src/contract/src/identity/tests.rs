//! The identity matrix: which recorded runs count for a database, a program and its tables.

use super::*;

const ACCOUNT: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/cars";
const OTHER: &str = "arn:aws:dynamodb:eu-west-1:444455556666:table/cars";
const LOCAL: &str = "arn:aws:dynamodb:ddblocal:000000000000:table/cars";

fn aws(region: &str, arn: &str) -> DatabaseId {
    DatabaseId::new(region, None).with_arn(arn)
}

fn local(endpoint: &str) -> DatabaseId {
    DatabaseId::new("eu-west-1", Some(endpoint)).with_arn(LOCAL)
}

fn ids(ids: &[(&str, &str)]) -> TableIds {
    ids.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
}

/// The database now, with tables that are absent where the id is empty.
fn seen(database: DatabaseId, tables: &[(&str, &str)]) -> Seen {
    let id = |id: &str| (!id.is_empty()).then(|| id.to_owned());
    let tables = tables.iter().map(|(name, found)| ((*name).to_owned(), id(found))).collect();
    Seen { database, tables, is_empty: false }
}

fn check(recorded: &DatabaseId, tables: &[(&str, &str)], now: &Seen, expected: Option<Mismatch>) {
    let tables = ids(tables);
    let recorded = Recorded { database: Some(recorded), program: None, tables: &tables };
    let found = recorded.differs_in_place(now, Absent::MayBe, &[]);
    assert_eq!(found.as_ref().map(|found| found.reason), expected, "{recorded:?} {now:?}");
    if let Some(Difference { reason, .. }) = found {
        assert_eq!(recorded.differs_in_place(now, Absent::MayBe, &[reason]), None);
    }
}

#[test]
fn the_same_database_is_recognized_however_it_is_spelled() {
    let cars = [("cars", "id-1")];
    let recorded = aws("eu-west-1", ACCOUNT);
    for endpoint in [
        "https://dynamodb.eu-west-1.amazonaws.com",
        "https://DynamoDB.eu-west-1.amazonaws.com:443/",
        "https://111122223333.ddb.eu-west-1.amazonaws.com",
        "https://vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com",
        "https://dynamodb.eu-west-1.api.aws",
    ] {
        let now = DatabaseId::new("eu-west-1", Some(endpoint)).with_arn(ACCOUNT);
        check(&recorded, &cars, &seen(now, &cars), None);
    }
    // Through a tunnel: its account, or a table's id, tells.
    let tunnel = DatabaseId::new("eu-west-1", Some("http://tunnel:1"));
    check(&recorded, &[], &seen(tunnel.clone().with_arn(ACCOUNT), &[]), None);
    check(&recorded, &cars, &seen(tunnel.clone(), &cars), None);
    check(&recorded, &cars, &seen(tunnel, &[]), Some(Mismatch::OtherDatabase));
    let recorded = local("http://127.0.0.1:8000");
    for endpoint in ["http://127.0.0.1:8000/", "http://localhost:8000", "HTTP://[::1]:8000"] {
        check(&recorded, &[], &seen(local(endpoint), &[]), None);
    }
    // The same one as a cluster and a laptop reach it.
    check(&recorded, &cars, &seen(local("http://dynamodb.dev.svc:8000"), &cars), None);
    // A local database made up its account.
    assert_eq!(recorded.account, None);
}

#[test]
fn another_region_account_or_endpoint_is_another_database() {
    let cars = [("cars", "id-1")];
    let other = Some(Mismatch::OtherDatabase);
    let recorded = aws("eu-west-1", ACCOUNT);
    check(&recorded, &cars, &seen(aws("us-east-1", ACCOUNT), &[("cars", "id-2")]), other);
    check(&recorded, &cars, &seen(aws("eu-west-1", OTHER), &[("cars", "id-2")]), other);
    check(&recorded, &[], &seen(aws("eu-west-1", OTHER), &[]), other);
    check(&recorded, &cars, &seen(local("http://127.0.0.1:8000"), &[("cars", "id-2")]), other);
    let china = ACCOUNT.replace("arn:aws:", "arn:aws-cn:");
    check(&recorded, &cars, &seen(aws("eu-west-1", &china), &[]), other);
    // None of its tables is there, and nothing tells whose account it is.
    let untold = DatabaseId::new("eu-west-1", None);
    check(&recorded, &cars, &seen(untold.clone(), &[("cars", "")]), other);
    check(&recorded, &cars, &seen(untold, &[]), None);
    let recorded = local("http://127.0.0.1:8000");
    check(&recorded, &cars, &seen(local("http://127.0.0.1:8001"), &[("cars", "id-2")]), other);
    let elsewhere = DatabaseId { region: "us-east-1".into(), ..local("http://127.0.0.1:8000") };
    check(&recorded, &cars, &seen(elsewhere, &[("cars", "")]), other);
}

#[test]
fn a_table_that_the_run_deleted_is_compared_with_nothing() {
    let recorded = local("http://127.0.0.1:8000");
    let check = |now, expected| check(&recorded, &[("cars", "")], &now, expected);
    check(seen(recorded.clone(), &[("cars", "id-2")]), None);
    check(Seen { is_empty: true, ..seen(recorded.clone(), &[("cars", "")]) }, None);
}

#[test]
fn a_table_with_another_id_was_replaced() {
    let cars = [("cars", "id-1")];
    let replaced = Some(Mismatch::TableReplaced);
    for database in [aws("eu-west-1", ACCOUNT), local("http://127.0.0.1:8000")] {
        check(&database, &cars, &seen(database.clone(), &cars), None);
        check(&database, &cars, &seen(database.clone(), &[("cars", "id-2")]), replaced);
        let one_of_two = [("cars", "id-1"), ("parts", "id-9")];
        check(&database, &one_of_two, &seen(database.clone(), &[("cars", "id-2")]), replaced);
        // Not looked at, or dropped by a later migration.
        check(&database, &cars, &seen(database.clone(), &[]), None);
        let now = seen(database.clone(), &[("cars", "")]);
        check(&database, &cars, &now, None);
        check(&database, &cars, &Seen { is_empty: true, ..now.clone() }, replaced);
        let tables = ids(&cars);
        let recorded = Recorded { database: Some(&database), program: None, tables: &tables };
        let needed = recorded.differs_in_place(&now, Absent::IsReplaced, &[]);
        assert_eq!(needed.map(|needed| needed.reason), replaced);
        let other = seen(local("http://other:1"), &[("cars", "id-2")]);
        assert_eq!(
            recorded.differs_in_place(&other, Absent::MayBe, &[Mismatch::OtherDatabase]),
            None
        );
    }
}

#[test]
fn a_program_is_its_digest_and_the_digests_of_its_images() {
    let program = |digest: &str, image: Option<&str>| ProgramId {
        digest: digest.into(),
        images: image.map(|image| ("program".to_owned(), image.to_owned())).into_iter().collect(),
    };
    let check = |recorded: Option<ProgramId>, now: Option<ProgramId>, differs: bool| {
        let tables = TableIds::new();
        let recorded = Recorded { database: None, program: recorded.as_ref(), tables: &tables };
        let found = recorded.differs_in_program(now.as_ref(), &[]);
        assert_eq!(found.is_some(), differs, "{recorded:?} {now:?}");
        assert_eq!(recorded.differs_in_program(now.as_ref(), &[Mismatch::OtherProgram]), None);
    };
    check(Some(program("a", None)), Some(program("a", None)), false);
    check(Some(program("a", None)), Some(program("b", None)), true);
    check(Some(program("a", Some("x"))), Some(program("a", Some("x"))), false);
    check(Some(program("a", Some("x"))), Some(program("a", Some("y"))), true);
    // What one of them does not know differs from nothing.
    check(Some(program("a", Some("x"))), Some(program("a", None)), false);
    check(None, Some(program("a", None)), false);
    check(Some(program("a", None)), None, false);
}

#[test]
fn an_old_record_differs_from_nothing() {
    let tables = TableIds::new();
    let recorded = Recorded { database: None, program: None, tables: &tables };
    let now = seen(aws("eu-west-1", ACCOUNT), &[("cars", "id-1")]);
    assert_eq!(recorded.differs_in_place(&now, Absent::IsReplaced, &[]), None);
}
