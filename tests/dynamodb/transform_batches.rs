//! Items that are written several in a request: tables, counts, failures and effects are those of
//! single writes, also where parts of a request are throttled, refused or lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dm_contract::plan::Mode;
use dm_contract::report::{GuardResult, TransformEnd, TransformResult};
use dm_engine::{Engine, EngineOptions};
use dm_runner::Settings;
use dm_transform::OnItemError;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::bed::{credentials, database};
use crate::differential::random::Random;
use crate::faults::{client, http_server};
use crate::transform::{counts, open_plan, settings, table_of, transform};

/// Runs a transform with or without batches, at this endpoint if one is given.
pub(crate) async fn run(
    source: &Value,
    batches: bool,
    endpoint: Option<String>,
) -> (TransformResult, GuardResult) {
    let mut plan = open_plan(Mode::Apply);
    plan.upstream.endpoint = endpoint.or(plan.upstream.endpoint);
    let engine = Arc::new(Engine::open(&plan, EngineOptions::new(credentials())).unwrap());
    let (_asked, stop) = watch::channel(false);
    let settings = Settings { batches, ..settings(OnItemError::Continue) };
    let done = dm_runner::run(&engine, transform(source), settings, stop).await;
    assert!(engine.close().await);
    (done, engine.result())
}

fn item(random: &mut Random, number: u64) -> Value {
    let mut item = json!({"id": format!("i{number}"), "n": random.below(20)});
    let mut maybe = |name: &str, values: &[Value]| {
        if !random.one_in(3) {
            item[name] = random.pick(values);
        }
    };
    maybe("s", &[json!("a"), json!("B"), json!(""), json!("it's \"so\"")]);
    maybe("f", &[json!(true), json!(false), json!(null)]);
    maybe("tags", &[json!({"$SS": ["x", "y"]}), json!(["x"]), json!(7)]);
    maybe("m", &[json!({"a": 1, "b": {"c": "d"}}), json!({})]);
    maybe("big", &[json!("x".repeat(3_000)), json!(1.5), json!("-0.000001")]);
    item
}

fn source(random: &mut Random, table: &str) -> Value {
    let filter =
        ["n > 4", "attribute_exists(s) AND n <> 3", "attribute_not_exists(done)", "f = true"];
    let mut source = json!({"table": table});
    let filter = format!("({}) AND attribute_not_exists(done)", random.pick(&filter));
    source["filter"] = filter.into();
    if random.one_in(4) {
        source["delete"] = true.into();
        return source;
    }
    source["set"] = json!({"done": "true"});
    let actions = [
        ("set", "k", json!("n * 2 + 1")),
        ("set", "s", json!("concat(s, '!')")),
        ("set", "u", json!("upper(s)")),
        ("set", "m.z", json!("n")),
        ("set", "\"odd name\"", json!("if_not_exists(s, 'none')")),
        ("default", "f", json!("false")),
        ("rename", "big", json!("large")),
        ("convert", "tags", json!("SS")),
    ];
    for _ in 0..2 {
        let (action, path, value) = random.pick(&actions);
        if source[action].is_null() {
            source[action] = json!({});
        }
        source[action][path] = value;
    }
    if random.one_in(3) {
        source["remove"] = json!(["tags"]);
        source.as_object_mut().unwrap().remove("convert");
    }
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn random_transforms_do_the_same_with_and_without_batches() {
    let mut sent = (0, 0);
    for seed in 0..12 {
        let mut random = Random(seed);
        let items: Vec<Value> = (0..90).map(|number| item(&mut random, number)).collect();
        let (one, other) = (table_of(items.clone()).await, table_of(items).await);
        let source = source(&mut random, "T");
        let of = |table: &str| {
            let mut source = source.clone();
            source["table"] = table.into();
            source
        };
        let sources = [of(&one), of(&other)];
        let (together, alone) =
            tokio::join!(run(&sources[0], true, None), run(&sources[1], false, None));
        let (database, case) = (database(), format!("seed {seed}: {source}"));
        assert_eq!(database.items(&one).await, database.items(&other).await, "{case}");
        let ((together, by_batches), (alone, singly)) = (together, alone);
        assert_eq!((together.end, counts(&together)), (alone.end, counts(&alone)), "{case}");
        let failures = |result: &TransformResult| -> Vec<(Value, String)> {
            let failures = result.failures.iter();
            failures.map(|one| (one.key.clone().unwrap(), one.reason.clone())).collect()
        };
        assert_eq!(failures(&together), failures(&alone), "{case}");
        let effects = |result: &GuardResult| {
            let table = &result.tables[0];
            (table.items_read, table.updated, table.deleted, table.created)
        };
        assert_eq!(effects(&by_batches), effects(&singly), "{case}");
        let (few, many) = (by_batches.write_calls_upstream, singly.write_calls_upstream);
        assert!(few <= many, "{case}: {few} of {many}");
        sent = (sent.0 + few, sent.1 + many);
    }
    assert!(sent.0 < sent.1 * 3 / 4, "batches are used: {sent:?}");
}

/// Items of the tables whose database is troubled.
const ITEMS: u64 = 120;

/// What happens to one request with statements.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Each statement has its own fate.
    Parts,
    /// It is carried out, and the connection is cut before the answer.
    Cut,
    Status(u16),
    Throttled,
}

/// What happens to one statement.
#[derive(Clone, Copy, Debug)]
enum Part {
    Whole,
    /// It is not carried out, and answered with an error of this code.
    Refused(&'static str),
    /// It is carried out, and answered with an error of this code.
    Lost(&'static str),
}

async fn troubled(fates: &'static [Fate], parts: &'static [Part]) -> (String, Arc<AtomicU64>) {
    let (batches, client) = (Arc::new(AtomicU64::new(0)), client());
    let counted = Arc::clone(&batches);
    let url = http_server(move |request: Request<Incoming>| {
        let (client, batches) = (client.clone(), Arc::clone(&counted));
        async move {
            let (mut head, body) = request.into_parts();
            let mut body = body.collect().await.unwrap().to_bytes();
            head.uri = database().url.parse().unwrap();
            let target = head.headers["x-amz-target"].to_str().unwrap().to_owned();
            if !target.ends_with("BatchExecuteStatement") {
                let answer = client.request(Request::from_parts(head, Full::new(body))).await;
                let (head, body) = answer.map_err(std::io::Error::other)?.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                return Ok(Response::from_parts(head, Full::new(body)));
            }
            let number = batches.fetch_add(1, Ordering::SeqCst);
            let answer = |status: u16, body: String| {
                let answer = Response::builder().status(status);
                Ok(answer.body(Full::new(Bytes::from(body))).unwrap())
            };
            let fate = fates[usize::try_from(number).unwrap() % fates.len()];
            let fates: Vec<Part> = match fate {
                Fate::Status(400) => {
                    return answer(400, json!({"__type": "a#AccessDeniedException"}).to_string());
                }
                Fate::Status(status) => return answer(status, "{}".into()),
                Fate::Throttled => {
                    let name = "a#ProvisionedThroughputExceededException";
                    return answer(400, json!({"__type": name}).to_string());
                }
                Fate::Parts => parts.iter().copied().cycle().take(25).collect(),
                Fate::Cut => vec![Part::Whole; 25],
            };
            let mut parameters: Value = serde_json::from_slice(&body).unwrap();
            let statements = parameters["Statements"].as_array().unwrap().clone();
            let forwarded = |at: usize| !matches!(fates[at], Part::Refused(_));
            let kept = (0..statements.len()).filter(|at| forwarded(*at));
            let kept: Vec<Value> = kept.map(|at| statements[at].clone()).collect();
            let mut given = Vec::new();
            if !kept.is_empty() {
                parameters["Statements"] = kept.into();
                body = Bytes::from(parameters.to_string());
                head.headers.remove("content-length");
                let sent = client.request(Request::from_parts(head, Full::new(body))).await;
                let answer = sent.map_err(std::io::Error::other)?;
                assert_eq!(answer.status(), 200);
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                given.clone_from(body["Responses"].as_array().unwrap());
            }
            if matches!(fate, Fate::Cut) {
                return Err(std::io::Error::other("cut"));
            }
            let mut given = given.into_iter();
            let responses = (0..statements.len()).map(|at| match fates[at] {
                Part::Whole => given.next().unwrap(),
                Part::Refused(code) => json!({"Error": {"Code": code, "Message": "m"}}),
                Part::Lost(code) => {
                    given.next();
                    json!({"Error": {"Code": code, "Message": "m"}})
                }
            });
            let responses: Vec<Value> = responses.collect();
            answer(200, json!({"Responses": responses}).to_string())
        }
    })
    .await;
    (url, batches)
}

async fn check(fates: &'static [Fate], parts: &'static [Part], batches_max: u64) {
    let items = || (0..ITEMS).map(|i| json!({"id": format!("c{i}"), "n": i}));
    for action in [json!({"set": {"m": "n + 1"}}), json!({"delete": true})] {
        let deletes = action["delete"].is_boolean();
        let table = table_of(items()).await;
        let mut source = json!({"table": table, "filter": "n >= 20"});
        source.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
        let (url, batches) = troubled(fates, parts).await;
        let (result, _) = run(&source, true, Some(url)).await;
        let case = format!("{fates:?} {parts:?} {source}");
        assert_eq!(result.end, TransformEnd::Succeeded, "{case}: {result:?}");
        assert_eq!(counts(&result), [ITEMS, 20, 0, ITEMS - 20, 0], "{case}");
        let batches = batches.load(Ordering::SeqCst);
        assert!((1..=batches_max).contains(&batches), "{case}: {batches}");
        let left = database().items(&table).await;
        let changed = left.iter().filter(|item| item.get("m").is_some()).count();
        assert_eq!((left.len(), changed), if deletes { (20, 0) } else { (120, 100) }, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_leaves_is_written_singly() {
    use Part::{Lost, Refused, Whole};
    check(&[Fate::Parts], &[Whole, Refused("ProvisionedThroughputExceeded"), Whole], ITEMS).await;
    check(
        &[Fate::Parts],
        &[Whole, Refused("ThrottlingError"), Refused("RequestLimitExceeded")],
        ITEMS,
    )
    .await;
    check(&[Fate::Parts], &[Lost("InternalServerError"), Whole, Whole], ITEMS).await;
    check(&[Fate::Parts], &[Refused("InternalServerError"), Whole], ITEMS).await;
    check(&[Fate::Parts], &[Refused("TransactionConflict"), Whole], ITEMS).await;
    check(&[Fate::Parts], &[Whole, Refused("tomorrow's")], ITEMS).await;
    let fates = &[Fate::Cut, Fate::Status(500), Fate::Status(503), Fate::Throttled, Fate::Parts];
    check(fates, &[Whole], ITEMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_permission_for_statements_items_are_written_singly() {
    // As many batches as may be under way when the first is refused.
    check(&[Fate::Parts], &[Part::Refused("AccessDenied")], 20).await;
    check(&[Fate::Status(400)], &[], 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_database_throttles_items_are_written_singly() {
    const THROTTLED: Part = Part::Refused("ProvisionedThroughputExceeded");
    check(&[Fate::Parts], &[Part::Whole, THROTTLED], 20).await;
    check(&[Fate::Throttled], &[], 20).await;
}
