//! The program's own tokens and SDKs' ids of calls, when outcomes are unknown: the same request
//! under the same token again, also by a guard that is started again.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::{JournalMode, Mode, Policy};
use dm_engine::{Answer, Call, Engine, EngineOptions, Invocation, Operation, Start};
use serde_json::{Map, Value, json};

use super::paths::Path;
use super::proxy::{First, Lost, Proxy, Script, Then};
use super::{Bed, new_table};
use crate::bed;
use crate::shorthand::expand;

const PATH: Path = Path::TransactionWithToken;

async fn send(engine: &Arc<Engine>, operation: Operation, body: &Map<String, Value>) -> Answer {
    engine.handle(Call::new(operation, body.clone())).await
}

fn says(answer: &Answer, words: &str) -> bool {
    String::from_utf8_lossy(&answer.body).contains(words)
}

impl Bed {
    async fn others_set(&self, name: &str, n: i64) {
        let body = json!({"TableName": self.items.table, "Key": {"id": self.items.id(name)},
            "UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": n}});
        self.database.ok("UpdateItem", &expand(&body)).await;
    }

    async fn n(&self) -> String {
        self.item("a").await.unwrap()["n"]["N"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_sent_again_is_the_same_request_even_if_the_first_one_comes_late() {
    let bed = Bed::new(&new_table().await, 0, Some(JournalMode::Strict)).await;
    let script = Script::new(1, First { carried_out: false, lost: Lost::Cut }, Then::Always);
    let proxy = Proxy::start(&bed.database.url, Arc::clone(&script)).await;
    let engine = bed.engine(&proxy.url, Start::First);
    let (operation, body) = bed.items.request(PATH);
    assert_eq!(send(&engine, operation, &body).await.status, 500);
    // The request that was cut comes to the database after all, and others write behind it.
    let tokens = script.tokens();
    let late: Value = serde_json::from_str(&tokens[0].1[0]).unwrap();
    bed.database.ok("TransactWriteItems", &late).await;
    assert_eq!(bed.n().await, "1");
    bed.others_set("a", 5).await;
    script.heal();
    let answer = send(&engine, operation, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(bed.n().await, "5", "nothing was added again");
    assert!(script.tokens_are_honest());
    assert_eq!(script.tokens().len(), 1, "one token all along");
}

/// What a transaction comes to whose guard dies after it was sent, and what the guard after it
/// says.
async fn after_a_restart(carried_out: bool, between: impl AsyncFnOnce(&Bed)) -> (Bed, Answer) {
    let bed = Bed::new(&new_table().await, 0, Some(JournalMode::Strict)).await;
    let script = Script::new(1, First { carried_out, lost: Lost::Late }, Then::Always);
    let proxy = Proxy::start(&bed.database.url, script).await;
    let mut plan = bed.plan.clone();
    plan.upstream.endpoint = Some(proxy.url.clone());
    // With a program's times: it does nothing more while this test lasts.
    let options = bed::options(Some(bed.archive()));
    let options = EngineOptions { holder: Some("pod".into()), ..options };
    let dying = Arc::new(Engine::open(&plan, options).unwrap());
    let (operation, body) = bed.items.request(PATH);
    let sending = send(&dying, operation, &body);
    assert!(tokio::time::timeout(Duration::from_secs(3), sending).await.is_err());
    between(&bed).await;
    let engine = bed.engine(&bed.database.url, Start::Again);
    let answer = send(&engine, operation, &body).await;
    engine.close().await;
    (bed, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_known_to_a_guard_that_is_started_again() {
    for carried_out in [true, false] {
        let (bed, answer) = after_a_restart(carried_out, async |_| {}).await;
        assert_eq!(answer.status, 200, "{carried_out} {answer:?}");
        assert_eq!(bed.n().await, "1", "{carried_out}");
        let report = bed.restore(2, &bed.database.url).run().await.unwrap();
        assert_eq!((bed.changed().await, report.conflicts), (Vec::new(), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_items_others_have_changed_is_refused_by_a_guard_that_is_started_again() {
    let (bed, answer) = after_a_restart(true, async |bed| bed.others_set("a", 5).await).await;
    assert!(answer.status == 400 && says(&answer, "its outcome is unknown"), "{answer:?}");
    assert_eq!(bed.n().await, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_requests_are_equal_by_value_and_tokens_have_their_length() {
    let table = new_table().await;
    let text = |token: &str, value: &str| {
        let action = format!(
            r#"{{"Update": {{"TableName": "{table}", "Key": {{"id": {{"S": "{token}"}}}},
            "UpdateExpression": "ADD n :one, s :s",
            "ExpressionAttributeValues": {value}}}}}"#
        );
        let text = format!(r#"{{"ClientRequestToken": "{token}", "TransactItems": [{action}]}}"#);
        serde_json::from_str::<Map<String, Value>>(&text).unwrap()
    };
    let one = r#"{":one": {"N": "1"}, ":s": {"SS": ["a", "b"]}}"#;
    let same = r#"{":s": {"SS": ["b", "a"]}, ":one": {"N": "1.0"}}"#;
    let other = r#"{":one": {"N": "2"}, ":s": {"SS": ["a", "b"]}}"#;
    let operation = Operation::TransactWriteItems;
    for (mode, journal) in [(Mode::DryRun, false), (Mode::Apply, true)] {
        let mut plan = bed::plan(mode, Policy::default());
        plan.archive = journal.then(|| bed::archive("memory://"));
        let engine = bed::engine(&plan, Start::First).await;
        let token = format!("{mode:?}");
        for value in [one, same, one] {
            let answer = send(&engine, operation, &text(&token, value)).await;
            assert_eq!(answer.status, 200, "{mode:?} {answer:?}");
        }
        let answer = send(&engine, operation, &text(&token, other)).await;
        assert!(says(&answer, "IdempotentParameterMismatchException"), "{mode:?} {answer:?}");
        let key = json!({"TableName": table, "Key": {"id": token}});
        let Value::Object(key) = expand(&key) else { unreachable!() };
        let read = send(&engine, Operation::GetItem, &key).await;
        let read: Value = serde_json::from_slice(&read.body).unwrap();
        assert_eq!(read["Item"]["n"]["N"], "1", "{mode:?}");
        for (length, right) in [(36, true), (37, false)] {
            let answer = send(&engine, operation, &text(&"t".repeat(length), one)).await;
            assert_eq!(answer.status == 200, right, "{mode:?} {answer:?}");
            let words = "Member must have length less than or equal to 36";
            assert_eq!(says(&answer, words), !right, "{mode:?} {answer:?}");
        }
        let statement = json!({"ClientRequestToken": "t".repeat(37), "TransactStatements":
            [{"Statement": format!("DELETE FROM \"{table}\" WHERE id = 'x'")}]});
        let Value::Object(statement) = statement else { unreachable!() };
        let answer = send(&engine, Operation::ExecuteTransaction, &statement).await;
        assert!(says(&answer, "length less than or equal to 36"), "{mode:?} {answer:?}");
    }
}

/// The answers to one call of an SDK that is sent again and again under its id, without a journal.
async fn sent_again(then: Then, at_once: bool) -> (Vec<u16>, String) {
    let bed = Bed::new(&new_table().await, 0, None).await;
    let script = Script::new(1, First { carried_out: false, lost: Lost::Late }, then);
    let proxy = Proxy::start(&bed.database.url, script).await;
    let engine = bed.engine(&proxy.url, Start::First);
    let (operation, body) = bed.items.request(PATH);
    let invocation = Some(Invocation { id: "i".into(), digest: [1; 32] });
    let call =
        || engine.handle(Call::new(operation, body.clone()).with_invocation(invocation.clone()));
    let answers = if at_once {
        futures::future::join_all((0..3).map(|_| call())).await
    } else {
        vec![call().await, call().await, call().await, call().await]
    };
    (answers.iter().map(|answer| answer.status).collect(), bed.n().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_sent_again_while_the_first_is_under_way_is_carried_out_once() {
    let (mut statuses, n) = sent_again(Then::Healthy, true).await;
    statuses.sort_unstable();
    assert_eq!((statuses, n.as_str()), (vec![200, 200, 500], "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_passes_is_not_remembered_as_the_answer_to_a_call() {
    let (statuses, n) = sent_again(Then::InProgress(1), false).await;
    assert_eq!((statuses, n.as_str()), (vec![500, 400, 200, 200], "1"));
}
