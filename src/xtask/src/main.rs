//! `cargo xtask`: the project's tasks. Each is a module; this file only knows their flags.

mod bench;
mod chart_readme;
mod demo;
mod dist;
mod generate;
mod page;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use dm_testbed::checkout::Checkout;
use dm_testbed::{cluster, command, parts};

/// The project's tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Flags {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// A cluster to test against, with DynamoDB Local and the operator.
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Generate the custom resource definitions and the chart's README.
    Gen {
        /// Write nothing, and fail where a committed file differs.
        #[arg(long)]
        check: bool,
    },
    /// Run the checks that CI runs, or only the stages named.
    Test(test::Options),
    /// Measure, and print what was measured.
    Bench {
        /// What is measured.
        subject: bench::Subject,
    },
    /// Start a DynamoDB Local, run a command with its address in DYNAMODB_ENDPOINT, and stop it.
    Dynamodb {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Open the HTML page of reports in Chromium, and leave screenshots.
    Page {
        /// Make the README's picture again, and nothing else.
        #[arg(long)]
        record: bool,
    },
    /// Build every file of a release: programs, image, chart, install.yaml, bill of materials,
    /// checksums.
    Dist(dist::Options),
    /// Show the worked examples: first without a cluster, then on one.
    Demo {
        /// Leave the cluster up.
        #[arg(long)]
        keep: bool,
        /// Show instead what becomes of an applied migration when the whole cluster is lost: a new
        /// one with the same archive knows of it, and does not run it.
        #[arg(long)]
        rebuild: bool,
        /// Show only what needs no cluster.
        #[arg(long, conflicts_with_all = ["keep", "rebuild", "cluster"])]
        laptop: bool,
        /// Show only what needs a cluster.
        #[arg(long)]
        cluster: bool,
        /// Make the README's recording again.
        #[arg(long, conflicts_with_all = ["cluster", "rebuild"])]
        record: bool,
    },
}

fn main() -> ExitCode {
    match run(&Flags::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    let checkout = Checkout::locate()?;
    match task {
        Task::Cluster(verb) => cluster::run(&checkout, verb),
        Task::Gen { check: true } => generate::check(&checkout),
        Task::Gen { check: false } => generate::run_all(&checkout),
        Task::Dist(options) => dist::run(&checkout, options),
        Task::Test(options) => test::run(&checkout, options),
        Task::Dynamodb { command: words } => parts::dynamodb::during(&checkout, |endpoint| {
            command::show(
                command::command(&words[0], &words[1..]).env("DYNAMODB_ENDPOINT", endpoint),
                "running the command with DynamoDB Local",
            )
        }),
        Task::Bench { subject } => bench::run(&checkout, *subject),
        Task::Page { record: false } => page::run(&checkout),
        Task::Page { record: true } => page::record(&checkout),
        Task::Demo { keep, rebuild, laptop, cluster, record } => {
            if !rebuild && !cluster {
                let background = if *laptop { None } else { demo::Background::start(&checkout)? };
                let record = if *record { demo::Record::Yes } else { demo::Record::No };
                demo::on_laptop(&checkout, record)?;
                background.map_or(Ok(()), demo::Background::wait)?;
            }
            if *laptop {
                return Ok(());
            }
            let story = if *rebuild { demo::Story::Rebuild } else { demo::Story::Whole };
            demo::run(&checkout, *keep, story)
        }
    }
}
