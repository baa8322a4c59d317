//! Lanes, with a paused clock.

mod buckets;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::limits::{LANE_KEY_ITEMS, WRITERS, WRITERS_JOURNALED};

const COST: Cost = Cost { bytes: 1, units: 1.0, partition: None };

/// Whether an item is queued without waiting for a writer.
async fn is_taken(sender: &Sender<u32>, what: u32, bytes: usize) -> bool {
    let send = tokio::task::coop::unconstrained(sender.send(what, Cost { bytes, ..COST }));
    tokio::time::timeout(Duration::ZERO, send).await.is_ok()
}

async fn fill(sender: &Sender<u32>, what: u32, bytes: usize) -> usize {
    let mut count = 0;
    while count <= 1_000 && is_taken(sender, what, bytes).await {
        count += 1;
    }
    count
}

fn throttle(reach: Reach) -> Throttle {
    Throttle { sent_at: Instant::now(), reach }
}

#[tokio::test(start_paused = true)]
async fn a_scan_ahead_of_its_writers_waits_and_another_does_not() {
    for (bytes, expected) in [
        (1, LANE_ITEMS_MAX),
        (LANE_BYTES_MAX / LANE_ITEMS_MAX, LANE_ITEMS_MAX),
        (LANE_BYTES_MAX / 4, 4),
        (LANE_BYTES_MAX, 1),
        (usize::MAX, 1),
    ] {
        let (lanes, _receiver) = queue(WRITERS);
        let (one, other) = (lanes.open(), lanes.open());
        assert_eq!(fill(&one, 1, bytes).await, expected, "{bytes}");
        assert_eq!(fill(&other, 2, bytes).await, expected, "{bytes}");
    }
    let (lanes, _receiver) = queue(WRITERS_JOURNALED);
    assert_eq!(fill(&lanes.open(), 1, 1).await, WRITERS_JOURNALED / LANE_WRITERS_SHARE);
}

#[tokio::test(start_paused = true)]
async fn an_item_has_its_room_until_it_is_written() {
    let (lanes, mut receiver) = queue(WRITERS);
    let sender = lanes.open();
    let half = LANE_BYTES_MAX / 2;
    assert_eq!(fill(&sender, 0, half).await, 2);
    let first = receiver.next().await;
    assert!(!is_taken(&sender, 0, half).await, "the first one is being written");
    drop(first);
    assert!(is_taken(&sender, 0, half).await);
}

#[tokio::test(start_paused = true)]
async fn a_queue_ends_with_its_lanes_and_a_lane_with_its_writers() {
    let (lanes, mut receiver) = queue(WRITERS);
    let (sender, gauge) = (lanes.open(), lanes.gauge());
    assert_eq!(sender.send(7, COST).await, Ok(()));
    assert!(gauge.lanes().is_some());
    drop((sender, lanes));
    assert!(gauge.lanes().is_none());
    let last = receiver.next().await.unwrap();
    assert_eq!(last.what, 7);
    // It may be throttled, and then needs another turn.
    let ends = tokio::time::timeout(Duration::from_secs(1), receiver.next()).await;
    assert!(ends.is_err());
    drop(last);
    assert!(receiver.next().await.is_none());
    let (lanes, receiver) = queue(WRITERS);
    let sender = lanes.open();
    assert!(fill(&sender, 1, LANE_BYTES_MAX).await == 1);
    drop(receiver);
    assert_eq!(sender.send(7, COST).await, Err(Closed));
    assert_eq!(lanes.open().send(7, COST).await, Err(Closed));
}

#[tokio::test(start_paused = true)]
async fn a_bounded_number_is_in_flight_and_who_waits_for_a_turn_is_not_among_them() {
    let (lanes, mut receiver) = queue(WRITERS);
    let senders = [lanes.open(), lanes.open(), lanes.open()];
    for sender in &senders {
        fill(sender, 0, 1).await;
    }
    let mut flights = Vec::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(1), receiver.next()).await {
        flights.push(next.unwrap().flight);
    }
    assert_eq!(flights.len(), WRITERS);
    let _further = {
        let again = flights[0].again(throttle(Reach::KeyRange));
        tokio::pin!(again);
        let next = async {
            tokio::select! {
                biased;
                _ = &mut again => panic!("all others are in flight"),
                next = receiver.next() => next,
            }
        };
        let next = tokio::time::timeout(Duration::from_secs(1), next).await.unwrap();
        next.unwrap().flight
    };
    // It has given up its place, and is one of them again.
    let next = tokio::time::timeout(Duration::from_secs(1), receiver.next()).await;
    assert!(next.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_has_written_one_is_given_the_next() {
    let (lanes, mut receiver) = queue(1);
    let sender = lanes.open();
    for what in [1, 2, 3] {
        sender.send(what, COST).await.unwrap();
    }
    let first = receiver.next().await.unwrap();
    tokio::time::advance(Duration::from_millis(10)).await;
    let second = first.flight.land().unwrap();
    assert_eq!((first.what, second.what), (1, 2));
    let mut some = Vec::new();
    receiver.fill(&mut some, 25);
    assert!(some.is_empty(), "one is in flight");
    receiver.limit(2);
    receiver.fill(&mut some, 25);
    assert_eq!(some.len(), 1);
    assert!(second.flight.land().is_none());
    drop((some, sender, lanes));
    assert!(receiver.next().await.is_none());
}

/// Writes to a partition that takes ten units a second.
async fn write_slowly(flight: Flight<u32>, next: Arc<Mutex<Instant>>, written: Arc<AtomicU32>) {
    loop {
        {
            let (mut next, now) = (next.lock(), Instant::now());
            if *next <= now {
                *next = now + Duration::from_millis(100);
                written.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
        if !flight.again(throttle(Reach::KeyRange)).await {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_lane_does_not_slow_another() {
    let (lanes, mut receiver) = queue(WRITERS);
    for what in [0, 1] {
        let sender = lanes.open();
        tokio::spawn(async move { while sender.send(what, COST).await.is_ok() {} });
    }
    let begun = Instant::now();
    let (next, slow) = (Arc::new(Mutex::new(begun)), Arc::new(AtomicU32::new(0)));
    let mut fast = 0;
    while fast < 10_000 {
        let Queued { what, flight } = receiver.next().await.unwrap();
        if what == 0 {
            tokio::spawn(write_slowly(flight, Arc::clone(&next), Arc::clone(&slow)));
        } else {
            fast += 1;
        }
    }
    // As fast as a lane rises.
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!((2..=11).contains(&slow.load(Ordering::SeqCst)), "{slow:?}");
}

#[tokio::test(start_paused = true)]
async fn what_all_partitions_share_limits_all_lanes() {
    let (lanes, mut receiver) = queue(WRITERS);
    for what in [0, 1] {
        let sender = lanes.open();
        tokio::spawn(async move { while sender.send(what, COST).await.is_ok() {} });
    }
    for _ in 0..20 {
        // All at one time would be one reason to slow down.
        tokio::time::advance(Duration::from_millis(1)).await;
        receiver.0.state.lock().table.throttled(Instant::now(), Instant::now(), 0.0);
    }
    assert!(lanes.gauge().limited() == Some(1));
    let (until, mut written) = (Instant::now() + Duration::from_secs(20), 0);
    while tokio::time::timeout_at(until, receiver.next()).await.is_ok() {
        written += 1;
    }
    assert!((2..10).contains(&written), "{written}");
    assert!(!lanes.gauge().is_held(), "a further lane would not help");
}

#[tokio::test(start_paused = true)]
async fn lanes_that_throttles_hold_call_for_more() {
    let (lanes, mut receiver) = queue(WRITERS);
    let (sender, gauge) = (lanes.open(), lanes.gauge());
    assert!(!gauge.is_held(), "nothing waits");
    fill(&sender, 0, 1).await;
    assert!(!gauge.is_held(), "its turn has come");
    let first = receiver.next().await.unwrap();
    first.flight.shared.state.lock().throttled(first.flight.lane, Instant::now(), Instant::now());
    assert!(gauge.is_held());
    assert!(gauge.limited().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lane_forgets_what_a_key_with_many_items_has_taught_it() {
    let (lanes, mut receiver) = queue(WRITERS);
    let sender = lanes.open();
    let mut last = None;
    for number in 0..=LANE_KEY_ITEMS {
        let partition = Some(u64::from(number / LANE_KEY_ITEMS));
        sender.send(number, Cost { partition, ..COST }).await.unwrap();
        let next = receiver.next().await.unwrap();
        if number == LANE_KEY_ITEMS - 1 {
            for _ in 0..20 {
                tokio::time::advance(Duration::from_millis(1)).await;
                let now = Instant::now();
                next.flight.shared.state.lock().throttled(next.flight.lane, now, now);
            }
            assert!(lanes.gauge().is_limited_below(1.0));
        }
        last = Some(next);
    }
    assert_eq!(last.unwrap().what, LANE_KEY_ITEMS);
    assert!(!lanes.gauge().is_limited_below(1.0));
}

impl Gauge<u32> {
    fn is_limited_below(&self, rate: f64) -> bool {
        let state = self.shared.state.lock();
        state.rates(Instant::now()).iter().all(|(learned, now)| *learned && *now < rate)
    }
}
