//! What a run that is split among pods leaves in status.

use super::*;
use dm_contract::limits::TERMINATION_MESSAGE_BYTES_MAX as MESSAGE_BYTES_MAX;

/// Bytes that the status of the largest run may have: a fifth of what the API server stores (etcd's
/// default request limit, 1.5 MiB), next to a history of the largest size.
const STATUS_BYTES_MAX: usize = 300_000;

fn split(parts: u32) -> Migration {
    let mut migration = running(RunKind::Apply);
    migration.status.as_mut().unwrap().runs[0].parallelism = Some(parts);
    migration
}

/// The status after these pods of a run have ended.
fn after(migration: &Migration, job: &Identified<Job>, pods: &[Pod]) -> DataMigrationStatus {
    let pods: Vec<&Pod> = pods.iter().collect();
    let run = &migration.status.as_ref().unwrap().runs[0];
    let outcome = outcome::of(run, RunObjects { job: Some(job), pods: &pods }).unwrap();
    check(migration, &finish(outcome), 30)
}

/// A guard's message with as many tables and attributes as fit.
fn largest(index: u32, parts: u32) -> Value {
    let attribute = |n: u32| json!({"name": format!("attribute-{index}-{n}"), "added": 1});
    let mut said = guard_says(json!({
        "mode": "Apply", "writeCallsUpstream": 2, "part": {"index": index, "of": parts},
    }));
    for n in 0.. {
        let mut larger = said.clone();
        larger["tables"].as_array_mut().unwrap().push(json!({
            "name": format!("table-{index}-{n}"), "itemsRead": 9, "created": 1, "updated": 2,
            "deleted": 3, "unchanged": 0, "attributes": [attribute(1), attribute(2)],
        }));
        if larger.to_string().len() > MESSAGE_BYTES_MAX {
            return said;
        }
        said = larger;
    }
    said
}

#[test]
fn the_results_of_64_parts_fit_into_status() {
    let migration = split(64);
    let ended = |index: u32| {
        let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &largest(index, 64));
        of_part(&pod, index)
    };
    let pods: Vec<Pod> = (0..64).map(ended).collect();
    let status = after(&migration, &job_ended("Complete", "CompletionsReached"), &pods);
    let applied = status.applied.as_ref().unwrap();
    assert_eq!((applied.result, status.runs[0].parallelism), (RunResult::Succeeded, Some(64)));
    let effects = applied.effects.as_ref().unwrap();
    assert_eq!(effects.tables.len(), crate::limits::TABLES_MAX);
    assert_eq!(effects.tables[0].name, "cars");
    assert_eq!(effects.tables[0].updated, 128, "of all parts");
    let size = serde_json::to_vec(&status).unwrap().len();
    assert!(size < STATUS_BYTES_MAX, "{size} bytes");
}

#[test]
fn the_success_of_all_parts_is_recorded_by_the_last_and_a_failure_by_a_job() {
    let part = |index: u32, code: i32, completed: Value| {
        let end = if code == 0 { "Succeeded" } else { "Failed" };
        let said = guard_says(json!({
            "mode": "Apply", "writeCallsUpstream": 2, "part": {"index": index, "of": 2},
            "archived": {"run": "m/1", "completed": completed},
            "transform": {
                "end": end, "read": 2, "skipped": 0, "unchanged": 0, "changed": 2, "failed": 0,
            },
        }));
        let pod = pod_ended(code, &program_says(json!({"exitCode": code})), &said);
        of_part(&let_through(&pod), index)
    };
    let check = |pods: &[Pod], job: &Identified<Job>, expected| {
        assert_eq!(after(&split(2), job, pods).runs[0].archived, Some(expected));
    };
    let done = || json!("Succeeded");
    let (complete, failed) =
        (job_ended("Complete", "CompletionsReached"), job_ended("Failed", "PodFailurePolicy"));
    check(&[part(0, 0, done()), part(1, 0, done())], &complete, true);
    check(&[part(0, 0, done()), part(1, 0, Value::Null)], &complete, false);
    check(&[part(0, 0, done()), part(1, 1, Value::Null)], &failed, false);
    check(&[part(0, 0, done()), part(1, 1, json!("Failed"))], &failed, false);
}
