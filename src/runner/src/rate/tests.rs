//! Rates against simulated buckets, in simulated time.

use std::collections::VecDeque;

use super::*;
use crate::limits::LANE_RATE_FIRST;

/// A bucket that holds up to this many seconds of its rate, and is full at first.
struct Bucket {
    rate: f64,
    seconds: f64,
    units: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: f64, seconds: f64, now: Instant) -> Self {
        Self { rate, seconds, units: rate * seconds, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let come = now.duration_since(self.at).as_secs_f64() * self.rate;
        self.units = (self.units + come).min(self.rate * self.seconds.max(1.0 / self.rate));
        self.at = now;
        let enough = self.units >= 1.0;
        if enough {
            self.units -= 1.0;
        }
        enough
    }
}

/// A lane with work without end.
struct Lane {
    rate: Rate,
    /// Answers on their way: when they come, when their request was sent, whether it is a throttle.
    answers: VecDeque<(Instant, Instant, bool)>,
    done: u64,
    throttled: u64,
}

/// Lanes that share a bucket.
struct Scene {
    lanes: Vec<Lane>,
    bucket: Bucket,
    begun: Instant,
    now: Instant,
    round_trip: Duration,
}

/// Requests on their way at most.
const IN_FLIGHT: usize = 64;

impl Scene {
    fn new(lanes: usize, rate: f64, seconds: f64, round_trip_ms: u64) -> Self {
        let now = Instant::now();
        let lane = || Lane {
            rate: Rate::rising(LANE_RATE_FIRST, now),
            answers: VecDeque::new(),
            done: 0,
            throttled: 0,
        };
        Self {
            lanes: (0..lanes).map(|_| lane()).collect(),
            bucket: Bucket::new(rate, seconds, now),
            begun: now,
            now,
            round_trip: Duration::from_millis(round_trip_ms),
        }
    }

    fn step(&mut self) {
        let (now, round_trip) = (self.now, self.round_trip);
        let fastest = self.lanes.iter().filter_map(|lane| lane.rate.learned()).fold(0.0, f64::max);
        for lane in &mut self.lanes {
            while let Some((_, sent, throttled)) = lane.answers.pop_front_if(|(at, ..)| *at <= now)
            {
                if throttled {
                    lane.throttled += 1;
                    lane.rate.throttled(sent, now, fastest);
                } else {
                    lane.done += 1;
                    lane.rate.carried_out(1.0);
                }
            }
            while lane.answers.len() < IN_FLIGHT && lane.rate.ready_at(now) <= now {
                lane.rate.sent(1.0);
                let throttled = !self.bucket.take(now);
                lane.answers.push_back((now + round_trip, now, throttled));
            }
        }
        self.now += Duration::from_micros(200);
    }

    fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.step();
        }
    }

    fn done(&self) -> f64 {
        f64::from(u32::try_from(self.lanes.iter().map(|lane| lane.done).sum::<u64>()).unwrap())
    }

    fn throttled(&self) -> f64 {
        let throttled = self.lanes.iter().map(|lane| lane.throttled).sum::<u64>();
        f64::from(u32::try_from(throttled).unwrap())
    }

    /// The share of the requests that was throttled.
    fn share_throttled(&self) -> f64 {
        self.throttled() / (self.done() + self.throttled())
    }

    /// The share of what could be carried out: what the bucket held, and what came into it.
    fn share_used(&self) -> f64 {
        let seconds = (self.now - self.begun).as_secs_f64();
        self.done() / (self.bucket.rate * (seconds + self.bucket.seconds))
    }
}

/// Lanes, the capacity that they share, seconds of it that are saved up, milliseconds of a round
/// trip, and how long they run.
fn check(lanes: usize, rate: f64, saved: f64, round_trip_ms: u64, seconds: f64) {
    let mut scene = Scene::new(lanes, rate, saved, round_trip_ms);
    scene.run(seconds);
    let (used, throttled) = (scene.share_used(), scene.share_throttled());
    let what = format!("{lanes} {rate} {saved} {round_trip_ms}: {used:.3} {throttled:.4}");
    assert!(used > 0.97 && throttled < 0.02, "{what}");
}

#[test]
fn a_lane_uses_its_partition_and_is_seldom_throttled() {
    check(1, 1_000.0, 1.0, 1, 10.0);
    check(1, 1_000.0, 1.0, 5, 10.0);
    check(1, 1_000.0, 1.0, 30, 10.0);
    check(1, 1_000.0, 5.0, 5, 10.0);
    check(1, 4_000.0, 1.0, 5, 10.0);
    check(1, 10_000.0, 1.0, 5, 10.0);
    check(1, 100.0, 1.0, 5, 60.0);
    check(1, 5.0, 10.0, 5, 600.0);
}

#[test]
fn lanes_that_share_a_capacity_use_it_and_are_seldom_throttled() {
    check(2, 1_000.0, 1.0, 5, 20.0);
    check(4, 1_000.0, 1.0, 5, 20.0);
    check(8, 4_000.0, 1.0, 5, 20.0);
    check(8, 1_000.0, 1.0, 5, 60.0);
    check(32, 4_000.0, 1.0, 5, 60.0);
}

#[test]
fn a_capacity_that_changes_is_found() {
    let mut scene = Scene::new(1, 1_000.0, 0.1, 5);
    scene.run(10.0);
    for (rate, seconds, least) in
        [(4_000.0, 20.0, 0.9), (500.0, 20.0, 0.9), (50.0, 20.0, 0.9), (1_000.0, 60.0, 0.5)]
    {
        let before = (scene.done(), scene.throttled());
        scene.bucket.rate = rate;
        scene.run(seconds);
        let done = scene.done() - before.0;
        let (used, throttled) = (done / (rate * seconds), (scene.throttled() - before.1) / done);
        assert!(used > least && throttled < 0.02, "{rate}: {used} {throttled}");
    }
}

#[test]
fn a_lane_without_work_does_not_raise_its_rate() {
    let now = Instant::now();
    let mut rate = Rate::rising(LANE_RATE_FIRST, now);
    let mut at = now;
    for _ in 0..1_000 {
        at += Duration::from_millis(10);
        if rate.ready_at(at) <= at {
            rate.sent(1.0);
        }
    }
    assert!(rate.per_second(at) < 2.0 * LANE_RATE_FIRST, "{}", rate.per_second(at));
}
