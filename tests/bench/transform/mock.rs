//! A mock of DynamoDB with one table: one thread for each connection, no signature checked. It
//! remembers which items were written, and how often; and it may have buckets of units for each
//! partition, as a table has. Nothing about DynamoDB's behavior can be learnt from it.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::http::{self, Message};
use crate::table::{self, Table};

/// Write units of a partition in a second (DynamoDB developer guide, "Burst and adaptive
/// capacity").
pub const WRITE_UNITS: f64 = 1_000.0;
/// Read units of a partition in a second.
pub const READ_UNITS: f64 = 3_000.0;
/// Bytes of a page.
const PAGE_BYTES: u64 = 1 << 20;

/// The answer to a statement of a batch for which there is no unit left.
const THROTTLED_STATEMENT: &str = r#"{"Error":{"Code":"ProvisionedThroughputExceeded",
    "Message":"The level of configured provisioned throughput was exceeded."},"TableName":"cars"}"#;

/// What happened to the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Items that were written once.
    pub once: u64,
    /// Items that were written more than once.
    pub again: u64,
    pub requests: u64,
    /// Of these, refused for want of units.
    pub throttled: u64,
    pub write_units: f64,
    pub read_units: f64,
}

pub fn stats(address: SocketAddr) -> Result<Stats> {
    let mut stream = TcpStream::connect(address)?;
    stream
        .write_all(b"POST / HTTP/1.1\r\nx-amz-target: Bench.Stats\r\ncontent-length: 0\r\n\r\n")?;
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    while Message::length_of(&received).is_none_or(|whole| received.len() < whole) {
        let bytes = stream.read(&mut chunk)?;
        ensure!(bytes > 0, "the mock has ended");
        received.extend_from_slice(&chunk[..bytes]);
    }
    let answer = Message::first_of(&received).context("the mock's counts")?;
    let body: Value = serde_json::from_slice(answer.body)?;
    let count = |name: &str| body[name].as_u64().context("a count");
    let units = |name: &str| body[name].as_f64().context("units");
    Ok(Stats {
        once: count("once")?,
        again: count("again")?,
        requests: count("requests")?,
        throttled: count("throttled")?,
        write_units: units("writeUnits")?,
        read_units: units("readUnits")?,
    })
}

/// Units that grow back by the second, up to those of one second.
struct Bucket {
    rate: f64,
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self { rate, left: Mutex::new((rate, Instant::now())) }
    }

    fn take(&self, units: f64) -> bool {
        let mut left = self.left.lock();
        let now = Instant::now();
        let grown = left.0 + now.duration_since(left.1).as_secs_f64() * self.rate;
        *left = (grown.min(self.rate), now);
        let enough = left.0 >= units;
        if enough {
            left.0 -= units;
        }
        enough
    }
}

struct Mock {
    table: Table,
    written: Vec<AtomicU8>,
    buckets: Vec<(Bucket, Bucket)>,
    requests: AtomicU64,
    throttled: AtomicU64,
    writes: AtomicU64,
    read_bytes: AtomicU64,
}

/// Serves for ever, on a free port of loopback that it prints first.
pub fn serve(table: Table) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    println!("{}", listener.local_addr()?);
    let buckets = || (Bucket::new(WRITE_UNITS), Bucket::new(READ_UNITS));
    let mock = Arc::new(Mock {
        table,
        written: (0..table.items).map(|_| AtomicU8::new(0)).collect(),
        buckets: (0..table.partitions).map(|_| buckets()).collect(),
        requests: AtomicU64::new(0),
        throttled: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        read_bytes: AtomicU64::new(0),
    });
    for stream in listener.incoming() {
        let (stream, mock) = (stream?, Arc::clone(&mock));
        stream.set_nodelay(true)?;
        // A connection that ends is no error of the server's.
        std::thread::spawn(move || mock.connection(stream));
    }
    Ok(())
}

impl Mock {
    fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        let (mut received, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            while let Some(request) = Message::first_of(&received) {
                let answer = self.answer(&request);
                stream.write_all(&answer)?;
                let whole = request.bytes;
                received.drain(..whole);
            }
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                bytes => received.extend_from_slice(&chunk[..bytes]),
            }
        }
    }

    fn answer(&self, request: &Message<'_>) -> Vec<u8> {
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = String::from_utf8_lossy(request.body);
        if operation == "Stats" {
            return http::response(self.stats().to_string().as_bytes());
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        match operation {
            "DescribeTable" => http::response(self.description().as_bytes()),
            "Scan" => self.scan(&body),
            "UpdateItem" => self.update(&body),
            "BatchExecuteStatement" => self.batch(&body),
            // Found again is what was written.
            "GetItem" => {
                let item =
                    table::number(&body).map(|item| self.table.item(item)).unwrap_or_default();
                http::response(format!(r#"{{"Item":{item}}}"#).as_bytes())
            }
            _ => http::response(b"{}"),
        }
    }

    fn update(&self, body: &str) -> Vec<u8> {
        let Some(item) = table::number(body).filter(|item| *item < self.table.items) else {
            return http::response(b"{}");
        };
        if !self.write(item) {
            return self.throttle();
        }
        let mut answer = Vec::new();
        if body.contains("ReturnConsumedCapacity") {
            let units = r#""ConsumedCapacity":{"TableName":"cars","CapacityUnits":1.0}"#;
            answer.push(units.to_owned());
        }
        // A journal compares them with its image.
        if body.contains(r#""ReturnValues":"ALL_OLD""#) {
            answer.push(format!(r#""Attributes":{}"#, self.table.item(item)));
        }
        http::response(format!("{{{}}}", answer.join(",")).as_bytes())
    }

    /// Statements that each update the item whose key they have.
    fn batch(&self, body: &str) -> Vec<u8> {
        // What stands before the first statement is none.
        let statements = body.split("\"Statement\"").skip(1);
        let items: Vec<u64> =
            statements.filter_map(table::number).filter(|item| *item < self.table.items).collect();
        // The batch was counted as one request, and each of its statements is throttled alone.
        self.requests.fetch_add((items.len() as u64).saturating_sub(1), Ordering::Relaxed);
        let written: Vec<bool> = items.iter().map(|item| self.write(*item)).collect();
        let units = written.iter().filter(|written| **written).count();
        self.throttled.fetch_add((written.len() - units) as u64, Ordering::Relaxed);
        let responses: Vec<&str> = written
            .iter()
            .map(|written| if *written { r#"{"TableName":"cars"}"# } else { THROTTLED_STATEMENT })
            .collect();
        let responses = responses.join(",");
        let units = format!(r#"{{"TableName":"cars","CapacityUnits":{units}.0}}"#);
        let answer = format!(r#"{{"ConsumedCapacity":[{units}],"Responses":[{responses}]}}"#);
        http::response(answer.as_bytes())
    }

    /// Writes an item, if its partition has a unit left.
    fn write(&self, item: u64) -> bool {
        if let Some((writes, _)) = self.bucket(item)
            && !writes.take(1.0)
        {
            return false;
        }
        if let Ok(index) = usize::try_from(item) {
            self.written[index].fetch_add(1, Ordering::Relaxed);
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn scan(&self, body: &str) -> Vec<u8> {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        let part = |name: &str, or: u64| request[name].as_u64().unwrap_or(or);
        let range = self.table.segment(part("Segment", 0), part("TotalSegments", 1));
        let after = request["ExclusiveStartKey"]["id"]["S"].as_str().and_then(table::number);
        let begin = after.map_or(range.start, |after| after + 1);
        let end = range.end.min(begin + PAGE_BYTES / Table::bytes(1));
        let bytes = Table::bytes(end.saturating_sub(begin));
        let units = crate::as_f64(bytes) / 8192.0;
        if let Some((_, reads)) = self.bucket(begin)
            && !reads.take(units)
        {
            return self.throttle();
        }
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        let items: Vec<String> = (begin..end).map(|item| self.table.item(item)).collect();
        let mut answer = format!(
            r#"{{"Items":[{}],"Count":{1},"ScannedCount":{1}"#,
            items.join(","),
            items.len()
        );
        if end < range.end {
            let last = self.table.key(end - 1);
            let _ = write!(answer, r#","LastEvaluatedKey":{{{last}}}"#);
        }
        if request.get("ReturnConsumedCapacity").is_some() {
            let _ = write!(
                answer,
                r#","ConsumedCapacity":{{"TableName":"cars","CapacityUnits":{units:.1}}}"#
            );
        }
        http::response((answer + "}").as_bytes())
    }

    fn bucket(&self, item: u64) -> Option<&(Bucket, Bucket)> {
        let partition = (!self.buckets.is_empty()).then(|| self.table.partition(item))?;
        self.buckets.get(usize::try_from(partition).ok()?)
    }

    fn throttle(&self) -> Vec<u8> {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "The level of configured provisioned throughput for the table was exceeded.",
        });
        let answer = http::response(body.to_string().as_bytes());
        String::from_utf8_lossy(&answer).replacen("200 OK", "400 Bad Request", 1).into_bytes()
    }

    fn description(&self) -> String {
        let keys = self.table.keys();
        let element = |(name, kind)| json!({"AttributeName": name, "KeyType": kind});
        let schema: Vec<Value> = keys.iter().zip(["HASH", "RANGE"]).map(element).collect();
        let string = |name: &&str| json!({"AttributeName": name, "AttributeType": "S"});
        let definitions: Vec<Value> = keys.iter().map(string).collect();
        json!({"Table": {
            "TableName": "cars", "TableStatus": "ACTIVE",
            "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/cars", "TableId": "cars",
            "KeySchema": schema, "AttributeDefinitions": definitions,
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ItemCount": self.table.items, "TableSizeBytes": Table::bytes(self.table.items),
        }})
        .to_string()
    }

    fn stats(&self) -> Value {
        let times = |wanted: fn(u8) -> bool| {
            self.written.iter().filter(|times| wanted(times.load(Ordering::Relaxed))).count()
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "once": times(|times| times == 1), "again": times(|times| times > 1),
            "requests": count(&self.requests), "throttled": count(&self.throttled),
            "writeUnits": crate::as_f64(count(&self.writes)),
            "readUnits": crate::as_f64(count(&self.read_bytes)) / 8192.0,
        })
    }
}
