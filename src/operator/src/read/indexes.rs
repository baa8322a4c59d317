//! Which pods of a run carried out which part of it, by the index that the Job controller gives the
//! pods of an Indexed Job. A run that is not split has one part. Pure.

use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::identified::Identified;
use crate::read::view;

/// Label and annotation of a pod with its index (Kubernetes documentation, "Well-Known Labels,
/// Annotations and Taints"; the label since 1.28).
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The pods of one part of a run, in the order of their creation. The last one counts: the others
/// were replaced.
#[derive(Clone, Debug)]
pub struct PartPods<'a> {
    /// Its number, from 0.
    pub index: u32,
    pub pods: Vec<&'a Pod>,
}

impl<'a> PartPods<'a> {
    /// The pod that carries the part out now, or did last.
    pub fn last(&self) -> Option<&'a Pod> {
        self.pods.last().copied()
    }

    /// Whether the part's program has ended well.
    pub fn has_ended_well(&self) -> bool {
        self.pods.iter().any(|pod| view::ended_well(pod))
    }
}

/// The index of a pod.
pub fn index_of(pod: &Pod) -> Option<u32> {
    let annotation = pod.metadata.annotations.as_ref().and_then(|all| all.get(INDEX));
    let label = pod.metadata.labels.as_ref().and_then(|all| all.get(INDEX));
    annotation.or(label)?.parse().ok()
}

/// Sorts the pods of a run by its parts. A pod without an index, or with one that the run does not
/// have, is of no part: the Job controller has not created it for one.
pub fn parts<'a>(record: &RunRecord, pods: &[&'a Pod]) -> Vec<PartPods<'a>> {
    let count = record.parts();
    if count == 1 {
        return vec![PartPods { index: 0, pods: pods.to_vec() }];
    }
    let of = |index| pods.iter().copied().filter(move |pod| index_of(pod) == Some(index));
    (0..count).map(|index| PartPods { index, pods: of(index).collect() }).collect()
}

/// Returns the parts that have failed for good, which the Job controller does not replace. Its text
/// has numbers and ranges: `0,3-5` (pkg/apis/batch/types.go, `FailedIndexes`).
pub fn given_up(job: Option<&Identified<Job>>, parts: u32) -> Vec<u32> {
    let status = job.and_then(|job| job.status.as_ref());
    let text = status.and_then(|status| status.failed_indexes.as_deref()).unwrap_or_default();
    let range = |piece: &str| {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let first: u32 = first.trim().parse().ok()?;
        Some(first..=last.trim().parse().ok()?)
    };
    let ranges: Vec<_> = text.split(',').filter_map(range).collect();
    (0..parts).filter(|part| ranges.iter().any(|range| range.contains(part))).collect()
}

#[cfg(test)]
mod tests {
    use dm_api::status::RunKind;
    use serde_json::json;

    use super::*;
    use crate::samples;

    #[test]
    fn parts_that_were_given_up_are_those_of_the_job() {
        let of = |text: &str| {
            let job = samples::job(json!({"status": {"failedIndexes": text}}));
            given_up(Some(&job), 8)
        };
        assert_eq!(of("0,3-5"), [0, 3, 4, 5]);
        assert_eq!(of("7-9"), [7]);
        assert!(of("").is_empty() && of("all").is_empty() && given_up(None, 8).is_empty());
    }

    #[test]
    fn each_part_has_its_pods_in_their_order() {
        let record = RunRecord { parallelism: Some(3), ..samples::record(RunKind::Apply) };
        let pod = |name: &str, changes| {
            let named = samples::with(&samples::pod_running(), json!({"metadata": {"name": name}}));
            samples::with(&named, changes)
        };
        let by_annotation = |index: &str| json!({"metadata": {"annotations": {INDEX: index}}});
        let by_label = json!({"metadata": {"labels": {INDEX: "2"}}});
        let pods = [
            pod("a", by_annotation("2")),
            pod("b", by_annotation("0")),
            pod("c", by_label),
            pod("none", json!({})),
            pod("unknown", by_annotation("3")),
        ];
        let pods: Vec<&Pod> = pods.iter().collect();
        let found: Vec<(u32, Vec<&str>)> = parts(&record, &pods)
            .iter()
            .map(|part| {
                let names = part.pods.iter().filter_map(|pod| pod.metadata.name.as_deref());
                (part.index, names.collect())
            })
            .collect();
        assert_eq!(found, [(0, vec!["b"]), (1, vec![]), (2, vec!["a", "c"])]);
        let whole = parts(&samples::record(RunKind::Apply), &pods);
        assert_eq!((whole.len(), whole[0].pods.len()), (1, 5), "a run that is not split");
    }
}
