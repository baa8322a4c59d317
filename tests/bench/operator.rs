//! Measures the operator in a cluster: memory with many finished migrations, and the time from
//! applying a migration to its Job. Run by `cargo xtask bench operator`; prints a table, judges
//! nothing.
//!
//! The finished migrations are made by writing their status, as a run would have left it: running
//! 500 programs would measure the node. The Jobs of the second part are real; their pods cannot be
//! scheduled, so that no program competes with the operator for the machine.

use std::time::{Duration, Instant};

use dm_api::DataMigration;
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, ResourceExt as _};
use serde_json::json;

/// Finished migrations that the operator holds.
const FINISHED: usize = 500;
/// Migrations whose way to their Job is timed.
const TIMED: usize = 100;
/// A Job that has not come by then is counted as lost.
const JOB_WAIT_MAX: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::try_default().await?;
    let namespace = format!("bench-{}", std::process::id());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
    namespaces.create(&PostParams::default(), &object).await?;
    let measured = measure(&client, &namespace).await;
    remove(&client, &namespace).await?;
    measured
}

async fn measure(client: &Client, namespace: &str) -> Result<(), Box<dyn std::error::Error>> {
    let migrations: Api<DataMigration> = Api::namespaced(client.clone(), namespace);
    // Before the migrations: its coming wakes all that name it.
    let target = json!({
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "MigrationTarget",
        "metadata": {"name": "bench"},
        "spec": {"region": "eu-west-1", "endpoint": "http://127.0.0.1:1",
            "credentials": {"secret": {"name": "none"}}},
    });
    Api::<dm_api::MigrationTarget>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &serde_json::from_value(target)?)
        .await?;
    println!("operator's memory, idle             {}", mebibytes(client).await?);
    let begun = Instant::now();
    futures::stream::iter(0..FINISHED)
        .map(|index| finished(&migrations, index))
        .buffer_unordered(8)
        .collect::<Vec<Result<(), kube::Error>>>()
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;
    println!("{FINISHED} finished migrations made in      {:.1} s", begun.elapsed().as_secs_f64());
    // The kubelet samples memory every ten seconds or so.
    tokio::time::sleep(Duration::from_secs(30)).await;
    println!("operator's memory with {FINISHED} finished  {}", mebibytes(client).await?);
    let mut times = Vec::new();
    for index in 0..TIMED {
        times.push(to_job(client, &migrations, namespace, index).await?);
    }
    times.sort();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "from apply to Job, {TIMED} migrations     p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms",
        percentile(50),
        percentile(99),
        percentile(100)
    );
    Ok(())
}

/// A migration whose status says that it was applied.
async fn finished(api: &Api<DataMigration>, index: usize) -> Result<(), kube::Error> {
    let name = format!("finished-{index}");
    let object = manifest(&name, "bench");
    api.create(&PostParams::default(), &object).await?;
    let run = json!({
        "number": 1, "kind": "Apply", "result": "Succeeded", "reason": "Applied",
        "job": format!("{name}-1-apply"), "programDigest": format!("sha256:{index:064}"),
        "executionTime": "2026-01-01T00:00:00Z", "finalizationTime": "2026-01-01T00:01:00Z",
        "requestedAt": "2026-01-01T00:00:00Z", "recordedAt": "2026-01-01T00:01:00Z", "exitCode": 0,
    });
    let status = json!({"status": {
        "lastRun": 1, "phase": "Applied", "runs": [run],
        "applied": {"run": 1, "result": "Succeeded",
            "programDigest": format!("sha256:{index:064}")},
    }});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.map(|_| ())
}

/// Time from sending a migration to seeing its Job.
async fn to_job(
    client: &Client,
    migrations: &Api<DataMigration>,
    namespace: &str,
    index: usize,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let name = format!("timed-{index}");
    let wanted = format!("{name}-1-dry-run");
    let version = jobs.list(&ListParams::default().limit(1)).await?.metadata.resource_version;
    let mut events =
        jobs.watch(&WatchParams::default(), &version.unwrap_or_default()).await?.boxed();
    let begun = Instant::now();
    migrations.create(&PostParams::default(), &manifest(&name, "bench")).await?;
    let seen = tokio::time::timeout(JOB_WAIT_MAX, async {
        while let Some(event) = events.next().await {
            if matches!(&event, Ok(WatchEvent::Added(job)) if job.name_any() == wanted) {
                return true;
            }
        }
        false
    });
    if seen.await? { Ok(begun.elapsed()) } else { Err(format!("no Job for {name}").into()) }
}

fn manifest(name: &str, target: &str) -> DataMigration {
    let object = json!({
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
        "metadata": {"name": name},
        "spec": {
            "target": {"name": target},
            "container": {"image": "bench.invalid/none:1", "command": ["none"]},
            "podTemplate": {"nodeSelector": {"datamigration.dev/bench": "nowhere"}},
        },
    });
    serde_json::from_value(object).expect("the manifest is written here")
}

/// Working set of the operator's pod, as the kubelet counts it.
async fn mebibytes(client: &Client) -> Result<String, Box<dyn std::error::Error>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/name=datamigration");
    let pod = pods.list(&ours).await?.items.into_iter().next().ok_or("no operator pod")?;
    let nodes: Api<Node> = Api::all(client.clone());
    let node =
        nodes.list(&ListParams::default()).await?.items.into_iter().next().ok_or("no node")?;
    let path = format!("/api/v1/nodes/{}/proxy/stats/summary", node.name_any());
    let request = http::Request::get(path).body(Vec::new())?;
    let summary: serde_json::Value = client.request(request).await?;
    let bytes = summary["pods"]
        .as_array()
        .and_then(|pods| pods.iter().find(|p| p["podRef"]["name"] == pod.name_any().as_str()))
        .and_then(|found| found["memory"]["workingSetBytes"].as_u64());
    Ok(bytes.map_or("not known yet".into(), |bytes| format!("{} MiB", bytes.div_ceil(1 << 20))))
}

async fn remove(client: &Client, namespace: &str) -> Result<(), kube::Error> {
    let migrations: Api<DataMigration> = Api::namespaced(client.clone(), namespace);
    migrations.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(namespace, &DeleteParams::background()).await.map(|_| ())
}
