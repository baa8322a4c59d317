//! Measures the runner of transforms against programs that do the same: items a second, CPU per
//! item, peak memory, units, throttled requests. Run by `cargo xtask bench transform`; prints
//! tables, judges nothing.
//!
//! The database is a mock in its own process that answers in constant time, with or without
//! the buckets of a real table's partitions. All share the cores of one machine, so the number that
//! says most is the CPU per item, beside that of a bare loop in the same run.

mod archive;
mod bare;
mod child;
#[path = "../cpu.rs"]
mod cpu;
#[path = "../guard/http.rs"]
mod http;
mod mock;
mod node;
mod ours;
#[path = "../../support/python.rs"]
mod python;
mod sdk;
mod table;

use anyhow::{Context as _, Result, bail};

use child::{Child, Ended};
use mock::Stats;
use table::{Shape, Table};

/// Items of the comparison: enough that starting costs little.
const ITEMS: u64 = 100_000;
/// How often each program is measured; the round that took the least CPU counts, because other
/// work on the machine only adds to it.
const ROUNDS: usize = 3;
/// Items of programs that take ten times as long for each.
const ITEMS_OF_SCRIPTS: u64 = 20_000;
/// Items of the table with buckets, whose first second is free.
const ITEMS_METERED: u64 = 60_000;
/// Partitions of that table.
const PARTITIONS: u64 = 8;
/// Items for which peak memory is compared.
const SIZES: [u64; 2] = [10_000, 1_000_000];
/// The same where it is asked for by name, because it takes many minutes.
const SIZE_LARGE: u64 = 10_000_000;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["mock", table] => return mock::serve(table.parse()?).context("the mock"),
        ["ours", url, rest @ ..] if url.starts_with("http") => {
            return ours::run(url, ["journal", "batches"].map(|word| rest.contains(&word)));
        }
        ["bare", url, items] => return bare::run(url, items.parse()?),
        ["sdk", url] => return sdk::run(url),
        _ => {}
    }
    let wanted = |part: &str| words.is_empty() || words.contains(&part);
    if wanted("speed") {
        speed(&words)?;
    }
    if wanted("journal") {
        journal()?;
    }
    if wanted("buckets") {
        buckets()?;
    }
    if wanted("memory") {
        memory(&SIZES)?;
    }
    if words.contains(&"large") {
        memory(&[SIZE_LARGE])?;
    }
    Ok(())
}

/// One program against a fresh mock.
fn against(table: Table, client: &[&str]) -> Result<(Ended, Stats)> {
    let mock = Child::mock(table)?;
    let url = format!("http://{}", mock.address()?);
    let client = match client {
        ["boto3"] => Child::boto3(&url)?,
        ["javascript"] => Child::javascript(&url)?,
        ["bare"] => Child::of_ours(&["bare", &url, &table.items.to_string()])?,
        [role, rest @ ..] => Child::of_ours(&[&[role, url.as_str()], rest].concat())?,
        [] => bail!("no client"),
    };
    let ended = client.end()?;
    let stats = mock::stats(mock.address()?)?;
    if stats.once != table.items || stats.again != 0 {
        bail!("of {} items {} were changed once, {} again", table.items, stats.once, stats.again);
    }
    Ok((ended, stats))
}

/// The round of a program that took the least CPU.
fn best(table: Table, client: &[&str]) -> Result<Ended> {
    let mut best: Option<Ended> = None;
    for _ in 0..ROUNDS {
        let (ended, _) = against(table, client)?;
        best = Some(best.map_or(ended, |best| if ended.cpu < best.cpu { ended } else { best }));
    }
    best.context("no round")
}

fn speed(words: &[&str]) -> Result<()> {
    println!(
        "One conditional update for each item; the mock answers at once; best of {ROUNDS} rounds"
    );
    println!(
        "{:<26} {:>8} {:>9} {:>12} {:>14} {:>12} {:>9}",
        "", "items", "items/s", "CPU µs/item", "items/core-s", "of the loop", "peak MiB"
    );
    let mut bare = None;
    let programs: [(&str, &[&str], u64); 6] = [
        ("bare hyper and SigV4 loop", &["bare"], ITEMS),
        ("transform, single writes", &["ours"], ITEMS),
        ("transform, batches", &["ours", "batches"], ITEMS),
        ("aws-sdk-dynamodb, 64 tasks", &["sdk"], ITEMS),
        ("boto3, 16 threads", &["boto3"], ITEMS_OF_SCRIPTS),
        ("AWS SDK for JavaScript v3", &["javascript"], ITEMS_OF_SCRIPTS),
    ];
    // Between two changes of the runner the others need not be measured again.
    let only_ours = words.contains(&"ours");
    let shown = |client: &[&str]| !only_ours || matches!(client, ["bare" | "ours", ..]);
    for (name, client, items) in programs.into_iter().filter(|(_, client, _)| shown(client)) {
        let ended = best(Table::even(items), client)?;
        let cpu = ended.cpu.as_secs_f64() / as_f64(items);
        let bare = *bare.get_or_insert(cpu);
        println!(
            "{name:<26} {items:>8} {:>9.0} {:>12.1} {:>14.0} {:>10.0} % {:>9.0}",
            as_f64(items) / ended.seconds,
            cpu * 1e6,
            1.0 / cpu,
            100.0 * bare / cpu,
            as_f64(ended.peak_kib) / 1024.0
        );
    }
    Ok(())
}

fn journal() -> Result<()> {
    println!(
        "\nThe same with a journal; the archive is in memory, and each put takes {} ms",
        archive::PUT_TAKES.as_millis()
    );
    let (without, _) = against(Table::even(ITEMS), &["ours"])?;
    let (with, _) = against(Table::even(ITEMS), &["ours", "journal"])?;
    for (name, ended) in [("without", &without), ("with", &with)] {
        println!(
            "{name:<26} {:>9.0} items/s {:>9.1} µs CPU an item",
            as_f64(ITEMS) / ended.seconds,
            ended.cpu.as_secs_f64() * 1e6 / as_f64(ITEMS)
        );
    }
    println!("{:<26} {:>9.2} of the speed without", "", without.seconds / with.seconds);
    Ok(())
}

fn buckets() -> Result<()> {
    println!(
        "\nA table of {PARTITIONS} partitions, each with {} write and {} read units a second",
        mock::WRITE_UNITS,
        mock::READ_UNITS
    );
    println!(
        "{:<26} {:>8} {:>9} {:>14} {:>11} {:>16}",
        "", "items", "seconds", "of the rate", "throttled", "units, of least"
    );
    let runs: [(&str, Shape, &[&str]); 4] = [
        ("even keys, single", Shape::Even, &["ours"]),
        ("even keys, batches", Shape::Even, &["ours", "batches"]),
        ("5 of 7 one key, single", Shape::Hot, &["ours"]),
        ("5 of 7 one key, batches", Shape::Hot, &["ours", "batches"]),
    ];
    for (name, shape, client) in runs {
        let table = Table { items: ITEMS_METERED / shape.divisor(), partitions: PARTITIONS, shape };
        let (ended, stats) = against(table, client)?;
        let least_seconds = as_f64(table.busiest()) / mock::WRITE_UNITS - 1.0;
        let least_units = as_f64(table.items) + table.read_units();
        println!(
            "{name:<26} {:>8} {:>9.1} {:>12.1} % {:>9.2} % {:>16.3}",
            table.items,
            ended.seconds,
            100.0 * least_seconds / ended.seconds,
            100.0 * as_f64(stats.throttled) / as_f64(stats.requests),
            (stats.write_units + stats.read_units) / least_units
        );
    }
    Ok(())
}

fn memory(sizes: &[u64]) -> Result<()> {
    println!("\nPeak memory of a transform");
    for items in sizes {
        let (ended, _) = against(Table::even(*items), &["ours", "batches"])?;
        println!(
            "{items:>10} items {:>8.0} MiB {:>9.1} s {:>9.1} µs CPU an item",
            as_f64(ended.peak_kib) / 1024.0,
            ended.seconds,
            ended.cpu.as_secs_f64() * 1e6 / as_f64(*items)
        );
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
