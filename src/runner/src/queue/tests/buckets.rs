//! A table in simulated time: each of its partitions takes 1,000 write units a second, and saves up
//! those of one second. The scans are always ahead, and the machine takes no time.

use super::*;

/// Units of a partition in a second.
const RATE: f64 = 1_000.0;
const PARTITIONS: usize = 8;
/// From a request to its answer.
const ROUND_TRIP: Duration = Duration::from_millis(4);

struct Bucket {
    units: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        self.units = (self.units + (now - self.at).as_secs_f64() * RATE).min(RATE);
        self.at = now;
        let enough = self.units >= 1.0;
        self.units -= f64::from(u8::from(enough));
        enough
    }
}

struct Table {
    buckets: Vec<Mutex<Bucket>>,
    requests: AtomicU32,
    throttled: AtomicU32,
}

async fn write(flight: Flight<usize>, partition: usize, table: Arc<Table>) {
    loop {
        let sent_at = Instant::now();
        tokio::time::sleep(ROUND_TRIP / 2).await;
        let taken = table.buckets[partition].lock().take();
        tokio::time::sleep(ROUND_TRIP / 2).await;
        table.requests.fetch_add(1, Ordering::SeqCst);
        if taken {
            return;
        }
        table.throttled.fetch_add(1, Ordering::SeqCst);
        assert!(flight.again(Throttle { sent_at, reach: Reach::KeyRange }).await);
    }
}

/// Writes items, lane by lane: how many of which partition, and of which partition key if there
/// are several of one. So much of the table's rate must be used, and few requests be throttled.
async fn check(lanes_of: Vec<Vec<(u32, usize, Option<u64>)>>, least_used: f64) {
    let now = Instant::now();
    let bucket = || Mutex::new(Bucket { units: RATE, at: now });
    let table = Arc::new(Table {
        buckets: (0..PARTITIONS).map(|_| bucket()).collect(),
        requests: AtomicU32::new(0),
        throttled: AtomicU32::new(0),
    });
    let mut items = [0; PARTITIONS];
    for (count, partition, _) in lanes_of.iter().flatten() {
        items[*partition] += count;
    }
    let (lanes, mut receiver) = queue(WRITERS);
    for lane in lanes_of {
        let sender = lanes.open();
        tokio::spawn(async move {
            for (count, partition, key) in lane {
                for _ in 0..count {
                    let cost = Cost { partition: key, ..COST };
                    sender.send(partition, cost).await.unwrap();
                }
            }
        });
    }
    drop(lanes);
    while let Some(Queued { what: partition, flight }) = receiver.next().await {
        tokio::spawn(write(flight, partition, Arc::clone(&table)));
    }
    let least = f64::from(items.into_iter().max().unwrap()) / RATE - 1.0;
    let used = least / (Instant::now() - now).as_secs_f64();
    let requests = f64::from(table.requests.load(Ordering::SeqCst));
    let throttled = f64::from(table.throttled.load(Ordering::SeqCst)) / requests;
    assert!((least_used..=1.0).contains(&used), "{used}");
    assert!(throttled < 0.02, "{throttled}");
}

#[tokio::test(start_paused = true)]
async fn a_table_with_even_keys_is_written_at_its_rate() {
    check((0..PARTITIONS).map(|partition| vec![(7_500, partition, None)]).collect(), 0.95).await;
}

#[tokio::test(start_paused = true)]
async fn a_table_with_a_hot_key_is_written_at_the_rate_of_its_partition() {
    let mut lanes: Vec<_> = (1..PARTITIONS).map(|partition| vec![(536, partition, None)]).collect();
    // The others of its segment come behind it.
    lanes.push(vec![(10_714, 0, Some(0)), (536, 1, None)]);
    check(lanes, 0.95).await;
}

#[tokio::test(start_paused = true)]
async fn segments_that_share_partitions_are_written_at_their_rate() {
    // Two of each partition at a time, and one of the next.
    let lane = |number: usize| {
        let partition = number % PARTITIONS;
        vec![(3_000, partition, None), (1_500, (partition + 1) % PARTITIONS, None)]
    };
    // The last lane of a partition needs some seconds to find what the others have left.
    check((0..2 * PARTITIONS).map(lane).collect(), 0.75).await;
}
