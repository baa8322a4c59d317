//! Random programs run against a table direct, and against an equal table through a dry run: every
//! answer must be equal, and the second table unchanged. A failure is shrunk by leaving out steps,
//! and printed with its seed.
//!
//! `DIFFERENTIAL_PROGRAMS` sets how many, `DIFFERENTIAL_SEED` the first seed, `DIFFERENTIAL_FAILURES`
//! how many differences are shown before it ends (1). A seed means the same program as long as the
//! generator is the same. In one program of four, several clients are at work at the same time.

mod database;
mod expressions;
mod generate;
mod older;
mod random;
mod reads;
mod statements;
mod tables;
mod writes;

use dm_core::plan::{Mode, Policy};
use serde_json::{Value, json};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bed::{self, Endpoint, canonical, database};
use crate::shorthand::expand;
use crate::suite::statements_in_full;
use database::Database;
use generate::{CLIENTS, OTHER, Program, Step, program};
use tables::{Place, Tables};

/// Programs run when nobody asks for more: a few seconds' worth.
const PROGRAMS: u64 = 40;

/// Programs under way at once.
const WORKERS: u64 = 2;

/// Runs tried while shrinking a failure.
const SHRINK_RUNS_MAX: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_are_answered_as_by_the_database() {
    run_programs(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_with_statements_are_answered_as_by_the_database() {
    run_programs(true).await;
}

async fn run_programs(statements: bool) {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (count, first) =
        (number("DIFFERENTIAL_PROGRAMS", PROGRAMS), number("DIFFERENTIAL_SEED", 1));
    let shown_max = usize::try_from(number("DIFFERENTIAL_FAILURES", 1)).unwrap();
    let next = Arc::new(AtomicU64::new(first));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| tokio::spawn(work(Arc::clone(&next), first + count, statements, shown_max)))
        .collect();
    let (mut steps, mut shown) = (0, Vec::new());
    for worker in workers {
        let (done, differences) = worker.await.unwrap();
        steps += done;
        shown.extend(differences);
    }
    assert!(shown.is_empty(), "{} differences\n{}", shown.len(), shown.join("\n"));
    println!("{count} programs from seed {first}, {steps} steps: no difference");
}

/// Runs programs until there are no more; their steps, and the differences.
async fn work(
    next: Arc<AtomicU64>,
    until: u64,
    statements: bool,
    shown_max: usize,
) -> (usize, Vec<String>) {
    let (mut steps, mut shown) = (0, Vec::new());
    let mut tables = Tables::default();
    loop {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= until {
            return (steps, shown);
        }
        let program = program(seed, statements, Database::under_test());
        steps += program.steps.len();
        if let Some(difference) = run(&program, &mut tables).await {
            let (smallest, difference) = shrink(program, difference, &mut tables).await;
            shown.push(describe(seed, &smallest, &difference));
            println!("{}", shown[shown.len() - 1]);
            if shown.len() >= shown_max {
                next.store(until, Ordering::SeqCst);
            }
        }
    }
}

fn describe(seed: u64, smallest: &Program, difference: &str) -> String {
    let seeds = smallest.seeds.iter().map(|item| format!("  seed $T {item}\n"));
    let others = smallest.other_seeds.iter().map(|item| format!("  seed $U {item}\n"));
    let seeds: String = seeds.chain(others).collect();
    let listed: String = smallest
        .steps
        .iter()
        .map(|step| {
            let how = if step.pages { "pages" } else { ">" };
            let client = if step.client > 0 { step.client.to_string() } else { String::new() };
            format!("  {client}{how} {} {}\n", step.operation, step.body)
        })
        .collect();
    format!("DIFFERENTIAL_SEED={seed}, a {} table:\n{seeds}{listed}{difference}", smallest.table)
}

/// Leaves out steps and seeds as long as a difference stays.
async fn shrink(
    mut program: Program,
    mut difference: String,
    tables: &mut Tables,
) -> (Program, String) {
    let mut runs = 0;
    let without = Program { other_seeds: Vec::new(), ..program.clone() };
    if let Some(still) = run(&without, tables).await {
        (program, difference) = (without, still);
    }
    let mut size = program.steps.len().max(program.seeds.len());
    while size > 0 {
        let mut at = 0;
        while at < program.steps.len() + program.seeds.len() && runs < SHRINK_RUNS_MAX {
            let mut smaller = program.clone();
            if at < program.steps.len() {
                smaller.steps.drain(at..(at + size).min(program.steps.len()));
            } else {
                let from = at - program.steps.len();
                smaller.seeds.drain(from..(from + size).min(program.seeds.len()));
            }
            runs += 1;
            match run(&smaller, tables).await {
                Some(still) => (program, difference) = (smaller, still),
                None => at += size,
            }
        }
        size /= 2;
    }
    (program, difference)
}

/// A program's two tables on one side, and its run.
struct Names {
    first: String,
    other: String,
    run: String,
}

impl Names {
    /// A request with the names in it.
    fn put_into(&self, text: &str) -> String {
        text.replace("$T", &self.first).replace("$U", &self.other).replace("$R", &self.run)
    }

    /// An answer without them, so that it can be compared.
    fn take_out_of(&self, text: &str) -> String {
        text.replace(&self.first, "$T").replace(&self.other, "$U")
    }

    /// What is in both tables.
    async fn items(&self, endpoint: &Endpoint) -> [Vec<String>; 2] {
        [items(endpoint, &self.first).await, items(endpoint, &self.other).await]
    }
}

/// Runs a program on both sides; the first difference, if there is one.
async fn run(program: &Program, tables: &mut Tables) -> Option<String> {
    let database = database();
    let run = bed::fresh_name("run");
    let (first, first_dry) =
        tables.filled(&database, program.table, Place::First, &program.seeds).await;
    let (other, other_dry) =
        tables.filled(&database, OTHER, Place::Other, &program.other_seeds).await;
    let plain = Names { first, other, run: run.clone() };
    let dry = Names { first: first_dry, other: other_dry, run };
    let before = dry.items(&database).await;
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let mut difference = None;
    // Steps of clients that come one after another are done at the same time.
    for round in program.steps.chunk_by(|one, other| one.client > 0 && other.client > 0) {
        let expected = answers(round, &plain, &database).await;
        let found = answers(round, &dry, &through).await;
        let differing = expected.iter().zip(&found).find(|((_, expected), (_, found))| {
            expected != found && !is_known_departure(expected, found)
        });
        if let Some(((step, expected), (_, found))) = differing {
            difference = Some(format!(
                "client {} {} {}\n  direct  {expected}\n  dry run {found}",
                step.client, step.operation, step.body
            ));
            break;
        }
    }
    if difference.is_none() && plain.items(&database).await != dry.items(&through).await {
        difference = Some("the tables differ at the end".into());
    }
    if dry.items(&database).await != before {
        difference = Some("the dry run changed its tables".into());
    }
    if guard.stop().await.write_calls_upstream != 0 {
        difference = Some("the dry run sent a write".into());
    }
    tables.empty(&database, program.table, Place::First).await;
    tables.empty(&database, OTHER, Place::Other).await;
    difference
}

/// What the clients are answered, client by client.
async fn answers<'a>(
    round: &'a [Step],
    names: &Names,
    endpoint: &Endpoint,
) -> Vec<(&'a Step, String)> {
    let of_client = |client: u8| async move {
        let mut answered = Vec::new();
        for step in round.iter().filter(|step| step.client == client) {
            answered.push((step, answer(step, names, endpoint).await));
        }
        answered
    };
    futures::future::join_all((0..=CLIENTS).map(of_client)).await.concat()
}

/// Where DynamoDB Local is known to depart from AWS: a transaction's update that cannot be evaluated
/// is a reason of its cancellation ("Troubleshooting TransactionCanceledException", ValidationError).
fn is_known_departure(expected: &str, found: &str) -> bool {
    // No answer of AWS; where DynamoDB Local fails is listed in docs/differences.md.
    expected.starts_with("InternalFailure")
        || expected.starts_with("ValidationException")
            && found.starts_with("TransactionCanceledException")
            && found.contains("ValidationError")
        || without_last_key(expected) == without_last_key(found) && !expected.contains(LAST_KEY)
}

const LAST_KEY: &str = "\"LastEvaluatedKey\":";

/// DynamoDB Local tells no LastEvaluatedKey when the limit is reached by the last sort key that a
/// condition includes; AWS tells one whenever the limit is reached. It stands before ScannedCount.
fn without_last_key(answer: &str) -> String {
    match (answer.find(LAST_KEY), answer.find("\"ScannedCount\":")) {
        (Some(from), Some(to)) if from < to => answer[..from].to_owned() + &answer[to..],
        _ => answer.to_owned(),
    }
}

async fn items(endpoint: &Endpoint, table: &str) -> Vec<String> {
    let mut items = endpoint.items(table).await;
    items.iter_mut().for_each(sort_sets);
    let mut items: Vec<String> = items.iter().map(canonical).collect();
    items.sort();
    items
}

/// The answer as text, as far as it is defined: scans have no order, nor have equal index keys.
async fn answer(step: &Step, names: &Names, endpoint: &Endpoint) -> String {
    let text = expand(&statements_in_full(&step.body)).to_string();
    let mut body: Value = serde_json::from_str(&names.put_into(&text)).unwrap();
    let (status, answer) = if step.pages {
        pages(step, &mut body, endpoint).await
    } else {
        endpoint.call(step.operation, &body).await
    };
    let text = names.take_out_of(&answer.to_string());
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    if status != 200 {
        return error(&answer);
    }
    sort_sets(&mut answer);
    if step.operation.contains("Execute") {
        comparable(&mut answer);
    }
    for member in ["Items", "Responses"] {
        if let Some(order) = &step.order
            && let Some(items) = answer.get_mut(member)
        {
            sort(items, order.as_deref());
        }
    }
    told_beside(&mut answer, &step.body);
    format!("{status} {}", canonical(&answer))
}

/// Capacities, and sizes of item collections, as far as they are defined: the tables of a call have no
/// order, and a size is an estimate.
fn told_beside(answer: &mut Value, request: &Value) {
    let members = answer.as_object_mut().unwrap();
    match members.get_mut("ConsumedCapacity") {
        // DynamoDB Local tells the capacity of a delete without effect unasked.
        _ if request.get("ReturnConsumedCapacity").is_none_or(|level| level == "NONE") => {
            members.remove("ConsumedCapacity");
        }
        Some(Value::Array(tables)) => tables.sort_by_cached_key(canonical),
        _ => {}
    }
    match members.get_mut("ItemCollectionMetrics") {
        Some(Value::Object(one)) if one.contains_key("ItemCollectionKey") => {
            one.remove("SizeEstimateRangeGB");
        }
        Some(Value::Object(tables)) => {
            for collections in tables.values_mut().filter_map(Value::as_array_mut) {
                for one in collections.iter_mut().filter_map(Value::as_object_mut) {
                    one.remove("SizeEstimateRangeGB");
                }
                collections.sort_by_cached_key(canonical);
            }
        }
        _ => {}
    }
}

/// An answer to statements as far as it is defined: tokens and words are each side's own, and
/// DynamoDB Local tells no key beside a token.
fn comparable(answer: &mut Value) {
    let members = answer.as_object_mut().unwrap();
    members.remove("LastEvaluatedKey");
    if let Some(token) = members.get_mut("NextToken") {
        *token = "a token".into();
    }
    let responses = members.get_mut("Responses").and_then(Value::as_array_mut);
    for response in responses.into_iter().flatten() {
        if let Some(Value::Object(error)) = response.get_mut("Error") {
            error.remove("Message");
            let refused = error["Code"] == "ValidationError";
            // Of a statement that was refused, dynoxide does not tell the table.
            if refused && let Some(members) = response.as_object_mut() {
                members.remove("TableName");
            }
        }
    }
}

/// Sorts what has no order: items within equal values of the attribute they are ordered by.
fn sort(items: &mut Value, by: Option<&str>) {
    match items {
        Value::Array(items) => {
            let sorted_by: Vec<Value> =
                items.iter().map(|item| by.map_or(Value::Null, |by| item[by].clone())).collect();
            let mut from = 0;
            for at in 1..=items.len() {
                if at == items.len() || sorted_by[at] != sorted_by[from] {
                    items[from..at].sort_by_cached_key(canonical);
                    from = at;
                }
            }
        }
        Value::Object(tables) => tables.values_mut().for_each(|items| sort(items, by)),
        _ => {}
    }
}

fn sort_sets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("SS" | "NS" | "BS", Value::Array(elements)) => {
                        elements.sort_by_cached_key(canonical);
                    }
                    ("N", Value::String(number)) => trim(number),
                    (_, value) => sort_sets(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(sort_sets),
        _ => {}
    }
}

/// DynamoDB Local keeps the zeros of a sum of fractions ("3.0"); AWS trims them, as dynoxide does.
fn trim(number: &mut String) {
    if Database::under_test() == Database::Local && number.contains('.') {
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
    }
}

fn error(answer: &Value) -> String {
    let name = answer["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap();
    let codes: Vec<&str> = answer["CancellationReasons"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|reason| match reason["Message"].as_str() {
            // DynamoDB Local calls it a ValidationError.
            Some("Duplicate primary key exists in table") => "DuplicateItem",
            _ => reason["Code"].as_str().unwrap_or_default(),
        })
        .collect();
    // As DynamoDB Local calls it.
    let name = if name == "DuplicateItem" { "DuplicateItemException" } else { name };
    let message = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or_default();
    if name == "AccessDeniedException" {
        return format!("refused: {message}");
    }
    format!("{name} {codes:?} {}", canonical(&answer["Item"]))
}

async fn pages(step: &Step, body: &mut Value, endpoint: &Endpoint) -> (u16, Value) {
    let mut items: Vec<Value> = Vec::new();
    let mut segment = 0;
    if let Some(segments) = step.segments {
        body["TotalSegments"] = segments.into();
        body["Segment"] = segment.into();
    }
    for _ in 0..500 {
        let (status, mut answer) = endpoint.call(step.operation, body).await;
        if status != 200 {
            return (status, answer);
        }
        items.extend(answer["Items"].as_array().unwrap().iter().cloned());
        let (next, start) = match step.operation {
            "ExecuteStatement" => ("NextToken", "NextToken"),
            _ => ("LastEvaluatedKey", "ExclusiveStartKey"),
        };
        match answer.as_object_mut().unwrap().remove(next) {
            Some(key) => body[start] = key,
            // Which segment an item is in is each side's own; that it is in one is not.
            None if step.segments.is_some_and(|segments| segment + 1 < segments) => {
                segment += 1;
                body["Segment"] = segment.into();
                body.as_object_mut().unwrap().remove(start);
            }
            None => return (200, json!({"Items": items})),
        }
    }
    (200, json!({"Items": "pages without end"}))
}
