//! What a run's Job and pods say, read off their statuses. Pure; it does not decide anything.
//!
//! A pod of a run keeps our finalizer until its outcome is recorded, so its last status can be
//! read even after somebody deleted it.

use dm_api::RUN_LABEL;
use dm_api::condition::Reason;
use dm_contract::plan::{PLAN_ENV, Plan};
use dm_contract::report::{GuardResult, ProgramResult, REPORT_VERSION};
use dm_contract::restored::{RESTORE_RESULT_VERSION, RestoreResult};
use dm_contract::verdict::{LedgerVerdict, VERDICT_VERSION, Verdict};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
    PodSpec,
};
use kube::ResourceExt as _;

use crate::identified::Identified;
use crate::limits;
use crate::objects::{
    FAILED_CREATE_ANNOTATION, FILES_VOLUME, GUARD_CONTAINER, LEDGER_CONTAINER, PREPARE_CONTAINER,
    PROGRAM_CONTAINER, RESTORE_CONTAINER, literal,
};
use crate::read::waiting;

/// The kubelet's reason for the end of a container of which it knows nothing.
pub const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// The Job controller's reason for a Job that its pod failure policy has failed
/// (pkg/apis/batch/types.go, `JobReasonPodFailurePolicy`).
pub const POD_FAILURE_POLICY: &str = "PodFailurePolicy";

/// Containers of which a pod has one: what the run is for. What is said of the program here holds
/// for a restore, which is ours.
const MAIN_CONTAINERS: [&str; 2] = [PROGRAM_CONTAINER, RESTORE_CONTAINER];

/// The objects of one run.
#[derive(Clone, Copy, Debug)]
pub struct RunObjects<'a> {
    /// Its Job, if there is one.
    pub job: Option<&'a Identified<Job>>,
    /// Its pods, in the order of their creation.
    pub pods: &'a [&'a Pod],
}

/// How a Job ended, by its own conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    No,
    Complete,
    /// It failed, with the Job controller's reason.
    Failed(String),
}

/// Why the program is not running yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub reason: Reason,
    /// What it is and what to do.
    pub message: String,
}

/// Number of the run that a Job or pod belongs to, by its label.
pub fn run_of(labels: Option<&std::collections::BTreeMap<String, String>>) -> Option<u32> {
    labels?.get(RUN_LABEL)?.parse().ok()
}

/// URL of the archive that a run's guard, or its restore, was given.
pub fn archive_url(job: &Job) -> Option<String> {
    Some(plan(job)?.archive?.url)
}

/// Whether a run is known to have no archive.
pub fn has_no_archive(job: &Job) -> bool {
    plan(job).is_some_and(|plan| plan.archive.is_none())
}

/// The plan of a run's guard, or its restore.
fn plan(job: &Job) -> Option<Plan> {
    let plan = plan_text(job.spec.as_ref()?.template.spec.as_ref()?)?;
    serde_json::from_str(&literal::plain(plan)).ok()
}

/// The plan that a pod's guard, or its restore, was given, as text.
pub fn plan_text(pod: &PodSpec) -> Option<&str> {
    let plan = ours_in(pod)?.env.iter().flatten().find(|variable| variable.name == PLAN_ENV)?;
    plan.value.as_deref()
}

/// The image of the guard, or of the restore, that a Job starts.
pub fn agent_image(job: &Job) -> Option<&str> {
    ours_in(job.spec.as_ref()?.template.spec.as_ref()?)?.image.as_deref()
}

fn ours_in(pod: &PodSpec) -> Option<&Container> {
    let mut containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    containers.find(|c| [GUARD_CONTAINER, RESTORE_CONTAINER].contains(&c.name.as_str()))
}

/// Whether the Job controller keeps a Job from having pods.
pub fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false)
}

/// How the Job ended.
pub fn job_end(job: &Job) -> JobEnd {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    for condition in conditions.into_iter().flatten().filter(|c| c.status == "True") {
        match condition.type_.as_str() {
            "Complete" => return JobEnd::Complete,
            "Failed" => return JobEnd::Failed(condition.reason.clone().unwrap_or_default()),
            _ => {}
        }
    }
    JobEnd::No
}

/// Whether a pod's containers have all ended for good.
pub fn pod_is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
        // A pod that was deleted before a node took it never gets another phase.
        || (pod.metadata.deletion_timestamp.is_some()
            && pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()))
}

/// When the program of this pod began, as far as the kubelet knows.
pub fn program_started(pod: &Pod) -> Option<Timestamp> {
    let state = program_status(pod)?.state.as_ref()?;
    started_in(state)
}

/// Whether the program of this pod started, or may have: a node that was lost takes the knowledge
/// with it (pkg/kubelet/kubelet_pods.go, `ContainerStatusUnknown`). Of a container that was never
/// created, because its image could not be pulled, the kubelet says the same when its pod is
/// deleted (pkg/kubelet/status/status_manager.go, `TerminatePod`); but that one has no id and no
/// past.
pub fn may_have_started(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let unknown = |ended: &ContainerStateTerminated| {
        ended.reason.as_deref() == Some(STATUS_UNKNOWN)
            && program_status(pod).is_some_and(|program| {
                let past = program.last_state.as_ref();
                program.container_id.as_ref().is_some_and(|id| !id.is_empty())
                    || past
                        .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
            })
    };
    // A kubelet that refuses a pod gives it no start time.
    let forgotten = status.start_time.is_some()
        && status.container_statuses.as_ref().is_none_or(Vec::is_empty)
        && matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    program_started(pod).is_some() || program_end(pod).is_some_and(unknown) || forgotten
}

/// Whether the program ended with exit code 0 before anybody asked it to stop, and with all that it
/// had started: a program that handles the request may end with 0 half way. What the program's
/// container says of itself counts only against it. A restore ends with 0 only where it has
/// finished.
pub fn ended_well(pod: &Pod) -> bool {
    let Some(ended) = program_end(pod).filter(|ended| ended.exit_code == 0) else { return false };
    let is_incomplete =
        |said: ProgramResult| said.interrupted().is_some() || said.left_running.is_some();
    if program_result(pod).is_some_and(is_incomplete) {
        return false;
    }
    let restores = program_status(pod).is_some_and(|status| status.name == RESTORE_CONTAINER);
    let mut asked = [deletion_asked(pod), disruption_asked(pod)].into_iter().flatten();
    restores
        || asked.all(|asked| {
            ended.finished_at.as_ref().is_some_and(|finished| finished.0.as_second() < asked)
        })
}

/// When the pod's deletion was asked for, in seconds.
fn deletion_asked(pod: &Pod) -> Option<i64> {
    let deleted = pod.metadata.deletion_timestamp.as_ref()?;
    // The API server notes when the pod is killed at the latest.
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    Some(deleted.0.as_second() - grace)
}

/// When the pod was disrupted, in seconds; the epoch where that is not known. A node that shuts
/// down does not delete its pods.
fn disruption_asked(pod: &Pod) -> Option<i64> {
    disruption(pod)?;
    let since = disruption_condition(pod).and_then(|c| c.last_transition_time.as_ref());
    Some(since.map_or(0, |time| time.0.as_second()))
}

fn started_in(state: &ContainerState) -> Option<Timestamp> {
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let terminated = state.terminated.as_ref().and_then(|ended| ended.started_at.as_ref());
    // A container that never ran is reported with the epoch.
    running.or(terminated).map(|time| time.0).filter(|time| time.as_second() > 0)
}

/// The end of this pod's program.
pub fn program_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    program_status(pod)?.state.as_ref()?.terminated.as_ref()
}

/// The image that the program's container of a pod runs or ran, as the kubelet has it.
pub fn program_image(pod: &Pod) -> Option<&str> {
    let status = program_status(pod).filter(|status| status.name == PROGRAM_CONTAINER)?;
    Some(status.image_id.as_str()).filter(|id| !id.is_empty())
}

/// What the entry program wrote, if it was there to write.
pub fn program_result(pod: &Pod) -> Option<ProgramResult> {
    let status = program_status(pod).filter(|status| status.name == PROGRAM_CONTAINER)?;
    let message = status.state.as_ref()?.terminated.as_ref()?.message.as_deref()?;
    serde_json::from_str::<ProgramResult>(message)
        .ok()
        .filter(|result| result.version == REPORT_VERSION)
}

/// What the guard wrote when it ended.
pub fn guard_result(pod: &Pod) -> Option<GuardResult> {
    let state = init_status(pod, GUARD_CONTAINER)?.state.as_ref()?;
    let message = state.terminated.as_ref()?.message.as_deref()?;
    serde_json::from_str::<GuardResult>(message)
        .ok()
        .filter(|result| result.version == REPORT_VERSION)
}

/// Whether the guard's container has ended, with or without a result.
pub fn guard_has_ended(pod: &Pod) -> bool {
    let state = init_status(pod, GUARD_CONTAINER).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.terminated.is_some())
}

/// Whether the guard's container was started again: what it had counted is lost.
pub fn guard_was_restarted(pod: &Pod) -> bool {
    init_status(pod, GUARD_CONTAINER).is_some_and(|status| status.restart_count > 0)
}

/// What the archive's ledger said before the run, if it was asked and the answer is known. The
/// program starts after [`Verdict::Go`] only, which is the exit code 0; an end that is not
/// understood is as good as no answer.
pub fn ledger_verdict(pod: &Pod) -> Option<Verdict> {
    let state = init_status(pod, LEDGER_CONTAINER)?.state.as_ref()?;
    let ended =
        state.terminated.as_ref().filter(|e| e.reason.as_deref() != Some(STATUS_UNKNOWN))?;
    if ended.exit_code == 0 {
        return Some(Verdict::Go);
    }
    let message = ended.message.as_deref().unwrap_or_default();
    let said = serde_json::from_str::<LedgerVerdict>(message)
        .ok()
        .filter(|said| said.version == VERDICT_VERSION && said.verdict != Verdict::Go);
    Some(said.map_or_else(
        || Verdict::Unavailable {
            message: format!(
                "the check of the ledger ended with exit code {}: \
                              {message}",
                ended.exit_code
            ),
        },
        |said| said.verdict,
    ))
}

/// What a restore wrote when it ended, or was interrupted.
pub fn restore_result(pod: &Pod) -> Option<RestoreResult> {
    let status = program_status(pod).filter(|status| status.name == RESTORE_CONTAINER)?;
    let message = status.state.as_ref()?.terminated.as_ref()?.message.as_deref()?;
    serde_json::from_str::<RestoreResult>(message)
        .ok()
        .filter(|result| result.version == RESTORE_RESULT_VERSION)
}

/// The end of the container that prepares the folder, if it failed.
pub fn prepare_failure(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let state = init_status(pod, PREPARE_CONTAINER)?.state.as_ref()?;
    state.terminated.as_ref().filter(|ended| ended.exit_code != 0)
}

/// The kubelet's reasons for a pod that it ended by itself: for lack of a resource
/// (pkg/kubelet/eviction/helpers.go), because the node shuts down
/// (pkg/kubelet/nodeshutdown/nodeshutdown_manager.go), or for a critical pod
/// (pkg/kubelet/preemption/preemption.go).
const ENDED_BY_KUBELET: [&str; 3] = ["Evicted", "Terminated", "Preempting"];

/// The message of a disruption (eviction, preemption, a node that is drained or shuts down), if
/// there was one.
pub fn disruption(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let by_kubelet = status.reason.as_deref().is_some_and(|r| ENDED_BY_KUBELET.contains(&r));
    let own = status.message.clone().filter(|message| by_kubelet && !message.is_empty());
    let condition = disruption_condition(pod);
    if condition.is_none() && !by_kubelet {
        return None;
    }
    let said = condition.and_then(|condition| condition.message.clone());
    // The kubelet's own words name the resource that ran out.
    own.or_else(|| said.filter(|message| !message.is_empty()))
        .or_else(|| condition.and_then(|condition| condition.reason.clone()))
        .or_else(|| Some("no reason was given".into()))
}

fn disruption_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == "DisruptionTarget" && c.status == "True")
}

/// Why the program of a pod does not start, if something stands in its way.
pub fn obstacle(objects: RunObjects<'_>, now: Timestamp) -> Option<Obstacle> {
    let Some(pod) = objects.pods.last() else {
        return no_pod(objects.job?, now);
    };
    if program_started(pod).is_some() || pod_is_over(pod) {
        return None;
    }
    unschedulable(pod).or_else(|| waiting_container(pod)).or_else(|| late(pod, now))
}

fn no_pod(job: &Job, now: Timestamp) -> Option<Obstacle> {
    let created = job.metadata.creation_timestamp.as_ref()?.0;
    let refused =
        job.metadata.annotations.as_ref().and_then(|all| all.get(FAILED_CREATE_ANNOTATION));
    if let Some(words) = refused.filter(|_| !is_suspended(job)) {
        return Some(Obstacle {
            reason: Reason::ObjectRefused,
            message: format!(
                "the run's pod is rejected: {words}. Raise that quota or limit, or lower \
                 spec.podTemplate.resources (the program's) or the target's spec.resources (the \
                 guard's); the run starts automatically when there is room"
            ),
        });
    }
    (!is_suspended(job) && waiting::is_late(created, now)).then(|| Obstacle {
        reason: Reason::ObjectRefused,
        message: format!(
            "the Job has no pod after {} s; a quota or an admission rule may reject it: kubectl \
             describe job {}",
            limits::LATE_AFTER.as_secs(),
            job.name_any()
        ),
    })
}

fn unschedulable(pod: &Pod) -> Option<Obstacle> {
    Some(Obstacle {
        reason: Reason::Unschedulable,
        message: format!(
            "no node can take the pod: {}. Change spec.podTemplate (resources, nodeSelector, \
             tolerations, affinity) or add a node; the run starts as soon as one fits",
            waiting::unschedulable(pod)?
        ),
    })
}

/// The kubelet's reasons for a container that waits, by the names of its source
/// (pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go).
fn waiting_container(pod: &Pod) -> Option<Obstacle> {
    let status = pod.status.as_ref()?;
    let containers =
        status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.into_iter().find_map(waiting_reason)
}

fn waiting_reason(container: &ContainerStatus) -> Option<Obstacle> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let detail = waiting.message.as_deref().unwrap_or("the kubelet gave no detail");
    let name = &container.name;
    let (reason, message) = match waiting.reason.as_deref()? {
        reason if waiting::is_about_image(reason) => {
            (Reason::ImagePullFailed, cannot_be_pulled(name, &container.image, detail))
        }
        "CreateContainerConfigError"
            if [GUARD_CONTAINER, LEDGER_CONTAINER, RESTORE_CONTAINER].contains(&name.as_str()) =>
        {
            (
                Reason::SecretNotFound,
                format!(
                    "the guard lacks the credentials of the target or of its archive: {detail}. \
                 Create the Secret that the target names, with AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY; the run continues automatically"
                ),
            )
        }
        "CreateContainerConfigError" => (
            Reason::ContainerStartFailed,
            format!(
                "container {name} cannot be set up: {detail}. Create what is missing, or correct \
                 env"
            ),
        ),
        "CreateContainerError" | "RunContainerError" | "StartError" => {
            (Reason::ContainerStartFailed, format!("container {name} cannot be started: {detail}"))
        }
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let message = last.and_then(|ended| ended.message.as_deref()).unwrap_or(detail);
            (Reason::GuardFailed, format!("container {name} ended repeatedly: {message}"))
        }
        _ => return None,
    };
    Some(Obstacle { reason, message })
}

/// Whose image it is decides who can do something about it.
fn cannot_be_pulled(container: &str, image: &str, detail: &str) -> String {
    let what = format!("image {image} of container {container} cannot be pulled: {detail}");
    if container == PROGRAM_CONTAINER {
        return format!(
            "{what}. Nothing has run. Correct the image in the spec, or the pull secrets in \
             spec.podTemplate.imagePullSecrets or the target's spec.imagePullSecrets"
        );
    }
    format!(
        "{what}. Nothing has run. This is the operator's image. The platform team corrects \
         agentImage (or image) of the operator's Helm release, or the target's \
         spec.imagePullSecrets. The run then starts automatically with the new image"
    )
}

fn late(pod: &Pod, now: Timestamp) -> Option<Obstacle> {
    let created = pod.metadata.creation_timestamp.as_ref()?.0;
    if !waiting::is_late(created, now) {
        return None;
    }
    if waiting::is_without_sandbox(pod)
        && let Some(volumes) = volumes_by_name(pod)
    {
        return Some(Obstacle {
            reason: Reason::VolumeUnavailable,
            message: format!(
                "the pod has neither volumes nor network after {} s. See whether these exist: \
                 {volumes} (kubectl describe pod {}). Create what is missing, or correct \
                 spec.podTemplate.volumes; the run continues automatically",
                limits::LATE_AFTER.as_secs(),
                pod.name_any()
            ),
        });
    }
    Some(Obstacle {
        reason: Reason::Starting,
        message: format!(
            "the pod has not started the program after {} s (a large image, or a volume that \
             cannot be mounted): kubectl describe pod {}",
            limits::LATE_AFTER.as_secs(),
            pod.name_any()
        ),
    })
}

/// What the pod's volumes name that somebody else has to create.
fn volumes_by_name(pod: &Pod) -> Option<String> {
    let named =
        pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).filter_map(|volume| {
            // The copy of the program's files is ours.
            let config_map = volume.config_map.as_ref().filter(|_| volume.name != FILES_VOLUME);
            let config_map = config_map.map(|source| format!("ConfigMap {}", source.name));
            let secret = volume.secret.as_ref().and_then(|source| source.secret_name.as_ref());
            let claim = volume.persistent_volume_claim.as_ref();
            config_map.or_else(|| secret.map(|name| format!("Secret {name}"))).or_else(|| {
                claim.map(|source| format!("PersistentVolumeClaim {}", source.claim_name))
            })
        });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| named.join(", "))
}

fn program_status(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| MAIN_CONTAINERS.contains(&status.name.as_str()))
}

fn init_status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == name)
}

#[cfg(test)]
mod tests;
