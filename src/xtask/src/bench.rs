//! `cargo xtask bench`: measures and prints; judges nothing, so it is no part of the tests.

use anyhow::Result;
use clap::ValueEnum;

use dm_testbed::checkout::Checkout;
use dm_testbed::cluster;
use dm_testbed::command::{command, show};
use dm_testbed::parts::dynamodb;

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Subject {
    /// The operator before a scripted API server: requests of 50 migrations in 10 chains, by verb
    /// and kind.
    Requests,
    /// The operator on a cluster: memory with 500 finished migrations, time from apply to Job.
    Operator,
    /// A dry run of a million changed items before a mock of DynamoDB: memory, time, disk.
    Overlay,
    /// The guard before a mock of DynamoDB: CPU per request, added latency, a boto3 script.
    Guard,
    /// A restore: items a second and memory, for a journal of a million entries.
    Restore,
    /// Transforms before a mock of DynamoDB, beside programs with AWS's SDKs: CPU per item, memory,
    /// throttles.
    Transform,
    /// The journal: a boto3 script direct and through the guard, the archive on S3 with slow puts.
    Journal,
}

/// Measures one subject. A cluster stays up: it was there before, or is wanted again at once.
pub fn run(checkout: &Checkout, subject: Subject) -> Result<()> {
    match subject {
        Subject::Operator => {
            cluster::up(checkout, &cluster::Options::default())?;
            let variables = cluster::variables(checkout)?;
            // The measuring client is not what is measured: its profile is the tests'.
            let arguments =
                ["bench", "--quiet", "--profile", "dev", "-p", "dm-tests", "--bench", "operator"];
            show(
                command("cargo", arguments).current_dir(&checkout.root).envs(variables),
                "measuring the operator",
            )
        }
        Subject::Requests => {
            let name = "requests::fifty_migrations_in_ten_chains";
            let build = ["test", "--quiet", "-p", "dm-operator", "--test", "scripted"];
            show(
                command("cargo", build)
                    .args(["--", "--ignored", "--nocapture", "--exact", name])
                    .current_dir(&checkout.root),
                "counting the operator's requests",
            )
        }
        Subject::Overlay => show(
            command("cargo", ["bench", "--quiet", "-p", "dm-guard", "--bench", "overlay"])
                .current_dir(&checkout.root),
            "measuring a dry run",
        ),
        Subject::Guard => show(
            command("cargo", ["bench", "--quiet", "-p", "dm-guard", "--bench", "guard"])
                .current_dir(&checkout.root),
            "measuring the guard",
        ),
        Subject::Restore => show(
            command("cargo", ["bench", "--quiet", "-p", "dm-engine", "--bench", "restore"])
                .current_dir(&checkout.root),
            "measuring a restore",
        ),
        Subject::Transform => show(
            command("cargo", ["bench", "--quiet", "-p", "dm-runner", "--bench", "transform"])
                .current_dir(&checkout.root),
            "measuring transforms",
        ),
        Subject::Journal => {
            let build = ["build", "--quiet", "--release", "-p", "dm-guard"];
            show(
                command("cargo", build).current_dir(&checkout.root),
                "building the guard as it is shipped",
            )?;
            let guard = checkout.target().join("release/datamigration-guard");
            let arguments =
                ["bench", "--quiet", "--profile", "dev", "-p", "dm-tests", "--bench", "journal"];
            dynamodb::during(checkout, |endpoint| {
                show(
                    command("cargo", arguments)
                        .current_dir(&checkout.root)
                        .env("DYNAMODB_ENDPOINT", endpoint)
                        .env("DATAMIGRATION_GUARD", &guard),
                    "measuring the journal",
                )
            })
        }
    }
}
