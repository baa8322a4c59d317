//! The part of the fake that does what the Job controller does: creates pods, counts them, and says
//! how a Job ended, also of an Indexed Job.

use serde_json::{Value, json};

use crate::api_server::{Objects, finalizers, is_deleting};
use crate::moves::{Move, name};
use dm_operator::objects::RECORD_OF_LABEL;
use dm_operator::read::indexes::INDEX;

/// The Job controller's own finalizer on pods that it has not counted yet.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// What the Job controller would do with a Job.
pub fn job_moves(objects: &Objects, job: &Value) -> Vec<Move> {
    let pods = pods_of(objects, job);
    let over =
        |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if is_deleting(job) {
        // It creates none, and releases those that have ended
        // (pkg/controller/job/job_controller.go, trackJobStatusAndRemoveFinalizers).
        let ended = pods.iter().filter(|pod| over(pod) && is_tracked(pod));
        return ended.map(|pod| Move::Untrack(name(pod))).collect();
    }
    let active = || pods.iter().filter(|pod| !over(pod) && !is_deleting(pod));
    let stop = || active().map(|pod| Move::StopPod(name(pod)));
    let mut moves = Vec::new();
    if has_ended(job) {
        // Those of other indexes are stopped when one has failed the Job.
        moves.extend(stop());
    } else if pods.iter().any(|pod| over(pod) && is_tracked(pod)) {
        moves.push(Move::CountPods(name(job)));
    } else if job["spec"]["suspend"] == true {
        moves.extend(stop());
    } else if missing(job, &pods).is_some() && !objects.is_ending() {
        moves.push(Move::CreatePod(name(job)));
    }
    moves
}

/// The next index that needs a pod; 0 in a Job without indexes. podReplacementPolicy Failed: not
/// before every other pod of it has ended.
fn missing(job: &Value, pods: &[&Value]) -> Option<u64> {
    (0..completions(job)).find(|index| {
        let own = || pods.iter().filter(|pod| is_of_index(job, pod, *index));
        let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap().to_owned();
        own().all(|pod| phase(pod) == "Failed") && !is_given_up(job, *index)
    })
}

fn completions(job: &Value) -> u64 {
    job["spec"]["completions"].as_u64().unwrap_or(1)
}

fn is_indexed(job: &Value) -> bool {
    job["spec"]["completionMode"] == "Indexed"
}

fn is_of_index(job: &Value, pod: &Value, index: u64) -> bool {
    !is_indexed(job) || index_of(pod).is_some_and(|own| u64::from(own) == index)
}

/// The index of a pod.
pub fn index_of(pod: &Value) -> Option<u32> {
    pod["metadata"]["annotations"][INDEX].as_str()?.parse().ok()
}

/// Whether an index has failed for good. The fake counts in fields that the real one does not have.
fn is_given_up(job: &Value, index: u64) -> bool {
    job["status"]["fakeGivenUp"].as_array().is_some_and(|all| all.contains(&json!(index)))
}

/// The Job controller creates a pod.
pub fn create_pod(objects: &mut Objects, job: &str) {
    let job = objects.get("jobs", job).unwrap().clone();
    let template = &job["spec"]["template"];
    let is_recorder = job["metadata"]["labels"][RECORD_OF_LABEL].is_string();
    assert!(is_recorder || job["spec"]["podReplacementPolicy"] == "Failed");
    let mut held = finalizers(template);
    held.push(TRACKING.into());
    let number = objects.version();
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{}-{number}", name(&job)),
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "finalizers": held,
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": name(&job),
                "uid": job["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    });
    if is_indexed(&job) {
        let Some(index) = missing(&job, &pods_of(objects, &job)) else { return };
        pod["metadata"]["annotations"][INDEX] = json!(index.to_string());
        pod["metadata"]["labels"][INDEX] = json!(index.to_string());
    }
    objects.insert("pods", pod);
}

/// The Job controller counts ended pods, and says how the Job ended.
pub fn count_pods(objects: &mut Objects, job: &str) {
    let mut object = objects.get("jobs", job).unwrap().clone();
    let rules = object["spec"]["podFailurePolicy"]["rules"].as_array().cloned().unwrap_or_default();
    let mut end = None;
    let counted: Vec<Value> =
        pods_of(objects, &object).into_iter().filter(|pod| is_tracked(pod)).cloned().collect();
    for pod in &counted {
        match pod["status"]["phase"].as_str().unwrap() {
            "Succeeded" => note(&mut object, "fakeSucceeded", pod),
            "Failed" => match rules.iter().find(|rule| is_of(rule, pod)) {
                Some(rule) if rule["action"] == "Ignore" => {}
                Some(rule) if rule["action"] == "FailIndex" => {
                    let index = json!(index_of(pod).unwrap());
                    push(&mut object["status"]["fakeGivenUp"], index);
                }
                Some(rule) => {
                    assert_eq!(rule["action"], "FailJob");
                    end = Some(("Failed", "PodFailurePolicy"));
                }
                None => note(&mut object, "fakeFailed", pod),
            },
            _ => continue,
        }
        objects.change("pods", &name(pod), |pod| drop_finalizer(pod, TRACKING));
    }
    let end = end.or_else(|| end_of(&mut object));
    publish_failed(&mut object);
    objects.change("jobs", job, |job| {
        job["status"] = object["status"].clone();
        if let Some((type_, reason)) = end {
            job["status"]["conditions"] =
                json!([{"type": type_, "status": "True", "reason": reason}]);
        }
    });
}

/// Says which indexes have failed for good, as the real one does.
fn publish_failed(job: &mut Value) {
    let Some(all) = job["status"]["fakeGivenUp"].as_array() else { return };
    let mut all: Vec<u64> = all.iter().filter_map(Value::as_u64).collect();
    all.sort_unstable();
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    job["status"]["failedIndexes"] = json!(all.join(","));
}

/// Notes the index of a pod that ended; without indexes each has 0.
fn note(job: &mut Value, list: &str, pod: &Value) {
    let index = json!(index_of(pod).unwrap_or(0));
    push(&mut job["status"][list], index);
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

/// How a Job has ended by what was counted.
fn end_of(job: &mut Value) -> Option<(&'static str, &'static str)> {
    let count = |list: &Value, index: u64| {
        let all = list.as_array().into_iter().flatten();
        all.filter(|own| **own == json!(index)).count()
    };
    let limit = |field: &str| usize::try_from(job["spec"][field].as_u64().unwrap()).unwrap();
    if !is_indexed(job) {
        if count(&job["status"]["fakeSucceeded"], 0) > 0 {
            return Some(("Complete", "CompletionsReached"));
        }
        let given_up = count(&job["status"]["fakeFailed"], 0) > limit("backoffLimit");
        return given_up.then_some(("Failed", "BackoffLimitExceeded"));
    }
    let limit = limit("backoffLimitPerIndex");
    for index in 0..completions(job) {
        if count(&job["status"]["fakeFailed"], index) > limit && !is_given_up(job, index) {
            push(&mut job["status"]["fakeGivenUp"], json!(index));
        }
    }
    let indexes = || 0..completions(job);
    let succeeded = |index: &u64| count(&job["status"]["fakeSucceeded"], *index) > 0;
    if indexes().all(|index| succeeded(&index)) {
        return Some(("Complete", "CompletionsReached"));
    }
    let ended = indexes().all(|index| succeeded(&index) || is_given_up(job, index));
    ended.then_some(("Failed", "FailedIndexes"))
}

/// Whether a Job has ended.
pub fn has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Complete" || c["type"] == "Failed")
}

fn pods_of<'a>(objects: &'a Objects, job: &Value) -> Vec<&'a Value> {
    let uid = &job["metadata"]["uid"];
    let owned = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["uid"] == *uid;
    objects.all("pods").into_iter().filter(owned).collect()
}

/// Whether the Job controller has yet to count a pod.
pub fn is_tracked(pod: &Value) -> bool {
    finalizers(pod).iter().any(|finalizer| finalizer == TRACKING)
}

/// Takes a finalizer off an object.
pub fn drop_finalizer(object: &mut Value, finalizer: &str) {
    let rest: Vec<String> = finalizers(object).into_iter().filter(|f| f != finalizer).collect();
    object["metadata"]["finalizers"] = json!(rest);
}

/// Whether a rule of the failure policy speaks of this pod: of its condition, or its exit code.
fn is_of(rule: &Value, pod: &Value) -> bool {
    if let Some(conditions) = rule["onPodConditions"].as_array() {
        let own = || pod["status"]["conditions"].as_array().into_iter().flatten();
        return conditions.iter().any(|wanted| own().any(|own| own["type"] == wanted["type"]));
    }
    let codes = &rule["onExitCodes"];
    let statuses = ["initContainerStatuses", "containerStatuses"];
    let statuses = statuses.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    statuses.filter(|status| status["name"] == codes["containerName"]).any(|status| {
        let code = &status["state"]["terminated"]["exitCode"];
        codes["values"].as_array().unwrap().contains(code)
    })
}
