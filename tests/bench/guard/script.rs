//! boto3 scripts' times, direct, through a bare relay, and through a guard that passes their
//! requests on.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::Mode;
use crate::{Bed, Way, Wire, python};

/// A script, as migrations are written. It takes how many requests it makes, and prints how long
/// they took: without the start of the interpreter, which is the same either way.
struct Script {
    does: &'static str,
    /// What follows [`BEFORE`]; from `begun` on the time counts.
    body: &'static str,
    requests: u32,
}

const SCRIPTS: [Script; 3] = [
    Script {
        does: "reads and updates, one after the other",
        body: "\
begun = time.perf_counter()
for n in range(count // 2):
    change(table, n)
",
        requests: 1000,
    },
    Script {
        does: "the same in eight threads",
        body: "\
ready = threading.Barrier(9)
def share(first):
    table = items()
    ready.wait()
    for n in range(first, count // 2, 8):
        change(table, n)
threads = [threading.Thread(target=share, args=[first]) for first in range(8)]
for thread in threads:
    thread.start()
ready.wait()
begun = time.perf_counter()
for thread in threads:
    thread.join()
",
        requests: 1000,
    },
    Script {
        does: "puts items with a batch_writer",
        body: "\
item = table.get_item(Key={'id': 'warm-up'})['Item']
begun = time.perf_counter()
with table.batch_writer() as batch:
    for n in range(25 * count):
        batch.put_item(Item={**item, 'id': f'script-{n}', 'price': 1450})
",
        requests: 200,
    },
];

/// What they have in common. A resource of boto3 belongs to one thread.
const BEFORE: &str = "\
import boto3, sys, threading, time
def items():
    table = boto3.session.Session().resource('dynamodb').Table('items')
    table.get_item(Key={'id': 'warm-up'})
    return table
def change(table, n):
    key = {'id': f'script-{n}'}
    item = table.get_item(Key=key)['Item']
    table.update_item(Key=key, UpdateExpression='SET price = :p',
                      ExpressionAttributeValues={':p': int(item['year']) * 2})
count = int(sys.argv[1])
table = items()
";

const AFTER: &str = "print(time.perf_counter() - begun)\n";

/// So often, in turn.
const ROUNDS: usize = 5;
/// What DynamoDB takes for a small request, roughly.
const DATABASE_TAKES: Duration = Duration::from_millis(3);

/// Runs the scripts every way, before a mock that answers at once, and before one that takes its
/// time, in plain text and over TLS.
pub fn compare() -> Result<()> {
    let python = python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref());
    println!("\nScripts with boto3; the median of {ROUNDS} rounds");
    let takes = format!("answers after {} ms", DATABASE_TAKES.as_millis());
    for (name, delay, wire) in [
        ("The mock answers at once".to_owned(), Duration::ZERO, Wire::Plain),
        (format!("It {takes}"), DATABASE_TAKES, Wire::Plain),
        (format!("It {takes}, over TLS"), DATABASE_TAKES, Wire::Tls),
    ] {
        println!("{name:<56} {:>9} {:>16}", "seconds", "of direct speed");
        let bed = Bed::new(delay, wire, &[Mode::Pass])?;
        let ways: Vec<Way<'_>> = bed.ways().collect();
        for script in &SCRIPTS {
            compare_one(&python, script, &bed.certificate(), &ways)?;
        }
    }
    Ok(())
}

fn compare_one(python: &Path, script: &Script, certificate: &Path, ways: &[Way<'_>]) -> Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let times = ways.iter().map(|way| time(python, script, certificate, *way));
        rounds.push(times.collect::<Result<Vec<f64>>>()?);
    }
    for (at, way) in ways.iter().enumerate() {
        rounds.sort_by(|a, b| (a[0] / a[at]).total_cmp(&(b[0] / b[at])));
        let median = &rounds[ROUNDS / 2];
        println!(
            "  {:<39} {:<14} {:>9.2} {:>14.1} %",
            if at == 0 { script.does } else { "" },
            way.name(),
            median[at],
            100.0 * median[0] / median[at]
        );
    }
    Ok(())
}

fn time(python: &Path, script: &Script, certificate: &Path, way: Way<'_>) -> Result<f64> {
    let program = [BEFORE, script.body, AFTER].concat();
    let output = Command::new(python)
        .args(["-c", &program, &script.requests.to_string()])
        .env("AWS_ENDPOINT_URL_DYNAMODB", way.url())
        .envs(certificate.exists().then_some(("AWS_CA_BUNDLE", certificate)))
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
