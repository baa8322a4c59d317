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

use crate::child;

/// As the guard has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the migration, with a journal in this folder if one is named.
#[tokio::main]
pub async fn run(url: &str, archive: Option<&str>) -> Result<()> {
    let credentials = Credentials::new("bench", "bench", None, None, "bench");
    let credentials = CredentialSource::new(SharedCredentialsProvider::new(credentials));
    let plan = plan(url, archive);
    let begun = Instant::now();
    let archive = Archive::of_plan(&plan).await?;
    let options = EngineOptions { archive, ..EngineOptions::new(credentials) };
    let engine = Arc::new(Engine::open(&plan, options)?);
    let checkpoints = engine.archive().and_then(|archive| Checkpoints::of(&plan, archive));
    let settings = Settings {
        on_item_error: OnItemError::Stop,
        show_keys: false,
        now_s: 1_800_000_000,
        part: None,
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

fn plan(url: &str, archive: Option<&str>) -> Plan {
    Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "bench".into(), uid: "u".into(), number: 1 },
        mode: Mode::Apply,
        upstream: Upstream { region: "eu-west-1".into(), endpoint: Some(url.to_owned()) },
        policy: Policy::default(),
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        archive: archive.map(|folder| ArchivePlan {
            url: format!("file://{folder}"),
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
