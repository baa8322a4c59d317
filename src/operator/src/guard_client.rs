//! Asks a running guard how far its run is. Best effort: a run does not depend on the answer.

use dm_core::plan::CONTROL_PORT;
use dm_core::report::{GuardResult, REPORT_VERSION};
use dm_core::restored::{RESTORE_RESULT_VERSION, RestoreResult};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;

use crate::limits;

/// What the guard of a pod has counted so far.
pub async fn progress(pod: &Pod) -> Option<GuardResult> {
    let result: GuardResult = answer(pod).await?;
    (result.version == REPORT_VERSION).then_some(result)
}

/// What the restore of a pod has done so far.
pub async fn restore(pod: &Pod) -> Option<RestoreResult> {
    let result: RestoreResult = answer(pod).await?;
    (result.version == RESTORE_RESULT_VERSION).then_some(result)
}

async fn answer<T: DeserializeOwned>(pod: &Pod) -> Option<T> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?;
    let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    let uri = format!("http://{host}:{CONTROL_PORT}/progress").parse().ok()?;
    let asked = tokio::time::timeout(limits::GUARD_ANSWER_MAX, ask(uri)).await;
    serde_json::from_slice(&asked.ok()??).ok()
}

async fn ask(uri: hyper::Uri) -> Option<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri).await.ok()?;
    let body = Limited::new(response.into_body(), limits::GUARD_ANSWER_BYTES_MAX);
    Some(body.collect().await.ok()?.to_bytes())
}
