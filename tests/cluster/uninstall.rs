//! The chart is uninstalled and installed again. It takes the operator away from every other test,
//! so it runs alone, after them.

use std::process::Command;

use dm_api::DataMigration;
use dm_api::status::Phase;
use dm_tests::cluster::{Bed, OPERATOR_NAMESPACE, Written, kubectl, until, variable};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use serde_json::json;

/// The release that `cargo xtask cluster up` installs.
const RELEASE: &str = "datamigration";

/// What the documentation has people list before they uninstall.
const OPEN: &str = "jsonpath={range .items[?(@.metadata.finalizers)]}{.metadata.namespace}/\
                    {.metadata.name}{\"\\n\"}{end}";

fn helm(arguments: &[&str]) -> String {
    let output = Command::new(variable("HELM"))
        .args(arguments)
        .args(["--namespace", OPERATOR_NAMESPACE])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {}: {errors}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Installs what was uninstalled, with the same values.
struct Release {
    values: tempfile::NamedTempFile,
}

impl Release {
    fn uninstall() -> Self {
        let values = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(&values, helm(&["get", "values", RELEASE, "--output", "yaml"])).unwrap();
        helm(&["uninstall", RELEASE, "--wait", "--timeout", "120s"]);
        Self { values }
    }

    fn install(self) {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/datamigration");
        let values = self.values.path().to_str().unwrap();
        let values = ["--values", values, "--skip-crds", "--wait", "--timeout", "120s"];
        helm(&[&["install", RELEASE, chart][..], &values[..]].concat());
    }
}

/// The migrations that still have an open run, of this test.
fn open(bed: &Bed) -> Vec<String> {
    let all = ["get", "datamigrations", "--all-namespaces", "--output", OPEN];
    let listed = kubectl(&all);
    let ours = format!("{}/", bed.namespace);
    listed.lines().filter_map(|line| line.strip_prefix(&ours)).map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "takes the operator away from other tests: cargo xtask test cluster runs it after them"]
async fn in_the_documented_order_nothing_is_left_that_cannot_be_deleted() {
    let bed = Bed::new("uninstall").await;
    bed.submit(&Written::shell("ended", "echo done\n").applied()).await;
    bed.phase("ended", Phase::Applied).await;
    bed.submit(&Written::shell("open", "trap 'exit 1' TERM; sleep 300 & wait\n").applied()).await;
    bed.running("open").await;
    bed.until("ended", "its run is on record", |m| m.finalizers().is_empty()).await;
    assert_eq!(open(&bed), ["open"]);
    bed.migrations().delete("open", &DeleteParams::default()).await.unwrap();
    bed.gone::<DataMigration>("open").await;
    assert!(open(&bed).is_empty());

    let release = Release::uninstall();
    let left = bed.migrations().get("ended").await.unwrap();
    assert_eq!(left.status.unwrap().phase, Some(Phase::Applied), "the record stays");
    let cluster_wide = "validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,\
                        clusterrolebindings";
    let ours = format!("app.kubernetes.io/instance={RELEASE}");
    let policies = kubectl(&["get", cluster_wide, "--selector", &ours, "--output", "name"]);
    assert_eq!(policies, "", "the release leaves nothing behind");
    bed.migrations().delete("ended", &DeleteParams::default()).await.unwrap();
    bed.gone::<DataMigration>("ended").await;
    let namespaces: Api<Namespace> = Api::all(bed.client.clone());
    namespaces.delete(&bed.namespace, &DeleteParams::default()).await.unwrap();
    until(namespaces, &bed.namespace, "it is gone", |namespace| namespace.is_none()).await;
    release.install();
    bed.forget();
}

#[tokio::test]
#[ignore = "takes the operator away from other tests: cargo xtask test cluster runs it after them"]
async fn a_run_that_is_open_meanwhile_is_supervised_again() {
    let bed = Bed::new("reinstall").await;
    let program = Written::shell("m", "echo begun; sleep 5; echo done\n");
    bed.submit(&program.applied().set("backoffLimit", json!(0))).await;
    bed.running("m").await;
    let release = Release::uninstall();
    let pod = bed.pods().await[0].name_any();
    until(bed.api::<Pod>(), &pod, "its program has ended", |pod| {
        let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        phase == Some("Succeeded")
    })
    .await;
    release.install();
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(applied.status.unwrap().last_run, 1, "it ran once");
    bed.no_new_pod().await;
    bed.done().await;
}
