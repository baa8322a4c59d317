//! `cargo xtask cluster`: a cluster to test against. One that somebody has comes first when asked
//! for, then kind where a container engine answers, then one built from the sources of Kubernetes
//! itself.

mod certificates;
mod configuration;
mod daemons;
mod environment;
mod kernel;
mod kind;
mod layout;
mod local;
mod operator;
mod release;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::checkout::Checkout;
use crate::console::{say, step};
use crate::fingerprint::Fingerprint;
use crate::images::{self, Image};
use crate::machine;
use crate::parts::{dynamodb, golang};
use environment::Environment;
use layout::State;

/// What to do with the cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Bring a cluster up, or bring the one that is up to the state of this checkout.
    Up(Options),
    /// Build or fetch what a cluster on this machine consists of, and start nothing.
    Parts,
    /// Stop the cluster and leave nothing behind.
    Down,
    /// Install a release of `cargo xtask dist` on a new cluster, and run a migration up to
    /// DryRunOK.
    Release {
        /// The release's folder.
        #[arg(default_value = "target/dist")]
        folder: PathBuf,
    },
    /// Print shell exports: eval "$(cargo xtask cluster env)".
    Env,
}

/// Which cluster, and what goes into it.
#[derive(Clone, Debug, Default, Args)]
pub struct Options {
    /// Use the cluster that KUBECONFIG names (also: DM_CLUSTER=existing).
    #[arg(long)]
    pub existing: bool,
    /// Neither build the operator's image nor install the chart.
    #[arg(long)]
    pub no_operator: bool,
    /// Stop a cluster that another checkout brought up. In CI (CI=true) this is the default.
    #[arg(long)]
    pub replace: bool,
}

/// Where the cluster comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Existing,
    /// kind, in a container engine.
    InEngine,
    Local,
}

pub fn run(checkout: &Checkout, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Up(options) => up(checkout, options),
        Verb::Parts => {
            let _lock = lock(checkout)?;
            parts(checkout).map(drop)
        }
        Verb::Down => down(checkout),
        Verb::Release { folder } => release::run(checkout, folder),
        Verb::Env => {
            print!("{}", Environment::read(&State(checkout.state()))?.exports());
            Ok(())
        }
    }
}

/// The variables `env` prints, for the tests.
pub fn variables(checkout: &Checkout) -> Result<Vec<(String, String)>> {
    Ok(Environment::read(&State(checkout.state()))?.variables)
}

/// Whether the node of the cluster that is up is this machine itself.
pub fn is_local(checkout: &Checkout) -> bool {
    let state = State(checkout.state());
    state.0.exists() && !state.join("kind").exists()
}

/// Whether a cluster that is brought up now is built on this machine.
pub fn is_built_here() -> bool {
    choose(&Options::default()) == Origin::Local
}

/// The steps of [`parts`] in their order, with rough shares of its time in thousandths.
/// They are estimates: a machine's disk, network and processors change them.
const SHARES: &[(&str, u32)] = &[
    ("building etcd", 90),
    ("building kube-apiserver", 320),
    ("building kubelet", 140),
    ("building kube-controller-manager", 60),
    ("building kube-scheduler", 20),
    ("building kube-proxy", 20),
    ("building containerd", 90),
    ("building runc", 15),
    ("building helm", 105),
    ("fetching DynamoDB Local", 10),
    ("making a Debian", 90),
    ("making the Python layer", 15),
    ("making the Node.js layer", 25),
];

/// The share of the step that a line names.
pub fn share_of(line: &str) -> u32 {
    place_of(line).map_or(0, |place| SHARES[place].1)
}

/// The shares of the step that a line names and of all after it.
pub fn shares_from(line: &str) -> u32 {
    place_of(line).map_or(0, |place| SHARES[place..].iter().map(|(_, share)| share).sum())
}

fn place_of(line: &str) -> Option<usize> {
    let title = line.trim_start().trim_start_matches("ok ").trim_start();
    // Some titles begin with another one: containerd-shim, and every word ends.
    let is = |name: &str| {
        title.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    SHARES.iter().position(|(name, _)| is(name))
}

/// Brings a cluster up.
pub fn up(checkout: &Checkout, options: &Options) -> Result<()> {
    let _lock = lock(checkout)?;
    let state = State(checkout.state());
    match choose(options) {
        Origin::Existing => kind::up_existing(checkout, &state, options.no_operator)?,
        Origin::InEngine => kind::up(checkout, &state, options.no_operator)?,
        Origin::Local => {
            settle_ownership(checkout, &state, options.replace)?;
            up_local(checkout, &state, options.no_operator)?;
        }
    }
    say("The cluster is up: eval \"$(cargo xtask cluster env)\"");
    Ok(())
}

/// Takes the cluster down, whichever it is.
pub fn down(checkout: &Checkout) -> Result<()> {
    let _lock = lock(checkout)?;
    let state = State(checkout.state());
    if !state.0.exists() && !kernel::is_set_up() {
        say("No cluster is up.");
        return Ok(());
    }
    if let Some(owner) = other_owner(checkout, &state) {
        say(&format!("This cluster was brought up by the checkout {owner}."));
    }
    if state.join("kind").exists() {
        return kind::down(&state);
    }
    local::stop(&state)
}

fn choose(options: &Options) -> Origin {
    if options.existing || env::var("DM_CLUSTER").is_ok_and(|value| value == "existing") {
        Origin::Existing
    } else if machine::has_kind() {
        Origin::InEngine
    } else {
        Origin::Local
    }
}

/// What takes minutes to build, once per machine.
struct Parts {
    programs: golang::Programs,
    library: PathBuf,
    images: images::programs::ProgramImages,
}

fn parts(checkout: &Checkout) -> Result<Parts> {
    machine::prepare_for_cluster()?;
    Ok(Parts {
        programs: golang::programs(checkout)?,
        library: dynamodb::library(checkout)?,
        images: images::programs::all(checkout)?,
    })
}

fn up_local(checkout: &Checkout, state: &State, no_operator: bool) -> Result<()> {
    let Parts { programs, library, images: test_images } = parts(checkout)?;
    let agent = if no_operator { None } else { Some(images::datamigration::agent(checkout)?) };

    let recipe = recipe(&programs, &library);
    let same = fs::read_to_string(state.recipe()).is_ok_and(|text| text == recipe);
    if !(same && local::is_healthy(state)) {
        if state.0.exists() || kernel::is_set_up() {
            say("What is left of an earlier cluster is taken away first.");
            local::stop(state)?;
        }
        fs::create_dir_all(&state.0).with_context(|| format!("making {}", state.0.display()))?;
        fs::write(state.owner(), checkout.root.display().to_string())
            .context("writing down whose cluster this is")?;
        local::start(checkout, state, &programs, &library)?;
        fs::write(state.recipe(), recipe).context("writing down what the cluster is made from")?;
    }
    let mut images: Vec<&Image> =
        vec![&test_images.python, &test_images.node, &test_images.program];
    images.extend(&agent);
    for image in images {
        local::load(state, &programs, image)?;
    }
    Environment::local(state, &programs.helm, &test_images, agent.as_ref()).write(state)?;
    match &agent {
        Some(agent) => operator::install(checkout, state, &programs.helm, &agent.reference),
        None => Ok(()),
    }
}

/// Everything whose change asks for a new cluster: the programs, and how they are configured.
fn recipe(programs: &golang::Programs, library: &Path) -> String {
    let sources = [
        include_str!("cluster/certificates.rs"),
        include_str!("cluster/configuration.rs"),
        include_str!("cluster/kernel.rs"),
        include_str!("cluster/layout.rs"),
        include_str!("cluster/local.rs"),
    ];
    let places = [&programs.kubernetes, &programs.containerd, &programs.runc, &programs.pause];
    let mut fingerprint = Fingerprint::default().text(&library.display().to_string());
    for place in places {
        fingerprint = fingerprint.text(&place.display().to_string());
    }
    for source in sources {
        fingerprint = fingerprint.text(source);
    }
    fingerprint.key()
}

/// Two checkouts must not use each other's cluster unawares.
fn settle_ownership(checkout: &Checkout, state: &State, replace: bool) -> Result<()> {
    if !state.0.exists() {
        if kernel::is_set_up() {
            bail!(
                "the bridge {} is there, but {} knows of no cluster: another user's cluster is up, \
                 or XDG_CACHE_HOME was another one. Stop it there with `cargo xtask cluster down`, \
                 or, if nothing is left of it, `ip link delete {}`",
                layout::BRIDGE,
                state.0.display(),
                layout::BRIDGE
            );
        }
        return Ok(());
    }
    let Some(owner) = other_owner(checkout, state) else { return Ok(()) };
    let alive = local::DAEMONS.iter().any(|name| daemons::is_running(state, name));
    if alive && !replace && env::var("CI").is_err() {
        bail!(
            "a cluster is up that another checkout brought up: {owner}\nStop it with \
             `cargo xtask cluster down` (here or there), or take its place with \
             `cargo xtask cluster up --replace`"
        );
    }
    step(&format!("taking the place of the cluster of {owner}"), || local::stop(state))
}

fn other_owner(checkout: &Checkout, state: &State) -> Option<String> {
    let owner = fs::read_to_string(state.owner()).ok()?;
    (Path::new(&owner) != checkout.root).then_some(owner)
}

/// One task at a time changes the cluster; a second one waits for the first.
fn lock(checkout: &Checkout) -> Result<File> {
    fs::create_dir_all(&checkout.cache)
        .with_context(|| format!("making {}", checkout.cache.display()))?;
    let path = checkout.cache.join("cluster.lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if file.try_lock().is_err() {
        say("Another task is changing the cluster; waiting for it.");
        file.lock().with_context(|| format!("waiting for {}", path.display()))?;
    }
    Ok(file)
}
