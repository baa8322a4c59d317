//! The logs of a run that is split among pods: which pod has that of which part, and each line with
//! its part in front.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use dm_api::DataMigration;
use dm_api::status::RunRecord;
use futures::{AsyncBufReadExt as _, Stream, StreamExt as _, TryStreamExt as _, future, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::LogParams;
use tokio::time::{MissedTickBehavior, interval};

use super::{LogsError, is_awaited, opened, pods_of};
use crate::cluster::Cluster;

/// Between two looks for pods that begin, while others are followed. A part runs for minutes at
/// least, and many may follow one run.
const PODS_PERIOD: Duration = Duration::from_secs(5);

/// Annotation of a pod with its index (Kubernetes documentation, "Well-Known Labels, Annotations
/// and Taints").
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The pod of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPod {
    pub part: u32,
    pub pod: String,
}

/// Returns the parts of a run whose logs are wanted; of a run that is not split its only one.
pub fn wanted(
    migration: &DataMigration,
    run: u32,
    asked: Option<u32>,
) -> Result<Vec<u32>, LogsError> {
    let mut runs = migration.status.iter().flat_map(|status| &status.runs);
    let parts = runs.find(|record| record.number == run).map_or(1, RunRecord::parts);
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

/// What there is to print of several parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Lines of a log, each with its part in front.
    Lines(Vec<u8>),
    /// Why the log of a part, or the rest of it, is missing.
    Missing(String),
}

/// The wanted parts of a run, and where their logs are.
pub struct Parts<'a> {
    pub cluster: &'a Cluster,
    pub migration: &'a DataMigration,
    pub run: u32,
    pub wanted: &'a [u32],
    /// Pods of these parts, one of each that has one.
    pub pods: Vec<PartPod>,
    /// How the log of a pod is read.
    pub params: &'a LogParams,
}

/// Lines of one part's pod. The first error is the last item.
type Lines<'a> = Pin<Box<dyn Stream<Item = Result<Vec<u8>, String>> + 'a>>;

impl Parts<'_> {
    /// Returns the wanted parts that have no pod.
    pub fn without_pod(&self) -> Vec<u32> {
        let has_pod = |part: &u32| self.pods.iter().any(|pod| pod.part == *part);
        self.wanted.iter().copied().filter(|part| !has_pod(part)).collect()
    }

    /// Prints the logs one after the other; of a part without a pod what is kept of it, or why
    /// nothing is. One that cannot be read does not keep the others from being printed. Returns
    /// whether none is missing.
    pub async fn print(
        &self,
        kept: &BTreeMap<u32, Result<Vec<u8>, String>>,
        mut print: impl FnMut(Piece) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut is_whole = true;
        for part in self.wanted {
            let mut lines = match self.pods.iter().find(|pod| pod.part == *part) {
                Some(pod) => self.lines(pod.clone()),
                None => Box::pin(stream::iter(kept.get(part).map(|kept| match kept {
                    Ok(text) => Ok(prefixed(*part, text)),
                    Err(why) => Err(format!("part {part}: {why}")),
                }))),
            };
            while let Some(line) = lines.next().await {
                is_whole &= line.is_ok();
                if !print(line.map_or_else(Piece::Missing, Piece::Lines))? {
                    return Ok(is_whole);
                }
            }
        }
        Ok(is_whole)
    }

    /// Prints the lines of all parts as they come, until the run is over; also of pods that begin
    /// later. Returns whether nothing is missing.
    pub async fn follow(
        mut self,
        mut print: impl FnMut(Piece) -> io::Result<bool>,
    ) -> Result<bool, LogsError> {
        let (mut followed, mut had_pod) = (BTreeSet::new(), BTreeSet::new());
        let (mut is_whole, mut runs) = (true, true);
        let mut looks = interval(PODS_PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut all = stream::SelectAll::new();
        let name = self.migration.name_any();
        let (cluster, params) = (self.cluster, self.params);
        loop {
            for pod in std::mem::take(&mut self.pods) {
                had_pod.insert(pod.part);
                if followed.insert(pod.pod.clone()) {
                    all.push(lines(cluster, pod, params));
                }
            }
            tokio::select! {
                Some(line) = all.next(), if !all.is_empty() => {
                    is_whole &= line.is_ok();
                    if !print(line.map_or_else(Piece::Missing, Piece::Lines))? {
                        return Ok(is_whole);
                    }
                }
                _ = looks.tick(), if runs => match self.look(&name).await {
                    Ok((pods, still_runs)) => (self.pods, runs) = (pods, still_runs),
                    // While lines come, the next look may be answered.
                    Err(error) if all.is_empty() => return Err(error),
                    Err(_) => {}
                },
                else => break,
            }
        }
        for part in self.wanted.iter().filter(|part| !had_pod.contains(part)) {
            is_whole = false;
            print(Piece::Missing(format!(
                "part {part}: it had no pod while the run was followed"
            )))?;
        }
        Ok(is_whole)
    }

    /// The pods of the parts now, and whether the run is not over. Pods last: those of a run that
    /// is over are then complete.
    async fn look(&self, name: &str) -> Result<(Vec<PartPod>, bool), LogsError> {
        let migration = self.cluster.migration(name).await?;
        let pods = pods_of(self.cluster, &migration, self.run, self.wanted).await?;
        Ok((pods, is_awaited(&migration, self.run)))
    }

    fn lines(&self, pod: PartPod) -> Lines<'_> {
        lines(self.cluster, pod, self.params)
    }
}

fn lines<'a>(cluster: &'a Cluster, pod: PartPod, params: &'a LogParams) -> Lines<'a> {
    let PartPod { part, pod } = pod;
    let log = async move {
        let lines = opened(cluster, &pod, params).await?.lines().map_err(LogsError::from);
        Ok::<_, LogsError>(lines.map_ok(move |line| prefixed(part, line.as_bytes())))
    };
    // A reader that failed may fail for ever.
    let until_failed = |failed: &mut bool, line: Result<Vec<u8>, LogsError>| {
        let had_failed = std::mem::replace(failed, line.is_err());
        future::ready((!had_failed).then_some(line))
    };
    let all = stream::once(log).try_flatten().scan(false, until_failed);
    Box::pin(all.map_err(move |error| format!("part {part}: {}", chain(&error))))
}

/// An error with its causes.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::describe::text::tests::migration;

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

    /// A cluster with these pods, whose logs are their names; that of `broken` cannot be read. Each
    /// read of the migration returns the next of these results of its run.
    fn cluster(lists: Vec<Vec<Pod>>, results: Vec<&'static str>) -> Cluster {
        let state = Arc::new(Mutex::new((VecDeque::from(lists), VecDeque::from(results))));
        let service = tower::service_fn(move |request: Request<Body>| {
            let mut state = state.lock().unwrap();
            let path = request.uri().path().to_owned();
            let pieces: Vec<&str> = path.split('/').collect();
            let body = match pieces.as_slice() {
                [.., "broken", "log"] => None,
                [.., pod, "log"] => Some(format!("{pod} 1\n{pod} 2\n").into_bytes()),
                [.., "pods"] => {
                    let is_last = state.0.len() == 1;
                    let front = state.0.front().cloned();
                    let pods = front.filter(|_| is_last).or_else(|| state.0.pop_front()).unwrap();
                    let list = json!({
                        "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods,
                    });
                    Some(list.to_string().into_bytes())
                }
                [.., "pods", _] => Some(json!(pod("x", 1, json!({}))).to_string().into_bytes()),
                _ => {
                    let mut migration = split();
                    let result = json!(state.1.pop_front().unwrap());
                    let status = migration.status.as_mut().unwrap();
                    status.runs[0].result = serde_json::from_value(result).unwrap();
                    Some(json!(migration).to_string().into_bytes())
                }
            };
            let refusal = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "container is waiting to start", "reason": "BadRequest", "code": 400,
            });
            let code = if body.is_some() { 200 } else { 400 };
            let body = Body::from(body.unwrap_or_else(|| refusal.to_string().into_bytes()));
            async move {
                let response = Response::builder().status(code).body(body).unwrap();
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        Cluster { client: Client::new(service, "shop"), namespace: "shop".into() }
    }

    fn of_part(name: &str, second: u32, part: u32) -> Pod {
        pod(name, second, json!({INDEX: part.to_string()}))
    }

    /// What was printed: lines as they are, and what is missing after an exclamation mark.
    #[allow(clippy::unnecessary_wraps, reason = "what the parts expect")]
    fn note(all: &mut Vec<String>, piece: Piece) -> io::Result<bool> {
        match piece {
            Piece::Lines(lines) => {
                let lines = String::from_utf8(lines).unwrap();
                all.extend(lines.lines().map(str::to_owned));
            }
            Piece::Missing(why) => all.push(format!("! {why}")),
        }
        Ok(true)
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_read_does_not_hide_the_others() {
        let (cluster, migration) = (cluster(vec![], vec![]), split());
        let pods = [of_part("a", 1, 0), of_part("broken", 1, 1), of_part("d", 1, 3)];
        let wanted = [0, 1, 2, 3, 4];
        let parts = Parts {
            cluster: &cluster,
            migration: &migration,
            run: 2,
            wanted: &wanted,
            pods: newest(&pods, &wanted),
            params: &LogParams::default(),
        };
        assert_eq!(parts.without_pod(), [2, 4]);
        let kept = BTreeMap::from([(2, Ok(b"kept".to_vec())), (4, Err("no log".to_owned()))]);
        let mut all = Vec::new();
        assert!(!parts.print(&kept, |piece| note(&mut all, piece)).await.unwrap());
        let why = all.remove(2);
        assert!(why.starts_with("! part 1: reading the log of pod broken: "), "{why}");
        assert!(why.contains("container is waiting to start"), "{why}");
        let expected = ["part 0: a 1", "part 0: a 2", "part 2: kept", "part 3: d 1", "part 3: d 2"];
        assert_eq!(all[..5], expected);
        assert_eq!(all[5..], ["! part 4: no log"]);

        let whole = Parts { wanted: &[0, 3], ..parts };
        let mut all = Vec::new();
        assert!(whole.print(&kept, |piece| note(&mut all, piece)).await.unwrap());
        assert_eq!(all.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_begin_later_are_followed_too() {
        let first = vec![of_part("a", 1, 0), of_part("broken", 1, 1)];
        let later: Vec<Pod> = first.iter().cloned().chain([of_part("b", 2, 1)]).collect();
        let cluster = cluster(vec![first.clone(), later], vec!["Running", "Running", "Failed"]);
        let (migration, wanted) = (split(), [0, 1, 2]);
        let parts = Parts {
            cluster: &cluster,
            migration: &migration,
            run: 2,
            wanted: &wanted,
            pods: newest(&first, &wanted),
            params: &LogParams { follow: true, ..LogParams::default() },
        };
        let mut all = Vec::new();
        assert!(!parts.follow(|piece| note(&mut all, piece)).await.unwrap());
        let has = |line: &str| all.iter().filter(|one| one.starts_with(line)).count();
        assert_eq!((has("part 0: a "), has("part 1: b ")), (2, 2), "{all:?}");
        assert_eq!(has("! part 1: reading the log of pod broken"), 1, "{all:?}");
        assert_eq!(has("! part 2: it had no pod"), 1, "{all:?}");
        assert_eq!(all.len(), 6, "{all:?}");
    }
}
