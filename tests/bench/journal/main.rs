//! Measures what the journal costs: a boto3 script that reads a table and changes every item,
//! direct, through the guard without a journal, and with one in each of its modes; the archive is a
//! server that speaks S3, with 20 ms added to every put. Run by `cargo xtask bench journal`; prints
//! a table, judges nothing.
//!
//! The guard is the program that is shipped, as it is built for release (`DATAMIGRATION_GUARD`).
//! The database is `DYNAMODB_ENDPOINT`: it is no fast one, and everything runs on one machine, so
//! only the ratios say something. The ways take turns in every round, and the best round of each
//! counts.

mod guard;
mod s3;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
    ScalarAttributeType, WriteRequest,
};
use dm_contract::plan::JournalMode;
use serde::Deserialize;
use tokio::process::Command;

/// What a put takes beside what the server takes.
const PUT_TAKES: Duration = Duration::from_millis(20);
/// Every way is measured as often.
const ROUNDS: usize = 3;
/// Threads of the script, and items it changes.
const LOADS: [(usize, usize); 2] = [(1, 600), (32, 2_000)];

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How a script reaches its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Guard,
    Journal(JournalMode),
}

const WAYS: [Way; 5] = [
    Way::Direct,
    Way::Guard,
    Way::Journal(JournalMode::Cheap),
    Way::Journal(JournalMode::Ahead),
    Way::Journal(JournalMode::Strict),
];

/// What the script does to each item.
const CHANGES: [(&str, &str); 2] =
    [("same", "the same price for all"), ("computed", "a price of its own for each")];

/// What the script tells at its end.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Told {
    items: u32,
    seconds: f64,
}

/// The best of a way's rounds.
#[derive(Clone, Debug, Default)]
struct Best {
    per_second: f64,
    notes: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let database = std::env::var("DYNAMODB_ENDPOINT")?;
    let client = client(&database);
    let (_folder, archive) = s3::serve(PUT_TAKES).await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/journal/price.py");
    println!("best of {ROUNDS} rounds, updates a second (share of direct)\n");
    for (change, what) in CHANGES {
        for (threads, items) in LOADS {
            let table = format!("bench-{change}-{threads}");
            seed(&client, &table, items).await?;
            let mut best = vec![Best::default(); WAYS.len()];
            for round in 0..ROUNDS {
                for (at, way) in WAYS.iter().enumerate() {
                    let salt = (round * WAYS.len() + at) * items;
                    let words =
                        [table.clone(), threads.to_string(), change.to_owned(), salt.to_string()];
                    let (told, notes) = run(*way, &database, &archive, &script, &words).await?;
                    let per_second = f64::from(told.items) / told.seconds;
                    if per_second > best[at].per_second {
                        best[at] = Best { per_second, notes };
                    }
                }
            }
            println!("{threads} threads, {items} items, {what}");
            for (way, best_of_way) in WAYS.iter().zip(&best) {
                let share = best_of_way.per_second / best[0].per_second;
                println!(
                    "  {:<22} {:>6.0}  {share:>4.2}  {}",
                    name(*way),
                    best_of_way.per_second,
                    best_of_way.notes
                );
            }
            client.delete_table().table_name(&table).send().await?;
        }
    }
    println!(
        "\nread units: those of the journal itself, for each write. The rule is one for each 4 KB \
         of an\nitem that the program did not just read, half of that in the cheap mode."
    );
    Ok(())
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Direct => "direct",
        Way::Guard => "guard, no journal",
        Way::Journal(JournalMode::Cheap) => "guard, cheap journal",
        Way::Journal(JournalMode::Ahead) => "guard, journal ahead",
        Way::Journal(JournalMode::Strict) => "guard, strict journal",
    }
}

/// Runs the script once; what it told, and what the guard did for it.
async fn run(
    way: Way,
    database: &str,
    archive: &str,
    script: &Path,
    words: &[String],
) -> Result<(Told, String), Error> {
    let mode = match way {
        Way::Direct => return Ok((python(database, script, words).await?, String::new())),
        Way::Guard => None,
        Way::Journal(mode) => Some(mode),
    };
    let guard = guard::start(database, archive, mode).await?;
    let told = python(&guard.endpoint, script, words).await?;
    let journal = guard.stop().await?.journal;
    let notes = journal.map_or_else(String::new, |journal| {
        format!(
            "{} of {} writes ahead, {} entries, {} puts, {:.2} read units a write",
            journal.ahead,
            told.items,
            journal.entries,
            journal.segments,
            journal.read_units / f64::from(told.items)
        )
    });
    Ok((told, notes))
}

async fn python(endpoint: &str, script: &Path, words: &[String]) -> Result<Told, Error> {
    let child = Command::new("python3")
        .arg(script)
        .args(words)
        .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
        .env("AWS_REGION", guard::REGION)
        .env("AWS_DEFAULT_REGION", guard::REGION)
        .env("AWS_ACCESS_KEY_ID", guard::KEY)
        .env("AWS_SECRET_ACCESS_KEY", guard::KEY)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        return Err(format!("the script ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(guard::REGION))
        .credentials_provider(Credentials::new(guard::KEY, guard::KEY, None, None, "bench"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

async fn seed(client: &Client, table: &str, items: usize) -> Result<(), Error> {
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build()?;
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S)
        .build()?;
    client
        .create_table()
        .table_name(table)
        .key_schema(key)
        .attribute_definitions(id)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await?;
    let ids: Vec<usize> = (0..items).collect();
    for part in ids.chunks(25) {
        let mut requests = Vec::new();
        for i in part {
            let put = PutRequest::builder()
                .item("id", AttributeValue::S(format!("car-{i:06}")))
                .item("number", AttributeValue::N(i.to_string()))
                .item("brand", AttributeValue::S("a brand of cars".into()))
                .item("text", AttributeValue::S("some words about it. ".repeat(10)))
                .build()?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        client.batch_write_item().request_items(table, requests).send().await?;
    }
    Ok(())
}
