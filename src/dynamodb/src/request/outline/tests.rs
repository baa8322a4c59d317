//! The outline of bodies: by cases, and of random requests against what the decoder makes of them.

use serde_json::json;

use super::*;
use crate::item_write::ReturnValues;
use crate::random::Random;
use crate::request::{BatchPart, CapacityLevel, Page, Request, Select};

const CARS_ARN: &str = "arn:aws:dynamodb:eu-west-1:1:table/cars";

fn outline(operation: Operation, body: &Value) -> Outline<'_> {
    Outline::of(operation, body.as_object().unwrap())
}

#[test]
fn tables_are_found_wherever_an_operation_names_them() {
    let check = |body: &Value, expected: &[&str]| {
        assert_eq!(outline(Operation::PutItem, body).tables(), expected);
    };
    check(&json!({"TableName": "cars", "Item": {}}), &["cars"]);
    check(&json!({"RequestItems": {"a": [], "b": []}}), &["a", "b"]);
    check(
        &json!({"TransactItems": [
            {"Put": {"TableName": "a"}},
            {"ConditionCheck": {"TableName": "b"}},
            {"Delete": {"TableName": "a"}},
            {"Put": {"TableName": "c"}, "Delete": {"TableName": "d"}},
        ]}),
        &["a", "b", "c", "d"],
    );
    check(&json!({"Limit": 3}), &[]);
    let stream = "arn:aws:kinesis:eu-west-1:1:stream/s";
    check(&json!({"TableName": "cars", "StreamArn": stream}), &["cars"]);
}

#[test]
fn writes_are_counted_with_their_tables() {
    let check = |operation, body: Value, expected: &[(&str, ChangeKind)]| {
        let outline = outline(operation, &body);
        assert_eq!(outline.writes(), expected);
        assert_eq!(outline.items_written(), expected.len());
    };
    let (put, delete) =
        (json!({"PutRequest": {}}), json!({"DeleteRequest": {}, "PutRequest": null}));
    check(
        Operation::BatchWriteItem,
        json!({"RequestItems": {"a": [put, delete], "b": [put]}}),
        &[("a", ChangeKind::Put), ("a", ChangeKind::Delete), ("b", ChangeKind::Put)],
    );
    check(
        Operation::TransactWriteItems,
        json!({"TransactItems": [
            {"Update": {"TableName": "a"}},
            {"ConditionCheck": {"TableName": "b"}},
        ]}),
        &[("a", ChangeKind::Update), ("b", ChangeKind::Check)],
    );
    check(Operation::DeleteItem, json!({"TableName": "a"}), &[("a", ChangeKind::Delete)]);
    let statements = json!({"Statements": [{}, {}]});
    assert_eq!(outline(Operation::BatchExecuteStatement, &statements).items_written(), 2);
}

const OPERATIONS: [Operation; 13] = [
    Operation::PutItem,
    Operation::UpdateItem,
    Operation::DeleteItem,
    Operation::GetItem,
    Operation::Query,
    Operation::Scan,
    Operation::BatchGetItem,
    Operation::BatchWriteItem,
    Operation::TransactGetItems,
    Operation::TransactWriteItems,
    Operation::ExecuteStatement,
    Operation::BatchExecuteStatement,
    Operation::ExecuteTransaction,
];

/// Whatever of a random request the decoder accepts has the same outline for both readers.
#[test]
fn random_requests_have_the_outline_that_the_decoder_gives_them() {
    let mut random = Random::seeded(0x0471_e5ee);
    let mut decoded = [0; OPERATIONS.len()];
    for _ in 0..10_000 {
        let at = random.below(OPERATIONS.len());
        let body = body(&mut random, OPERATIONS[at]);
        let Ok(request) = Request::decode(OPERATIONS[at], body.as_object().unwrap()) else {
            continue;
        };
        decoded[at] += 1;
        check(&request, outline(OPERATIONS[at], &body), &body);
    }
    assert!(decoded.iter().all(|&count| count > 50), "{decoded:?}");
}

fn check(request: &Request, outline: Outline<'_>, body: &Value) {
    assert_eq!(outline.tables(), tables(request), "{body}");
    assert_eq!(outline.returned(), returned(request), "{body}");
    assert_eq!(outline.whole_items(), whole_items(request), "{body}");
    assert_eq!(outline.asks_for_capacity(), capacity(request) != CapacityLevel::None, "{body}");
    assert_eq!(outline.writes(), writes(request), "{body}");
    let written = if request.statements().is_empty() {
        writes(request).len()
    } else {
        request.statements().len()
    };
    assert_eq!(outline.items_written(), written, "{body}");
    if let Request::TransactGet(gets) = request {
        let tables: Vec<&str> = gets.gets.iter().map(|get| &*get.table).collect();
        assert_eq!(outline.tables_of_gets().collect::<Vec<_>>(), tables, "{body}");
    }
}

fn tables(request: &Request) -> Vec<&str> {
    let named: Vec<&str> = match request {
        Request::Write(write) => vec![&write.table],
        Request::BatchWrite(batch) => batch.tables.iter().map(|(table, _)| &**table).collect(),
        Request::TransactWrite(transaction) => {
            transaction.actions.iter().map(|action| &*action.table).collect()
        }
        Request::Get(get) => vec![&get.table],
        Request::BatchGet(batch) => batch.tables.iter().map(|of_table| &*of_table.table).collect(),
        Request::TransactGet(gets) => gets.gets.iter().map(|get| &*get.table).collect(),
        Request::Page(page) => vec![&page.table],
        Request::Execute(_) | Request::ExecuteBatch(_) | Request::ExecuteTransaction(_) => vec![],
        Request::Control(_) | Request::List(_) | Request::Other => {
            unreachable!("of no operation of these tests")
        }
    };
    let mut once: Vec<&str> = Vec::new();
    for table in named {
        if !once.contains(&table) {
            once.push(table);
        }
    }
    once
}

fn writes(request: &Request) -> Vec<(&str, ChangeKind)> {
    match request {
        Request::Write(write) => vec![(&write.table, write.kind())],
        Request::BatchWrite(batch) => {
            let kind = |part: &BatchPart| match part {
                BatchPart::Put(_) => ChangeKind::Put,
                BatchPart::Delete(_) => ChangeKind::Delete,
            };
            let writes = batch
                .tables
                .iter()
                .flat_map(|(table, parts)| parts.iter().map(move |part| (&**table, kind(part))));
            writes.collect()
        }
        Request::TransactWrite(transaction) => {
            transaction.actions.iter().map(|action| (&*action.table, action.kind())).collect()
        }
        _ => vec![],
    }
}

fn returned(request: &Request) -> Returned {
    match request {
        Request::Write(write) if write.returned == ReturnValues::None => Returned::Nothing,
        Request::Write(_) | Request::Get(_) => Returned::Item,
        Request::BatchGet(batch) => {
            Returned::Batch(batch.tables.iter().map(|of_table| of_table.keys.len()).sum())
        }
        Request::TransactGet(gets) => Returned::Transaction(gets.gets.len()),
        Request::Page(page) => {
            Returned::Page(page.limit.map(|limit| usize::try_from(limit).unwrap()))
        }
        Request::Execute(_) => Returned::Page(None),
        Request::ExecuteBatch(batch) => Returned::Batch(batch.statements.len()),
        Request::ExecuteTransaction(transaction) => {
            Returned::Transaction(transaction.statements.len())
        }
        Request::BatchWrite(_)
        | Request::TransactWrite(_)
        | Request::Control(_)
        | Request::List(_)
        | Request::Other => Returned::Nothing,
    }
}

fn whole_items(request: &Request) -> Option<WholeItems<'_>> {
    match request {
        Request::Get(get) => get.projection.is_none().then_some(WholeItems::One(&get.table)),
        Request::Page(page) => {
            let Page { table, index, projection, select, .. } = page;
            let is_whole = index.is_none()
                && projection.is_none()
                && matches!(select, None | Some(Select::All));
            is_whole.then_some(WholeItems::Page(table))
        }
        Request::BatchGet(batch) => {
            let whole = batch.tables.iter().filter(|of_table| of_table.projection.is_none());
            Some(WholeItems::Batch(whole.map(|of_table| &*of_table.table).collect()))
        }
        _ => None,
    }
}

fn capacity(request: &Request) -> CapacityLevel {
    match request {
        Request::Write(write) => write.capacity,
        Request::BatchWrite(batch) => batch.capacity,
        Request::TransactWrite(transaction) => transaction.capacity,
        Request::Execute(execute) => execute.capacity,
        Request::ExecuteBatch(batch) => batch.capacity,
        Request::ExecuteTransaction(transaction) => transaction.capacity,
        Request::Get(get) => get.capacity,
        Request::BatchGet(batch) => batch.capacity,
        Request::TransactGet(gets) => gets.capacity,
        Request::Page(page) => page.capacity,
        Request::Control(_) | Request::List(_) | Request::Other => CapacityLevel::None,
    }
}

/// Adds a member to one request in three; another is null in one in nine.
fn maybe(random: &mut Random, body: &mut Value, name: &str, values: &[Value]) {
    if random.below(3) == 0 {
        body[name] = random.pick(values).clone();
    } else if random.below(6) == 0 {
        body[name] = Value::Null;
    }
}

fn table(random: &mut Random) -> Value {
    random.pick(&["cars", "bikes", CARS_ARN, "a", "not a name"]).to_owned().into()
}

fn key(random: &mut Random) -> Value {
    let id = format!("i{}", random.below(40));
    random.pick(&[json!({"id": {"S": id}}), json!({"id": {"S": id}}), json!({"id": {}})]).clone()
}

fn parts(random: &mut Random, body: &mut Value) {
    maybe(random, body, "ProjectionExpression", &["id".into(), "a.b".into(), "?".into()]);
    maybe(random, body, "AttributesToGet", &[json!(["id"])]);
    maybe(random, body, "ConsistentRead", &[true.into(), false.into()]);
}

fn write(random: &mut Random, kind: &str) -> Value {
    let mut body = json!({"TableName": table(random)});
    body[if kind == "Put" { "Item" } else { "Key" }] = key(random);
    if kind == "Update" {
        maybe(random, &mut body, "UpdateExpression", &["REMOVE a".into(), "SET".into()]);
    }
    maybe(random, &mut body, "ConditionExpression", &["attribute_exists(id)".into()]);
    if kind == "ConditionCheck" {
        body["ConditionExpression"] = "attribute_exists(id)".into();
    }
    body
}

fn statement(random: &mut Random) -> Value {
    let texts = [
        "SELECT * FROM cars WHERE id = 'a'",
        "UPDATE bikes SET a = 1 WHERE id = 'b'",
        "DELETE FROM cars WHERE id = 'c'",
        "FROB",
    ];
    json!({"Statement": random.pick(&texts)})
}

fn several(random: &mut Random, mut one: impl FnMut(&mut Random) -> Value) -> Value {
    (0..=random.below(3)).map(|_| one(random)).collect::<Vec<_>>().into()
}

fn body(random: &mut Random, operation: Operation) -> Value {
    let mut body = match operation {
        Operation::PutItem => write(random, "Put"),
        Operation::UpdateItem => write(random, "Update"),
        Operation::DeleteItem => write(random, "Delete"),
        Operation::GetItem => json!({"TableName": table(random), "Key": key(random)}),
        Operation::Query | Operation::Scan => page(random, operation),
        Operation::BatchGetItem => {
            let tables = (0..=random.below(2)).map(|_| {
                let mut of_table = json!({"Keys": several(random, key)});
                parts(random, &mut of_table);
                (table(random).as_str().unwrap().to_owned(), of_table)
            });
            json!({"RequestItems": tables.collect::<Map<_, _>>()})
        }
        Operation::BatchWriteItem => {
            let write = |random: &mut Random| match random.below(3) {
                0 => json!({"PutRequest": {"Item": key(random)}, "DeleteRequest": null}),
                1 => json!({"PutRequest": null, "DeleteRequest": {"Key": key(random)}}),
                _ => json!({"PutRequest": {"Item": key(random)}}),
            };
            let tables = (0..=random.below(2))
                .map(|_| (table(random).as_str().unwrap().to_owned(), several(random, write)));
            json!({"RequestItems": tables.collect::<Map<_, _>>()})
        }
        Operation::TransactGetItems => json!({"TransactItems": several(random, |random| {
            let mut get = json!({"TableName": table(random), "Key": key(random)});
            maybe(random, &mut get, "ProjectionExpression", &["id".into()]);
            json!({"Get": get})
        })}),
        Operation::TransactWriteItems => json!({"TransactItems": several(random, |random| {
            let kind = *random.pick(&["Put", "Update", "Delete", "ConditionCheck"]);
            let mut action = json!({kind: write(random, kind)});
            let other = *random.pick(&["Put", "Update", "Delete"]);
            if other != kind && random.below(4) == 0 {
                action[other] = Value::Null;
            }
            action
        })}),
        Operation::ExecuteStatement => statement(random),
        Operation::BatchExecuteStatement => json!({"Statements": several(random, statement)}),
        _ => json!({"TransactStatements": several(random, statement)}),
    };
    if operation == Operation::GetItem {
        parts(random, &mut body);
    }
    let levels: [Value; 4] = ["TOTAL".into(), "INDEXES".into(), "NONE".into(), "SOME".into()];
    maybe(random, &mut body, RETURN_CAPACITY, &levels);
    if matches!(operation, Operation::PutItem | Operation::UpdateItem | Operation::DeleteItem) {
        let returned: [Value; 3] = ["NONE".into(), "ALL_OLD".into(), "ALL_NEW".into()];
        maybe(random, &mut body, "ReturnValues", &returned);
    }
    body
}

fn page(random: &mut Random, operation: Operation) -> Value {
    let mut body = json!({"TableName": table(random)});
    if operation == Operation::Query {
        body["KeyConditionExpression"] = "id = :id".into();
        body["ExpressionAttributeValues"] = json!({":id": {"S": "a"}});
    }
    maybe(random, &mut body, "Limit", &[1.into(), 25.into(), 0.into(), "2".into()]);
    maybe(random, &mut body, "IndexName", &["by-price".into()]);
    let select: [Value; 3] =
        ["ALL_ATTRIBUTES".into(), "COUNT".into(), "ALL_PROJECTED_ATTRIBUTES".into()];
    maybe(random, &mut body, "Select", &select);
    maybe(random, &mut body, "ProjectionExpression", &["id".into()]);
    body
}

/// What decoding costs a call that only passes: `cargo test --release -p dm-dynamodb --lib outline
/// -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn decoding_a_get_against_its_outline() {
    let body = json!({
        "TableName": "cars", "Key": {"id": {"S": "car-0001"}, "year": {"N": "2020"}},
        "ConsistentRead": true,
    });
    let rounds = 200_000;
    let begun = std::time::Instant::now();
    for _ in 0..rounds {
        let request = Request::decode(Operation::GetItem, body.as_object().unwrap());
        std::hint::black_box(&request);
    }
    let decoding = begun.elapsed() / rounds;
    let begun = std::time::Instant::now();
    for _ in 0..rounds {
        let outline = outline(Operation::GetItem, std::hint::black_box(&body));
        std::hint::black_box((outline.tables(), outline.returned(), outline.table()));
    }
    println!("decoded in {decoding:?}, outlined in {:?}", begun.elapsed() / rounds);
}
