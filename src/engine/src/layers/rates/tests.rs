//! Rates by a clock that is turned: limits, what is owed, throttles, a pause.

use std::time::Duration;

use super::*;
use crate::operation::Operation;
use serde_json::{Value, json};

fn call(operation: Operation, body: Value) -> Call {
    let Value::Object(body) = body else { unreachable!() };
    Call::new(operation, body)
}

fn limited(reads: Option<u32>, writes: Option<u32>) -> Rates {
    let limits =
        RateLimits { reads_per_second: reads, writes_per_second: writes, ..RateLimits::default() };
    Rates::new(Mode::Apply, &limits, RateLimits::default())
}

fn used(items_read: u64, write_throttles: u64) -> Used {
    Used { items_read, write_throttles, ..Used::default() }
}

async fn admitted(rates: &Rates, call: &Call) -> Result<(), Fault> {
    rates.admit(call, &Client::default()).await
}

async fn seconds_for(rates: &Rates, calls: u32, call: &Call) -> f64 {
    let started = Instant::now();
    for _ in 0..calls {
        admitted(rates, call).await.unwrap();
    }
    started.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn writes_go_at_their_rate_and_a_batch_counts_each_item() {
    let put = call(Operation::PutItem, json!({}));
    let took = seconds_for(&limited(None, Some(10)), 100, &put).await;
    assert!((9.0..=10.5).contains(&took), "{took}");
    let puts: Vec<Value> = (0..10).map(|_| json!({"PutRequest": {}})).collect();
    let batch = call(Operation::BatchWriteItem, json!({"RequestItems": {"t": puts}}));
    let took = seconds_for(&limited(None, Some(10)), 10, &batch).await;
    assert!((8.5..=10.5).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_asked_for_goes_faster_than_is_allowed() {
    let writes = |count| RateLimits { writes_per_second: count, ..RateLimits::default() };
    let rates = Rates::new(Mode::Apply, &writes(Some(5)), writes(Some(10)));
    let put = call(Operation::PutItem, json!({}));
    for (asked, seconds) in [(Some(5), 19.0), (Some(1000), 9.0), (None, 9.0), (Some(2), 49.0)] {
        rates.set(&writes(asked));
        let took = seconds_for(&rates, 100, &put).await;
        assert!((seconds..=seconds * 1.2).contains(&took), "{asked:?}: {took}");
        assert_eq!(rates.limits(), writes(asked), "told as it was asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_limited_does_not_wait() {
    let put = call(Operation::PutItem, json!({}));
    let get = call(Operation::GetItem, json!({}));
    assert!(seconds_for(&limited(None, None), 1000, &put).await < 0.01);
    assert!(seconds_for(&limited(None, Some(1)), 1000, &get).await < 0.01);
}

#[tokio::test(start_paused = true)]
async fn reads_pay_for_the_items_they_returned() {
    let rates = limited(Some(100), None);
    let scan = call(Operation::Scan, json!({}));
    let started = Instant::now();
    for page in 1..=5 {
        admitted(&rates, &scan).await.unwrap();
        rates.observe(used(page * 200, 0));
    }
    let took = started.elapsed().as_secs_f64();
    assert!((7.5..=8.5).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn units_are_paid_for_by_the_calls_that_come_behind() {
    let limits = RateLimits {
        read_units_per_second: Some(100),
        write_units_per_second: Some(10),
        ..RateLimits::default()
    };
    for (mode, writes_s) in [(Mode::Apply, 8.5..=10.5), (Mode::DryRun, 0.0..=0.1)] {
        let rates = Rates::new(mode, &limits, RateLimits::default());
        let put = call(Operation::PutItem, json!({}));
        let started = Instant::now();
        let mut so_far = Used::default();
        for _ in 0..20 {
            admitted(&rates, &put).await.unwrap();
            so_far.write_units += 5.0;
            rates.observe(so_far);
        }
        let took = started.elapsed().as_secs_f64();
        assert!(writes_s.contains(&took), "{mode:?} {took}");
        let scan = call(Operation::Scan, json!({}));
        let started = Instant::now();
        for _ in 0..5 {
            admitted(&rates, &scan).await.unwrap();
            so_far.read_units += 128.0;
            rates.observe(so_far);
        }
        let took = started.elapsed().as_secs_f64();
        assert!((4.5..=5.5).contains(&took), "{mode:?} {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_is_felt_at_once_and_a_long_wait_ends_as_a_throttle() {
    let rates = limited(None, Some(1));
    let put = call(Operation::PutItem, json!({}));
    let hundred: Vec<Value> = (0..100).map(|_| json!({})).collect();
    let batch = call(Operation::TransactWriteItems, json!({"TransactItems": hundred}));
    admitted(&rates, &batch).await.unwrap();
    assert!(matches!(admitted(&rates, &put).await, Err(Fault::Limited)));
    rates.set(&RateLimits { writes_per_second: Some(1000), ..RateLimits::default() });
    assert!(seconds_for(&rates, 1, &put).await < 1.0);
}

#[tokio::test(start_paused = true)]
async fn throttling_lowers_a_limit_and_it_comes_back() {
    let rates = limited(None, Some(100));
    let put = call(Operation::PutItem, json!({}));
    let writes = |rates: &Rates| rates.lowered().map(|lowered| lowered.writes_per_second);
    seconds_for(&rates, 300, &put).await;
    assert_eq!(writes(&rates), None);
    rates.observe(used(0, 1));
    let lowered = writes(&rates).flatten().unwrap();
    assert!((65..=75).contains(&lowered), "{lowered}");
    rates.observe(used(0, 5));
    assert_eq!(writes(&rates).flatten(), Some(lowered), "one group");
    let took = seconds_for(&rates, 70, &put).await;
    assert!((0.7..=1.2).contains(&took), "{took}");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(writes(&rates).flatten().unwrap() > lowered);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(writes(&rates), None);
    let took = seconds_for(&rates, 1_000, &put).await;
    assert!((9.0..=10.5).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_throttling_lowers_from_what_was_observed_and_then_it_is_free_again() {
    let rates = limited(None, None);
    let put = call(Operation::PutItem, json!({}));
    let get = call(Operation::GetItem, json!({}));
    // A database that takes 5 ms: some 200 a second.
    for _ in 0..400 {
        admitted(&rates, &put).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rates.observe(used(0, 1));
    let lowered = rates.lowered().and_then(|lowered| lowered.writes_per_second).unwrap();
    assert!((130..=150).contains(&lowered), "{lowered}");
    let took = seconds_for(&rates, 140, &put).await;
    assert!((0.6..=1.2).contains(&took), "{took}");
    // Reads have not been throttled.
    assert!(seconds_for(&rates, 1_000, &get).await < 0.01);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(rates.lowered(), None);
    assert!(seconds_for(&rates, 10_000, &put).await < 0.01);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_what_comes_and_what_waits_for_its_rate() {
    let rates = std::sync::Arc::new(limited(None, Some(1)));
    let admit = |rates: &std::sync::Arc<Rates>| {
        let rates = std::sync::Arc::clone(rates);
        tokio::spawn(async move { admitted(&rates, &call(Operation::PutItem, json!({}))).await })
    };
    // The second is let in by what has come in since, and owes the rest of its token.
    for _ in 0..2 {
        admit(&rates).await.unwrap().unwrap();
    }
    let waiting = admit(&rates);
    tokio::time::sleep(Duration::from_millis(100)).await;
    rates.gate().pause();
    let behind = admit(&rates);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!waiting.is_finished() && !behind.is_finished());
    rates.gate().resume();
    waiting.await.unwrap().unwrap();
    behind.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_patient_is_held_as_long_as_it_takes_and_until_the_guard_stops() {
    let rates = std::sync::Arc::new(limited(None, Some(1)));
    let admit = || {
        let rates = std::sync::Arc::clone(&rates);
        let put = call(Operation::PutItem, json!({})).patient();
        tokio::spawn(async move { admitted(&rates, &put).await })
    };
    let writers: Vec<_> = (0..64).map(|_| admit()).collect();
    let started = Instant::now();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert!(started.elapsed() > limits::RATE_HELD_MAX * 2, "longer than a program's call is held");
    let (waiting, behind) = (admit(), admit());
    waiting.await.unwrap().unwrap();
    rates.gate().close();
    assert!(matches!(behind.await.unwrap(), Err(Fault::Stopping)));
}

fn units(read: Option<u32>) -> Rates {
    let limits = RateLimits { read_units_per_second: read, ..RateLimits::default() };
    Rates::new(Mode::Apply, &limits, RateLimits::default())
}

#[tokio::test(start_paused = true)]
async fn writes_wait_for_what_the_journal_reads_and_not_for_what_the_program_reads() {
    let put = call(Operation::PutItem, json!({}));
    let run = async |of_journal: f64| {
        let (rates, started) = (units(Some(100)), Instant::now());
        let mut so_far = Used::default();
        for _ in 0..500 {
            admitted(&rates, &put).await.unwrap();
            so_far.read_units += 1.0;
            so_far.journal_units += of_journal;
            rates.observe(so_far);
        }
        (started.elapsed().as_secs_f64(), rates)
    };
    let (took, rates) = run(1.0).await;
    assert!((4.5..=5.5).contains(&took), "{took}");
    let scan = call(Operation::Scan, json!({}));
    assert!(seconds_for(&rates, 1, &scan).await < 1.0, "nothing else is owed");
    // All images were known from the program's reads, which pay for themselves.
    assert!(run(0.0).await.0 < 0.01);
}

#[tokio::test(start_paused = true)]
async fn a_select_is_held_as_a_read() {
    let select = call(Operation::ExecuteStatement, json!({"Statement": "SELECT * FROM cars"}));
    let rates = units(Some(100));
    let started = Instant::now();
    let mut so_far = Used::default();
    for _ in 0..5 {
        admitted(&rates, &select).await.unwrap();
        so_far.read_units += 128.0;
        rates.observe(so_far);
    }
    let took = started.elapsed().as_secs_f64();
    assert!((4.5..=5.5).contains(&took), "{took}");
    assert!(seconds_for(&limited(None, Some(1)), 100, &select).await < 0.01, "it writes nothing");
}

#[tokio::test(start_paused = true)]
async fn what_was_used_is_paid_for_while_others_wait() {
    let rates = std::sync::Arc::new(units(Some(100)));
    rates.observe(Used { read_units: 1_000.0, ..Used::default() });
    let waiting = tokio::spawn({
        let rates = std::sync::Arc::clone(&rates);
        async move { admitted(&rates, &call(Operation::Scan, json!({}))).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // As of a call whose client is gone: it is not awaited.
    rates.observe(Used { read_units: 1_500.0, ..Used::default() });
    let since = Instant::now();
    waiting.await.unwrap().unwrap();
    let took = since.elapsed().as_secs_f64();
    assert!((13.0..=15.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn what_its_client_gave_up_is_not_held_by_a_pause() {
    use crate::layers::completion::RunToCompletion;
    let rates = std::sync::Arc::new(limited(None, Some(1)));
    let put = || call(Operation::PutItem, json!({}));
    seconds_for(&rates, 2, &put()).await;
    let (done, mut ended) = tokio::sync::mpsc::channel(2);
    let waits = || {
        let (rates, done) = (std::sync::Arc::clone(&rates), done.clone());
        RunToCompletion::new(|client| async move {
            let admitted = rates.admit(&put(), &client).await;
            done.send(admitted.is_ok()).await.unwrap();
        })
    };
    let (given_up, waiting) = (waits(), tokio::spawn(waits()));
    assert!(tokio::time::timeout(Duration::from_millis(100), given_up).await.is_err());
    // It waits for its rate, also without a client: a retry looks for its answer.
    assert!(ended.try_recv().is_err());
    rates.gate().pause();
    assert_eq!(ended.recv().await, Some(false), "it is not carried out");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(ended.try_recv().is_err(), "the other has a client");
    rates.gate().resume();
    assert_eq!(ended.recv().await, Some(true));
    waiting.await.unwrap().unwrap();
}
