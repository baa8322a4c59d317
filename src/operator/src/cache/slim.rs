//! What the cache leaves out of objects: what no reconcile reads. It bounds the operator's memory
//! where a namespace has many finished runs, or a migration of a megabyte. Pure.

use dm_api::transform::TransformSource;
use dm_api::{DataMigration, MigrationTarget, OUTCOME_FINALIZER};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt as _};

use crate::limits;
use crate::read::view::{self, JobEnd};

/// Annotation on a migration in the cache that was too large for it.
const CUT_ANNOTATION: &str = "datamigration.dev/cut";

/// Annotation with a second copy of the object (kubectl apply).
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Leaves out what a migration's reconcile does not read. Of one with a spec above `SPEC_BYTES_MAX`
/// only names and references stay: it is never run, and its reconcile reads it live to say why.
pub fn migration(migration: &mut DataMigration) {
    metadata(&mut migration.metadata);
    // Serializing a spec that was read from JSON cannot fail.
    if serde_json::json!(migration.spec).to_string().len() <= limits::SPEC_BYTES_MAX {
        return;
    }
    migration.annotations_mut().insert(CUT_ANNOTATION.into(), String::new());
    let spec = &mut migration.spec;
    spec.container = None;
    spec.pod_template = dm_api::migration::PodSettings::default();
    spec.description = None;
    if let Some(transform) = &mut spec.transform {
        let config_map = transform.config_map.take();
        *transform = TransformSource { config_map, ..TransformSource::default() };
    }
    if let Some(script) = &mut spec.script {
        script.command.clear();
        script.args.clear();
        script.env.clear();
        script.config_map.items.clear();
    }
}

/// Whether a migration in the cache is not whole.
pub fn is_cut(migration: &DataMigration) -> bool {
    migration.annotations().contains_key(CUT_ANNOTATION)
}

/// Leaves out what a target's reader does not read.
pub fn target(target: &mut MigrationTarget) {
    metadata(&mut target.metadata);
}

/// Leaves out all but the name and version of a ConfigMap: its annotations may be as large as its
/// content, and it may be anybody's.
pub fn config_map(map: &mut PartialObjectMeta<ConfigMap>) {
    let all = std::mem::take(&mut map.metadata);
    map.metadata = ObjectMeta {
        name: all.name,
        namespace: all.namespace,
        uid: all.uid,
        resource_version: all.resource_version,
        ..ObjectMeta::default()
    };
}

/// Leaves out what nobody reads of a Job. Of one that has ended and is released only its end is of
/// interest; it is kept for a week.
pub fn job(job: &mut Job) {
    metadata(&mut job.metadata);
    let is_over = is_released(job) && view::job_end(job) != JobEnd::No;
    if let Some(spec) = job.spec.as_mut().filter(|_| is_over) {
        spec.template.spec = None;
    }
}

/// The same of a pod.
pub fn pod(pod: &mut Pod) {
    metadata(&mut pod.metadata);
    if is_released(pod) && view::pod_is_over(pod) {
        // What says where it ran stays: without it the pod would not be over.
        let node_name = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
        if let Some(status) = &mut pod.status {
            (status.container_statuses, status.init_container_statuses) = (None, None);
        }
    }
}

fn is_released<K: Resource>(object: &K) -> bool {
    !object.finalizers().iter().any(|finalizer| finalizer == OUTCOME_FINALIZER)
}

fn metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    #[test]
    fn a_migration_stays_whole_unless_it_is_too_large() {
        let annotations = json!({"metadata": {"annotations": {LAST_APPLIED: "{}", "a": "b"}}});
        let env = |variables: usize| {
            let one = json!({"name": "V", "value": "x".repeat(8_000)});
            json!({"spec": {"script": {"env": vec![one; variables]}}})
        };
        let small = samples::with(&samples::migration(env(3)), annotations.clone());
        let mut kept = small.clone();
        migration(&mut kept);
        assert_eq!((is_cut(&kept), &kept.spec), (false, &small.spec));
        assert_eq!(kept.annotations().keys().collect::<Vec<_>>(), ["a"]);
        let mut large = samples::migration(env(40));
        migration(&mut large);
        assert!(is_cut(&large) && serde_json::json!(large).to_string().len() < 2_000);
        assert_eq!(large.spec.files().map(|files| files.name.as_str()), Some("files"));
    }

    #[test]
    fn of_a_config_map_only_name_and_version_stay() {
        let metadata = json!({
            "name": "m", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"a": "b"}, "annotations": {LAST_APPLIED: "{}", "c": "d"},
        });
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        let mut map: PartialObjectMeta<ConfigMap> = serde_json::from_value(map).unwrap();
        config_map(&mut map);
        let kept = json!({"name": "m", "namespace": "n", "uid": "u", "resourceVersion": "7"});
        assert_eq!(json!(map.metadata), kept);
    }

    #[test]
    fn objects_of_a_run_stay_whole_until_they_are_over_and_released() {
        let held = json!({"metadata": {"finalizers": [OUTCOME_FINALIZER]}});
        let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        let spec = json!({"spec": {"template": {"spec": {"containers": [{"name": "program"}]}}}});
        let going = samples::with::<Job>(&samples::job(json!({})), spec);
        let over = samples::with(&going, complete);
        let template = |mut of: Job| {
            job(&mut of);
            of.spec.unwrap().template.spec
        };
        assert!(
            template(going).is_some() && template(samples::with(&over, held.clone())).is_some()
        );
        assert_eq!(template(over), None);
        let over = samples::pod_ended(
            0,
            &samples::program_says(json!({"exitCode": 0})),
            &samples::guard_says(json!({})),
        );
        let mut of = samples::with(&over, held);
        let before = of.clone();
        pod(&mut of);
        assert_eq!(of, before);
        of = over;
        pod(&mut of);
        assert!(view::pod_is_over(&of) && view::guard_result(&of).is_none());
    }
}
