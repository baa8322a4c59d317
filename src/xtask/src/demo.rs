//! `cargo xtask demo`: the main job on real data, told in commands. A migration is tried, looked
//! at, promoted, restored, and another one fails; or the cluster is lost under an applied one.
//! Each command is printed before it runs, so that a reader can repeat it; each expectation is
//! printed with its outcome, and one that does not hold fails the demo.

mod background;
mod files;
mod laptop;
mod rebuild;
mod restore;
mod teller;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use dm_testbed::checkout::Checkout;
use dm_testbed::cluster;
use dm_testbed::command::{command, run as run_quietly};
use dm_testbed::console::{say, seconds_and_cpu, step};
use dm_testbed::fingerprint::Fingerprint;
use dm_testbed::machine;
use dm_testbed::parts::cached;
use files::{ARCHIVE, FAILING, FOLDER, PRICES, VOLUME};
use teller::{Teller, print_chapter, print_command};

pub use background::Background;
pub use laptop::{Record, programs, run as on_laptop};

/// How long a migration of 406 items may take: seconds, and minutes where compilers have the
/// processors.
const RUN_MAX: &str = "180s";

/// What loads and looks at the table.
const CARS: &str = "python3 src/testbed/recipes/demo/cars.py";

/// The car that is shown.
const CAR: &str = "chevrolet-chevelle-malibu-1970-1";

/// How many cars the data has.
const COUNT: &str = "406";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// A dry run, its promotion, its restore, a failure.
    Whole,
    /// A dry run, its promotion, and the loss of the cluster.
    Rebuild,
}

/// Runs the demonstration; `keep` leaves the cluster up.
pub fn run(checkout: &Checkout, keep: bool, story: Story) -> Result<()> {
    let begun = Instant::now();
    let cars = cars(checkout)?;
    cluster::up(checkout, &cluster::Options::default())?;
    let variables = cluster::variables(checkout)?;
    let local = cluster::is_local(checkout);
    if story == Story::Rebuild && !local {
        bail!(
            "the archive of this cluster goes with it: --rebuild needs one whose node is this \
             machine"
        );
    }
    files::write(checkout, &variables, &cars, local)?;
    let mut teller = Teller::new(checkout, variables);
    print_command("eval \"$(cargo xtask cluster env)\"");
    let told = tell(checkout, &mut teller, story);
    let outcome = told.and_then(|()| teller.verdict());
    say(&format!("\nThe demo took {}.", seconds_and_cpu(begun.elapsed())));
    if keep || (outcome.is_err() && env::var_os("CI").is_none()) {
        say("The cluster is still up; take it down with `cargo xtask cluster down`.");
        return outcome;
    }
    let down = cluster::down(checkout);
    outcome.and(down.context("stopping the cluster after the demo"))
}

/// The cars of the package vega-datasets, whose version and checksum stand in a lock file.
fn cars(checkout: &Checkout) -> Result<PathBuf> {
    let recipe = checkout.testbed().join("demo");
    let mut fingerprint = Fingerprint::default().text("cars 1");
    for file in ["package.json", "package-lock.json"] {
        fingerprint = fingerprint.file(&recipe.join(file))?;
    }
    let place = cached(&checkout.cache, "npm", "vega-datasets", &fingerprint.key(), |place| {
        if machine::program("npm").is_none() {
            bail!("the demo's data is a package of npm, and this machine lacks npm");
        }
        step("fetching the cars with npm", || {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(recipe.join(file), place.join(file))
                    .with_context(|| format!("copying {file}"))?;
            }
            let mut npm = command("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
            run_quietly(npm.current_dir(place), "fetching the package vega-datasets")?;
            let modules = place.join("node_modules");
            fs::copy(modules.join("vega-datasets/data/cars.json"), place.join("cars.json"))
                .context("finding cars.json in the package")?;
            fs::remove_dir_all(&modules).context("removing the other data of the package")
        })
    })?;
    Ok(place.join("cars.json"))
}

fn tell(checkout: &Checkout, teller: &mut Teller, story: Story) -> Result<()> {
    prepare(teller)?;
    let before = dry_run(teller)?;
    promote(teller, &before)?;
    match story {
        Story::Whole => {
            restore::tell(teller, cluster::is_local(checkout))?;
            fail(teller)
        }
        Story::Rebuild => rebuild::tell(checkout, teller),
    }
}

fn prepare(teller: &mut Teller) -> Result<()> {
    print_chapter(
        "The platform team gives the namespace a target: where the database and the archive are",
    );
    teller.show("kubectl delete namespace demo --ignore-not-found --timeout=120s")?;
    teller.show(&format!("kubectl delete persistentvolume {VOLUME} --ignore-not-found"))?;
    teller.show(&format!("rm -rf {ARCHIVE} && mkdir -p {ARCHIVE}"))?;
    teller.show(&format!("cat {FOLDER}/target.yaml"))?;
    give_target(teller)?;
    print_chapter("A table with real cars");
    teller.show(&format!("{CARS} load {FOLDER}/cars.json"))?;
    teller.show(&format!("{CARS} show {CAR}"))
}

fn give_target(teller: &mut Teller) -> Result<()> {
    teller.show(&format!("kubectl apply -f {FOLDER}/archive.yaml -f {FOLDER}/target.yaml"))
}

/// Returns the table's digest from before.
fn dry_run(teller: &mut Teller) -> Result<String> {
    print_chapter("A migration is tried: a dry run of a script nobody had to change");
    let before = teller.read(&format!("{CARS} digest"))?;
    teller.show(&format!("cat {FOLDER}/{PRICES}/kustomization.yaml"))?;
    teller.show(&format!("kubectl apply -k {FOLDER}/{PRICES}"))?;
    await_field(teller, PRICES, "dryRun.result")?;
    teller.show("kubectl -n demo get dm")?;
    teller.show(&format!("kubectl -n demo describe dm {PRICES}"))?;
    let after = teller.read(&format!("{CARS} digest"))?;
    teller.expect("the table is byte for byte as before", &before, &after);
    expect_field(teller, PRICES, "phase", "DryRunOK")?;
    expect_field(teller, PRICES, "dryRun.effects.tables[0].wouldUpdate", COUNT)?;
    expect_field(teller, PRICES, "dryRun.effects.writeCallsThatReachedTheDatabase", "0")?;
    Ok(before)
}

fn promote(teller: &mut Teller, before: &str) -> Result<()> {
    print_chapter("It is promoted: one line changes");
    let patch = "--type merge --patch '{\"spec\": {\"dryRun\": false}}'";
    teller.show(&format!("kubectl -n demo patch dm {PRICES} {patch}"))?;
    await_field(teller, PRICES, "applied.result")?;
    teller.show("kubectl -n demo get dm -o wide")?;
    teller.show(&format!("kubectl -n demo describe dm {PRICES}"))?;
    teller.show(&format!("{CARS} show {CAR}"))?;
    let after = teller.read(&format!("{CARS} digest"))?;
    teller.expect_not("the table has changed", before, &after);
    let priced = teller.read(&format!("{CARS} count price"))?;
    teller.expect("every car has a price", COUNT, &priced);
    expect_field(teller, PRICES, "phase", "Applied")?;
    expect_field(teller, PRICES, "applied.effects.tables[0].updated", COUNT)?;
    let times = "{.status.executionTime} {.status.finalizationTime}";
    let times = teller.read(&format!("kubectl -n demo get dm {PRICES} -o jsonpath='{times}'"))?;
    teller.expect("its two times are kept", "2", &times.split_whitespace().count().to_string());
    Ok(())
}

fn fail(teller: &mut Teller) -> Result<()> {
    print_chapter("A migration that fails, and what its author sees");
    teller.show(&format!("kubectl apply -k {FOLDER}/{FAILING}"))?;
    await_field(teller, FAILING, "applied.result")?;
    teller.show("kubectl -n demo get dm -o wide")?;
    teller.show(&format!("kubectl -n demo describe dm {FAILING}"))?;
    expect_field(teller, FAILING, "phase", "Failed")?;
    expect_field(teller, FAILING, "failure.reason", "ProgramFailed")?;
    expect_field(teller, FAILING, "failure.exitCode", "3")?;
    let lines = "jsonpath='{.status.failure.lastLines}'";
    let lines = teller.read(&format!("kubectl -n demo get dm {FAILING} -o {lines}"))?;
    let seen = if lines.contains("KeyError: 'model' (subaru-") { "there" } else { "missing" };
    teller.expect("the program's last lines are in status", "there", seen);
    let split = teller.read(&format!("{CARS} count model"))?;
    teller.expect("as many names were split as the status says", "155", &split);
    expect_field(teller, FAILING, "applied.effects.tables[0].updated", "155")
}

/// Waits until a field of the status is there, whatever it says.
fn await_field(teller: &mut Teller, name: &str, field: &str) -> Result<()> {
    let wait = format!(
        "kubectl -n demo wait dm {name} --for=jsonpath='{{.status.{field}}}' --timeout={RUN_MAX}"
    );
    teller.show(&wait).inspect_err(|_| {
        let looks = [
            format!("kubectl -n demo describe dm {name}"),
            "kubectl -n demo describe jobs,pods".to_owned(),
            "kubectl -n datamigration-system logs deployment/datamigration --tail 30".to_owned(),
        ];
        for look in looks {
            // What cannot be shown does not matter beside the error that is on its way.
            let _ = teller.show(&look);
        }
    })
}

fn expect_field(teller: &mut Teller, name: &str, field: &str, wanted: &str) -> Result<()> {
    let path = format!("jsonpath='{{.status.{field}}}'");
    let found = teller.ask(&format!("kubectl -n demo get dm {name} -o {path}"))?;
    teller.expect(&format!("status.{field} is {wanted}"), wanted, &found);
    Ok(())
}
