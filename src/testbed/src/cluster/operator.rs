//! Installing the operator as a user would: with the chart, by helm.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::layout::State;
use super::local::kubectl;
use crate::checkout::Checkout;
use crate::command::{capture, command, last_lines, run, succeeds};
use crate::console::step;
use crate::fingerprint::Fingerprint;

/// The namespace the operator runs in.
pub const NAMESPACE: &str = "datamigration-system";

const RELEASE: &str = "datamigration";

/// Helm's patience with a rollout: one image that is already on the node, one start.
const ROLLOUT_MAX: &str = "120s";

/// How many lines of the pod's description and of its log an error shows: all of its events.
const LAST_WORDS_MAX: usize = 30;

/// Installs the chart, or upgrades the release when the image or the chart has changed.
pub fn install(checkout: &Checkout, state: &State, helm: &Path, image: &str) -> Result<()> {
    let chart = checkout.chart();
    if !chart.join("Chart.yaml").exists() {
        bail!(
            "{} is not there; bring the cluster up without the operator: \
             cargo xtask cluster up --no-operator",
            checkout.shown(&chart)
        );
    }
    let installed = Fingerprint::default().folder(&chart)?.text(image).key();
    let record = state.join("operator");
    let same = fs::read_to_string(&record).is_ok_and(|text| text == installed);
    if same && is_rolled_out(state) {
        return Ok(());
    }
    let (repository, tag) = image.split_once(':').context("the image has no tag")?;
    step("installing the operator with helm", || {
        // Helm installs a chart's definitions once and never touches them again.
        let definitions = chart.join("crds");
        if definitions.is_dir() {
            let mut apply = kubectl(state, &["apply", "--server-side", "--force-conflicts", "-f"]);
            run(apply.arg(&definitions), "applying the custom resource definitions")?;
        }
        let mut upgrade = command(helm, ["upgrade", "--install", RELEASE]);
        upgrade
            .arg(&chart)
            .args(["--namespace", NAMESPACE, "--create-namespace", "--skip-crds"])
            .args(["--set", &format!("image.repository={repository}")])
            .args(["--set", &format!("image.tag={tag}")])
            .args(["--set", "image.pullPolicy=IfNotPresent"])
            .args(["--wait", "--timeout", ROLLOUT_MAX])
            .env("KUBECONFIG", state.kubeconfig())
            .env("HELM_CACHE_HOME", state.join("helm"))
            .env("HELM_CONFIG_HOME", state.join("helm"))
            .env("HELM_DATA_HOME", state.join("helm"));
        if forces_conflicts(helm) {
            upgrade.arg("--force-conflicts");
        }
        run(&mut upgrade, "installing the chart with helm")
            .with_context(|| format!("the operator did not come up:\n{}", last_words(state)))
    })?;
    fs::write(&record, installed).context("writing down what was installed")
}

/// What somebody changed by hand in a test cluster is put right; before version 4 helm always did
/// so.
fn forces_conflicts(helm: &Path) -> bool {
    capture(&mut command(helm, ["upgrade", "--help"]), "asking helm for its flags")
        .is_ok_and(|flags| flags.contains("--force-conflicts"))
}

fn is_rolled_out(state: &State) -> bool {
    succeeds(&mut kubectl(
        state,
        &["rollout", "status", "deployment", "--namespace", NAMESPACE, "--timeout=5s"],
    ))
}

/// The pods and the end of their logs, for the error.
fn last_words(state: &State) -> String {
    let questions: [&[&str]; 2] = [
        &["describe", "pods", "--namespace", NAMESPACE],
        &[
            "logs",
            "--namespace",
            NAMESPACE,
            "--all-containers",
            "--selector",
            "app.kubernetes.io/instance=datamigration",
            "--tail=30",
        ],
    ];
    let mut words = String::new();
    for question in questions {
        if let Ok(output) = kubectl(state, question).output() {
            words.push_str(&last_lines(&String::from_utf8_lossy(&output.stdout), LAST_WORDS_MAX));
            words.push('\n');
        }
    }
    words
}
