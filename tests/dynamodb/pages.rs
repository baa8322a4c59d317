//! A proxy of a database that returns short pages of a scan and counts the items on them that were
//! changed already: what a guard repeats of the work of the guards before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;

use crate::bed::database;
use crate::faults::{client, http_server};

/// Items that one guard has read of each segment and that were done.
type Repeated = Arc<Mutex<BTreeMap<u64, u64>>>;

/// The pages that the guards of one run read.
#[derive(Debug)]
pub struct Pages {
    /// Items of a page.
    limit: u64,
    /// An item that has this attribute was changed.
    done: &'static str,
    guards: Mutex<Vec<Repeated>>,
}

impl Pages {
    pub fn new(limit: u64, done: &'static str) -> Self {
        Self { limit, done, guards: Mutex::default() }
    }

    /// A proxy for one guard; its URL.
    pub async fn proxy(&self) -> String {
        let repeated = Repeated::default();
        self.guards.lock().unwrap().push(Arc::clone(&repeated));
        let (limit, done, client) = (self.limit, self.done, client());
        http_server(move |request| {
            let (client, repeated) = (client.clone(), Arc::clone(&repeated));
            async move { forward(&client, request, limit, done, &repeated).await }
        })
        .await
    }

    /// Items that were read again although they were done, and the most of them that one guard has
    /// read of one segment.
    pub fn repeated(&self) -> (u64, u64) {
        let guards = self.guards.lock().unwrap();
        let all = guards.iter().flat_map(|guard| {
            let counts = guard.lock().unwrap();
            counts.values().copied().collect::<Vec<u64>>()
        });
        all.fold((0, 0), |(sum, most), items| (sum + items, most.max(items)))
    }
}

async fn forward(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Incoming>,
    limit: u64,
    done: &str,
    repeated: &Repeated,
) -> Result<Response<Full<Bytes>>, hyper_util::client::legacy::Error> {
    let (mut head, body) = request.into_parts();
    let mut body = body.collect().await.unwrap().to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let is_scan = target.is_some_and(|target| target.ends_with(".Scan"));
    let mut segment = 0;
    if is_scan {
        let mut parameters: Value = serde_json::from_slice(&body).unwrap();
        segment = parameters["Segment"].as_u64().unwrap_or_default();
        parameters["Limit"] = limit.into();
        body = Bytes::from(parameters.to_string());
        // The client writes another.
        head.headers.remove("content-length");
    }
    head.uri = database().url.parse().unwrap();
    let response = client.request(Request::from_parts(head, Full::new(body))).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if is_scan {
        let page: Value = serde_json::from_slice(&body).unwrap_or_default();
        let items = page["Items"].as_array().into_iter().flatten();
        let done = items.filter(|item| item.get(done).is_some()).count();
        *repeated.lock().unwrap().entry(segment).or_default() += done as u64;
    }
    Ok(Response::from_parts(head, Full::new(body)))
}
