//! Reads a running guard's progress, and sends it limits and pauses. Best effort: a run does not
//! depend on the answer.

use dm_contract::control::{
    CONTROL_PATH, CONTROL_VERSION, ControlState, LIMITS_PATH, PAUSE_PATH, RESUME_PATH,
};
use dm_contract::plan::{CONTROL_PORT, RateLimits};
use dm_contract::report::{GuardResult, REPORT_VERSION};
use dm_contract::restored::{RESTORE_RESULT_VERSION, RestoreResult};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Builder;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;

use crate::limits;

/// What the guard of a pod has counted so far.
pub async fn progress(pod: &Pod) -> Option<GuardResult> {
    let result: GuardResult = progress_of(pod).await?;
    (result.version == REPORT_VERSION).then_some(result)
}

/// What the restore of a pod has done so far.
pub async fn restore(pod: &Pod) -> Option<RestoreResult> {
    let result: RestoreResult = progress_of(pod).await?;
    (result.version == RESTORE_RESULT_VERSION).then_some(result)
}

/// How fast the run of a pod goes, and whether it is paused.
pub async fn control(pod: &Pod, token: &str) -> Option<ControlState> {
    controlled(pod, Method::GET, CONTROL_PATH, token, Bytes::new()).await
}

/// Sends limits and pause to the guard of a pod, and returns the state that it reports.
pub async fn adjust(
    pod: &Pod,
    token: &str,
    limits: Option<&RateLimits>,
    paused: Option<bool>,
) -> Option<ControlState> {
    let mut said = None;
    if let Some(limits) = limits {
        let body = Bytes::from(serde_json::to_vec(limits).ok()?);
        said = Some(controlled(pod, Method::PUT, LIMITS_PATH, token, body).await?);
    }
    if let Some(paused) = paused {
        let path = if paused { PAUSE_PATH } else { RESUME_PATH };
        said = Some(controlled(pod, Method::POST, path, token, Bytes::new()).await?);
    }
    said
}

async fn controlled(
    pod: &Pod,
    method: Method,
    path: &str,
    token: &str,
    body: Bytes,
) -> Option<ControlState> {
    let request =
        Request::builder().method(method).header(AUTHORIZATION, format!("Bearer {token}"));
    let state: ControlState = answer(pod, request, path, body).await?;
    (state.version == CONTROL_VERSION).then_some(state)
}

async fn progress_of<T: DeserializeOwned>(pod: &Pod) -> Option<T> {
    answer(pod, Request::builder(), "/progress", Bytes::new()).await
}

async fn answer<T: DeserializeOwned>(
    pod: &Pod,
    request: Builder,
    path: &str,
    body: Bytes,
) -> Option<T> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?;
    let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    let uri = format!("http://{host}:{CONTROL_PORT}{path}");
    let request = request.uri(uri).body(Full::new(body)).ok()?;
    let answered = tokio::time::timeout(limits::GUARD_ANSWER_MAX, send(request)).await;
    serde_json::from_slice(&answered.ok()??).ok()
}

async fn send(request: Request<Full<Bytes>>) -> Option<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client.request(request).await.ok()?;
    let succeeded = response.status().is_success();
    let body = Limited::new(response.into_body(), limits::GUARD_ANSWER_BYTES_MAX);
    Some(body.collect().await.ok()?.to_bytes()).filter(|_| succeeded)
}
