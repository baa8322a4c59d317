//! What of an object is news to a reconcile. The kubelet and the Job controller write the status of
//! a pod and a Job many times during a run, and most of it changes no decision. Pure.

use dm_api::condition::Reason;
use dm_api::status::Phase;
use dm_api::{DataMigration, DataMigrationStatus};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use crate::objects::{GUARD_CONTAINER, PROGRAM_CONTAINER, RESTORE_CONTAINER};
use crate::read::view::{self, JobEnd};

/// What of an object can change a decision. The second of two equal ones wakes no reconcile.
pub type News = Vec<String>;

/// What is news of a Job.
pub fn of_job(job: &Job) -> News {
    let spec = job.spec.as_ref();
    let end = match view::job_end(job) {
        JobEnd::No => String::new(),
        JobEnd::Complete => "Complete".into(),
        JobEnd::Failed(reason) => format!("Failed {reason}"),
    };
    vec![
        format!("{:?}", job.metadata.uid),
        job.metadata.deletion_timestamp.is_some().to_string(),
        job.finalizers().join(","),
        view::is_suspended(job).to_string(),
        format!("{:?}", spec.and_then(|spec| spec.active_deadline_seconds)),
        job.status.as_ref().and_then(|s| s.failed_indexes.clone()).unwrap_or_default(),
        end,
    ]
}

/// What is news of a pod: whether it starts, runs, has ended, or what keeps it from starting.
pub fn of_pod(pod: &Pod) -> News {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let is_over = matches!(phase, "Succeeded" | "Failed");
    let mut news = vec![
        format!("{:?}", pod.metadata.uid),
        pod.metadata.deletion_timestamp.is_some().to_string(),
        pod.finalizers().join(","),
        if is_over { phase.to_owned() } else { String::new() },
        status.and_then(|status| status.reason.clone()).unwrap_or_default(),
    ];
    let conditions = status.and_then(|status| status.conditions.as_ref());
    for condition in conditions.into_iter().flatten() {
        let tells = match condition.type_.as_str() {
            "DisruptionTarget" => condition.status == "True",
            "PodScheduled" => condition.status == "False",
            _ => false,
        };
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        news.extend(tells.then(|| format!("{} {reason} {message}", condition.type_)));
    }
    let inits = status.and_then(|status| status.init_container_statuses.as_ref());
    let mains = status.and_then(|status| status.container_statuses.as_ref());
    news.extend(inits.into_iter().chain(mains).flatten().filter_map(of_container));
    news
}

/// A container that starts or ends, where that matters, and one that cannot start.
fn of_container(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    let name = &status.name;
    if let Some(ended) = &state.terminated {
        let matters = ended.exit_code != 0
            || [PROGRAM_CONTAINER, RESTORE_CONTAINER, GUARD_CONTAINER].contains(&name.as_str());
        return matters.then(|| format!("{name} ended {}", ended.exit_code));
    }
    if state.running.is_some() {
        let is_main = [PROGRAM_CONTAINER, RESTORE_CONTAINER].contains(&name.as_str());
        let restarts = status.restart_count;
        return (is_main || restarts > 0).then(|| format!("{name} runs {restarts}"));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    // Every container waits so before it starts.
    let is_usual = matches!(reason, "" | "PodInitializing" | "ContainerCreating");
    let message = waiting.message.as_deref().unwrap_or_default();
    (!is_usual).then(|| format!("{name} waits {reason} {message}"))
}

/// What is news of a migration to others, which depend on it or wait for its target: its progress
/// is none.
pub fn of_other(migration: &DataMigration) -> News {
    let status = migration.status.as_ref();
    let phase: Option<Phase> = status.and_then(|status| status.phase);
    vec![
        format!("{:?}", migration.metadata.uid),
        migration.spec.baseline.to_string(),
        format!("{phase:?}"),
        status.is_some_and(DataMigrationStatus::is_applied).to_string(),
        migration.spec.depends_on.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(","),
        holds(migration).to_string(),
    ]
}

/// Whether a run of the migration stands in the way of others of its target.
fn holds(migration: &DataMigration) -> bool {
    let run = migration.status.as_ref().and_then(DataMigrationStatus::under_way);
    run.is_some_and(|run| run.kind.writes())
}

/// Whether a migration has to know what is news of another one: it depends on it, or waits for its
/// target.
pub fn concerns(migration: &DataMigration, other: &DataMigration) -> bool {
    let depends = || {
        let mut names = migration.spec.depends_on.iter().map(|dependency| &dependency.name);
        names.any(|name| Some(name) == other.metadata.name.as_ref())
    };
    let waits = || {
        let conditions = migration.status.iter().flat_map(|status| &status.conditions);
        let mut reasons = conditions.map(|condition| condition.reason.as_str());
        migration.spec.target == other.spec.target
            && reasons.any(|reason| reason == Reason::LockedByAnother.as_str())
    };
    migration.metadata.namespace == other.metadata.namespace
        && migration.metadata.name != other.metadata.name
        && (depends() || waits())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::samples;
    use dm_api::status::{RunKind, RunResult};

    fn same(one: &Pod, other: Value) -> bool {
        of_pod(&samples::with(one, other)) == of_pod(one)
    }

    #[test]
    fn a_pod_is_news_when_it_starts_ends_or_cannot_start() {
        let pending = samples::pod("Pending", json!({}));
        let status = |status: Value| json!({"status": status});
        let statuses = |name: &str, state: Value| {
            status(json!({"containerStatuses": [samples::container(name, &state)]}))
        };
        for usual in [
            status(json!({"hostIP": "10.0.0.1", "podIP": "10.1.0.1"})),
            status(json!({"startTime": samples::time(2)})),
            status(json!({"conditions": [{"type": "PodScheduled", "status": "True"}]})),
            statuses("program", json!({"waiting": {"reason": "PodInitializing"}})),
            status(json!({"initContainerStatuses": [
                samples::container("prepare", &json!({"terminated": {"exitCode": 0}})),
                samples::container("guard", &json!({"running": {}})),
            ]})),
            json!({"metadata": {"resourceVersion": "9", "annotations": {"cni": "10.1.0.1"}}}),
        ] {
            assert!(same(&pending, usual.clone()), "{usual}");
        }
        let failed = samples::container("prepare", &json!({"terminated": {"exitCode": 1}}));
        for news in [
            status(json!({"phase": "Failed"})),
            status(json!({"conditions": [{"type": "PodScheduled", "status": "False"}]})),
            status(json!({"conditions": [{"type": "DisruptionTarget", "status": "True"}]})),
            statuses("program", json!({"waiting": {"reason": "ImagePullBackOff"}})),
            statuses("program", json!({"running": {"startedAt": samples::time(5)}})),
            statuses("program", json!({"terminated": {"exitCode": 0}})),
            status(json!({"initContainerStatuses": [failed]})),
            json!({"metadata": {"deletionTimestamp": samples::time(9)}}),
            json!({"metadata": {"finalizers": ["datamigration.dev/outcome"]}}),
            json!({"metadata": {"uid": "another"}}),
        ] {
            assert!(!same(&pending, news.clone()), "{news}");
        }
    }

    #[test]
    fn a_job_is_news_when_it_is_released_or_ends() {
        let job = samples::job(json!({}));
        let same = |changes: Value| of_job(&samples::with(&job, changes)) == of_job(&job);
        assert!(same(json!({"status": {"active": 1, "ready": 1, "startTime": samples::time(1)}})));
        assert!(same(json!({"metadata": {"resourceVersion": "9"}})));
        let complete = json!([{"type": "Complete", "status": "True"}]);
        for news in [
            json!({"status": {"conditions": complete}}),
            json!({"status": {"failedIndexes": "0"}}),
            json!({"spec": {"suspend": true}}),
            json!({"spec": {"activeDeadlineSeconds": 60}}),
            json!({"metadata": {"deletionTimestamp": samples::time(9)}}),
            json!({"metadata": {"finalizers": ["datamigration.dev/outcome"]}}),
        ] {
            assert!(!same(news.clone()), "{news}");
        }
    }

    #[test]
    fn the_progress_of_a_dependency_is_no_news() {
        let running = samples::migration(json!({"status": {"phase": "Running", "lastRun": 1}}));
        let same =
            |changes: Value| of_other(&samples::with(&running, changes)) == of_other(&running);
        assert!(same(json!({"status": {"progress": {"text": "37%"}}})));
        assert!(same(json!({"status": {"executionTime": samples::time(5)}})));
        assert!(!same(json!({"status": {"phase": "Applied"}})));
        assert!(!same(json!({"metadata": {"uid": "another"}})));
    }

    #[test]
    fn the_end_of_a_run_is_news_to_those_that_wait_for_its_target() {
        let run = |result| {
            let run = samples::ended(RunKind::Apply, result);
            samples::with(
                &samples::migration(json!({"metadata": {"name": "0002"}})),
                json!({"status": {"lastRun": 1, "runs": [run]}}),
            )
        };
        let (running, over) = (run(RunResult::Running), run(RunResult::Failed));
        assert_ne!(of_other(&running), of_other(&over));
        let named = |reason: &str, target: &str| {
            let condition = json!({
                "type": "Ready", "status": "False", "reason": reason, "message": "",
                "lastTransitionTime": samples::time(1),
            });
            let spec = json!({"target": {"name": target}, "dependsOn": []});
            samples::migration(json!({"spec": spec, "status": {"conditions": [condition]}}))
        };
        assert!(concerns(&named("LockedByAnother", "dev"), &over));
        assert!(!concerns(&named("LockedByAnother", "production"), &over));
        assert!(!concerns(&named("Running", "dev"), &over));
        let dependent = samples::migration(json!({"spec": {"dependsOn": [{"name": "0002"}]}}));
        assert!(concerns(&dependent, &over) && !concerns(&over, &over));
    }
}
