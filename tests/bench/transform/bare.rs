//! The least that a program can do: the same requests, made from numbers, signed and sent by as
//! many tasks as the runner has writers. Answers are received, and not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{child, table};

/// As many as the runner has writers.
const CONNECTIONS: usize = 64;

/// Sends one update for each item.
#[tokio::main]
pub async fn run(url: &str, items: u64) -> Result<()> {
    let begun = Instant::now();
    let (next, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let (next, url) = (Arc::clone(&next), url.to_owned());
        tasks.spawn(async move { connection(&url, &next, items).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    child::done(begun.elapsed())
}

async fn connection(url: &str, next: &AtomicU64, items: u64) -> Result<()> {
    let host = url.strip_prefix("http://").context("plain HTTP")?;
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    loop {
        let item = next.fetch_add(1, Ordering::Relaxed);
        if item >= items {
            return Ok(());
        }
        send(&mut sender, url, host, body(item)).await?;
    }
}

fn body(item: u64) -> String {
    format!(
        r##"{{"TableName":"cars","Key":{{"id":{{"S":"{}"}}}},"UpdateExpression":"SET #0 = :0","ConditionExpression":"attribute_exists(#1) AND #2 = :1 AND #3 = :2 AND attribute_not_exists(#0) AND #4 = :3","ExpressionAttributeNames":{{"#0":"price","#1":"id","#2":"displacement","#3":"horsepower","#4":"weight"}},"ExpressionAttributeValues":{{":0":{{"N":"{}"}},":1":{{"N":"307"}},":2":{{"N":"130"}},":3":{{"N":"{}"}}}},"ReturnConsumedCapacity":"TOTAL"}}"##,
        table::key(item),
        table::price(item),
        table::weight(item),
    )
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    url: &str,
    host: &str,
    body: String,
) -> Result<()> {
    let headers = [
        ("host", host),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "DynamoDB_20120810.UpdateItem"),
    ];
    let identity = Credentials::new("bench", "bench", None, None, "bench").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("dynamodb")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let uri = format!("{url}/");
    let content = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", uri, headers.into_iter(), content)?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    let mut request = Request::post("/");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    sender.ready().await?;
    let answer = sender.send_request(request.body(Full::new(body.into()))?).await?;
    let good = answer.status().is_success();
    answer.into_body().collect().await?;
    ensure!(good, "the mock rejects a request");
    Ok(())
}
