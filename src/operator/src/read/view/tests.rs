//! What stands in a program's way, and when a pod is over.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use serde_json::{Value, json};

use super::*;
use crate::samples::*;

/// The obstacle of a run with this pod, two minutes after it was created.
fn check(pod: &Pod, expected: Option<(Reason, &str)>) {
    let job = job(json!({}));
    let found = obstacle(RunObjects { job: Some(&job), pods: &[pod] }, at(121));
    match (found, expected) {
        (None, None) => {}
        (Some(found), Some((reason, text))) => {
            assert_eq!(found.reason, reason, "{}", found.message);
            assert!(found.message.contains(text), "{}", found.message);
        }
        (found, expected) => panic!("found {found:?}, expected {expected:?}"),
    }
}

fn waiting(container_name: &str, reason: &str, message: &str) -> Pod {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    pod("Pending", json!({"status": {"containerStatuses": [container(container_name, &state)]}}))
}

fn unscheduled(changes: Value) -> Pod {
    with(&pod("Pending", json!({"spec": {"nodeName": null}})), changes)
}

#[test]
fn a_pod_that_no_node_can_take_is_unschedulable() {
    let pod = unscheduled(json!({"status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }]}}));
    check(&pod, Some((Reason::Unschedulable, "3 Insufficient memory")));
}

#[test]
fn every_reason_of_an_image_that_cannot_be_pulled_is_known() {
    for reason in [
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    ] {
        let pod = waiting("program", reason, "no such tag");
        check(&pod, Some((Reason::ImagePullFailed, "python:3.12 of container program")));
    }
}

#[test]
fn an_image_of_ours_is_the_platform_teams() {
    for name in ["prepare", "ledger", "guard", "restore"] {
        let pod = waiting(name, "ImagePullBackOff", "no such tag");
        check(&pod, Some((Reason::ImagePullFailed, "The platform team corrects agentImage")));
        let job = job(json!({}));
        let objects = RunObjects { job: Some(&job), pods: &[&pod] };
        let said = obstacle(objects, at(121)).unwrap().message;
        assert!(!said.contains("in the spec"), "{said}");
    }
    let pod = waiting("program", "ImagePullBackOff", "no such tag");
    check(&pod, Some((Reason::ImagePullFailed, "Correct the image in the spec")));
}

#[test]
fn a_volume_that_is_missing_is_no_large_image() {
    let with_volumes = |volumes: Value, sandbox: &str| {
        pod(
            "Pending",
            json!({
                "spec": {"volumes": volumes},
                "status": {"conditions": [{
                    "type": "PodReadyToStartContainers", "status": sandbox,
                }]},
            }),
        )
    };
    let missing = json!([
        {"name": "dm-files", "configMap": {"name": "copy"}},
        {"name": "rates", "configMap": {"name": "rates"}},
        {"name": "keys", "secret": {"secretName": "keys"}},
    ]);
    let named = "See whether these exist: ConfigMap rates, Secret keys (";
    check(&with_volumes(missing.clone(), "False"), Some((Reason::VolumeUnavailable, named)));
    check(&with_volumes(missing, "True"), Some((Reason::Starting, "a large image")));
    let only_ours = json!([{"name": "dm-files", "configMap": {"name": "copy"}}]);
    check(&with_volumes(only_ours, "False"), Some((Reason::Starting, "a large image")));
}

#[test]
fn a_guard_without_its_secret_names_the_targets_credentials() {
    let pod = waiting("guard", "CreateContainerConfigError", "secret \"aws\" not found");
    check(&pod, Some((Reason::SecretNotFound, "secret \"aws\" not found")));
    let pod = waiting("program", "CreateContainerConfigError", "configmap \"x\" not found");
    check(&pod, Some((Reason::ContainerStartFailed, "configmap \"x\" not found")));
}

#[test]
fn a_container_that_cannot_be_started_is_said() {
    for reason in ["CreateContainerError", "RunContainerError", "StartError"] {
        let pod = waiting("program", reason, "no such file");
        check(&pod, Some((Reason::ContainerStartFailed, "no such file")));
    }
    let pod = waiting("guard", "CrashLoopBackOff", "back-off 10s");
    check(&pod, Some((Reason::GuardFailed, "ended repeatedly: back-off 10s")));
}

#[test]
fn a_pod_that_is_merely_slow_is_late_after_a_minute() {
    let pod = waiting("program", "ContainerCreating", "");
    check(&pod, Some((Reason::Starting, "kubectl describe pod 0001-cars-1-apply-x")));
    let (job, now) = (job(json!({})), at(61));
    assert_eq!(obstacle(RunObjects { job: Some(&job), pods: &[&pod] }, now), None);
}

#[test]
fn nothing_stands_in_the_way_of_a_program_that_runs_or_has_ended() {
    check(&pod_running(), None);
    check(&pod_ended(1, "", &Value::Null), None);
}

#[test]
fn a_job_without_a_pod_is_told_unless_it_is_suspended() {
    let lone = |job: &Identified<Job>| obstacle(RunObjects { job: Some(job), pods: &[] }, at(121));
    assert_eq!(lone(&job(json!({}))).map(|found| found.reason), Some(Reason::ObjectRefused));
    assert_eq!(lone(&job(json!({"spec": {"suspend": true}}))), None);
    assert_eq!(lone(&job(json!({"metadata": {"creationTimestamp": time(100)}}))), None);
}

#[test]
fn a_pod_is_over_when_it_ended_or_was_deleted_before_a_node_took_it() {
    let deleted = json!({"metadata": {"deletionTimestamp": time(9)}});
    let over = |pod: Pod| pod_is_over(&pod);
    assert!(!over(pod("Pending", json!({}))));
    assert!(!over(pod_running()));
    assert!(!over(with(&pod_running(), deleted.clone())));
    assert!(over(pod("Succeeded", json!({}))));
    assert!(over(pod("Failed", json!({}))));
    assert!(!over(unscheduled(json!({}))));
    assert!(over(unscheduled(deleted)));
}

#[test]
fn a_container_that_never_ran_is_reported_with_the_epoch() {
    let state = json!({"terminated": {"exitCode": 128, "startedAt": "1970-01-01T00:00:00Z"}});
    let status = json!({"status": {"containerStatuses": [container("program", &state)]}});
    assert_eq!(program_started(&pod("Failed", status)), None);
    assert_eq!(program_started(&pod_running()), Some(at(5)));
}

#[test]
fn a_result_of_another_version_is_not_read() {
    let mut other = pod_ended(0, &program_says(json!({"version": 2})), &json!({"version": 2}));
    assert_eq!((program_result(&other), guard_result(&other)), (None, None));
    other = pod_ended(0, "free text", &json!("free text"));
    assert_eq!((program_result(&other), guard_result(&other)), (None, None));
}

#[test]
fn a_jobs_end_is_its_true_condition() {
    assert_eq!(job_end(&job(json!({}))), JobEnd::No);
    assert_eq!(job_end(&job_ended("Complete", "")), JobEnd::Complete);
    assert_eq!(job_end(&job_ended("Failed", "Why")), JobEnd::Failed("Why".into()));
    assert_eq!(job_end(&job_ended("SuccessCriteriaMet", "")), JobEnd::No);
    let untrue = json!({"status": {"conditions": [{"type": "Failed", "status": "False"}]}});
    assert_eq!(job_end(&job(untrue)), JobEnd::No);
}

#[test]
fn a_pod_that_a_quota_refuses_is_told_in_the_quotas_words() {
    let words = "pods \"x\" is forbidden: exceeded quota: team, requested: limits.cpu=1";
    let refused = json!({"metadata": {"annotations": {FAILED_CREATE_ANNOTATION: words}}});
    let found =
        obstacle(RunObjects { job: Some(&job(refused.clone())), pods: &[] }, at(2)).unwrap();
    assert_eq!(found.reason, Reason::ObjectRefused);
    assert!(
        found.message.contains("exceeded quota: team")
            && found.message.contains("starts automatically")
    );
    let held = with(&job(refused), json!({"spec": {"suspend": true}}));
    assert_eq!(obstacle(RunObjects { job: Some(&held), pods: &[] }, at(2)), None);
}
