//! Why a pod does not start yet, in the words of the scheduler and the kubelet. Pure, and the same
//! for runs and checks: what to do about it differs.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::limits;

/// Whether the kubelet's reason for a container that waits is about its image
/// (pkg/kubelet/images/types.go).
pub fn is_about_image(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed"
    )
}

/// Returns why no node takes the pod, by the scheduler.
pub fn unschedulable(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    Some(condition.message.as_deref().unwrap_or("the scheduler gave no reason"))
}

/// Whether the kubelet of the pod's node says that it has no sandbox yet: that comes after its
/// volumes were mounted, and before an image is pulled (pkg/kubelet/kubelet.go, `SyncPod`; the
/// condition `PodReadyToStartContainers` is on by default from 1.29).
pub fn is_without_sandbox(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| {
        condition.type_ == "PodReadyToStartContainers" && condition.status == "False"
    })
}

/// Whether something that was expected since then is late.
pub fn is_late(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since).unsigned_abs() > limits::LATE_AFTER && now > since
}
