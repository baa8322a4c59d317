//! Clusters we do not build ourselves: kind where a container engine answers, and one somebody has.
//! Both get the same images and the same chart.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::environment::Environment;
use super::layout::{DYNAMODB_PORT, State};
use super::{daemons, operator};
use crate::checkout::Checkout;
use crate::command::{capture, command, run};
use crate::console::{say, step};
use crate::images::{self, Image};
use crate::machine;
use crate::parts::{dynamodb, golang};

/// The name of our cluster among kind's.
const NAME: &str = "datamigration";

/// Starts kind, or finds it running, and brings images and operator up to date.
pub fn up(checkout: &Checkout, state: &State, no_operator: bool) -> Result<()> {
    prepare(state)?;
    fs::write(state.join("kind"), NAME).context("writing down that this is kind's cluster")?;
    let clusters = capture(&mut command("kind", ["get", "clusters"]), "asking kind for clusters")?;
    if !clusters.lines().any(|line| line == NAME) {
        step("creating the cluster with kind", || {
            let mut create = command("kind", ["create", "cluster", "--name", NAME, "--config"]);
            run(create.arg(checkout.root.join("kind-config.yaml")), "creating kind's cluster")
        })?;
    }
    let kubeconfig = capture(
        &mut command("kind", ["get", "kubeconfig", "--name", NAME]),
        "asking kind for the kubeconfig",
    )?;
    fs::write(state.kubeconfig(), kubeconfig).context("writing the kubeconfig")?;
    // The container network's gateway is the machine itself.
    let gateway = capture(
        &mut command(
            "docker",
            [
                "network",
                "inspect",
                "kind",
                "--format",
                "{{range .IPAM.Config}}{{.Gateway}} {{end}}",
            ],
        ),
        "asking for the gateway of kind's network",
    )?;
    let gateway = gateway
        .split_whitespace()
        .find(|address| address.contains('.'))
        .context("kind's network has no IPv4 gateway")?;
    finish(checkout, state, no_operator, &format!("http://{gateway}:{DYNAMODB_PORT}"), |image| {
        run(
            command("kind", ["load", "image-archive", "--name", NAME]).arg(&image.archive),
            &format!("loading the image {}", image.reference),
        )
    })
}

/// Uses the cluster KUBECONFIG names. Its nodes must be able to get the images: set DM_IMAGE_LOAD
/// to a command that takes an archive's path, or push them yourself.
pub fn up_existing(checkout: &Checkout, state: &State, no_operator: bool) -> Result<()> {
    let given = env::var_os("KUBECONFIG")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config")))
        .context("KUBECONFIG does not say which cluster to use")?;
    let content = fs::read_to_string(&given)
        .with_context(|| format!("reading the kubeconfig {}", given.display()))?;
    prepare(state)?;
    fs::write(state.join("kind"), "").context("writing down that this is not our cluster")?;
    fs::write(state.kubeconfig(), content).context("copying the kubeconfig")?;
    let endpoint = env::var("DYNAMODB_ENDPOINT_IN_CLUSTER").context(
        "set DYNAMODB_ENDPOINT_IN_CLUSTER to an address under which this cluster's pods reach \
         a DynamoDB for tests; one is started on port 18000 of this machine",
    )?;
    let load = env::var("DM_IMAGE_LOAD").ok();
    finish(checkout, state, no_operator, &endpoint, |image| {
        let Some(load) = &load else {
            say(&format!("  not loaded: {} from {}", image.reference, image.archive.display()));
            return Ok(());
        };
        run(
            command("sh", ["-c", &format!("{load} \"$1\""), "load"]).arg(&image.archive),
            &format!("loading the image {} with {load}", image.reference),
        )
    })
}

/// Takes down what `up` started; a cluster that was given is left as it is.
pub fn down(state: &State) -> Result<()> {
    daemons::stop(state, "dynamodb")?;
    let name = fs::read_to_string(state.join("kind")).unwrap_or_default();
    if !name.is_empty() {
        step("deleting kind's cluster", || {
            run(
                &mut command("kind", ["delete", "cluster", "--name", &name]),
                "deleting the cluster",
            )
        })?;
    }
    fs::remove_dir_all(&state.0).with_context(|| format!("removing {}", state.0.display()))
}

fn prepare(state: &State) -> Result<()> {
    machine::prepare_for_dynamodb()?;
    for folder in [state.0.clone(), state.pids(), state.logs()] {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    }
    Ok(())
}

fn finish(
    checkout: &Checkout,
    state: &State,
    no_operator: bool,
    dynamodb_in_cluster: &str,
    load: impl Fn(&Image) -> Result<()>,
) -> Result<()> {
    let library = dynamodb::library(checkout)?;
    if !daemons::is_running(state, "dynamodb") {
        daemons::start(state, "dynamodb", &dynamodb::server(&library, DYNAMODB_PORT))?;
    }
    let helm = match machine::program("helm") {
        Some(helm) => helm,
        None => golang::helm(checkout)?,
    };
    let tests = images::programs::all(checkout)?;
    let agent = if no_operator { None } else { Some(images::datamigration::agent(checkout)?) };
    let mut wanted = vec![&tests.python, &tests.node, &tests.program];
    wanted.extend(&agent);
    for image in wanted {
        let mark = state.join(&format!("loaded-{}", image.reference.replace([':', '/'], "-")));
        if !mark.exists() {
            step(&format!("loading the image {}", image.reference), || load(image))?;
            fs::write(&mark, "").context("writing down that an image was loaded")?;
        }
    }
    dynamodb::wait_until_ready(DYNAMODB_PORT, &daemons::log_of(state, "dynamodb"))?;
    Environment::of(&state.kubeconfig(), dynamodb_in_cluster, &helm, &tests, agent.as_ref())
        .write(state)?;
    match &agent {
        Some(agent) => operator::install(checkout, state, &helm, &agent.reference),
        None => Ok(()),
    }
}
