//! How far the check of a target is, by its Job and pod. Pure; it decides nothing.

use dm_api::target_condition::TargetReason;
use dm_contract::check::TargetCheck;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use crate::identified::{Identified, Target};
use crate::objects::check::{CHECKS, service_account};
use crate::objects::{GENERATION_ANNOTATION, Settings};
use crate::read::view::{self, JobEnd};
use crate::read::{owned, waiting};

/// How far a check is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no Job.
    Idle,
    /// A Job of the check's name belongs to somebody else.
    Foreign,
    /// The Job was made for another generation, or from another image.
    Outdated,
    /// It runs, or is about to.
    Running,
    /// Its pod does not start.
    Blocked(Trouble),
    /// It ended without a result: its deadline passed.
    Late,
    /// It ended without a result for another reason.
    Failed(Trouble),
    /// Every container has left its result.
    Ended(Vec<Checked>),
}

/// Why a check has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: TargetReason,
    /// What it is and what to do.
    pub message: String,
    /// Whether a run would fail in the same way. Otherwise nothing is known of the target.
    pub is_fault: bool,
}

/// The result of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The field whose credentials were checked.
    pub credentials: &'static str,
    pub result: TargetCheck,
}

/// What was read from the API server.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub target: &'a Target,
    /// The Job of the check's name, if there is one.
    pub job: Option<&'a Identified<Job>>,
    /// Pods with the target's label.
    pub pods: &'a [Pod],
    /// Why the Job controller could not create the Job's pod, by its last event.
    pub refused: Option<&'a str>,
}

/// Whether a Job is controlled by the target. The API server sets uids; a label proves nothing.
pub fn is_own(target: &Target, job: &Job) -> bool {
    owned::controller(job, "MigrationTarget") == Some(target.uid())
}

/// Returns how far the check of a target is.
pub fn state(seen: Seen<'_>, settings: &Settings, now: Timestamp) -> State {
    let Some(job) = seen.job else { return State::Idle };
    if !is_own(seen.target, job) {
        return State::Foreign;
    }
    let own = |pod: &&Pod| owned::controller(*pod, "Job") == Some(job.uid());
    let pod = seen.pods.iter().rfind(own);
    // What it found is a result whatever the image is by now.
    if let Some(ended) = pod.and_then(results).filter(|_| is_of_generation(seen.target, job)) {
        return ended;
    }
    if is_outdated(seen.target, job, settings) {
        return State::Outdated;
    }
    match (view::job_end(job), pod) {
        (JobEnd::Failed(reason), _) if reason == "DeadlineExceeded" => State::Late,
        (JobEnd::Failed(_) | JobEnd::Complete, _) => State::Failed(Trouble {
            reason: TargetReason::CheckFailed,
            message:
                "the check's pod ended without a result; it may have been evicted or deleted. The \
                 state of the target is unknown. The check starts again"
                    .into(),
            is_fault: false,
        }),
        (JobEnd::No, None) => seen.refused.map_or(State::Running, |words| {
            State::Blocked(Trouble {
                reason: TargetReason::ObjectRefused,
                message: format!(
                    "the check's pod is rejected: {words}. Raise that quota or limit, or lower \
                     spec.resources.prepare"
                ),
                is_fault: false,
            })
        }),
        (JobEnd::No, Some(pod)) => {
            blocked(seen.target, pod, now).map_or(State::Running, State::Blocked)
        }
    }
}

fn is_of_generation(target: &Target, job: &Job) -> bool {
    let generation = target.metadata.generation.unwrap_or_default().to_string();
    job.annotations().get(GENERATION_ANNOTATION) == Some(&generation)
}

fn is_outdated(target: &Target, job: &Job, settings: &Settings) -> bool {
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let mut containers = pod.into_iter().flat_map(|pod| &pod.containers);
    !is_of_generation(target, job)
        || containers.any(|container| container.image.as_ref() != Some(&settings.agent_image))
}

/// What the containers of a check left, once all have ended. Others may have been added to the pod,
/// which end or do not.
fn results(pod: &Pod) -> Option<State> {
    let is_ours = |name: &str| CHECKS.iter().any(|(ours, _)| *ours == name);
    let containers = pod.spec.as_ref()?.containers.iter();
    let expected = containers.filter(|container| is_ours(&container.name)).count();
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended: Vec<_> = statuses
        .iter()
        .filter(|status| is_ours(&status.name))
        .filter_map(|status| Some((status, status.state.as_ref()?.terminated.as_ref()?)))
        .collect();
    if ended.len() < expected || ended.is_empty() {
        return None;
    }
    let mut checked = Vec::new();
    for (name, credentials) in CHECKS {
        let Some((_, end)) = ended.iter().find(|(status, _)| status.name == name) else { continue };
        let message = end.message.as_deref().unwrap_or_default();
        let read = TargetCheck::from_message(message).filter(|_| end.exit_code == 0);
        let Some(result) = read else {
            return Some(State::Failed(without_result(name, end.exit_code, message)));
        };
        checked.push(Checked { credentials, result });
    }
    (!checked.is_empty()).then_some(State::Ended(checked))
}

fn without_result(container: &str, exit_code: i32, message: &str) -> Trouble {
    Trouble {
        reason: TargetReason::CheckFailed,
        message: format!(
            "container {container} of the check ended with exit code {exit_code} and without a \
             result: {}. The state of the target is unknown. The check starts again",
            message.trim()
        ),
        is_fault: false,
    }
}

/// Why a check's pod does not start, by the scheduler and the kubelet.
fn blocked(target: &Target, pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let created = pod.metadata.creation_timestamp.as_ref()?.0;
    let is_late = waiting::is_late(created, now);
    let volume = target.spec.archive.as_ref().and_then(|archive| archive.volume.as_ref());
    let claim = volume.map(|volume| &volume.persistent_volume_claim.claim_name);
    // A full cluster makes room within a minute.
    if let Some(why) = waiting::unschedulable(pod).filter(|_| is_late) {
        let advice = match claim {
            Some(claim) => format!(
                "Create PersistentVolumeClaim {claim} of spec.archive.volume if it is missing, or \
                 add a node"
            ),
            None => "Add a node that takes pods without tolerations".into(),
        };
        return Some(Trouble {
            reason: TargetReason::Unschedulable,
            message: format!("no node takes the check's pod: {why}. {advice}"),
            is_fault: claim.is_some(),
        });
    }
    let statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    if let Some(trouble) = statuses.into_iter().find_map(|status| waits(target, status)) {
        return Some(trouble);
    }
    let claim = claim.filter(|_| is_late && waiting::is_without_sandbox(pod))?;
    Some(Trouble {
        reason: TargetReason::VolumeUnavailable,
        message: format!(
            "the check's pod has no volume yet. Create PersistentVolumeClaim {claim} of \
             spec.archive.volume, or see with kubectl describe pod {} why it cannot be mounted",
            pod.name_any()
        ),
        is_fault: true,
    })
}

/// The kubelet's reasons for a container that waits.
fn waits(target: &Target, status: &ContainerStatus) -> Option<Trouble> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let detail = waiting.message.as_deref().unwrap_or("the kubelet gave no detail");
    let trouble = |reason, message, is_fault| Some(Trouble { reason, message, is_fault });
    match waiting.reason.as_deref()? {
        reason if waiting::is_about_image(reason) => trouble(
            TargetReason::ImagePullFailed,
            format!(
                "image {} of the check cannot be pulled: {detail}. Correct agentImage (or image) \
                 of the operator's Helm release, or name a pull secret in spec.imagePullSecrets",
                status.image
            ),
            false,
        ),
        "CreateContainerConfigError" => trouble(
            TargetReason::SecretNotFound,
            format!(
                "{}: {detail}. Create the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                secrets(target, &status.name)
            ),
            true,
        ),
        "CreateContainerError" | "RunContainerError" | "StartError" => trouble(
            TargetReason::ContainerStartFailed,
            format!("container {} of the check cannot be started: {detail}", status.name),
            false,
        ),
        _ => None,
    }
}

/// The fields that name Secrets of a container.
fn secrets(target: &Target, container: &str) -> String {
    let field = CHECKS.iter().find(|(name, _)| *name == container).map(|(_, field)| *field);
    let archive = target.spec.archive.as_ref().and_then(|archive| archive.credentials.as_ref());
    let archive = archive.map(|_| "spec.archive.credentials");
    [field, archive].into_iter().flatten().collect::<Vec<_>>().join(" or ")
}

/// The trouble of a target whose ServiceAccount does not exist: the Job controller could create no
/// pod.
pub fn without_account(target: &Target) -> Trouble {
    Trouble {
        reason: TargetReason::ServiceAccountNotFound,
        message: format!(
            "there is no ServiceAccount {} in this namespace. Create it, or correct \
             serviceAccount.name of the target's credentials",
            service_account(target).unwrap_or_default()
        ),
        is_fault: true,
    }
}

#[cfg(test)]
mod tests;
