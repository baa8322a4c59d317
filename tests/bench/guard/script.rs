//! A boto3 script's time, direct, through a bare relay, and through a guard that passes its requests on.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::Mode;
use crate::{Bed, Way, python};

/// Reads items and changes them, one after the other; prints how long that took without the start of
/// the interpreter, which is the same either way.
const SCRIPT: &str = "\
import boto3, sys, time
table = boto3.resource('dynamodb').Table('items')
count = int(sys.argv[1])
table.get_item(Key={'id': 'warm-up'})
begun = time.perf_counter()
for n in range(count):
    key = {'id': f'script-{n}'}
    item = table.get_item(Key=key)['Item']
    table.update_item(Key=key, UpdateExpression='SET price = :p',
                      ExpressionAttributeValues={':p': int(item['year']) * 2})
print(time.perf_counter() - begun)
";

/// Items of a script against a mock that answers at once; a request takes boto3 about a millisecond.
const ITEMS: u32 = 500;
/// So often, in turn.
const ROUNDS: usize = 5;
/// What DynamoDB takes for a small request, roughly.
const DATABASE_TAKES: Duration = Duration::from_millis(3);

/// Runs the script both ways, before a mock that answers at once and one that takes its time.
pub fn compare() -> Result<()> {
    let python = python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref());
    println!(
        "\nA boto3 script, {} requests one after the other; the median of {ROUNDS} rounds\n\
         {:<34} {:<14} {:>9} {:>16}",
        2 * ITEMS,
        "",
        "",
        "seconds",
        "of direct speed"
    );
    for (name, delay) in [
        ("the mock answers at once".to_owned(), Duration::ZERO),
        (format!("the mock answers after {} ms", DATABASE_TAKES.as_millis()), DATABASE_TAKES),
    ] {
        let bed = Bed::new(delay, &[Mode::Pass])?;
        let ways: Vec<Way<'_>> = bed.ways().collect();
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let times = ways.iter().map(|way| time(&python, *way));
            rounds.push(times.collect::<Result<Vec<f64>>>()?);
        }
        for (at, way) in ways.iter().enumerate() {
            rounds.sort_by(|a, b| (a[0] / a[at]).total_cmp(&(b[0] / b[at])));
            let median = &rounds[ROUNDS / 2];
            println!(
                "{:<34} {:<14} {:>9.2} {:>14.1} %",
                if at == 0 { name.as_str() } else { "" },
                way.name(),
                median[at],
                100.0 * median[0] / median[at]
            );
        }
    }
    Ok(())
}

fn time(python: &std::path::Path, way: Way<'_>) -> Result<f64> {
    let output = Command::new(python)
        .args(["-c", SCRIPT, &ITEMS.to_string()])
        .env("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{}", way.address()))
        .envs([
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
        ])
        .output()
        .context("starting the script")?;
    ensure!(output.status.success(), "the script: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().context("the script's time")
}
