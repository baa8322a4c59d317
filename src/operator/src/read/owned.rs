//! Which Jobs and pods are a migration's own: by their controller's uid, which the API server and
//! the Job controller set. Labels find them and prove nothing: whoever may create a pod can give it
//! any. Pure.

use std::collections::BTreeMap;

use dm_api::status::RunRecord;
use dm_api::{DataMigration, DataMigrationStatus, RUN_LABEL};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{Resource, ResourceExt as _};

use crate::identified::{Identified, Migration, Unidentified};

/// Uid of the object that controls another, of the given kind.
pub fn controller<'a, K: Resource>(object: &'a K, kind: &str) -> Option<&'a str> {
    let owners = object.meta().owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.find(|owner| owner.kind == kind).map(|owner| owner.uid.as_str())
}

/// Returns the Jobs that the migration controls.
pub fn jobs(migration: &Migration, found: Vec<Job>) -> Result<Vec<Identified<Job>>, Unidentified> {
    found
        .into_iter()
        .filter(|job| controller(job, "DataMigration") == Some(migration.uid()))
        .map(|job| {
            let mut job = Identified::parse(job)?;
            let run = record_of(migration, job.uid()).map(|run| run.number);
            relabel(&mut *job, run);
            Ok(job)
        })
        .collect()
}

/// Returns the pods of these Jobs and of Jobs that are gone but in the record, labeled as their Job
/// is. Of pods that nobody controls, those are kept, and only as a shadow, whose run's Job is gone
/// or going: `kubectl delete job --cascade=orphan` leaves a program running without an owner.
/// Nothing that such a pod says is believed.
pub fn pods(migration: &Migration, jobs: &[Identified<Job>], found: Vec<Pod>) -> Vec<Pod> {
    found.into_iter().filter_map(|pod| own(migration, jobs, pod)).collect()
}

fn own(migration: &Migration, jobs: &[Identified<Job>], mut pod: Pod) -> Option<Pod> {
    let has_controller =
        pod.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
    if !has_controller {
        return is_orphan(migration, jobs, &pod).then(|| shadow(pod));
    }
    let uid = controller(&pod, "Job")?.to_owned();
    let job = jobs.iter().find(|job| job.uid() == uid);
    let record = record_of(migration, &uid);
    let labeled = job.and_then(|job| job.labels().get(RUN_LABEL)?.parse().ok());
    if job.is_none() && record.is_none() {
        return None;
    }
    relabel(&mut pod, record.map(|run| run.number).or(labeled));
    Some(pod)
}

/// The run whose Job was released under this uid.
fn record_of<'a>(migration: &'a DataMigration, uid: &str) -> Option<&'a RunRecord> {
    let runs = migration.status.as_ref().map(|status| status.runs.as_slice()).unwrap_or_default();
    runs.iter().find(|run| run.job_uid.as_deref() == Some(uid))
}

/// Has the label say what the owner says.
fn relabel<K: Resource>(object: &mut K, run: Option<u32>) {
    if let Some(run) = run {
        object.meta_mut().labels.get_or_insert_default().insert(RUN_LABEL.into(), run.to_string());
    }
}

fn is_orphan(migration: &Migration, jobs: &[Identified<Job>], pod: &Pod) -> bool {
    let active = migration.status.as_ref().and_then(DataMigrationStatus::under_way);
    let Some(run) = active.filter(|run| run.job_uid.is_some()) else { return false };
    let labels = pod.metadata.labels.as_ref();
    let job = jobs.iter().find(|job| run.job_uid.as_deref() == Some(job.uid()));
    crate::read::view::run_of(labels) == Some(run.number)
        && job.is_none_or(|job| job.metadata.deletion_timestamp.is_some())
}

/// A pod that may still run, and says nothing: no container's end, no address.
fn shadow(pod: Pod) -> Pod {
    let status = pod.status.unwrap_or_default();
    let labels: BTreeMap<String, String> = pod.metadata.labels.clone().unwrap_or_default();
    let mut metadata = pod.metadata;
    metadata.labels = Some(labels);
    Pod {
        metadata,
        spec: pod.spec,
        status: Some(PodStatus {
            phase: status.phase,
            start_time: status.start_time,
            ..PodStatus::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::read::view;
    use crate::samples;
    use dm_api::status::RunKind;

    fn owned_by(kind: &str, uid: &str) -> Value {
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v", "kind": kind, "name": "n", "uid": uid, "controller": true},
        ]}})
    }

    fn running() -> Migration {
        let mut migration = samples::migration(json!({}));
        let status = migration.status.get_or_insert_default();
        status.runs = vec![samples::record(RunKind::Apply)];
        migration
    }

    fn ours() -> Identified<Job> {
        samples::job(owned_by("DataMigration", "uid-m"))
    }

    #[test]
    fn a_job_is_ours_by_its_controller() {
        let fakes = [
            samples::job(json!({})),
            samples::job(owned_by("DataMigration", "uid-other")),
            samples::job(owned_by("CronJob", "uid-m")),
            samples::with(
                &ours(),
                json!({"metadata": {"ownerReferences": [
                    {"apiVersion": "v", "kind": "DataMigration", "name": "n", "uid": "uid-m"},
                ]}}),
            ),
        ];
        let of = |found: &[Identified<Job>]| {
            jobs(&running(), found.iter().map(|job| Job::clone(job)).collect()).unwrap()
        };
        assert_eq!(of(&fakes), []);
        assert_eq!(of(&[ours()]), [ours()]);
        let relabeled =
            samples::with(&ours(), json!({"metadata": {"labels": {"datamigration.dev/run": "7"}}}));
        assert_eq!(of(&[relabeled]), [ours()], "the record says which run it is");
    }

    #[test]
    fn a_pod_is_ours_by_its_job() {
        let pod = samples::pod_running();
        let own = samples::with(&pod, owned_by("Job", "uid-j"));
        for owner in [json!({}), owned_by("Job", "uid-x"), owned_by("ReplicaSet", "uid-j")] {
            let fake = samples::with(&pod, owner);
            assert_eq!(pods(&running(), &[ours()], vec![fake]), []);
        }
        assert_eq!(pods(&running(), &[ours()], vec![own.clone()]), std::slice::from_ref(&own));
        let orphaned = pods(&running(), &[], vec![own.clone()]);
        assert_eq!(orphaned, std::slice::from_ref(&own), "its Job is gone");
        let relabeled =
            samples::with(&own, json!({"metadata": {"labels": {"datamigration.dev/run": "7"}}}));
        assert_eq!(pods(&running(), &[ours()], vec![relabeled]), [own]);
    }

    #[test]
    fn an_orphan_of_a_job_that_goes_is_seen_and_not_believed() {
        let orphan = samples::pod_ended(
            0,
            &samples::program_says(json!({"exitCode": 0})),
            &samples::guard_says(json!({})),
        );
        let going = samples::with(&samples::job_deleted(), owned_by("DataMigration", "uid-m"));
        for jobs in [vec![going], vec![]] {
            let found = pods(&running(), &jobs, vec![orphan.clone()]);
            let [shadow] = found.as_slice() else { panic!("{found:?}") };
            assert!(view::pod_is_over(shadow) && view::may_have_started(shadow));
            assert_eq!((view::program_end(shadow), view::guard_result(shadow)), (None, None));
        }
        assert_eq!(pods(&running(), &[ours()], vec![orphan]), []);
    }
}
