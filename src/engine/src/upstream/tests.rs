//! Calls at a database that throttles, is silent, or has another time.

use serde_json::json;

use super::mock::{Answer, credentials, database};
use super::*;
use crate::retry_pacing::Reach;

async fn full(answer: impl Fn(usize, &str) -> Option<Answer> + Send + Sync + 'static) -> Full {
    Full::new(&database(answer).await, credentials()).unwrap()
}

async fn send(full: &Full, operation: Operation) -> Result<Bytes, Fault> {
    full.send(operation, Access::of(operation), Bytes::from_static(b"{}")).await
}

fn throttles(full: &Full) -> (u64, u64) {
    let UpstreamCalls { read_throttles, write_throttles, .. } = full.calls();
    (read_throttles, write_throttles)
}

fn canceled(code: &str) -> Option<Answer> {
    let body = json!({"__type": "a#TransactionCanceledException",
        "CancellationReasons": [{"Code": "None"}, {"Code": code}]});
    Answer::new(400, &body)
}

#[tokio::test]
async fn a_throttled_transaction_is_repeated_and_counted_and_at_last_passed_on_as_it_came() {
    let transact = Operation::TransactWriteItems;
    let once = full(|number, _| match number {
        0 => canceled("ThrottlingError"),
        _ => Answer::new(200, "{}"),
    })
    .await;
    assert_eq!(send(&once, transact).await.unwrap(), "{}");
    assert_eq!((throttles(&once), once.calls().writes), ((0, 1), 2));
    let always = full(|_, _| canceled("ProvisionedThroughputExceeded")).await;
    let (attempt, throttled) = (Duration::from_secs(5), Duration::from_millis(200));
    always.set_times(CallTimes { attempt, call: Duration::from_secs(5), throttled });
    let fault = send(&always, transact).await.unwrap_err();
    assert!(fault.is_upstream("TransactionCanceledException"), "{fault:?}");
    assert!(throttles(&always).1 > 1);
    let conflict = full(|_, _| canceled("TransactionConflict")).await;
    send(&conflict, transact).await.unwrap_err();
    assert_eq!((throttles(&conflict), conflict.calls().writes), ((0, 0), 1));
}

#[tokio::test]
async fn what_a_batch_leaves_is_counted_as_a_throttle() {
    let left = full(|_, head| {
        let left = json!({"cars": {"Keys": []}});
        if head.contains("batchgetitem") {
            Answer::new(200, &json!({"UnprocessedKeys": left}))
        } else {
            Answer::new(200, &json!({"UnprocessedItems": left}))
        }
    })
    .await;
    send(&left, Operation::BatchGetItem).await.unwrap();
    assert_eq!(throttles(&left), (1, 0));
    send(&left, Operation::BatchWriteItem).await.unwrap();
    assert_eq!((throttles(&left), left.calls().answered), ((1, 1), 2));
}

/// Throttles these, answers the others.
async fn throttling(throttled: std::ops::Range<usize>) -> Full {
    full(move |number, _| {
        let body = json!({"__type": "a#ThrottlingException", "ThrottlingReasons": [
            {"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": "i"}]});
        let throttled = throttled.contains(&number);
        if throttled { Answer::new(400, &body) } else { Answer::new(200, "{}") }
    })
    .await
}

/// A call that its caller paces, and how often the caller was asked.
async fn paced(full: &Full, operation: Operation, given: bool) -> (Result<Bytes, Fault>, u64) {
    let asked = Arc::new(AtomicU64::new(0));
    let (begun, counted) = (Instant::now(), Arc::clone(&asked));
    let pacing = RetryPacing::new(move |throttle| {
        assert!(throttle.sent_at >= begun && throttle.reach == Reach::Table, "{throttle:?}");
        counted.fetch_add(1, Ordering::SeqCst);
        async move { given }
    });
    let pacing = Some((Class::DataWrite, pacing));
    let answer = RetryPacing::within(pacing, send(full, operation)).await;
    (answer, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_throttled_attempt_of_a_paced_call_waits_for_its_caller_alone() {
    let twice = throttling(0..2).await;
    let (answer, asked) = paced(&twice, Operation::UpdateItem, true).await;
    assert_eq!((answer.unwrap(), asked), (Bytes::from("{}"), 2));
    assert_eq!((throttles(&twice), twice.calls().paced_throttles), ((0, 0), 2));
    let given_up = throttling(0..1).await;
    let (answer, asked) = paced(&given_up, Operation::UpdateItem, false).await;
    assert!(matches!(answer, Err(Fault::Throttled)), "{answer:?}");
    assert_eq!((asked, given_up.calls().writes), (1, 1));
    // What a write reads is retried as everything else.
    let read = throttling(0..1).await;
    let (answer, asked) = paced(&read, Operation::GetItem, false).await;
    assert_eq!((answer.unwrap(), asked), (Bytes::from("{}"), 0));
    assert_eq!((throttles(&read), read.calls().paced_throttles), ((1, 0), 0));
}

#[tokio::test]
async fn a_caller_that_never_decides_ends_with_the_time_of_throttled_calls() {
    let throttled = throttling(0..1).await;
    let times = CallTimes { throttled: Duration::from_millis(50), ..CallTimes::default() };
    throttled.set_times(times);
    let pacing = RetryPacing::new(|_| std::future::pending());
    let sent = send(&throttled, Operation::UpdateItem);
    let answer = RetryPacing::within(Some((Class::DataWrite, pacing)), sent).await;
    assert!(matches!(answer, Err(Fault::Throttled)), "{answer:?}");
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_in_the_time_of_a_call() {
    let silent = full(|number, _| if number == 0 { Answer::new(200, "{}") } else { None }).await;
    send(&silent, Operation::GetItem).await.unwrap();
    tokio::time::pause();
    let begun = Instant::now();
    let fault = send(&silent, Operation::GetItem).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault:?}");
    let took = begun.elapsed();
    assert!(took > limits::UPSTREAM_ATTEMPT_MAX, "{took:?}");
    assert!(took <= limits::UPSTREAM_CALL_MAX + Duration::from_millis(10), "{took:?}");
    assert_eq!(silent.calls().reads, 3);
}

/// The time of a head, as seconds of the day.
fn signed_at(head: &str) -> u32 {
    let date = head.lines().find_map(|line| line.strip_prefix("x-amz-date: ")).unwrap();
    let part = |at: usize| date[at..at + 2].parse::<u32>().unwrap();
    part(9) * 3600 + part(11) * 60 + part(13)
}

#[tokio::test]
async fn a_machine_with_a_wrong_clock_signs_with_the_databases_time() {
    let there = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5);
    let date = there.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let second = there.as_second().rem_euclid(86_400).unsigned_abs();
    let skewed = full(move |_, head| {
        let off = u64::from(signed_at(head)).abs_diff(second);
        if off.min(86_400 - off) < 300 {
            return Answer::new(200, "{}");
        }
        let body = json!({"__type": "a#InvalidSignatureException"}).to_string();
        Some(Answer { status: 400, date: Some(date.clone()), body })
    })
    .await;
    assert_eq!(send(&skewed, Operation::PutItem).await.unwrap(), "{}");
    assert_eq!(skewed.calls().writes, 2);
    assert_eq!(send(&skewed, Operation::PutItem).await.unwrap(), "{}");
    assert_eq!(skewed.calls().writes, 3, "it knows the time");
}

#[tokio::test]
async fn a_signature_that_is_rejected_in_time_is_an_error_at_once() {
    let now = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let wrong = full(move |_, _| {
        let body = json!({"__type": "a#InvalidSignatureException"}).to_string();
        Some(Answer { status: 400, date: Some(now.clone()), body })
    })
    .await;
    let fault = send(&wrong, Operation::PutItem).await.unwrap_err();
    assert!(fault.is_upstream("InvalidSignatureException"));
    assert_eq!(wrong.calls().writes, 1);
}
