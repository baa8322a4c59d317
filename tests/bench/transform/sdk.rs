//! A program with AWS's SDK for Rust, as one would write it: 64 tasks, each with a segment of the
//! scan.

use std::time::Instant;

use anyhow::{Context as _, Result};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::task::JoinSet;

use crate::child;

const TASKS: i32 = 64;

#[tokio::main]
pub async fn run(url: &str) -> Result<()> {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url)
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .build();
    let client = Client::from_conf(config);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for segment in 0..TASKS {
        tasks.spawn(migrate(client.clone(), segment));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    child::done(begun.elapsed())
}

async fn migrate(client: Client, segment: i32) -> Result<()> {
    let scan = client.scan().table_name("cars").segment(segment).total_segments(TASKS);
    let mut pages = scan.into_paginator().send();
    while let Some(page) = pages.next().await {
        for car in page?.items() {
            let number = |name: &str| -> Result<&str> {
                let value = car.get(name).and_then(|value| value.as_n().ok());
                value.map(String::as_str).with_context(|| format!("{name} is no number"))
            };
            let weight = number("weight")?;
            let (horsepower, displacement) = (number("horsepower")?, number("displacement")?);
            let exact = 24 * horsepower.parse::<u64>()? + weight.parse::<u64>()?;
            let (whole, rest) = (exact / 100, exact % 100);
            let price = 50 * (whole + u64::from(rest > 50 || rest == 50 && whole % 2 == 1));
            client
                .update_item()
                .table_name("cars")
                .key("id", car.get("id").context("a car without id")?.clone())
                .update_expression("SET price = :p")
                .condition_expression(
                    "attribute_exists(id) AND attribute_not_exists(price) AND weight = :w \
                     AND horsepower = :h AND displacement = :d",
                )
                .expression_attribute_values(":p", AttributeValue::N(price.to_string()))
                .expression_attribute_values(":w", AttributeValue::N(weight.to_owned()))
                .expression_attribute_values(":h", AttributeValue::N(horsepower.to_owned()))
                .expression_attribute_values(":d", AttributeValue::N(displacement.to_owned()))
                .send()
                .await?;
        }
    }
    Ok(())
}
