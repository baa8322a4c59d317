//! Load: this many connections, each a thread that sends a request and reads its answer. Closed,
//! where each sends the next as soon as it is answered, and open, where requests come at their
//! times whether those before were answered or not: a latency is counted from the time a request
//! was due.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::Message;
use crate::requests::Kind;

/// Until then all threads of an open load are there.
const BEFORE_FIRST: Duration = Duration::from_millis(50);

/// One connection to a guard or the mock.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    fn to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, received: vec![0; 2 << 20] })
    }

    /// Sends a request and reads its whole answer, which must be a success.
    fn call(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)?;
        let (mut read, mut wanted) = (0, None);
        while wanted.is_none_or(|wanted| read < wanted) {
            match self.stream.read(&mut self.received[read..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => read += bytes,
            }
            wanted = wanted.or_else(|| Message::length_of(&self.received[..read]));
        }
        if self.received.starts_with(b"HTTP/1.1 200 ") {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&self.received[..read.min(600)]).into_owned();
        Err(io::Error::other(format!("an answer that is no success: {shown}")))
    }
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Closed {
    pub requests: u64,
    pub took: Duration,
}

/// Sends as fast as the answers come, for so long.
pub fn closed(
    address: SocketAddr,
    kind: Kind,
    connections: usize,
    numbers: &AtomicU64,
    time: Duration,
) -> io::Result<Closed> {
    let begun = Instant::now();
    let requests = on_threads(connections, |_| {
        let mut connection = Connection::to(address)?;
        let mut requests = 0;
        while begun.elapsed() < time {
            connection.call(&kind.request(numbers.fetch_add(1, Ordering::Relaxed)))?;
            requests += 1;
        }
        Ok(requests)
    })?;
    Ok(Closed { requests: requests.into_iter().sum(), took: begun.elapsed() })
}

/// Latencies of an open load, shortest first.
pub struct Open {
    latencies: Vec<Duration>,
    time: Duration,
}

impl Open {
    /// The latency that this many of a thousand do not exceed.
    pub fn per_mille(&self, share: usize) -> Duration {
        self.latencies
            .get((self.latencies.len().max(1) - 1) * share / 1000)
            .copied()
            .unwrap_or_default()
    }

    pub fn requests(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Requests answered in a second.
    pub fn rate(&self) -> f64 {
        as_f64(self.requests()) / self.time.as_secs_f64()
    }
}

/// Sends this many requests a second, for so long. What has not been sent by then never is: the
/// rate was not reached.
pub fn open(
    address: SocketAddr,
    kind: Kind,
    connections: usize,
    numbers: &AtomicU64,
    rate: u32,
    time: Duration,
) -> io::Result<Open> {
    let threads = u32::try_from(connections).unwrap_or(u32::MAX);
    let between = Duration::from_secs(1) / rate;
    let begun = Instant::now() + BEFORE_FIRST;
    let end = begun + time;
    let latencies = on_threads(connections, |at| {
        let mut connection = Connection::to(address)?;
        let mut latencies = Vec::new();
        let mut due = begun + between * u32::try_from(at).unwrap_or(0);
        while due < end && Instant::now() < end {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.call(&kind.request(numbers.fetch_add(1, Ordering::Relaxed)))?;
            latencies.push(due.elapsed());
            due += between * threads;
        }
        Ok(latencies)
    })?;
    let mut latencies: Vec<Duration> = latencies.into_iter().flatten().collect();
    latencies.sort_unstable();
    Ok(Open { latencies, time })
}

fn on_threads<T: Send>(
    count: usize,
    work: impl Fn(usize) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|at| {
                scope.spawn({
                    let work = &work;
                    move || work(at)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            })
            .collect()
    })
}

/// A count as a number to reckon with.
pub fn as_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
