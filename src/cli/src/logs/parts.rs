//! The logs of a run that is split among pods: which pod has that of which part, and each line with
//! its part in front.

use std::pin::Pin;

use dm_api::DataMigration;
use futures::{AsyncBufReadExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::LogParams;

use super::{LogsError, opened};
use crate::cluster::Cluster;
use crate::print;

/// Annotation of a pod with its index (Kubernetes documentation, "Well-Known Labels, Annotations
/// and Taints").
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The pod of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPod {
    /// The part.
    pub part: u32,
    /// The pod's name.
    pub pod: String,
}

/// Returns the parts of a run whose logs are wanted; of a run that is not split its only one.
pub fn wanted(
    migration: &DataMigration,
    run: u32,
    asked: Option<u32>,
) -> Result<Vec<u32>, LogsError> {
    let mut runs = migration.status.iter().flat_map(|status| &status.runs);
    let parts = runs.find(|record| record.number == run).map_or(1, |record| record.parts());
    match asked {
        Some(part) if part >= parts => {
            Err(LogsError::NoPart { name: migration.name_any(), run, part, last: parts - 1 })
        }
        Some(part) => Ok(vec![part]),
        None => Ok((0..parts).collect()),
    }
}

/// Returns the newest pod of each part: a pod may have replaced another one. Pods without an index
/// are of a run that is not split.
pub fn newest(pods: &[Pod], wanted: &[u32]) -> Vec<PartPod> {
    let of_part = |part: u32| {
        let own = pods.iter().filter(move |pod| index_of(pod) == part);
        let newest = own.max_by_key(|pod| pod.creation_timestamp())?;
        Some(PartPod { part, pod: newest.name_any() })
    };
    wanted.iter().copied().filter_map(of_part).collect()
}

fn index_of(pod: &Pod) -> u32 {
    pod.annotations().get(INDEX).and_then(|index| index.parse().ok()).unwrap_or(0)
}

/// Prints the logs of several parts: one after the other, or as their lines come.
pub async fn copy(
    cluster: &Cluster,
    pods: &[PartPod],
    params: &LogParams,
) -> Result<(), LogsError> {
    type Lines<'a> = Pin<Box<dyn Stream<Item = Result<Vec<u8>, LogsError>> + 'a>>;
    let logs = pods.iter().map(|PartPod { part, pod }| -> Lines<'_> {
        let log = async move {
            let lines = opened(cluster, pod, params).await?.lines().map_err(LogsError::from);
            Ok::<_, LogsError>(lines.map_ok(|line| prefixed(*part, line.as_bytes())))
        };
        Box::pin(stream::once(log).try_flatten())
    });
    let mut lines: Lines<'_> = if params.follow {
        Box::pin(stream::select_all(logs))
    } else {
        Box::pin(stream::iter(logs).flatten())
    };
    while let Some(line) = lines.next().await {
        if !print::bytes(&line?)? {
            break;
        }
    }
    Ok(())
}

/// Returns text with a part in front of each line.
pub fn prefixed(part: u32, text: &[u8]) -> Vec<u8> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut all = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        all.extend_from_slice(format!("part {part}: ").as_bytes());
        all.extend_from_slice(line);
        all.push(b'\n');
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::story::tests::migration;

    fn split() -> DataMigration {
        let run = json!({
            "number": 2, "kind": "Apply", "result": "Running", "job": "j", "retry": 0,
            "parallelism": 3, "programDigest": "p", "requestedAt": "2026-12-01T10:02:10Z",
        });
        migration(json!({}), json!({"lastRun": 2, "runs": [run]}))
    }

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
    fn pod(name: &str, second: u32, annotations: Value) -> Pod {
        let time = format!("2026-12-01T10:00:{second:02}Z");
        let metadata = json!({"name": name, "creationTimestamp": time, "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn all_parts_are_wanted_unless_one_is_named() {
        assert_eq!(wanted(&split(), 2, None).unwrap(), [0, 1, 2]);
        assert_eq!(wanted(&split(), 2, Some(1)).unwrap(), [1]);
        assert_eq!(wanted(&split(), 1, None).unwrap(), [0], "a run that is not split");
        let error = wanted(&split(), 2, Some(3)).unwrap_err().to_string();
        assert_eq!(error, "run 2 of 0001-add-price has no part 3; it has parts 0 to 2");
    }

    #[test]
    fn the_newest_pod_of_each_part_has_its_log() {
        let part = |index: &str| json!({INDEX: index});
        let pods = [pod("a", 1, part("0")), pod("b", 2, part("1")), pod("b-again", 9, part("1"))];
        let names = |wanted: &[u32]| -> Vec<(u32, String)> {
            newest(&pods, wanted).into_iter().map(|found| (found.part, found.pod)).collect()
        };
        assert_eq!(names(&[0, 1, 2]), [(0, "a".to_owned()), (1, "b-again".to_owned())]);
        assert_eq!(newest(&[pod("only", 1, json!({}))], &[0])[0].pod, "only");
    }

    #[test]
    fn each_line_has_its_part_in_front() {
        assert_eq!(prefixed(3, b"a\nb\n"), b"part 3: a\npart 3: b\n");
        assert_eq!(prefixed(0, b"a"), b"part 0: a\n");
    }
}
