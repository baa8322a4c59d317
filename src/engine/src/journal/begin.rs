//! How a run that writes begins: its own entry in the ledger, then the verdict once more, and the
//! ids of the tables it writes. Nothing is sent here but reading calls.
//!
//! The verdict before the program's start may be old by the time of its first write: another
//! cluster with the same archive may have begun, or completed, the same migration. So the run takes
//! the migration's lock, creates its entry, and judges again with the entries that are there then.
//! Of two, one gives way.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use dm_contract::error_chain::chain;
use dm_contract::identity::{Seen, TableIds};
use dm_contract::verdict::{LockHolder, MIGRATION_LOCK, RUN_LOCK, RunOutcome, Verdict};
use dm_dynamodb::schema::TableSchema;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use crate::archive::ledger::{
    self, Begin, Begun, Completed, Kind, LedgerEntry, LedgerError, Question,
};
use crate::archive::locks::{self, LockError, Standing};
use crate::archive::{Archive, RunName};
use crate::fault::Fault;
use crate::identity;
use crate::journal::{Journal, JournaledRun, ReadError, Writer};

/// What is on record of the tables that the run writes, and why it writes none.
#[derive(Debug, Default)]
pub struct Beginning {
    recorded: Mutex<TableIds>,
    /// Held by who puts a table on record.
    gate: AsyncMutex<()>,
    gave_way: OnceLock<GaveWay>,
}

/// Why a run writes nothing.
#[derive(Clone, Debug)]
pub struct GaveWay {
    /// What the ledger says.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub why: String,
}

impl Beginning {
    fn has(&self, table: &str, id: &str) -> bool {
        self.recorded.lock().get(table).is_some_and(|there| there == id)
    }
}

/// The lock of a migration: among those of tables, under a name that no table can have.
pub fn lock_name(migration: &str) -> String {
    format!("{MIGRATION_LOCK}{migration}")
}

/// The locks that a run has as long as it lives: the one or the other.
pub fn presence_locks(run: &RunName) -> [String; 2] {
    [lock_name(run.migration()), run_lock(run)]
}

/// The lock of a run whose migration others may run at the same time.
fn run_lock(run: &RunName) -> String {
    format!("{RUN_LOCK}{}={}", run.migration(), run.number())
}

impl JournaledRun {
    /// Gives back the locks that a run with parts has as a whole. Each part has given its own back.
    pub async fn release_locks(&self, archive: &Archive) -> Result<(), LockError> {
        let tables = ledger::tables(archive, &self.name).await;
        // What is not known runs out.
        let mut names: Vec<String> = tables.unwrap_or_default().into_keys().collect();
        names.extend(presence_locks(&self.name));
        locks::release_run(archive, &self.name.to_string(), &self.id.uid, &names).await
    }
}

impl Journal {
    /// Why this run writes nothing, if the ledger says so.
    pub fn gave_way(&self) -> Option<&GaveWay> {
        self.beginning.gave_way.get()
    }

    /// Has the table's lock, and the table on record. To be called before a write is prepared.
    pub(in crate::journal) async fn hold(&self, table: &TableSchema) -> Result<(), Fault> {
        self.given_way()?;
        if self.writer.get().is_none() {
            // First: a run that gives way must not keep a table from the one that continues.
            Box::pin(self.hold_presence(std::slice::from_ref(&table.name))).await?;
        }
        self.tables.hold(&table.name).await?;
        let Some(id) = &table.id else { return Ok(()) };
        if self.beginning.has(&table.name, id) {
            return Ok(());
        }
        let mut seen = self.planned();
        if let Some(arn) = &table.arn {
            seen.database = seen.database.with_arn(arn);
        }
        seen.tables.insert(table.name.clone(), Some(id.clone()));
        // Seldom, and large: it must not make every write's future as large.
        Box::pin(self.note(&seen)).await
    }

    /// The database as far as the plan says.
    fn planned(&self) -> Seen {
        Question { run: &self.run.name, plan: &self.run.plan }.planned()
    }

    /// Has these tables on record; begins the run, if it is not begun, in this database.
    pub(in crate::journal) async fn note(&self, seen: &Seen) -> Result<(), Fault> {
        let _gate = self.beginning.gate.lock().await;
        self.writer.get_or_try_init(|| Box::pin(self.begin(Some(seen)))).await?;
        let ids = ids(seen);
        if ids.iter().all(|(table, id)| self.beginning.has(table, id)) {
            return Ok(());
        }
        let mut tables = self.beginning.recorded.lock().clone();
        tables.extend(ids);
        let own = self.run.own_name();
        let written = ledger::write_tables(&self.archive, &own, &tables).await;
        written.map_err(|error| self.unreachable(&error))?;
        *self.beginning.recorded.lock() = tables;
        Ok(())
    }

    /// Begins the run; `seen` are the tables that it is about to write, and their database.
    pub(in crate::journal) async fn begin(&self, seen: Option<&Seen>) -> Result<Writer, Fault> {
        self.given_way()?;
        let judged = self.is_judged();
        self.hold_presence(&[]).await?;
        let own = self.run.own_name();
        let begun = self.begun_now(seen);
        let entered = ledger::begin(&self.archive, &own, &begun).await;
        let entered = entered.map_err(|error| self.unreachable(&error))?;
        let tables = match &entered {
            Begin::New => begun.tables.clone(),
            // By the guard that was here before, or by another part.
            Begin::Again => {
                self.check_not_restored().await?;
                let there = ledger::tables(&self.archive, &own).await;
                there.map_err(|error| self.unreachable(&error))?
            }
            Begin::Taken(_) => {
                if judged && self.run.kind == Kind::Apply {
                    self.judge(&entered).await?;
                }
                return Err(self.closed(match self.run.kind {
                    Kind::Apply => "another run of this name was begun",
                    Kind::Restore(_) => {
                        "another restore of the run was begun, and may be under way"
                    }
                }));
            }
            Begin::Over(_) if self.run.part.is_some() => {
                return Err(self.closed("this part, or the run, was completed before"));
            }
            Begin::Over(_) => return Err(self.closed("this run was completed before")),
        };
        if judged && self.run.kind == Kind::Apply {
            self.judge(&entered).await?;
        }
        *self.beginning.recorded.lock() = tables;
        self.open_writer().await
    }

    /// Whether the migration is applied once, so that other runs of it matter.
    fn is_judged(&self) -> bool {
        !self.run.plan.archive.as_ref().is_some_and(|archive| archive.again)
    }

    fn begun_now(&self, seen: Option<&Seen>) -> Begun {
        let mut begun = Begun::now(&self.run.plan, self.run.kind.clone());
        if let Some(seen) = seen {
            begun.database = Some(seen.database.clone());
            begun.tables = ids(seen);
        }
        begun
    }

    /// Takes the run's lock where its beginner has entered it in the ledger: on a laptop.
    pub(crate) async fn take_presence(&self) -> Result<(), Fault> {
        if self.is_judged() { Ok(()) } else { Box::pin(self.hold_presence(&[])).await }
    }

    /// Takes the lock by which others see that this run writes: no restore of it begins in the
    /// meantime. `next` are the tables that are locked after it.
    pub(in crate::journal) async fn hold_presence(&self, next: &[String]) -> Result<(), Fault> {
        self.given_way()?;
        if self.run.plan.parts != self.run.part.map(|part| part.of) {
            let why = "The guard rejects this write: the plan has `parts`, and the guard does not \
                       know which of them it does.";
            return Err(Fault::refused(why.to_owned(), "the run's part is not known"));
        }
        let run = &self.run.name;
        let name = if self.is_judged() { lock_name(run.migration()) } else { run_lock(run) };
        let held = self.tables.hold_before(&name, next).await;
        let Err(fault @ Fault::Refused { .. }) = held else { return held };
        match self.tables.holder() {
            Some(holder) => {
                let why = format!(
                    "run {} of {}/{} has been writing since {}",
                    holder.by, holder.namespace, holder.name, holder.since
                );
                Err(self.give_way(Verdict::Locked(holder), why))
            }
            None => Err(fault),
        }
    }

    /// Keeps another run from writing from now on, whichever lock it has as long as it lives. The
    /// locks of the tables that it wrote are taken later, when they are written; if it is dead,
    /// their leases run out during the same wait.
    pub(crate) async fn exclude(&self, run: &RunName) -> Result<(), Fault> {
        let tables = ledger::tables(&self.archive, run).await;
        let tables = tables.map_err(|error| self.unreachable(&error))?.into_keys();
        let names = [run_lock(run), lock_name(run.migration())].into_iter().chain(tables);
        let names: Vec<String> = names.collect();
        for at in 0..2 {
            self.tables.hold_before(&names[at], &names[at + 1..]).await?;
        }
        Ok(())
    }

    /// A run that was restored, by somebody who took it for dead, writes no more.
    async fn check_not_restored(&self) -> Result<(), Fault> {
        let restore = ledger::restore_of(&self.archive, &self.run.name).await;
        match restore.map_err(|error| self.unreachable(&error))? {
            Some(restore) => Err(self.closed(&format!("{restore} restores this run"))),
            None => Ok(()),
        }
    }

    /// Whether nothing was written before: by the run, or by the own part of it.
    async fn is_fresh(&self, entered: &Begin) -> Result<bool, Fault> {
        if self.run.part.is_none() || *entered != Begin::Again {
            return Ok(*entered == Begin::New);
        }
        let noted = ledger::noted(&self.archive, &self.run.own_name()).await;
        let noted = noted.map_err(|error| self.unreachable(&error))?;
        Ok(noted.is_some_and(|extent| extent.segments == 0))
    }

    /// Reads the ledger with the own entry in it, and judges again.
    async fn judge(&self, entered: &Begin) -> Result<(), Fault> {
        let (is_new, is_fresh) = (*entered == Begin::New, self.is_fresh(entered).await?);
        let entries = ledger::entries(&self.archive, Some(self.run.name.migration())).await;
        let entries = entries.map_err(|error| self.unreachable(&error))?;
        let question = Question { run: &self.run.name, plan: &self.run.plan };
        let now = if question.looks(&entries) {
            let tables: BTreeSet<String> = question.tables(&entries);
            let reader = self.images.reader();
            identity::look(reader, &self.run.plan.upstream, &tables).await?
        } else {
            self.planned()
        };
        let verdict = match question.answer(&entries, Some(&now)) {
            Verdict::Go if is_fresh => overtaken(&self.run.name, &entries),
            verdict => verdict,
        };
        let verdict = match self.living(&verdict).await? {
            Some(holder) => Verdict::Locked(holder),
            None => verdict,
        };
        let Some(why) = why(&verdict) else { return Ok(()) };
        if is_new {
            // It has written nothing, and says so: nobody needs to ask how it ended. The other
            // parts judge as this one does.
            let message = format!("It stopped before its first write: {why}.");
            let completed =
                Completed { message: Some(message), ..Completed::now(RunOutcome::Failed) };
            let noted = ledger::complete(&self.archive, &self.run.name, &completed).await;
            noted.map_err(|error| self.unreachable(&error))?;
        }
        Err(self.give_way(verdict, why))
    }

    /// Who has the lock of the run that has no end on record. Whether that one lives, only waiting
    /// shows: it is asked before the next run.
    async fn living(&self, verdict: &Verdict) -> Result<Option<LockHolder>, Fault> {
        let Verdict::Unknown(unknown) = verdict else { return Ok(None) };
        let run = RunName::new(self.run.name.migration(), unknown.run);
        let Ok(lock) = run.map(|run| run_lock(&run)) else { return Ok(None) };
        match locks::standing_of(&self.archive, &lock).await {
            Ok(Standing::Held { fence, record, .. }) => Ok(Some(record.told(&lock, fence))),
            Ok(Standing::Free { .. } | Standing::Forced { .. }) => Ok(None),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, run = %self.run.name, "beginning the journal");
                Err(Fault::NotJournaled("the archive cannot be reached".into()))
            }
        }
    }

    fn give_way(&self, mut verdict: Verdict, why: String) -> Fault {
        if let Verdict::Adopt(adopted) = &mut verdict {
            // It goes into the run's result, which has little room.
            (adopted.summary, adopted.message) = (None, None);
        }
        let GaveWay { why, .. } = self.beginning.gave_way.get_or_init(|| GaveWay { verdict, why });
        refused(why)
    }

    /// Permanently: after one write of a program was rejected, its other writes must be rejected as
    /// well.
    fn given_way(&self) -> Result<(), Fault> {
        self.gave_way().map_or(Ok(()), |GaveWay { why, .. }| Err(refused(why)))
    }

    pub(in crate::journal) fn unreachable(&self, error: &LedgerError) -> Fault {
        if let LedgerError::LeftOver { .. } = error {
            let why = format!("The guard rejects this write: {error}.");
            return Fault::refused(why, "the archive has a journal that its ledger does not know");
        }
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, run = %self.run.name, "beginning the journal");
        Fault::NotJournaled("the archive cannot be reached".into())
    }

    async fn open_writer(&self) -> Result<Writer, Fault> {
        let writer = Writer::open(self.archive.clone(), self.run.own_name()).await;
        let writer = writer.map_err(|error| self.unreadable(&error))?;
        self.ahead.enter_into(&writer);
        Ok(writer)
    }

    /// Why nothing is written where the journal of earlier guards cannot be read.
    pub(in crate::journal) fn unreadable(&self, error: &ReadError) -> Fault {
        match error {
            ReadError::Archive { .. } | ReadError::Evidence { .. } => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, run = %self.run.name, "beginning the journal");
                Fault::NotJournaled("the archive cannot be reached".into())
            }
            ReadError::NoRun { .. }
            | ReadError::Removed { .. }
            | ReadError::Gone { .. }
            | ReadError::Missing { .. }
            | ReadError::Fewer { .. }
            | ReadError::Damaged { .. }
            | ReadError::Torn { .. }
            | ReadError::Closed { .. } => {
                tracing::error!(error = error as &dyn std::error::Error, "opening the journal");
                let error = chain(error);
                Fault::refused(
                    format!(
                        "The guard rejects all writes, because it cannot continue the journal: \
                         {error}."
                    ),
                    "the run's journal is damaged",
                )
            }
        }
    }

    fn closed(&self, why: &str) -> Fault {
        Fault::refused(
            format!(
                "The guard rejects this write: for {}, the archive's ledger says that {why}.",
                self.run.name
            ),
            format!("the ledger says that {why}"),
        )
    }
}

/// A run with a higher number was begun before the own entry was there: numbers are in the order of
/// runs.
fn overtaken(run: &RunName, entries: &[LedgerEntry]) -> Verdict {
    match entries.last().map(|entry| entry.run.number()) {
        Some(highest) if highest > run.number() => Verdict::Renumber { highest },
        Some(_) | None => Verdict::Go,
    }
}

/// The ids of the tables that are there.
fn ids(seen: &Seen) -> TableIds {
    let tables = seen.tables.iter();
    tables.filter_map(|(table, id)| Some((table.clone(), id.clone()?))).collect()
}

fn refused(why: &str) -> Fault {
    Fault::refused(
        format!("The guard rejects this write, and nothing was written by this run: {why}."),
        "another run of the migration comes first",
    )
}

/// What the verdict says, without a full stop; `None` where the run may write.
fn why(verdict: &Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::Go => return None,
        Verdict::Adopt(run) => format!(
            "run {} of {}/{} applied the migration, and completed at {}",
            run.run, run.namespace, run.name, run.completed_at
        ),
        Verdict::Unknown(run) => format!(
            "run {} of {}/{} was begun at {} and never completed",
            run.run, run.namespace, run.name, run.begun_at
        ),
        Verdict::Renumber { highest } => {
            format!("runs up to number {highest} were begun while this one was starting")
        }
        Verdict::Locked(holder) => {
            format!("run {} of {} is writing", holder.by, holder.owner())
        }
        Verdict::Differs(differs) => match &differs.run {
            Some(run) => format!(
                "run {} of {}/{} applied the migration elsewhere: {}",
                run.run, run.namespace, run.name, differs.difference.what
            ),
            None => format!("the required dry run does not match: {}", differs.difference.what),
        },
        Verdict::Unavailable { message } | Verdict::Unreachable { message } => message.clone(),
    })
}
