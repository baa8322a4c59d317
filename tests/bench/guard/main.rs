//! Measures what a guard costs: requests a second, CPU per request, added latency, and the time of
//! a boto3 script, each direct and through a guard, before a mock of DynamoDB that answers in
//! constant time. Run by `cargo xtask bench guard`; prints tables, judges nothing.
//!
//! Mock, guards and load generator are processes of their own on one machine and share its cores,
//! so requests a second are no property of the guard alone: what says most is its CPU per request,
//! and every number is to be compared with the direct one of the same run.

#[path = "../cpu.rs"]
mod cpu;
mod http;
mod load;
mod mock;
mod process;
#[path = "../../support/python.rs"]
mod python;
mod relay;
mod requests;
mod script;
#[path = "../../support/tls.rs"]
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result};

use load::as_f64;
use process::{Mode, Process, own_cpu};
use requests::Kind;

/// Connections of a closed load: a program with a good pool of threads.
const CONNECTIONS: usize = 16;
/// Connections of an open load: enough for a rate whose answers take some milliseconds.
const OPEN_CONNECTIONS: usize = 32;
/// Each measurement is made so often, the ways in turn, so that all meet the same machine.
const ROUNDS: u32 = 2;
/// Time of one closed load.
const CLOSED_TIME: Duration = Duration::from_secs(2);
/// Time of one open load.
const OPEN_TIME: Duration = Duration::from_secs(4);
/// Time of a load whose numbers are thrown away.
const WARM_UP: Duration = Duration::from_millis(300);
/// Requests a second of an open load.
const RATE: u32 = 5_000;
/// A rate is reached from this share on.
const REACHED: f64 = 0.99;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let role: Vec<&str> = words.iter().map(String::as_str).collect();
    match role.as_slice() {
        ["mock", micros, rest @ ..] => {
            let delay = Duration::from_micros(micros.parse().context("the mock's delay")?);
            let certificate = rest.first().map(Path::new);
            return mock::serve(delay, certificate).context("the mock");
        }
        ["relay", to] => {
            let to = to.parse().context("where the relay leads")?;
            return relay::serve(to).context("the relay");
        }
        _ => {}
    }
    // Cargo adds --bench; other words choose parts.
    let parts: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    println!("{}", machine());
    let bed = Bed::new(Duration::ZERO, Wire::Plain, &Mode::ALL)?;
    if wanted("cpu") {
        cpu(&bed)?;
    }
    if wanted("latency") {
        latency(&bed)?;
    }
    if wanted("boto3") {
        drop(bed);
        script::compare()?;
    }
    Ok(())
}

/// How the mock is spoken to. A relay passes on what it gets; a guard is spoken to in plain text,
/// as it shares the program's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As DynamoDB Local is.
    Plain,
    Tls,
}

impl Wire {
    fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// A mock, what stands before it, and where requests go.
pub struct Bed {
    wire: Wire,
    mock: Process,
    between: Vec<(Between, Process)>,
    /// Numbers of requests so far: no two write the same item.
    numbers: AtomicU64,
    /// Logs, archive and certificate; goes away with us.
    folder: tempfile::TempDir,
}

impl Bed {
    /// A mock that answers after this time, a relay, and a guard for each mode.
    pub fn new(delay: Duration, wire: Wire, modes: &[Mode]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let certificate = process::certificate(folder.path());
        let mock = Process::mock(delay, (wire == Wire::Tls).then_some(&certificate))?;
        let mut between = vec![(Between::Relay, Process::relay(mock.address)?)];
        for mode in modes {
            let url = format!("{}://{}", wire.scheme(), mock.address);
            let guard = Process::guard(&url, *mode, folder.path())?;
            between.push((Between::Guard(*mode), guard));
        }
        Ok(Self { wire, mock, between, numbers: AtomicU64::new(0), folder })
    }

    /// The mock's certificate, if it has one.
    pub fn certificate(&self) -> PathBuf {
        process::certificate(self.folder.path())
    }

    /// The ways to the mock: direct, then through the relay and each guard.
    pub fn ways(&self) -> impl Iterator<Item = Way<'_>> {
        let through =
            self.between.iter().map(|(what, it)| Way { bed: self, between: Some((*what, it)) });
        std::iter::once(Way { bed: self, between: None }).chain(through)
    }
}

/// What stands between the load and the mock.
#[derive(Clone, Copy, Debug)]
enum Between {
    /// What reads nothing: see `relay.rs`.
    Relay,
    Guard(Mode),
}

/// One way to the mock.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    bed: &'a Bed,
    between: Option<(Between, &'a Process)>,
}

impl Way<'_> {
    /// Its name in a table.
    pub fn name(&self) -> &'static str {
        match self.between.map(|(what, _)| what) {
            None => "direct",
            Some(Between::Relay) => "a bare relay",
            Some(Between::Guard(Mode::Pass)) => "pass",
            Some(Between::Guard(Mode::Journal)) => "apply, journaled",
            Some(Between::Guard(Mode::DryRun)) => "dry run",
        }
    }

    /// Where its requests go.
    pub fn address(&self) -> SocketAddr {
        self.between.map_or(self.bed.mock.address, |(_, process)| process.address)
    }

    /// The same for a client that speaks as the mock does, or plain text to a guard.
    pub fn url(&self) -> String {
        let guarded = matches!(self.between, Some((Between::Guard(_), _)));
        let wire = if guarded { Wire::Plain } else { self.bed.wire };
        format!("{}://{}", wire.scheme(), self.address())
    }

    /// CPU used so far: that of what stands between, the mock's, ours.
    fn cpu(&self) -> Result<[Duration; 3]> {
        let between = self.between.map(|(_, process)| process.cpu()).transpose()?;
        Ok([between.unwrap_or_default(), self.bed.mock.cpu()?, own_cpu()?])
    }
}

/// Requests a second and CPU per request.
fn cpu(bed: &Bed) -> Result<()> {
    println!(
        "\nA closed load over {CONNECTIONS} connections; CPU in µs per request\n\
         {:<15} {:<18} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "", "", "requests/s", "of direct", "between", "mock", "client"
    );
    for kind in Kind::ALL {
        let ways: Vec<Way<'_>> = bed.ways().collect();
        let mut sums = vec![(load::Closed::default(), [Duration::ZERO; 3]); ways.len()];
        for _ in 0..ROUNDS {
            for (way, (sum, used)) in ways.iter().zip(&mut sums) {
                load::closed(way.address(), kind, CONNECTIONS, &bed.numbers, WARM_UP)?;
                let before = way.cpu()?;
                let closed =
                    load::closed(way.address(), kind, CONNECTIONS, &bed.numbers, CLOSED_TIME)?;
                let after = way.cpu()?;
                sum.requests += closed.requests;
                sum.took += closed.took;
                for ((used, before), after) in used.iter_mut().zip(before).zip(after) {
                    *used += after.saturating_sub(before);
                }
            }
        }
        let rate = |sum: &load::Closed| as_f64(sum.requests) / sum.took.as_secs_f64();
        let direct = rate(&sums[0].0);
        for (way, (sum, used)) in ways.iter().zip(&sums) {
            let [guard, mock, client] =
                used.map(|used| used.as_secs_f64() * 1e6 / as_f64(sum.requests));
            let first = way.between.is_none();
            println!(
                "{:<15} {:<18} {:>10.0} {:>7.0} % {:>9} {mock:>9.0} {client:>9.0}",
                if first { kind.name() } else { "" },
                way.name(),
                rate(sum),
                100.0 * rate(sum) / direct,
                if first { "—".to_owned() } else { format!("{guard:.1}") },
            );
        }
    }
    Ok(())
}

/// Added latency at one rate, and of what does not reach it at a rate that it reaches.
fn latency(bed: &Bed) -> Result<()> {
    println!(
        "\nAn open load over {OPEN_CONNECTIONS} connections; latency in ms from the time a request \
         was due\n\
         {:<12} {:<18} {:>10} {:>8} {:>8} {:>8} {:>10} {:>10} {:>9}",
        "", "", "requests/s", "reached", "p50", "p99", "added p50", "added p99", "CPU µs"
    );
    for kind in [Kind::GetItem, Kind::UpdateItem] {
        let mut ways: Vec<Way<'_>> = bed.ways().collect();
        let mut rate = RATE;
        while ways.len() > 1 && rate > 0 {
            let slow = latency_at(bed, kind, &ways, rate)?;
            // Two thirds of what the slowest did: a system at its limit has no latency to speak of.
            rate = slow.iter().map(|(_, reached)| reached * 2 / 3).min().unwrap_or(0) / 100 * 100;
            ways.truncate(1);
            ways.extend(slow.iter().map(|(way, _)| *way));
        }
    }
    Ok(())
}

/// The latencies of these ways, direct first. Those through a guard that do not reach the rate are
/// given back, with what they reached.
fn latency_at<'a>(
    bed: &Bed,
    kind: Kind,
    ways: &[Way<'a>],
    rate: u32,
) -> Result<Vec<(Way<'a>, u32)>> {
    let mut direct = None;
    let mut slow = Vec::new();
    for way in ways {
        let load =
            |time| load::open(way.address(), kind, OPEN_CONNECTIONS, &bed.numbers, rate, time);
        load(WARM_UP)?;
        let before = way.cpu()?;
        let open = load(OPEN_TIME)?;
        let [guard, ..] = way.cpu()?.map(|used| used.as_secs_f64() * 1e6);
        let guard = (guard - before[0].as_secs_f64() * 1e6) / as_f64(open.requests());
        let [p50, p99] = [500, 990].map(|share| open.per_mille(share).as_secs_f64() * 1e3);
        let [direct50, direct99] = *direct.get_or_insert([p50, p99]);
        let first = way.between.is_none();
        let beside = |number: f64| if first { "—".to_owned() } else { format!("{number:.2}") };
        println!(
            "{:<12} {:<18} {rate:>10} {:>8.0} {p50:>8.2} {p99:>8.2} {:>10} {:>10} {:>9}",
            if first { kind.name() } else { "" },
            way.name(),
            open.rate(),
            beside(p50 - direct50),
            beside(p99 - direct99),
            beside(guard),
        );
        if !first && open.rate() < f64::from(rate) * REACHED {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // Less than the rate.
            slow.push((*way, open.rate() as u32));
        }
    }
    Ok(slow)
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{cores} cores of {}; load before: {}",
        model.map_or("an unknown model", |(_, name)| name),
        load.split(' ').next().unwrap_or("unknown")
    )
}
