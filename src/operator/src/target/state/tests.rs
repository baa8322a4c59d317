//! What a check's Job and pod say, case by case.

use serde_json::{Value, json};

use super::*;
use crate::objects::check;
use crate::samples;
use dm_api::agent_resources::AgentResources;

fn settings() -> Settings {
    Settings {
        agent_image: "agent:1".into(),
        agent_pull_policy: "IfNotPresent".into(),
        resources: AgentResources::default(),
        network_policy_from: None,
    }
}

fn target() -> Target {
    let metadata = json!({"metadata": {"uid": "uid-t", "generation": 3}});
    let claim = json!({"persistentVolumeClaim": {"claimName": "disk"}});
    let spec = json!({"archive": {"url": "file:///archive", "volume": claim}});
    samples::with(&samples::target(spec), metadata)
}

fn job(changes: Value) -> Identified<Job> {
    let built = check::build(&target(), &settings());
    let there = json!({"metadata": {"creationTimestamp": samples::time(0)}});
    samples::with(&samples::created(&samples::with(&built, there), "uid-j"), changes)
}

fn ended(reason: &str) -> Value {
    json!({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": reason}]}})
}

fn pod(state: &Value, changes: Value) -> Pod {
    let owner = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": "n", "uid": "uid-j", "controller": true,
    }]);
    let base = samples::pod(
        "Pending",
        json!({
            "metadata": {"name": "dev-check-x", "ownerReferences": owner},
            "spec": {"containers": [{"name": "check"}]},
            "status": {"containerStatuses": [samples::container("check", state)]},
        }),
    );
    samples::with(&base, changes)
}

fn seen(job: &Identified<Job>, pods: &[Pod], refused: Option<&str>) -> State {
    let target = target();
    let seen = Seen { target: &target, job: Some(job), pods, refused };
    state(seen, &settings(), samples::at(100))
}

fn well() -> String {
    json!({"version": 1, "database": {"found": "Reachable", "message": "ok"}}).to_string()
}

fn end(exit_code: i32, message: &str) -> Value {
    json!({"terminated": {"exitCode": exit_code, "message": message}})
}

#[test]
fn a_job_is_believed_by_its_owner_and_its_generation() {
    let (own, pods) = (job(json!({})), [pod(&end(0, &well()), json!({}))]);
    assert!(matches!(seen(&own, &pods, None), State::Ended(all) if all.len() == 1));
    let foreign = job(json!({"metadata": {"ownerReferences": [
        {"apiVersion": "v", "kind": "MigrationTarget", "name": "dev", "uid": "uid-x",
            "controller": true},
    ]}}));
    assert_eq!(seen(&foreign, &pods, None), State::Foreign);
    let older =
        job(json!({"metadata": {"annotations": {"datamigration.dev/target-generation": "2"}}}));
    assert_eq!(seen(&older, &pods, None), State::Outdated, "it checked another spec");
    let fake = pod(&end(0, &well()), json!({"metadata": {"ownerReferences": []}}));
    assert_eq!(seen(&own, &[fake], None), State::Running, "a label proves nothing");
}

#[test]
fn a_job_with_an_image_that_nobody_has_any_more_is_replaced() {
    let own = job(json!({}));
    let target = target();
    let other = Settings { agent_image: "agent:2".into(), ..settings() };
    let seen = Seen { target: &target, job: Some(&own), pods: &[], refused: None };
    assert_eq!(state(seen, &other, samples::at(1)), State::Outdated);
}

#[test]
fn an_end_without_a_result_is_no_result() {
    let reason = |state: State| match state {
        State::Failed(trouble) => (trouble.reason.as_str(), trouble.message),
        other => panic!("{other:?}"),
    };
    let own = job(json!({}));
    for (code, message) in [(137, ""), (0, "panicked"), (1, well().as_str())] {
        let (reason, words) = reason(seen(&own, &[pod(&end(code, message), json!({}))], None));
        assert_eq!(reason, "CheckFailed");
        assert!(words.contains(&format!("exit code {code}")), "{words}");
    }
    assert_eq!(reason(seen(&job(ended("BackoffLimitExceeded")), &[], None)).0, "CheckFailed");
    assert_eq!(seen(&job(ended("DeadlineExceeded")), &[], None), State::Late);
}

#[test]
fn all_containers_must_have_ended() {
    let both = json!({"spec": {"containers": [{"name": "check"}, {"name": "check-dry-run"}]}});
    let one = pod(&end(0, &well()), both.clone());
    assert_eq!(seen(&job(json!({})), &[one], None), State::Running);
    let statuses = [samples::container("check", &end(0, &well())), {
        samples::container("check-dry-run", &end(0, &well()))
    }];
    let two =
        samples::with(&pod(&end(0, ""), both), json!({"status": {"containerStatuses": statuses}}));
    let State::Ended(all) = seen(&job(json!({})), &[two], None) else { panic!("it has ended") };
    let fields: Vec<&str> = all.iter().map(|one| one.credentials).collect();
    assert_eq!(fields, ["spec.credentials", "spec.dryRunCredentials"]);
}

fn blocked_by(pod: &Pod) -> Option<(&'static str, String, bool)> {
    match seen(&job(json!({})), std::slice::from_ref(pod), None) {
        State::Blocked(trouble) => {
            Some((trouble.reason.as_str(), trouble.message, trouble.is_fault))
        }
        State::Running => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_that_does_not_start_has_the_kubelets_reason() {
    let waits = |reason: &str| {
        pod(
            &json!({"waiting": {"reason": reason, "message": "secret \"aws\" not found"}}),
            json!({}),
        )
    };
    let check = |pod: Pod, reason: &str, is_fault: bool, words: &str| {
        let (found, message, fault) = blocked_by(&pod).expect(reason);
        assert_eq!((found, fault), (reason, is_fault));
        assert!(message.contains(words), "{message}");
    };
    check(
        waits("CreateContainerConfigError"),
        "SecretNotFound",
        true,
        "spec.credentials: secret \"aws\" not found. Create the Secret",
    );
    check(waits("ImagePullBackOff"), "ImagePullFailed", false, "agentImage");
    check(waits("StartError"), "ContainerStartFailed", false, "container check");
    assert_eq!(blocked_by(&waits("ContainerCreating")), None);
    let condition = |type_: &str, reason: &str, created: i64| {
        let condition = json!([{
            "type": type_, "status": "False", "reason": reason, "message": "0/3 nodes",
        }]);
        pod(
            &json!({}),
            json!({
                "metadata": {"creationTimestamp": samples::time(created)},
                "status": {"conditions": condition},
            }),
        )
    };
    check(condition("PodScheduled", "Unschedulable", 1), "Unschedulable", true, "Claim disk");
    assert_eq!(blocked_by(&condition("PodScheduled", "Unschedulable", 50)), None, "not late yet");
    check(
        condition("PodReadyToStartContainers", "", 1),
        "VolumeUnavailable",
        true,
        "PersistentVolumeClaim disk",
    );
}

#[test]
fn a_pod_that_is_rejected_has_the_job_controllers_words() {
    let state = seen(&job(json!({})), &[], Some("exceeded quota: none"));
    let State::Blocked(trouble) = state else { panic!("{state:?}") };
    assert_eq!((trouble.reason, trouble.is_fault), (TargetReason::ObjectRefused, false));
    assert!(trouble.message.contains("exceeded quota: none"), "{}", trouble.message);
    assert_eq!(seen(&job(json!({})), &[], None), State::Running);
}
