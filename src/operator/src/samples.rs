//! Objects for the tests of the pure modules: a migration of cars, its target, files, runs, Jobs
//! and pods, each small and changed by a JSON merge where a test wants it otherwise.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use std::sync::LazyLock;

use dm_api::agent_resources::AgentResources;
use dm_api::migration::OnConflict;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::control::{CONTROL_VERSION, ControlState};
use dm_contract::plan::{CONTROL_TOKEN_ENV, RateLimits};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

pub use crate::identified::{Identified, Migration, Target};
use crate::objects::Settings;
use crate::read::answers::Answers;
use crate::runnable::{FilesFound, Runnable};
use crate::validate;

/// Of guards that were not asked.
pub static NO_ANSWERS: Answers = Answers {
    guard: None,
    restore: None,
    controls: vec![],
    silent: vec![],
    waiting: vec![],
    is_partial: false,
};

/// What the operator was started with.
pub static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings {
    agent_image: "agent:1".into(),
    agent_pull_policy: "IfNotPresent".into(),
    resources: AgentResources::default(),
    network_policy_from: None,
});

/// A limit of writes.
pub fn writes(count: u32) -> RateLimits {
    RateLimits { writes_per_second: Some(count), ..RateLimits::default() }
}

/// What a guard says of its limits and pause.
pub fn control(paused: bool, limits: RateLimits) -> ControlState {
    ControlState {
        version: CONTROL_VERSION,
        paused,
        held: 0,
        limits,
        limits_max: RateLimits::default(),
        lowered: None,
        throttled: 0,
    }
}

/// When every test begins.
const BEGINNING: &str = "2026-11-02T10:00:00Z";

/// The given number of seconds after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    let beginning: Timestamp = BEGINNING.parse().unwrap();
    beginning.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// The same, as it stands in objects.
pub fn time(seconds: i64) -> String {
    at(seconds).to_string()
}

/// A migration that runs a script, with changes to the whole object.
pub fn migration(changes: Value) -> Migration {
    changed(
        json!({
            "apiVersion": "datamigration.dev/v1alpha1",
            "kind": "DataMigration",
            "metadata": {"name": "0001-cars", "namespace": "team", "uid": "uid-m", "generation": 1},
            "spec": {
                "target": {"name": "dev"},
                "script": {"configMap": {"name": "files"}, "image": "python:3.12"},
            },
        }),
        changes,
    )
}

/// A migration that applies, with changes to its spec.
pub fn applying(spec: Value) -> Migration {
    let mut migration = migration(json!({"spec": spec}));
    migration.spec.dry_run = false;
    migration
}

/// Its target, with changes to the spec.
pub fn target(spec: Value) -> Target {
    changed(
        json!({
            "apiVersion": "datamigration.dev/v1alpha1",
            "kind": "MigrationTarget",
            "metadata": {"name": "dev", "namespace": "team", "uid": "uid-t"},
            "spec": {"region": "eu-west-1", "credentials": {"secret": {"name": "aws"}}},
        }),
        json!({"spec": spec}),
    )
}

/// The ConfigMap of the script.
pub fn files(data: Value) -> FilesFound {
    let map: ConfigMap = parsed(json!({"metadata": {"name": "files"}, "data": data}));
    FilesFound::Found(Box::new(map))
}

/// What is run when nothing is changed.
pub fn runnable() -> Runnable {
    runnable_of(&migration(json!({})))
}

/// What is run of a migration that is all right.
pub fn runnable_of(migration: &Migration) -> Runnable {
    let files = files(json!({"main.py": "print('cars')"}));
    validate::validate(migration, Some(&target(json!({}))), None, &files).unwrap()
}

/// A run that was released as Job `uid-j`.
pub fn record(kind: RunKind) -> RunRecord {
    RunRecord {
        number: 1,
        kind,
        result: RunResult::Running,
        reason: None,
        job: crate::objects::names::job("0001-cars", 1, kind),
        job_uid: Some("uid-j".into()),
        retry: 0,
        target: Some("dev".into()),
        archive: None,
        wrote_nothing: false,
        adopted: None,
        restored_by: None,
        restores: None,
        on_conflict: None,
        parallelism: None,
        program_digest: runnable().digest,
        execution_time: None,
        finalization_time: None,
        requested_at: Time(at(0)),
        recorded_at: None,
        exit_code: None,
        message: None,
        waiting_since: None,
        overrules: None,
        accepted: Vec::new(),
        archived: None,
        log: None,
        image_id: None,
    }
}

/// A run that applied, or was to, and kept a journal.
pub fn journaled(number: u32, result: RunResult) -> RunRecord {
    let archive = Some("s3://archive".into());
    RunRecord { number, archive, ..ended(RunKind::Apply, result) }
}

/// A restore, or its preview, of a run.
pub fn restore(number: u32, kind: RunKind, restores: u32, result: RunResult) -> RunRecord {
    RunRecord {
        number,
        result,
        job: crate::objects::names::job("0001-cars", number, kind),
        restores: Some(restores),
        on_conflict: Some(OnConflict::Skip),
        execution_time: Some(Time(at(5))),
        ..record(kind)
    }
}

/// A run that is over.
pub fn ended(kind: RunKind, result: RunResult) -> RunRecord {
    RunRecord { result, recorded_at: Some(Time(at(30))), ..record(kind) }
}

/// The Job of a run that continues, with changes.
pub fn job(changes: Value) -> Identified<Job> {
    let guard = json!({"name": "guard", "env": [{"name": CONTROL_TOKEN_ENV, "value": "token"}]});
    changed(
        json!({
            "metadata": {
                "name": "0001-cars-1-apply", "namespace": "team", "uid": "uid-j",
                "creationTimestamp": time(0), "labels": {"datamigration.dev/run": "1"},
            },
            "spec": {
                "suspend": false,
                "template": {"spec": {"containers": [], "initContainers": [guard]}},
            },
        }),
        changes,
    )
}

/// A Job that was built, as the API server returns it.
pub fn created(built: &Job, uid: &str) -> Identified<Job> {
    let job = with(built, json!({"metadata": {"uid": uid}}));
    Identified::parse(job).unwrap()
}

/// A Job with a final condition.
pub fn job_ended(type_: &str, reason: &str) -> Identified<Job> {
    job(json!({"status": {"conditions": [{"type": type_, "status": "True", "reason": reason}]}}))
}

/// A Job that was deleted and waits for our finalizer.
pub fn job_deleted() -> Identified<Job> {
    job(json!({"metadata": {"deletionTimestamp": time(20)}}))
}

/// A pod of the run with a phase, with changes.
pub fn pod(phase: &str, changes: Value) -> Pod {
    changed(
        json!({
            "metadata": {
                "name": "0001-cars-1-apply-x", "namespace": "team",
                "creationTimestamp": time(1), "labels": {"datamigration.dev/run": "1"},
            },
            "spec": {"nodeName": "node-1", "containers": [
                {"name": "program", "command": ["/dm/bin/datamigration-entry"]},
            ]},
            "status": {"phase": phase},
        }),
        changes,
    )
}

/// A pod whose program runs since second 5.
pub fn pod_running() -> Pod {
    pod(
        "Running",
        json!({"status": {
            "startTime": time(2),
            "containerStatuses": [container("program",
                &json!({"running": {"startedAt": time(5)}}))],
        }}),
    )
}

/// A pod whose program ran from second 5 to 9 and ended with a code and a message; the guard left
/// its result unless it is null.
pub fn pod_ended(exit_code: i32, message: &str, guard: &Value) -> Pod {
    let end = json!({"terminated": {
        "exitCode": exit_code, "startedAt": time(5), "finishedAt": time(9), "message": message,
        "reason": if exit_code == 0 { "Completed" } else { "Error" },
    }});
    let said = (!guard.is_null()).then(|| guard.to_string());
    let guard_end = json!({"terminated": {
        "exitCode": 0, "startedAt": time(3), "finishedAt": time(10), "message": said,
    }});
    pod(
        if exit_code == 0 { "Succeeded" } else { "Failed" },
        json!({"status": {
            "startTime": time(2),
            "initContainerStatuses": [container("guard", &guard_end)],
            "containerStatuses": [container("program", &end)],
        }}),
    )
}

/// The same pod as one of an Indexed Job, named for its index.
pub fn of_part(pod: &Pod, index: u32) -> Pod {
    let annotations = json!({crate::read::indexes::INDEX: index.to_string()});
    with(pod, json!({"metadata": {"name": format!("pod-{index}"), "annotations": annotations}}))
}

/// The same pod with other changes.
pub fn with<T: Serialize + DeserializeOwned>(object: &T, changes: Value) -> T {
    changed(serde_json::to_value(object).unwrap(), changes)
}

/// The state of one container.
pub fn container(name: &str, state: &Value) -> Value {
    json!({
        "name": name, "state": state,
        "ready": false, "restartCount": 0, "image": "python:3.12", "imageID": "",
    })
}

/// A pod of a restore that ended with a code and this result.
pub fn restore_pod(exit_code: i32, result: &Value) -> Pod {
    let said = (!result.is_null()).then(|| result.to_string());
    let end = json!({"terminated": {
        "exitCode": exit_code, "startedAt": time(5), "finishedAt": time(9), "message": said,
        "reason": if exit_code == 0 { "Completed" } else { "Error" },
    }});
    pod(
        if exit_code == 0 { "Succeeded" } else { "Failed" },
        json!({"status": {
            "startTime": time(2), "containerStatuses": [container("restore", &end)],
        }}),
    )
}

/// What a restore writes at its end.
pub fn restore_says(changes: Value) -> Value {
    let mut result = json!({
        "version": 1, "mode": "Apply", "of": 1, "finished": true,
        "startedAt": "2026-11-02T10:00:05.250Z", "finishedAt": "2026-11-02T10:00:08.750Z",
        "items": 406, "restored": 404, "deleted": 0, "recreated": 0, "unchanged": 2, "conflicts": 2,
        "groups": [{
            "table": "cars", "conflict": {"attributeChanged": "price"}, "count": 2,
            "keys": [{"id": {"S": "audi"}}],
        }],
        "leftOut": 0, "readUnits": 406.0, "writeUnits": 404.0,
    });
    merge(&mut result, changes);
    result
}

/// What the entry program writes at a program's end.
pub fn program_says(changes: Value) -> String {
    let mut result = json!({
        "version": 1,
        "startedAt": "2026-11-02T10:00:05.250Z",
        "finishedAt": "2026-11-02T10:00:08.750Z",
        "lastLines": ["one car", "all cars"],
    });
    merge(&mut result, changes);
    result.to_string()
}

/// What the guard of a run that changed two cars writes.
pub fn guard_says(changes: Value) -> Value {
    let mut result = json!({
        "version": 1, "mode": "DryRun", "requests": 3,
        "writeCallsUpstream": 0, "readCallsUpstream": 1,
        "itemsRead": 2, "readUnits": 0.5, "writeUnits": 2.0,
        "tables": [{
            "name": "cars", "itemsRead": 2, "created": 0, "updated": 2, "deleted": 0,
            "unchanged": 0,
            "attributes": [{"name": "price", "added": 2}],
        }],
        "effectsDigest": "sha256:e",
    });
    merge(&mut result, changes);
    result
}

impl<K: Serialize> Serialize for Identified<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        K::serialize(self, serializer)
    }
}

impl<'de, K: Resource<DynamicType = ()> + Deserialize<'de>> Deserialize<'de> for Identified<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(K::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn changed<T: DeserializeOwned>(mut object: Value, changes: Value) -> T {
    merge(&mut object, changes);
    parsed(object)
}

fn parsed<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// A JSON merge patch (RFC 7386).
fn merge(object: &mut Value, changes: Value) {
    match changes {
        Value::Object(fields) if object.is_object() => {
            for (key, change) in fields {
                if change.is_null() {
                    object.as_object_mut().unwrap().remove(&key);
                } else {
                    merge(&mut object[&key], change);
                }
            }
        }
        other => *object = other,
    }
}

/// A pod whose ledger container ended with a code and said this.
pub fn pod_refused(exit_code: i32, message: &str) -> Pod {
    let end = json!({"terminated": {
        "exitCode": exit_code, "startedAt": time(3), "finishedAt": time(4), "message": message,
    }});
    let waiting = json!({"waiting": {"reason": "PodInitializing"}});
    pod(
        "Failed",
        json!({"status": {
            "startTime": time(2),
            "initContainerStatuses": [container("ledger", &end), container("guard", &waiting)],
            "containerStatuses": [container("program", &waiting)],
        }}),
    )
}

/// The same pod after a ledger that let its run begin.
pub fn let_through(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let end = json!({"terminated": {"exitCode": 0, "startedAt": time(3), "finishedAt": time(4)}});
    let ledger = parsed(container("ledger", &end));
    let status = pod.status.get_or_insert_default();
    status.init_container_statuses.get_or_insert_default().insert(0, ledger);
    pod
}

/// What the ledger says of a run that another object has applied.
pub fn ledger_adopts() -> Value {
    json!({"version": 1, "verdict": {"Adopt": {
        "run": 3, "kind": "apply", "namespace": "team", "name": "0001-cars", "uid": "uid-gone",
        "begunAt": "2026-10-01T10:00:00.500Z", "completedAt": "2026-10-01T10:01:00.500Z",
        "executionTime": "2026-10-01T10:00:01.250Z", "finalizationTime": "2026-10-01T10:00:59.750Z",
        "summary": {
            "requests": 5, "itemsRead": 4, "readUnits": 2.5, "writeUnits": 3.0,
            "tables": [{
                "name": "cars", "itemsRead": 4, "created": 1, "updated": 2, "deleted": 0,
                "unchanged": 0,
            }],
        },
    }}})
}

/// What it says of a run that was begun and never completed.
pub fn ledger_knows_not() -> Value {
    json!({"version": 1, "verdict": {"Unknown": {
        "run": 3, "kind": "apply", "namespace": "team", "name": "0001-cars", "uid": "uid-gone",
        "begunAt": "2026-10-01T10:00:00.500Z",
    }}})
}
