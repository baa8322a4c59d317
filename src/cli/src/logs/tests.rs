//! Which run and which pods are meant, what is waited for, and what is said where there is no log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;
use crate::describe::text::tests::migration;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;

fn check(last: u32, asked: Option<u32>, expected: Result<u32, &str>) {
    let migration = migration(json!({}), json!({"lastRun": last}));
    match (run(&migration, asked), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(error), Err(expected)) => {
            assert!(error.to_string().contains(expected), "{error}");
        }
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    }
}

#[test]
fn a_run_that_never_was_is_named_with_the_last_one() {
    check(3, None, Ok(3));
    check(3, Some(2), Ok(2));
    check(3, Some(99), Err("has no run 99; its last run is 3"));
    check(3, Some(0), Err("has no run 0; its last run is 3"));
    check(0, None, Err("has not run yet"));
}

/// A cluster where each read of the migration returns the next of these, and which has a pod
/// once the last one was read.
fn cluster(reads: Vec<DataMigration>, has_pod: bool) -> Cluster {
    let reads = Arc::new(Mutex::new(VecDeque::from(reads)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let mut reads = reads.lock().unwrap();
        let body = if request.uri().path().ends_with("/pods") {
            let pods = if has_pod && reads.is_empty() {
                json!([{"metadata": {"name": "pod-2"}}])
            } else {
                json!([])
            };
            json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods})
        } else {
            json!(reads.pop_front().unwrap())
        };
        let body = Body::from(serde_json::to_vec(&body).unwrap());
        async { Ok::<_, std::convert::Infallible>(Response::new(body)) }
    });
    Cluster { client: Client::new(service, "shop"), namespace: "shop".into() }
}

fn with_run(result: &str) -> DataMigration {
    let run = json!({
        "number": 2, "kind": "Apply", "result": result, "job": "j", "programDigest": "",
        "requestedAt": "2026-12-01T10:02:00Z", "retry": 0,
    });
    migration(json!({}), json!({"lastRun": 2, "runs": [run]}))
}

async fn waited(reads: &[&str], has_pod: bool, follow: bool) -> Option<String> {
    let reads = reads.iter().map(|result| with_run(result)).collect();
    let first = with_run("Starting");
    let found = found(&cluster(reads, has_pod), first, 2, (&[0], follow)).await.unwrap().1;
    found.into_iter().next().map(|part| part.pod)
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_exist_yet_is_waited_for_until_the_run_is_over() {
    let pod = waited(&["Starting", "Starting"], true, true).await;
    assert_eq!(pod.as_deref(), Some("pod-2"));
    assert_eq!(waited(&["Starting", "Failed"], false, true).await, None);
    assert_eq!(waited(&[], false, false).await, None, "not without --follow");
}

fn flags() -> Flags {
    Flags {
        name: "m".into(),
        run: None,
        part: None,
        follow: false,
        guard: false,
        tail: None,
        cluster: cluster::Flags::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_promotion_that_the_operator_has_not_seen_is_waited_for_to_follow_its_run() {
    let chosen_by = async |flags: Flags| {
        let status = |observed, last| json!({"observedGeneration": observed, "lastRun": last});
        let reads = [status(2, 1), status(2, 1), status(3, 2)];
        let reads = reads.map(|status| migration(json!({}), status));
        chosen(&cluster(reads.into(), false), &flags).await.unwrap().1
    };
    assert_eq!(chosen_by(Flags { follow: true, ..flags() }).await, 2);
    assert_eq!(chosen_by(flags()).await, 1, "the log of the last run is wanted now");
    let named = Flags { follow: true, run: Some(1), ..flags() };
    assert_eq!(chosen_by(named).await, 1);
}

#[tokio::test]
async fn a_run_that_has_not_started_is_not_said_to_have_started_nothing() {
    let flags = flags();
    for (result, expected) in
        [("Starting", "has not started yet; --follow"), ("Canceled", "started no program")]
    {
        let error = kept(&cluster(Vec::new(), false), &with_run(result), 2, &flags).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
