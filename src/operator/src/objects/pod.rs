//! What the pods of all runs have in common.

use dm_api::MigrationTarget;
use dm_api::status::RunRecord;
use k8s_openapi::api::core::v1::{LocalObjectReference, PodSpec};

use crate::objects::archive;
use crate::objects::parts::{GRACE_SECONDS, GRACE_SECONDS_ARCHIVE, pod_security};
use crate::runnable::Runnable;

/// What all pods have: where and as whom they run.
pub fn pod_spec(record: &RunRecord, runnable: &Runnable) -> PodSpec {
    let pod = &runnable.pod;
    let credentials = runnable.target.spec.credentials_of(record.kind);
    let grace = match archive::of(&runnable.target) {
        Some(_) => GRACE_SECONDS_ARCHIVE,
        None => GRACE_SECONDS,
    };
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: credentials.service_account.as_ref().map(|sa| sa.name.clone()),
        security_context: Some(pod_security(runnable)),
        node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
        tolerations: (!pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
        affinity: pod.affinity.clone(),
        priority_class_name: pod.priority_class_name.clone(),
        image_pull_secrets: pull_secrets(&runnable.target, &pod.image_pull_secrets),
        termination_grace_period_seconds: Some(
            pod.termination_grace_period_seconds.unwrap_or(grace),
        ),
        ..PodSpec::default()
    }
}

/// Returns the target's pull secrets and then those of the pod, each once; `None` if there are
/// none, because Kubernetes then adds those of the ServiceAccount.
pub fn pull_secrets(
    target: &MigrationTarget,
    of_pod: &[LocalObjectReference],
) -> Option<Vec<LocalObjectReference>> {
    let mut all: Vec<LocalObjectReference> = Vec::new();
    for secret in target.spec.image_pull_secrets.iter().chain(of_pod) {
        if !all.contains(secret) {
            all.push(secret.clone());
        }
    }
    (!all.is_empty()).then_some(all)
}
