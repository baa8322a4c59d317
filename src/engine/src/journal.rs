//! The journal of an applied run: before an item changes, its image and what the write leaves of it
//! are durable in the archive, and the write is sent so that it can only change that image.
//!
//! Stands between policy and the sending of writes. Reads pass it by. A write is never sent without
//! its entry: where the archive does not take entries, writes wait and are then refused. A crash
//! may leave an entry without its write, never a write without its entry.

mod ahead;
mod batch;
mod begin;
mod consumed;
mod control;
mod done;
mod earlier;
mod effects;
mod evidence;
mod foreseen;
pub mod frame;
pub(crate) mod images;
mod locks;
pub(crate) mod prepared;
mod read;
mod read_error;
mod recovered;
mod repeated;
mod series;
mod single;
mod statement;
mod together;
mod tokens;
mod transaction;
mod unverified;
mod writer;

use std::future::{Future as _, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use dm_contract::part::Part;
use dm_contract::plan::{JournalMode, Plan, RunId};
use dm_contract::report::JournalResult;
use dm_contract::verdict::LockHolder;
use dm_dynamodb::request::{Request, StatementRequest};
use tokio::sync::OnceCell;

use crate::archive::ledger::{Kind, LedgerError};
use crate::archive::locks::{LockTimes, Moment, Owner, TableLocks};
use crate::archive::{Archive, ArchiveError, LayoutError, RunName};
use crate::call::Call;
use crate::fault::Fault;
use crate::journal::ahead::{Ahead, Reading};
use crate::journal::begin::Beginning;
use crate::journal::earlier::{Earlier, InDoubt};
use crate::journal::effects::JournaledEffects;
use crate::journal::foreseen::Followers;
use crate::journal::images::Images;
use crate::journal::locks::KeyLocks;
use crate::journal::recovered::Recovered;
use crate::journal::tokens::Tokens;
use crate::layers::apply::Apply;
use crate::layers::tally::Tally;
use crate::operation::{Class, Operation};
use crate::upstream::ReadOnly;

pub use crate::journal::begin::{GaveWay, lock_name, presence_locks};
pub use crate::journal::read::{JournalReader, JournalSummary};
pub use crate::journal::read_error::ReadError;
pub use crate::journal::single::Known;
pub use crate::journal::writer::{Draft, JournalCounts, Settlement, Writer};

/// Why a journal cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("opening the journal")]
    Archive(#[from] ArchiveError),
    #[error("naming the run in the archive")]
    Name(#[from] LayoutError),
    #[error("opening the journal")]
    Ledger(#[from] LedgerError),
}

/// Which run a journal is of.
#[derive(Clone, Debug)]
pub struct JournaledRun {
    /// Its name in the archive.
    pub name: RunName,
    /// The part of it that this process does; absent where that is the whole run.
    pub part: Option<Part>,
    /// Whose run it is.
    pub id: RunId,
    pub kind: Kind,
    /// What its journal promises.
    pub mode: JournalMode,
    pub plan: Box<Plan>,
}

impl JournaledRun {
    fn owner(&self, holder: String) -> Owner {
        let RunId { namespace, name, uid, .. } = self.id.clone();
        Owner { run: self.name.to_string(), namespace, name, uid, holder }
    }

    /// The run of a plan, if it names an archive.
    pub fn of_plan(plan: &Plan) -> Result<Option<Self>, LayoutError> {
        let Some(archive) = &plan.archive else { return Ok(None) };
        let name = RunName::new(&archive.migration, plan.run.number)?;
        let kind = plan.restore.map_or(Kind::Apply, |restore| Kind::Restore(restore.run));
        let (id, mode) = (plan.run.clone(), plan.policy.journal);
        let plan = Box::new(plan.clone());
        Ok(Some(Self { name, part: None, id, kind, mode, plan }))
    }

    /// The same run, of which this process does one part.
    #[must_use]
    pub fn in_part(self, part: Option<Part>) -> Self {
        Self { part, ..self }
    }

    /// Returns the name under which this process writes: that of its part.
    pub fn own_name(&self) -> RunName {
        self.part.map_or_else(|| self.name.clone(), |part| self.name.in_part(part))
    }
}

#[derive(Debug)]
pub struct Journal {
    archive: Archive,
    run: JournaledRun,
    writer: OnceCell<Writer>,
    beginning: Beginning,
    apply: Apply,
    images: Arc<Images>,
    ahead: Arc<Ahead>,
    followers: Followers,
    locks: KeyLocks,
    tables: TableLocks,
    tokens: Tokens,
    recovered: OnceCell<Recovered>,
    earlier: OnceCell<Earlier>,
    in_doubt: InDoubt,
    effects: JournaledEffects,
    lost: AtomicBool,
}

/// Problem of a journal that was written and is not in the archive any more.
const LOST: &str = "The run's journal is missing from the archive: segments that were written \
     during the run are not there. The run cannot be restored without them.";

/// How one process keeps a journal.
#[derive(Debug, Default)]
pub struct JournalOptions {
    /// The guard's name, which a restart keeps; `None`: a new one.
    pub holder: Option<String>,
    pub lock_times: LockTimes,
    /// Where what does not fit in memory is kept; `None`: the system's folder of temporary files.
    pub folder: Option<PathBuf>,
}

impl Journal {
    /// Over the layer that sends. Nothing is asked of the archive before the first write.
    pub fn new(
        archive: Archive,
        run: JournaledRun,
        apply: Apply,
        reader: ReadOnly,
        tally: Arc<Tally>,
        options: JournalOptions,
    ) -> Self {
        let JournalOptions { holder, lock_times, folder } = options;
        let owner = run.owner(holder.unwrap_or_else(crate::fresh_name::fresh_name));
        let tables = TableLocks::of_part(archive.clone(), owner, run.part, lock_times);
        let images = Arc::new(Images::new(reader, tally));
        Self {
            archive,
            run,
            tables,
            writer: OnceCell::new(),
            beginning: Beginning::default(),
            apply,
            ahead: Arc::new(Ahead::new(Arc::clone(&images))),
            followers: Followers::default(),
            images,
            locks: KeyLocks::default(),
            tokens: Tokens::default(),
            recovered: OnceCell::new(),
            earlier: OnceCell::new(),
            in_doubt: InDoubt::default(),
            effects: folder.map_or_else(JournaledEffects::default, JournaledEffects::in_folder),
            lost: AtomicBool::new(false),
        }
    }

    /// What the run has changed so far.
    pub fn effects(&self) -> &JournaledEffects {
        &self.effects
    }

    /// Who has the table that was waited for last.
    pub fn lock_holder(&self) -> Option<LockHolder> {
        self.tables.holder()
    }

    /// What went wrong with the tables' locks.
    pub fn lock_problem(&self) -> Option<String> {
        self.tables.problem()
    }

    /// Whose journal it is.
    pub fn run(&self) -> &RunName {
        &self.run.name
    }

    /// Reads items for it.
    pub(crate) fn images(&self) -> &Images {
        &self.images
    }

    /// Begins the run in the ledger, if it is not begun.
    pub(crate) async fn begun(&self) -> Result<(), Fault> {
        self.writer().await.map(|_| ())
    }

    pub fn apply(&self) -> &Apply {
        &self.apply
    }

    pub async fn handle(&self, mut call: Call) -> Result<Bytes, Fault> {
        match call.operation.class() {
            Class::DataWrite => {}
            Class::ControlPlaneWrite => return Box::pin(self.change_tables(call)).await,
            Class::DataRead => {
                // Who is patient gives the items that it has read with its writes.
                let whole = (!call.is_patient()).then(|| call.outline().whole_items()).flatten();
                let reading = whole.map(Reading::of);
                let answer = self.apply.handle(&call).await?;
                if let Some(reading) = reading {
                    self.ahead.pass(reading, &answer);
                }
                return Ok(answer);
            }
            Class::MetadataRead | Class::AlwaysDenied => return self.apply.handle(&call).await,
        }
        if call.request().is_ok_and(Self::only_reads) {
            return self.apply.handle(&call).await;
        }
        let (operation, read) = (call.operation, call.read.take());
        let (body, request) = call.into_decoded();
        let request = request?;
        if request.statements().iter().any(StatementRequest::is_unknown) {
            self.apply.tally().unknown_statements(operation);
        }
        match request {
            Request::Write(write) => {
                let known = read.map_or(Known::Nothing, |read| Known::Earlier(read.item));
                self.write_one(write, body, known).await
            }
            Request::BatchWrite(batch) if self.run.mode == JournalMode::Cheap => {
                Box::pin(self.write_batch_unverified(batch, body)).await
            }
            Request::BatchWrite(batch) => self.write_batch(batch, &body).await,
            Request::TransactWrite(transaction) => self.write_transaction(transaction, &body).await,
            Request::Execute(execute) => self.execute_statement(execute, &body).await,
            Request::ExecuteBatch(batch) => self.execute_batch(batch, &body).await,
            Request::ExecuteTransaction(transaction) => {
                self.execute_transaction(transaction, &body).await
            }
            // A writing operation that is not known here cannot be journaled. No read comes here.
            Request::Get(_)
            | Request::BatchGet(_)
            | Request::TransactGet(_)
            | Request::Page(_)
            | Request::Control(_)
            | Request::List(_)
            | Request::Other => Err(not_journaled(operation)),
        }
    }

    /// The writer, after the ledger says that this run may write.
    async fn writer(&self) -> Result<&Writer, Fault> {
        self.writer.get_or_try_init(|| Box::pin(self.begin(None))).await
    }

    /// Makes what is known of the last writes durable, writes down what the journal holds, and
    /// gives the tables' locks back.
    pub async fn close(&self) -> bool {
        let closed = self.close_writer().await;
        self.tables.release().await;
        closed
    }

    async fn close_writer(&self) -> bool {
        let Some(writer) = self.writer.get() else { return true };
        self.ahead.close();
        self.followers.end().await;
        let all = writer.close().await;
        if self.is_gone(writer).await {
            self.lost.store(true, Ordering::Relaxed);
            return false;
        }
        let counts = serde_json::json!(writer.counts()).to_string() + "\n";
        let closed = self.run.own_name().closed();
        let noted = tokio::time::timeout(
            crate::limits::JOURNAL_CLOSE_MAX,
            self.archive.replace(&closed, Bytes::from(counts)),
        );
        all && matches!(noted.await, Ok(Ok(())))
    }

    /// Whether the first or the last segment of this guard is not in the archive any more. Names
    /// decide, because a listing may be late.
    async fn is_gone(&self, writer: &Writer) -> bool {
        let counts = writer.counts();
        if counts.segments == 0 {
            return false;
        }
        let own = self.run.own_name();
        let missing = async |segment| {
            let there = self.archive.exists(&own.segment(segment)).await;
            matches!(there, Ok(false))
        };
        let look = async { missing(writer.earlier() + 1).await || missing(counts.last).await };
        tokio::time::timeout(crate::limits::JOURNAL_CLOSE_MAX, look).await.unwrap_or(false)
    }

    /// What was found wrong with the journal when it was closed.
    pub fn problem(&self) -> Option<String> {
        self.lost.load(Ordering::Relaxed).then(|| LOST.to_owned())
    }

    /// What was journaled so far, for a result.
    pub fn result(&self) -> JournalResult {
        let counts = self.counts();
        let earlier = self.earlier.get().copied().unwrap_or_default();
        JournalResult {
            run: self.run.name.to_string(),
            entries: earlier.entries + counts.entries,
            segments: earlier.segments + counts.segments,
            bytes: earlier.bytes + counts.bytes,
            ahead: self.ahead.used(),
            read_units: self.images.read_units(),
            problem: self.problem(),
        }
    }

    /// What was journaled so far.
    pub fn counts(&self) -> JournalCounts {
        self.writer.get().map(Writer::counts).unwrap_or_default()
    }

    /// Sends a request of ours to the layer below, while the tables' locks last.
    async fn send(&self, call: &Call) -> Result<Bytes, Fault> {
        let _sending = self.tables.sending();
        let until = self.tables.until()?;
        let mut sent = pin!(self.apply.handle(call));
        // After a suspension of the machine it would be sent before the timer is looked at.
        let sent = poll_fn(|context| match until {
            Some(until) if until <= Moment::now() => Poll::Ready(Err(ran_out())),
            Some(_) | None => sent.as_mut().poll(context),
        });
        let comes = async {
            match until {
                Some(until) => until.comes().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = sent => answer,
            () = comes => Err(ran_out()),
            () = self.tables.ended() => {
                Err(Fault::Unavailable("the run ended before it answered".into()))
            }
        }
    }
}

fn ran_out() -> Fault {
    Fault::Unavailable("the table's lock ran out before it answered".into())
}

fn not_journaled(operation: Operation) -> Fault {
    Fault::refused(
        format!(
            "The guard cannot journal {}, and sends no write without an entry.",
            operation.name()
        ),
        "it cannot be journaled",
    )
}
