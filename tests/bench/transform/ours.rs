//! The runner of transforms, over the engine that a guard has.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use dm_contract::plan::{
    ArchivePlan, Mode, PLAN_VERSION, Plan, Policy, RateLimits, RunId, Upstream,
};
use dm_contract::report::TransformEnd;
use dm_engine::archive::Archive;
use dm_engine::upstream::CredentialSource;
use dm_engine::{Engine, EngineOptions};
use dm_runner::{Checkpoints, Settings};
use dm_transform::{Files, OnItemError, Source, Transform};
use serde_json::json;
use tokio::sync::watch;

use crate::archive::Slow;
use crate::child;

/// As the guard has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the migration, with or without a journal, in batches where both allow it.
#[tokio::main]
pub async fn run(url: &str, [journaled, batches]: [bool; 2]) -> Result<()> {
    let credentials = Credentials::new("bench", "bench", None, None, "bench");
    let credentials = CredentialSource::new(SharedCredentialsProvider::new(credentials));
    let plan = plan(url, journaled);
    let begun = Instant::now();
    let archive = journaled.then(|| Archive::over(Arc::new(Slow::default())));
    let options = EngineOptions { archive, ..EngineOptions::new(credentials) };
    let engine = Arc::new(Engine::open(&plan, options)?);
    let checkpoints = engine.archive().and_then(|archive| Checkpoints::of(&plan, archive));
    let settings = Settings {
        on_item_error: OnItemError::Stop,
        show_keys: false,
        now_s: 1_800_000_000,
        part: None,
        batches,
        checkpoints,
    };
    let (_asked, stop) = watch::channel(false);
    let result = dm_runner::run(&engine, transform()?, settings, stop).await;
    if !engine.close().await {
        bail!("the journal is not whole");
    }
    let took = begun.elapsed();
    if result.end != TransformEnd::Succeeded {
        bail!("the transform: {result:?}");
    }
    child::done(took)
}

fn transform() -> Result<Transform> {
    let source: Source = serde_json::from_value(json!({
        "table": "cars",
        "filter": "attribute_not_exists(price) AND weight > 1000",
        "set": {
            "price": "round_to(12 * if_not_exists(horsepower, displacement / 2) + weight / 2, 50)",
        },
    }))?;
    Transform::parse(&source, &Files::default()).map_err(|error| anyhow!("{error}"))
}

fn plan(url: &str, journaled: bool) -> Plan {
    Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "bench".into(), uid: "u".into(), number: 1 },
        mode: Mode::Apply,
        upstream: Upstream { region: "eu-west-1".into(), endpoint: Some(url.to_owned()) },
        policy: Policy::default(),
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        // The store that is named here is replaced by a slow one.
        archive: journaled.then(|| ArchivePlan {
            url: "memory://".into(),
            migration: "bench".into(),
            ..ArchivePlan::default()
        }),
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    }
}
