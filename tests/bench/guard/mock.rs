//! A mock of DynamoDB that answers in constant time: one thread per connection, answers made
//! beforehand, no state and no signature checked. It is there so that the database does not limit
//! what is measured; nothing about DynamoDB's behavior can be learnt from it.
//!
//! Every item that is asked for exists and is the same but for its key, which is the request's.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use crate::http::{self, Message};
use crate::tls;

/// Bytes of the items in a page, as DynamoDB bounds it.
const PAGE_BYTES: usize = 1 << 20;

/// What stands before a key's value in requests, all of whose clients write JSON without spaces.
const KEY: &str = r#""id":{"S":""#;

/// The rest of every item: some 280 bytes, as a row of a small table.
const ITEM: &str = r#""brand":{"S":"chevrolet"},"model":{"S":"chevelle malibu"},"color":{"S":"midnight blue"},"year":{"N":"1970"},"weight":{"N":"3504"},"horsepower":{"N":"130"},"tags":{"SS":["classic","coupe"]},"owner":{"M":{"name":{"S":"nobody"},"since":{"N":"1971"}}},"sold":{"BOOL":false}"#;

/// Serves for ever, on a free port of loopback that it prints first; over TLS, if it learns where
/// its certificate is to be.
pub fn serve(delay: Duration, certificate: Option<&Path>) -> io::Result<()> {
    let tls = certificate.map(|path| tls::server("127.0.0.1", path));
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    println!("{}", listener.local_addr()?);
    let page = Arc::new(Page::new());
    for stream in listener.incoming() {
        let (stream, page, tls) = (stream?, Arc::clone(&page), tls.clone());
        stream.set_nodelay(true)?;
        // A connection that ends is no error of the server's.
        std::thread::spawn(move || match tls {
            None => connection(stream, &page, delay),
            Some(tls) => {
                let tls = ServerConnection::new(tls).map_err(io::Error::other)?;
                connection(StreamOwned::new(tls, stream), &page, delay)
            }
        });
    }
    Ok(())
}

fn connection(mut stream: impl Read + Write, page: &Page, delay: Duration) -> io::Result<()> {
    let (mut received, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        while let Some(request) = Message::first_of(&received) {
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            respond(&mut stream, &request, page)?;
            let whole = request.bytes;
            received.drain(..whole);
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            bytes => received.extend_from_slice(&chunk[..bytes]),
        }
    }
}

fn respond(stream: &mut impl Write, request: &Message<'_>, page: &Page) -> io::Result<()> {
    let target = request.header("x-amz-target").unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let body = String::from_utf8_lossy(request.body);
    let metered = body.contains(r#""ReturnConsumedCapacity":"TOTAL""#);
    if operation == "Query" {
        return stream.write_all(page.response(metered));
    }
    let mut answer = String::from("{");
    match operation {
        "DescribeTable" => answer.push_str(&description(&body)),
        "GetItem" => answer.extend([r#""Item":"#, &item(keys(&body).next())]),
        "BatchGetItem" => {
            let items: Vec<String> = keys(&body).map(|key| item(Some(key))).collect();
            answer.extend([
                r#""Responses":{"items":["#,
                &items.join(","),
                r#"]},"UnprocessedKeys":{}"#,
            ]);
        }
        "BatchWriteItem" => answer.push_str(r#""UnprocessedItems":{}"#),
        _ if body.contains(r#""ReturnValues":"ALL_OLD""#) => {
            answer.extend([r#""Attributes":"#, &item(keys(&body).next())]);
        }
        _ => {}
    }
    if metered {
        let comma = if answer.len() > 1 { "," } else { "" };
        answer.extend([comma, r#""ConsumedCapacity":{"TableName":"items","CapacityUnits":1.0}"#]);
    }
    answer.push('}');
    stream.write_all(&http::response(answer.as_bytes()))
}

/// The keys' values in a request, in their order.
fn keys(body: &str) -> impl Iterator<Item = &str> {
    body.split(KEY).skip(1).filter_map(|rest| rest.split('"').next())
}

fn item(key: Option<&str>) -> String {
    format!(r#"{{{KEY}{}"}},{ITEM}}}"#, key.unwrap_or_default())
}

fn description(body: &str) -> String {
    let (name, keys, attributes) = if body.contains(r#""pages""#) {
        (
            "pages",
            r#"{"AttributeName":"list","KeyType":"HASH"},{"AttributeName":"at","KeyType":"RANGE"}"#,
            r#"{"AttributeName":"list","AttributeType":"S"},{"AttributeName":"at","AttributeType":"N"}"#,
        )
    } else {
        (
            "items",
            r#"{"AttributeName":"id","KeyType":"HASH"}"#,
            r#"{"AttributeName":"id","AttributeType":"S"}"#,
        )
    };
    format!(
        r#""Table":{{"TableName":"{name}","TableStatus":"ACTIVE","TableArn":"arn:aws:dynamodb:eu-west-1:1:table/{name}","KeySchema":[{keys}],"AttributeDefinitions":[{attributes}],"BillingModeSummary":{{"BillingMode":"PAY_PER_REQUEST"}},"ItemCount":1,"TableSizeBytes":1}}"#
    )
}

/// The answer to every query, with and without its consumed capacity.
struct Page {
    plain: Vec<u8>,
    metered: Vec<u8>,
}

impl Page {
    fn new() -> Self {
        let mut items = Vec::new();
        let mut bytes = 0;
        while bytes < PAGE_BYTES {
            let at = items.len();
            let item = format!(r#"{{"list":{{"S":"a"}},"at":{{"N":"{at}"}},{ITEM}}}"#);
            bytes += item.len();
            items.push(item);
        }
        let count = items.len();
        let body =
            format!(r#"{{"Items":[{}],"Count":{count},"ScannedCount":{count}"#, items.join(","));
        let capacity = r#","ConsumedCapacity":{"TableName":"pages","CapacityUnits":128.0}"#;
        Self {
            plain: http::response(format!("{body}}}").as_bytes()),
            metered: http::response(format!("{body}{capacity}}}").as_bytes()),
        }
    }

    fn response(&self, metered: bool) -> &[u8] {
        if metered { &self.metered } else { &self.plain }
    }
}
