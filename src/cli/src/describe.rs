//! `kubectl datamigration describe`: the whole story of one migration on a screen.

use std::io;

use clap::Args;
use jiff::Timestamp;

use crate::cluster::{self, Cluster, ClusterError};
use crate::{print, story};

/// Flags of `describe`.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    /// The migration
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Standard output.
    #[error("writing the description")]
    Write(#[from] io::Error),
}

/// Prints the story.
pub async fn describe(flags: Flags) -> Result<u8, DescribeError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let migration = cluster.migration(&flags.name).await?;
    let target = cluster.target(&migration.spec.target.name).await;
    print::answer(&story::text(&migration, target.as_ref(), Timestamp::now()))?;
    Ok(0)
}
