//! Which Jobs and pods that no migration speaks for stand in the way of another run.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::samples;
use crate::samples::*;

fn spec(mode: &str, region: &str) -> Value {
    let plan = json!({
        "version": 1, "run": {"namespace": "team", "name": "old", "uid": "uid-old", "number": 2},
        "mode": mode, "upstream": {"region": region}, "policy": {},
    });
    json!({
        "containers": [{"name": "program"}],
        "initContainers": [{
            "name": "guard", "env": [{"name": "DATAMIGRATION_PLAN", "value": plan.to_string()}],
        }],
    })
}

fn metadata() -> Value {
    json!({
        "labels": {"datamigration.dev/migration-uid": "uid-old"},
        "annotations": {"datamigration.dev/migration": "old"},
    })
}

#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
fn living_pod(spec: Value, changes: Value) -> Pod {
    with(&samples::pod("Running", json!({"metadata": metadata(), "spec": spec})), changes)
}

#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
fn living_job(changes: Value) -> Identified<Job> {
    let template = json!({"template": {"spec": spec("Apply", "eu-west-1")}});
    with(&samples::job(json!({"metadata": metadata(), "spec": template})), changes)
}

fn found(own: &str, jobs: &[Identified<Job>], pods: &[Pod]) -> Vec<(String, String)> {
    let found = occupants(own, &target(json!({})), jobs.iter().map(|job| &**job), pods);
    assert!(found.iter().all(|holder| holder.launched), "none of them waits for anybody");
    found.into_iter().map(|holder| (holder.name, holder.left.unwrap())).collect()
}

fn one(left: &str) -> Vec<(String, String)> {
    vec![("old".into(), left.into())]
}

#[test]
fn a_pod_that_writes_counts_until_it_is_over() {
    let spec = || spec("Apply", "eu-west-1");
    let pod = living_pod(spec(), json!({}));
    let terminating = json!({"metadata": {"deletionTimestamp": time(60)}});
    assert_eq!(found("uid-m", &[], std::slice::from_ref(&pod)), one("pod 0001-cars-1-apply-x"));
    let stopping = living_pod(spec(), terminating);
    assert_eq!(found("uid-m", &[], &[stopping]), one("pod 0001-cars-1-apply-x"));
    assert_eq!(found("uid-old", &[], &[pod]), [], "its own");
    let over = living_pod(spec(), json!({"status": {"phase": "Failed"}}));
    assert_eq!(found("uid-m", &[], &[over]), []);
}

#[test]
fn only_pods_that_write_to_this_database_count() {
    let dry_run = living_pod(spec("DryRun", "eu-west-1"), json!({}));
    let elsewhere = living_pod(spec("Apply", "us-east-1"), json!({}));
    let recorder = json!({"metadata": {"labels": {"datamigration.dev/record-of": "2"}}});
    let recorder = living_pod(spec("Apply", "eu-west-1"), recorder);
    assert_eq!(found("uid-m", &[], &[dry_run, elsewhere, recorder]), []);
    let foreign = living_pod(json!({"containers": [{"name": "program"}]}), json!({}));
    assert_eq!(found("uid-m", &[], &[foreign]), [], "only its label is one of ours");
    let mut unread = spec("Apply", "eu-west-1");
    unread["initContainers"][0]["env"][0]["value"] = json!("{\"version\": 9}");
    let unread = living_pod(unread, json!({}));
    assert_eq!(found("uid-m", &[], &[unread]), one("pod 0001-cars-1-apply-x"));
}

#[test]
fn a_job_counts_while_it_may_create_a_pod_and_once_with_its_pod() {
    let job = living_job(json!({}));
    assert_eq!(found("uid-m", std::slice::from_ref(&job), &[]), one("Job 0001-cars-1-apply"));
    let pod = living_pod(spec("Apply", "eu-west-1"), json!({}));
    assert_eq!(found("uid-m", &[job], &[pod]), one("pod 0001-cars-1-apply-x"));
    for still in [
        json!({"spec": {"suspend": true}}),
        json!({"metadata": {"deletionTimestamp": time(20)}}),
        json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
    ] {
        assert_eq!(found("uid-m", &[living_job(still.clone())], &[]), [], "{still}");
    }
}
