//! Calls at a database that is silent.

use serde_json::json;

use super::mock::{Answer, credentials, database};
use super::*;

async fn full(answer: impl Fn(usize, &str) -> Option<Answer> + Send + Sync + 'static) -> Full {
    Full::new(&database(answer).await, credentials()).unwrap()
}

async fn send(full: &Full, operation: Operation) -> Result<Bytes, Fault> {
    full.send(operation, Access::of(operation), &json!({})).await
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

#[test]
fn jitter_stays_around_one() {
    for _ in 0..1000 {
        assert!((0.5..=1.5).contains(&jitter()));
    }
}

#[test]
fn backoff_reaches_its_longest_pause_within_the_attempts() {
    let doublings = limits::UPSTREAM_ATTEMPTS_MAX - 1;
    let last = limits::UPSTREAM_BACKOFF_FIRST * 2_u32.pow(doublings);
    assert!(last >= limits::UPSTREAM_BACKOFF_MAX);
}
