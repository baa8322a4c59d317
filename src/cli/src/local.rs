//! `datamigration local`: a DynamoDB on this machine, for any SDK, until Ctrl-C.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use dm_engine::{Engine, KeptError};
use dm_guard::{Embedded, StartError};
use tokio::signal::unix::{SignalKind, signal};

use crate::layout::count;
use crate::print::say;
use crate::seed::{self, Seed, SeedError};

/// Port 0 on loopback: a free port that other machines cannot reach.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Flags of `datamigration local`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// Tables and items to begin with: a file, or a folder with a seed.json. A database that has
    /// tables keeps those instead
    #[arg(long, value_name = "FILE|FOLDER")]
    seed: Option<PathBuf>,
    /// Folder that keeps the database; each write is on disk before it is answered [default: none,
    /// the database is deleted at the end]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Address for clients; port 0 selects a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Region in the ARNs of tables. Requests may be signed for any region
    #[arg(long, default_value = REGION)]
    region: String,
}

/// The region of an embedded database, unless another is asked for.
pub const REGION: &str = "us-east-1";

const EXAMPLES: &str = "\
It accepts any credentials: anyone who can reach the address may read and write.

Examples:
  datamigration local --seed migrations/0001-add-price-to-cars
  export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  aws dynamodb scan --table-name cars";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error("starting the database")]
    Start(#[from] StartError),
    #[error("listening for signals")]
    Signals(#[source] std::io::Error),
}

/// Serves until SIGINT or SIGTERM.
pub async fn local(flags: Flags) -> Result<u8, LocalError> {
    // Before anything is served, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(LocalError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(LocalError::Signals)?;
    dm_guard::open_files::raise();
    let engine = Arc::new(Engine::embedded(&flags.region, flags.data.as_deref())?);
    if let Some(folder) = &flags.data
        && seed::discard_unfinished(&engine, folder).await?
    {
        say("an earlier load of a seed was interrupted; its tables are deleted");
    }
    if let Some(path) = &flags.seed {
        load(&engine, path, flags.data.as_deref()).await?;
    }
    let database = Embedded::start(engine, flags.listen).await?;
    let kept = match &flags.data {
        Some(folder) => format!("kept in {}", folder.display()),
        None => "in memory, deleted at the end".to_owned(),
    };
    say(&format!("DynamoDB at http://{}, {kept}; Ctrl-C stops it", database.address));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    database.stop().await;
    Ok(0)
}

/// Loads a seed, unless there are tables.
async fn load(engine: &Arc<Engine>, path: &Path, data: Option<&Path>) -> Result<(), LocalError> {
    let seed = Seed::read(path)?;
    if seed::has_tables(engine).await {
        say(&format!("not seeded from {}: the database has tables", path.display()));
        return Ok(());
    }
    let loaded = match data {
        Some(folder) => seed.load_into(engine, folder).await?,
        None => seed.load(engine).await?,
    };
    let (tables, items) = (count(loaded.tables as u64), count(loaded.items as u64));
    say(&format!("seeded from {}: tables {tables}, items {items}", path.display()));
    Ok(())
}
