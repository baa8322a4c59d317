//! Flags and wiring of the controller.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use clap::Parser;
use dm_operator::cache::Cache;
use dm_operator::context::Context;
use dm_operator::metrics::Metrics;
use dm_operator::objects::Settings;
use dm_operator::{health, limits, loops};
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::Mutex;

/// Runs data migrations on DynamoDB as Jobs.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Image with the guard and the entry program.
    #[arg(long, env = "DATAMIGRATION_AGENT_IMAGE")]
    agent_image: String,
    /// When that image is pulled: Always, IfNotPresent or Never.
    #[arg(long, env = "DATAMIGRATION_AGENT_PULL_POLICY", default_value = "IfNotPresent")]
    agent_pull_policy: String,
    /// Resources of the guard's and the prepare container, as JSON: {"guard": …, "prepare": …}.
    #[arg(long, env = "DATAMIGRATION_AGENT_RESOURCES", default_value = "{}")]
    agent_resources: String,
    /// Gives each run's pod a NetworkPolicy that lets this namespace, the operator's own, reach its
    /// guard.
    #[arg(long, env = "DATAMIGRATION_NETWORK_POLICY_FROM")]
    network_policy_from: Option<String>,
    /// Namespaces to watch, separated by commas. Default: all.
    #[arg(long, env = "DATAMIGRATION_WATCH_NAMESPACES", default_value = "", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Where /healthz, /readyz and /metrics are answered. Default: every address, of IPv6 and IPv4.
    #[arg(long, env = "DATAMIGRATION_LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,
    /// Name of this instance in events.
    #[arg(long, env = "POD_NAME")]
    instance: Option<String>,
    /// Log as JSON rather than as text.
    #[arg(long, env = "DATAMIGRATION_LOG_JSON")]
    log_json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    start_logging(flags.log_json);
    let client = client().await.context("connecting to the API server")?;
    let reporter =
        Reporter { controller: "datamigration".into(), instance: flags.instance.clone() };
    let settings = Settings {
        agent_image: flags.agent_image.clone(),
        agent_pull_policy: flags.agent_pull_policy.clone(),
        resources: serde_json::from_str(&flags.agent_resources)
            .context("reading --agent-resources")?,
        network_policy_from: flags.network_policy_from.clone(),
    };
    let namespaces: Vec<Option<String>> =
        match flags.watch_namespaces.iter().filter(|name| !name.is_empty()).collect::<Vec<_>>() {
            none if none.is_empty() => vec![None],
            some => some.into_iter().cloned().map(Some).collect(),
        };
    let ready: Vec<Arc<AtomicBool>> = namespaces.iter().map(|_| Arc::default()).collect();
    let (caches, writers): (Vec<_>, Vec<_>) = namespaces
        .iter()
        .map(|_| {
            let (cache, writers) = Cache::new();
            (Arc::new(cache), writers)
        })
        .unzip();
    let metrics = Arc::new(Metrics::of(caches.clone()));
    tokio::spawn(serve_health(flags.listen, ready.clone(), metrics.clone()));
    let parts = namespaces.into_iter().zip(ready).zip(caches.into_iter().zip(writers));
    let loops = parts.map(|((namespace, ready), (cache, writers))| {
        let context = Context {
            cache,
            starting: Mutex::default(),
            recorder: Recorder::new(client.clone(), reporter.clone()),
            client: client.clone(),
            settings: settings.clone(),
            metrics: metrics.clone(),
            created: Arc::default(),
            clock: dm_operator::system_clock,
        };
        async move { loops::run(context, writers, namespace.as_deref(), ready).await }
    });
    tracing::info!(agent_image = settings.agent_image, "watching data migrations");
    futures::future::join_all(loops).await;
    Ok(())
}

async fn client() -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer().await?;
    // By default kube waits for an answer forever.
    config.read_timeout = Some(limits::API_SILENCE_MAX);
    config.reset_reader_on_write = true;
    Ok(kube::Client::try_from(config)?)
}

async fn serve_health(listen: SocketAddr, ready: Vec<Arc<AtomicBool>>, metrics: Arc<Metrics>) {
    if let Err(error) = health::serve(listen, ready, metrics).await {
        tracing::error!(%error, %listen, "the health port cannot be served");
        std::process::exit(1);
    }
}

fn start_logging(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json { logs.json().init() } else { logs.init() }
}
