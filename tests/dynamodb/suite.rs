//! Reads the cases of `cases/*.txt` and runs each of them against every column: the database
//! itself, a guard in apply mode, guards in dry run, and the embedded database.
//!
//! A case: `== name`, then `table KIND` (of [`table`]), `seed ITEM` lines, and steps. A step is `>
//! Operation BODY`, then what is expected: `= MEMBERS` (each equal in the answer), `! Error` or `!
//! Error: message`, or nothing (success). `pages Operation BODY` reads all pages and expects `=
//! ITEMS`, in order for a Query. `sql STATEMENT` or `sql PARAMETERS STATEMENT` is an
//! ExecuteStatement, `pages-sql` reads all its pages; without ORDER BY its items have no order.
//! Where a request lists statements, a text stands for `{"Statement": text}`. `active TABLE` waits
//! until it and its indexes are there. `$T` is the table. Lines that begin with a blank continue
//! the one before. `departs: who: reason` before a step says that a local database departs from AWS
//! there.

mod case;

use dm_contract::plan::{Mode, Policy};
use serde_json::{Map, Value, json};

use crate::bed::{self, Endpoint, canonical};
use crate::shorthand::{expand, shorten, to_attribute};
use case::{Case, Expected, Step, parse};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Direct,
    Apply,
    /// Applied with a journal.
    Journaled,
    /// Items lie in the database, and the overlay has looked at the table.
    DryRun,
    /// Items were put through the guard, and lie in the overlay only.
    DryRunSeeded,
    /// The table was created through the guard, too, and the database does not know it.
    DryRunCreated,
    /// The embedded database, instead of the one under test.
    Embedded,
}

impl Column {
    /// Whether it answers in its own words, not in those of the database under test.
    fn has_own_words(self) -> bool {
        self.is_dry_run() || self == Self::Embedded
    }

    fn is_dry_run(self) -> bool {
        matches!(self, Self::DryRun | Self::DryRunSeeded | Self::DryRunCreated)
    }
}

const COLUMNS: [Column; 7] = [
    Column::Direct,
    Column::Apply,
    Column::Journaled,
    Column::DryRun,
    Column::DryRunSeeded,
    Column::DryRunCreated,
    Column::Embedded,
];

/// Runs all cases of a file in all columns.
pub async fn run(file: &str, text: &str) {
    let cases = parse(text);
    let database = bed::database();
    let only = std::env::var("CASE").ok();
    let mut failures = Vec::new();
    let mut answers: Vec<Vec<Vec<String>>> = Vec::new();
    for column in COLUMNS {
        let mode = if column.is_dry_run() { Mode::DryRun } else { Mode::Apply };
        let policy = Policy { control_plane: true, ..Policy::default() };
        let mut plan = bed::plan(mode, policy);
        plan.archive = (column == Column::Journaled).then(|| bed::archive("memory://"));
        let (guard, through) = bed::guard(&plan).await;
        let (embedded, served) = bed::embedded().await;
        let database = if column == Column::Embedded { &served } else { &database };
        let endpoint = match column {
            Column::Direct | Column::Embedded => database,
            _ => &through,
        };
        let mut of_column = Vec::new();
        for case in &cases {
            if only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
                of_column.push(Vec::new());
                continue;
            }
            let (found, wrong) = run_case(case, column, database, endpoint).await;
            of_column.push(found);
            failures
                .extend(wrong.into_iter().map(|why| format!("{column:?}: {}: {why}", case.name)));
        }
        answers.push(of_column);
        embedded.stop().await;
        let result = guard.stop().await;
        if mode == Mode::DryRun {
            assert_eq!(result.write_calls_upstream, 0, "a dry run wrote");
        }
    }
    compare_columns(&cases, &answers, &mut failures);
    let steps: usize = cases.iter().map(|case| case.steps.len()).sum();
    println!("{file}: {} cases, {steps} steps, in {} columns each", cases.len(), COLUMNS.len());
    assert!(failures.is_empty(), "{} failures in {file}:\n{}", failures.len(), failures.join("\n"));
}

fn compare_columns(cases: &[Case], answers: &[Vec<Vec<String>>], failures: &mut Vec<String>) {
    for (at, case) in cases.iter().enumerate() {
        for (step, direct) in answers[0][at].iter().enumerate() {
            for column in 1..COLUMNS.len() {
                let theirs = &answers[column][at][step];
                let exempt = case.steps[step].departs;
                if theirs != direct && !exempt {
                    let operation = &case.steps[step].operation;
                    failures.push(format!(
                        "{:?}: {}: step {step} {operation}\n   direct {direct}\n   here   {theirs}",
                        COLUMNS[column], case.name
                    ));
                }
            }
        }
    }
}

async fn run_case(
    case: &Case,
    column: Column,
    database: &Endpoint,
    endpoint: &Endpoint,
) -> (Vec<String>, Vec<String>) {
    let name = bed::fresh_name("case");
    let created = if column == Column::DryRunCreated { endpoint } else { database };
    created.ok("CreateTable", &table(&case.table, &name)).await;
    let seeded = if column.is_dry_run() && column != Column::DryRun { endpoint } else { database };
    for seed in &case.seeds {
        let put = json!({"TableName": name, "Item": seed});
        seeded.ok("PutItem", &expand(&put)).await;
    }
    if column == Column::DryRun {
        touch(endpoint, &case.table, &name).await;
    }
    let before = tables_of(database, &name).await;
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for (at, step) in case.steps.iter().enumerate() {
        let (status, answer) = run_step(step, &name, endpoint).await;
        let of_database = matches!(column, Column::Direct | Column::Apply);
        let exempt = step.departs && (of_database || column == Column::Journaled);
        // Elsewhere the words are the database's, and DynamoDB Local has its own. With a journal
        // they are of either.
        let own_words = column.has_own_words() && (step.writes() || step.is_statement());
        // The guard rejects a read that it takes for wrong and the database does not.
        let refused = answer["__type"].as_str().is_some_and(|name| name.contains("AccessDenied"));
        let exempt = exempt || (step.departs && refused);
        if !exempt && let Err(why) = check(step, status, &answer, own_words) {
            failures.push(format!("step {at} {} {}\n   {why}", step.operation, step.body));
        }
        answers.push(canonical(&json!([status, comparable(step, answer)])));
    }
    let after = tables_of(database, &name).await;
    if column.is_dry_run() && after != before {
        failures.push("the table was changed".into());
    }
    for (name, _) in after {
        database.ok("DeleteTable", &json!({"TableName": name})).await;
    }
    (answers, failures)
}

/// The tables of a case that the database has, with their items.
async fn tables_of(database: &Endpoint, name: &str) -> Vec<(String, Vec<Value>)> {
    let mut tables = Vec::new();
    let names = ["", "-a", "-b", "-new"].map(|suffix| format!("{name}{suffix}"));
    for name in names {
        if database.call("DescribeTable", &json!({"TableName": name})).await.0 == 200 {
            let items = database.items(&name).await;
            tables.push((name, items));
        }
    }
    tables
}

/// Waits until a table and its indexes are there.
async fn active(table: &str, endpoint: &Endpoint) -> (u16, Value) {
    let tries = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            let described = endpoint.ok("DescribeTable", &json!({"TableName": table})).await;
            let table = &described["Table"];
            let indexes = table["GlobalSecondaryIndexes"].as_array();
            let mut statuses: Vec<&Value> =
                indexes.into_iter().flatten().map(|index| &index["IndexStatus"]).collect();
            statuses.push(&table["TableStatus"]);
            if statuses.iter().all(|status| **status == "ACTIVE") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    tries.await.expect("the table is there in time");
    (200, json!({}))
}

/// A write that changes nothing, so that reads from now on are merged.
async fn touch(endpoint: &Endpoint, kind: &str, name: &str) {
    let key = match kind {
        "hash" => json!({"id": "no such item"}),
        "number" => json!({"id": -999_999}),
        "binary" => json!({"id": {"$B": "bm8="}}),
        "strings" => json!({"id": "no such item", "pos": "x"}),
        "binaries" => json!({"id": "no such item", "pos": {"$B": "bm8="}}),
        _ => json!({"id": "no such item", "pos": -999_999}),
    };
    endpoint.ok("DeleteItem", &expand(&json!({"TableName": name, "Key": key}))).await;
}

async fn run_step(step: &Step, name: &str, endpoint: &Endpoint) -> (u16, Value) {
    let body = expand(&statements_in_full(&step.body));
    let mut body: Value = serde_json::from_str(&body.to_string().replace("$T", name)).unwrap();
    let batch = ["Batch", "Transact", "Execute", "List", "active"];
    if !batch.iter().any(|prefix| step.operation.starts_with(prefix))
        && body.get("TableName").is_none()
    {
        body["TableName"] = name.into();
    }
    let (status, answer) = if step.operation == "active" {
        active(&step.body["TableName"].as_str().unwrap().replace("$T", name), endpoint).await
    } else if step.pages {
        all_pages(step, body, endpoint).await
    } else {
        // DynamoDB Local fails on changes of tables when there are many at once; SDKs try again.
        let mut answer = endpoint.call(&step.operation, &body).await;
        for _ in 0..10 {
            if answer.0 != 500 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            answer = endpoint.call(&step.operation, &body).await;
        }
        answer
    };
    let text = answer.to_string().replace(name, "$T");
    (status, shorten(&serde_json::from_str(&text).unwrap()))
}

/// Statements in quotes alone, and the tables in them in the quotes that their names need.
pub fn statements_in_full(body: &Value) -> Value {
    let quoted = |text: &str| text.replace("$T", "\"$T\"").replace("$U", "\"$U\"");
    let mut body = body.clone();
    if let Some(Value::String(text)) = body.get_mut("Statement") {
        *text = quoted(text);
    }
    for member in ["Statements", "TransactStatements"] {
        for statement in body.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten() {
            match statement {
                Value::String(text) => *statement = json!({"Statement": quoted(text)}),
                other => {
                    let text = other["Statement"].as_str().map(quoted);
                    other["Statement"] = text.into();
                }
            }
        }
    }
    body
}

async fn all_pages(step: &Step, mut body: Value, endpoint: &Endpoint) -> (u16, Value) {
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..1000 {
        let (status, mut answer) = endpoint.call(&step.operation, &body).await;
        if status != 200 {
            return (status, answer);
        }
        items.extend(answer["Items"].as_array().unwrap().iter().cloned());
        let (next, start) = if step.is_statement() {
            ("NextToken", "NextToken")
        } else {
            ("LastEvaluatedKey", "ExclusiveStartKey")
        };
        match answer.as_object_mut().unwrap().remove(next) {
            Some(key) => body[start] = key,
            None => return (200, json!({"Items": items})),
        }
    }
    panic!("pages without end: {} {body}", step.operation);
}

/// The answer as far as columns must agree on it: the order of a scan is not defined.
fn comparable(step: &Step, mut answer: Value) -> Value {
    if !step.is_ordered()
        && let Some(Value::Array(items)) = answer.get_mut("Items")
    {
        items.sort_by_cached_key(canonical);
    }
    if step.operation == "ExecuteStatement" {
        // A token is what its maker wants it to be; DynamoDB Local tells no key beside it.
        if let Some(token) = answer.get_mut("NextToken") {
            *token = "a token".into();
        }
        answer.as_object_mut().unwrap().remove("LastEvaluatedKey");
    }
    if step.operation == "BatchExecuteStatement"
        && let Some(Value::Array(responses)) = answer.get_mut("Responses")
    {
        for response in responses {
            if let Some(Value::Object(error)) = response.get_mut("Error") {
                error.remove("Message");
            }
        }
    }
    if step.operation == "BatchGetItem"
        && let Some(Value::Object(tables)) = answer.get_mut("Responses")
    {
        for items in tables.values_mut() {
            items.as_array_mut().unwrap().sort_by_cached_key(canonical);
        }
    }
    // Other tests' tables may come behind the last one.
    if step.operation == "ListTables"
        && let Some(answer) = answer.as_object_mut()
    {
        answer.remove("LastEvaluatedTableName");
    }
    for member in ["TableDescription", "Table"] {
        if let Some(description) = answer.get_mut(member) {
            *description = description_compared(description);
        }
    }
    if let Some(error) = answer.get("__type").and_then(Value::as_str) {
        let name = error.rsplit('#').next().unwrap().to_owned();
        let mut compared = json!({"error": name});
        for member in ["Item", "CancellationReasons"] {
            if let Some(value) = answer.get(member) {
                compared[member] = value.clone();
            }
        }
        if let Some(Value::Array(reasons)) = compared.get_mut("CancellationReasons") {
            for reason in reasons {
                reason.as_object_mut().unwrap().remove("Message");
            }
        }
        return compared;
    }
    answer
}

/// What descriptions of a table must agree on. Each has its own times, ids and ARNs, statuses
/// depend on when one looks, and counts of items learn late by DynamoDB and at once by DynamoDB
/// Local.
fn description_compared(description: &Value) -> Value {
    let mut compared = json!({});
    for member in ["TableName", "KeySchema"] {
        compared[member] = description[member].clone();
    }
    let list = |member: &str| description[member].as_array().cloned().unwrap_or_default();
    let mut definitions = list("AttributeDefinitions");
    definitions.sort_by_cached_key(canonical);
    compared["AttributeDefinitions"] = definitions.into();
    for member in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        let mut indexes: Vec<Value> = list(member)
            .iter()
            .map(|index| json!([index["IndexName"], index["KeySchema"], index["Projection"]]))
            .collect();
        indexes.sort_by_cached_key(canonical);
        compared[member] = indexes.into();
    }
    compared
}

fn check(step: &Step, status: u16, answer: &Value, own_words: bool) -> Result<(), String> {
    let error = answer.get("__type").and_then(Value::as_str);
    let error = error.map(|name| name.rsplit('#').next().unwrap());
    let message = answer.get("message").or_else(|| answer.get("Message")).and_then(Value::as_str);
    match &step.expected {
        None if status == 200 => Ok(()),
        None => Err(format!("failed: {answer}")),
        Some(Expected::Error(name, text)) => {
            if error != Some(name) {
                return Err(format!("expected {name}, found {answer}"));
            }
            match text {
                Some(text)
                    if own_words
                        && message.is_none_or(|message| !message.contains(text.as_str())) =>
                {
                    Err(format!("expected {text:?}, found {message:?}"))
                }
                Some(_) | None => Ok(()),
            }
        }
        Some(Expected::Answer(expected)) => {
            let expected = normal(expected);
            let answer = comparable(step, answer.clone());
            let (expected, found) = if step.pages {
                let expected = comparable(step, json!({"Items": expected}));
                (expected["Items"].clone(), answer["Items"].clone())
            } else {
                let expected = comparable(step, expected);
                let members = expected.as_object().unwrap().keys();
                let found: Map<_, _> = members
                    .filter_map(|name| Some((name.clone(), answer.get(name)?.clone())))
                    .collect();
                let empty_only = expected.as_object().unwrap().is_empty();
                (expected.clone(), if empty_only { answer.clone() } else { found.into() })
            };
            if status == 200 && canonical(&expected) == canonical(&found) {
                Ok(())
            } else {
                Err(format!(
                    "{message:?} expected {}\n   found    {}",
                    canonical(&expected),
                    canonical(&answer)
                ))
            }
        }
    }
}

/// An expected value, its sets in order.
fn normal(expected: &Value) -> Value {
    shorten(&expand(expected))
}

/// The tables cases are about.
pub fn table(kind: &str, name: &str) -> Value {
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let of_type = |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
    let index = |name: &str, keys: Value, projection: Value| {
        json!({
            "IndexName": name, "KeySchema": keys, "Projection": projection
        })
    };
    let all = json!({"ProjectionType": "ALL"});
    let keys_only = json!({"ProjectionType": "KEYS_ONLY"});
    let include = json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]});
    let mut request = json!({"TableName": name, "BillingMode": "PAY_PER_REQUEST"});
    let (sort, id) = match kind {
        "hash" => (None, "S"),
        "number" => (None, "N"),
        "binary" => (None, "B"),
        "strings" => (Some("S"), "S"),
        "binaries" => (Some("B"), "S"),
        "range" | "indexed" => (Some("N"), "S"),
        other => panic!("no such kind of table: {other}"),
    };
    let mut keys = vec![key("id", "HASH")];
    let mut types = vec![of_type("id", id)];
    if let Some(sort) = sort {
        keys.push(key("pos", "RANGE"));
        types.push(of_type("pos", sort));
    }
    if kind == "indexed" {
        types.extend([of_type("g", "S"), of_type("r", "N"), of_type("l", "S")]);
        request["GlobalSecondaryIndexes"] = json!([
            index("by-g", json!([key("g", "HASH")]), all.clone()),
            index("by-g-r", json!([key("g", "HASH"), key("r", "RANGE")]), include.clone()),
            index("by-g-keys", json!([key("g", "HASH"), key("pos", "RANGE")]), keys_only.clone()),
        ]);
        request["LocalSecondaryIndexes"] = json!([
            index("by-l", json!([key("id", "HASH"), key("l", "RANGE")]), keys_only),
            index("by-r", json!([key("id", "HASH"), key("r", "RANGE")]), include),
            index("by-l-all", json!([key("id", "HASH"), key("l", "RANGE")]), all),
        ]);
    }
    request["KeySchema"] = keys.into();
    request["AttributeDefinitions"] = types.into();
    request
}

#[test]
fn attributes_have_a_short_form() {
    assert_eq!(
        to_attribute(&json!({"a": [1, null]})),
        json!({"M": {"a": {"L": [{"N": "1"}, {"NULL": true}]}}})
    );
}
