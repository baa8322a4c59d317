//! Why a restore did not come to its end.

use dm_contract::identity::Difference;

use crate::archive::ledger::LedgerError;
use crate::archive::{ArchiveError, LayoutError};
use crate::fault::Fault;
use crate::journal::ReadError;
use crate::upstream::UpstreamError;

/// Why a run could not be restored, or not completely. What was restored stays restored, and a
/// restore that is started again continues.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The plan names no archive.
    #[error("the plan of a restore must name an archive")]
    NoArchive,
    /// A run cannot restore itself.
    #[error("a restore is a separate run: it cannot have the number of the run that it restores")]
    SameRun,
    #[error("preparing the connection to the database")]
    Upstream(#[from] UpstreamError),
    #[error("opening the archive")]
    Archive(#[from] ArchiveError),
    #[error("naming the run in the archive")]
    Name(#[from] LayoutError),
    /// The journal of the run that is restored.
    #[error("reading the journal")]
    Journal(#[from] ReadError),
    #[error("keeping the ledger")]
    Ledger(#[from] LedgerError),
    /// Files that hold the journal in parts.
    #[error("sorting the journal by keys")]
    Sorting(#[source] std::io::Error),
    /// The file with the conflicts.
    #[error(
        "keeping the list of conflicts: free some space for temporary files, and restore again"
    )]
    Conflicts(#[source] std::io::Error),
    /// The database could not be asked which one it is.
    #[error("identifying the database")]
    Identify(#[source] Fault),
    /// The run was of another database, or of a table that was replaced.
    #[error("run {run} cannot be restored here, and nothing was written: {}", .difference.what)]
    Differs { run: String, difference: Difference },
    /// The policy does not allow a table of the run.
    #[error(
        "run {run} wrote table {table}, which {setting} does not allow, so nothing was restored. \
         Allow all tables of the run, and restore it again"
    )]
    NotAllowed { run: String, table: String, setting: &'static str },
    /// The run has not ended.
    #[error(
        "run {run} is still writing (since {since}), so nothing was restored. Wait for its end or \
         stop it, then restore it"
    )]
    Writing {
        run: String,
        /// Since when its process has the lock.
        since: String,
    },
    #[error("keeping run {run} from writing during the restore: {fault}")]
    Exclude { run: String, fault: Fault },
    /// It was asked to stop.
    #[error("the restore was interrupted. Start it again: it resumes")]
    Interrupted,
    /// Its own journal is not in the archive any more.
    #[error(
        "all items were restored, but the restore is not recorded as completed and cannot itself \
         be restored. {0}"
    )]
    OwnJournal(String),
    /// The ledger or the archive did not let it begin.
    #[error("beginning the restore (nothing was written): {0}")]
    Begin(Fault),
    /// The database refused, or the restore's own journal could not be written.
    #[error("restoring an item of table {table}: {}", .fault)]
    Write { table: String, fault: Fault },
}
