//! `cargo xtask test`: the checks that CI runs, in order, each timed; the first that fails ends the
//! run. What the tests print goes straight to the terminal, so that a log shows how many ran.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::dist::install;
use crate::generate;
use dm_testbed::checkout::Checkout;
use dm_testbed::cluster;
use dm_testbed::command::{capture, command, run as run_quietly, show, succeeds};
use dm_testbed::console::{say, seconds};
use dm_testbed::parts::{cached, clients, dynamodb, golang};

/// The version of cargo-deny that deny.toml is written for.
const DENY_VERSION: &str = "0.20.2";

/// How many tests use the cluster at the same time. They wait more than they work, also with two
/// cores; more of them would only make each other's pods late.
const CLUSTER_TESTS_AT_ONCE: &str = "6";

/// Which stages run, and what stays afterwards.
#[derive(Args)]
pub struct Options {
    /// Only these stages; all of them when none is named.
    stages: Vec<Stage>,
    /// Leave the cluster up after the cluster tests.
    #[arg(long)]
    keep: bool,
}

/// One check. The order here is the order in which they run: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// The code is formatted.
    Fmt,
    /// No lint complains.
    Clippy,
    /// The tests inside the packages.
    Unit,
    /// Golden files, and the rules of the source tree.
    Contract,
    /// What is generated is what is committed.
    Generated,
    /// Dependencies: who may use what, their licenses and their sources.
    Deny,
    /// The chart lints and renders.
    Chart,
    /// The tests that need DynamoDB Local.
    Dynamodb,
    /// The tests that need a cluster.
    Cluster,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn run(self, checkout: &Checkout, keep: bool) -> Result<()> {
        match self {
            Stage::Fmt => cargo(checkout, &["fmt", "--all", "--check"]),
            Stage::Clippy => cargo(
                checkout,
                &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
            ),
            Stage::Unit => unit(checkout),
            Stage::Contract => tests(checkout, "contract", &[]),
            Stage::Generated => generate::check(checkout),
            Stage::Deny => deny(checkout),
            Stage::Chart => chart(checkout),
            Stage::Dynamodb => dynamodb_tests(checkout),
            Stage::Cluster => cluster_tests(checkout, keep),
        }
    }
}

/// Runs the stages and prints how long each took.
pub fn run(checkout: &Checkout, options: &Options) -> Result<()> {
    let stages: Vec<Stage> = Stage::value_variants()
        .iter()
        .copied()
        .filter(|stage| options.stages.is_empty() || options.stages.contains(stage))
        .collect();
    let mut times: Vec<(Stage, Duration)> = Vec::new();
    for (done, stage) in stages.iter().enumerate() {
        say(&format!("== {} ({} of {})", stage.name(), done + 1, stages.len()));
        let begun = Instant::now();
        let outcome = stage.run(checkout, options.keep);
        times.push((*stage, begun.elapsed()));
        if let Err(error) = outcome {
            print_times(&times, Some(*stage));
            return Err(error.context(format!(
                "the stage {name} failed; to run it alone: cargo xtask test {name}",
                name = stage.name()
            )));
        }
    }
    print_times(&times, None);
    Ok(())
}

fn print_times(times: &[(Stage, Duration)], failed: Option<Stage>) {
    say("");
    for (stage, time) in times {
        let verdict = if failed == Some(*stage) { "FAILED" } else { "ok" };
        say(&format!("{:<10} {verdict:<7} {:>12}", stage.name(), seconds(*time)));
    }
    let total = times.iter().map(|(_, time)| *time).sum();
    say(&format!("{:<10} {:<7} {:>12}", "total", "", seconds(total)));
}

fn cargo(checkout: &Checkout, arguments: &[&str]) -> Result<()> {
    show(
        command("cargo", arguments).current_dir(&checkout.root),
        &format!("cargo {}", arguments.join(" ")),
    )
}

/// Everything but the package of tests. All packages are selected, here as in every stage: a choice
/// of its own would have most dependencies built once more, with other features.
fn unit(checkout: &Checkout) -> Result<()> {
    let mut arguments = vec!["test", "--quiet", "--workspace", "--no-fail-fast", "--lib", "--bins"];
    let names = integration_tests(&checkout.root.join("src"))?;
    for name in &names {
        arguments.extend(["--test", name]);
    }
    cargo(checkout, &arguments)?;
    cargo(checkout, &["test", "--quiet", "--workspace", "--doc"])
}

/// The test binaries below the folders of packages: files and folders of their `tests`.
fn integration_tests(packages: &Path) -> Result<Vec<String>> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let list =
            std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        list.map(|entry| Ok(entry?.path())).collect()
    };
    let mut names = Vec::new();
    for package in entries(packages)? {
        let folder = package.join("tests");
        for path in if folder.is_dir() { entries(&folder)? } else { Vec::new() } {
            let is_test = path.join("main.rs").is_file()
                || path.extension().is_some_and(|suffix| suffix == "rs");
            if is_test {
                names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// One test binary of the package of tests. A binary in which no test ran has failed.
fn tests(checkout: &Checkout, name: &str, environment: &[(String, String)]) -> Result<()> {
    let mut list = test(checkout, name, environment, &["--", "--list"]);
    let listed = capture(&mut list, &format!("building the {name} tests"))?;
    if !listed.lines().any(|line| line.ends_with(": test")) {
        bail!("there is not one {name} test");
    }
    show(&mut test(checkout, name, environment, &[]), &format!("the {name} tests"))
}

fn test(
    checkout: &Checkout,
    name: &str,
    environment: &[(String, String)],
    arguments: &[&str],
) -> Command {
    let mut test = command("cargo", ["test", "--quiet", "--workspace", "--test", name]);
    test.args(arguments).current_dir(&checkout.root).envs(environment.iter().cloned());
    test
}

fn deny(checkout: &Checkout) -> Result<()> {
    let cargo_deny = cargo_deny(checkout)?;
    let mut checks = vec!["bans", "licenses", "sources"];
    // The database of advisories is a Git repository, which not every machine can reach.
    let mut fetch = deny_command(checkout, &cargo_deny, &["fetch", "db"]);
    if succeeds(&mut fetch) {
        checks.push("advisories");
    } else {
        say("  advisories are not checked: their database cannot be fetched here");
    }
    let mut arguments = vec!["check", "--hide-inclusion-graph"];
    arguments.extend(checks);
    show(&mut deny_command(checkout, &cargo_deny, &arguments), "checking the dependencies")
}

fn deny_command(checkout: &Checkout, cargo_deny: &Path, arguments: &[&str]) -> Command {
    let mut deny = command(cargo_deny, ["--log-level", "error", "--workspace", "--all-features"]);
    deny.args(arguments).current_dir(&checkout.root);
    deny
}

fn cargo_deny(checkout: &Checkout) -> Result<PathBuf> {
    let place = cached(&checkout.cache, "cargo", "cargo-deny", DENY_VERSION, |place| {
        dm_testbed::console::step(&format!("building cargo-deny {DENY_VERSION}"), || {
            run_quietly(
                command("cargo", ["install", "--quiet", "--locked", "cargo-deny"])
                    .args(["--version", DENY_VERSION, "--no-default-features", "--root"])
                    .arg(place)
                    .current_dir(place),
                "building cargo-deny",
            )
        })
    })?;
    Ok(place.join("bin/cargo-deny"))
}

fn chart(checkout: &Checkout) -> Result<()> {
    let helm = golang::helm(checkout)?;
    let chart = checkout.chart();
    show(command(&helm, ["lint", "--strict"]).arg(&chart), "linting the chart")?;
    let home = checkout.target().join("helm");
    let objects = install::check(install::Helm { program: &helm, chart: &chart, home: &home })?;
    say(&format!("  install.yaml has {objects} objects, all that the chart renders"));
    Ok(())
}

fn dynamodb_tests(checkout: &Checkout) -> Result<()> {
    let clients = clients::all(checkout)?;
    dynamodb::during(checkout, |endpoint| {
        let variables = [
            ("DYNAMODB_ENDPOINT".to_owned(), endpoint.to_owned()),
            (clients::CLIENTS_VARIABLE.to_owned(), clients.display().to_string()),
        ];
        tests(checkout, "dynamodb", &variables)
    })
}

fn cluster_tests(checkout: &Checkout, keep: bool) -> Result<()> {
    cluster::up(checkout, &cluster::Options::default())?;
    let mut variables = cluster::variables(checkout)?;
    variables.push(("RUST_TEST_THREADS".to_owned(), CLUSTER_TESTS_AT_ONCE.to_owned()));
    // Some take the operator away from all others, so they run one at a time, at the end.
    let outcome = tests(checkout, "cluster", &variables).and_then(|()| {
        let mut alone = test(checkout, "cluster", &variables, &["--", "--ignored"]);
        show(alone.env("RUST_TEST_THREADS", "1"), "the cluster tests")
    });
    if keep {
        return outcome;
    }
    let down = cluster::down(checkout);
    outcome.and(down.context("stopping the cluster after its tests"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_packages_are_found_by_their_names() {
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let found = integration_tests(&packages).unwrap_or_default();
        for name in ["entry", "scripted", "wire_types"] {
            assert!(found.iter().any(|found| found == name), "{name}: {found:?}");
        }
        assert!(!found.iter().any(|name| name == "golden"), "a folder of files is no test");
    }
}
