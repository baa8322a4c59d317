//! Credentials that a service in the cluster gives out, as EKS Pod Identity and ECS do: they are
//! fetched once, fetched again when the database finds them expired, and the program notices
//! nothing of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use dm_contract::plan::{Mode, Policy};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::bed::{self, ACCESS_KEY, database, fresh_name};
use crate::faults::{forward, http_server};
use crate::processes::Process;
use crate::shorthand::expand;

/// What a pod shows to get credentials.
const POD_TOKEN: &str = "the-pods-own-token";

/// A mock of AWS's side, as neither can be had here: who gives out credentials, each time with
/// another session's token, and a database that takes none but those of one session. Behind it is a
/// real one.
#[derive(Debug, Default)]
struct Aws {
    given: AtomicU64,
    valid: AtomicU64,
    closed: AtomicBool,
}

impl Aws {
    fn give(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let shown = request.headers().get("authorization").map(http::HeaderValue::as_bytes);
        if self.closed.load(Ordering::SeqCst) || shown != Some(POD_TOKEN.as_bytes()) {
            return answer(
                StatusCode::FORBIDDEN,
                &json!({"code": "AccessDenied", "message": "no"}),
            );
        }
        let session = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({"AccessKeyId": ACCESS_KEY, "SecretAccessKey": "a-secret",
            "Token": session.to_string(), "Expiration": "2100-01-01T00:00:00Z"});
        answer(StatusCode::OK, &body)
    }

    fn is_expired(&self, request: &Request<Incoming>) -> bool {
        let session = request.headers().get("x-amz-security-token");
        session.map(http::HeaderValue::as_bytes)
            != Some(self.valid.load(Ordering::SeqCst).to_string().as_bytes())
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// A guard between a program and both.
async fn guard(aws: &Arc<Aws>, folder: &Path) -> Process {
    let gives = Arc::clone(aws);
    let service = http_server(move |request| {
        let answer = gives.give(&request);
        async move { Ok::<_, std::convert::Infallible>(answer) }
    })
    .await;
    let (takes, client) = (Arc::clone(aws), crate::faults::client());
    let below = database().url.trim_end_matches('/').to_owned();
    let front = http_server(move |request| {
        let (expired, client, below) = (takes.is_expired(&request), client.clone(), below.clone());
        async move {
            if expired {
                let name = "com.amazon.coral.service#ExpiredTokenException";
                return Ok(answer(StatusCode::BAD_REQUEST, &json!({"__type": name})));
            }
            forward(client, below, request).await
        }
    })
    .await;
    let token = folder.join("token");
    std::fs::write(&token, POD_TOKEN).unwrap();
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.upstream.endpoint = Some(front);
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{service}/v1/credentials")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap().to_owned()),
    ];
    Process::start_with(&plan, folder, &variables).await
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_in_the_middle_of_a_run_are_fetched_anew_and_nobody_notices() {
    let (aws, folder) = (Arc::new(Aws::default()), tempfile::tempdir().unwrap());
    let guard = guard(&aws, folder.path()).await;
    let table = fresh_name("expires");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let count = expand(&json!({"TableName": table, "Key": {"id": "a"},
        "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}));
    for session in 1..=3 {
        aws.valid.store(session, Ordering::SeqCst);
        let eight = (0..8).map(|_| guard.endpoint.ok("UpdateItem", &count));
        futures::future::join_all(eight).await;
        assert_eq!(aws.given.load(Ordering::SeqCst), session, "once for all that need them");
    }
    assert_eq!(database().items(&table).await[0]["n"]["N"], "24");

    // Nobody gives out any: what learns helps to find out why, and then it continues.
    aws.closed.store(true, Ordering::SeqCst);
    aws.valid.store(4, Ordering::SeqCst);
    let (status, told) = guard.endpoint.call("UpdateItem", &count).await;
    let told = told["message"].as_str().unwrap();
    assert_eq!(status, 500, "{told}");
    assert!(told.contains("getting credentials") && told.contains("403"), "{told}");
    assert!(!told.contains("a-secret") && !told.contains(POD_TOKEN), "{told}");
    aws.closed.store(false, Ordering::SeqCst);
    guard.endpoint.ok("UpdateItem", &count).await;
    assert_eq!(database().items(&table).await[0]["n"]["N"], "25");
}
