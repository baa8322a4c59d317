//! Restores what a run did, from its journal: every key is looked at once, with all that is known
//! of it, and restored attribute by attribute where nobody else has changed it since.
//!
//! The restore's own writes go through a journal as any run's do, so it can be restored too. It
//! keeps no state: interrupted, it is begun again, and finds done what is done.

mod conflicts;
mod earlier;
mod error;
mod key;
mod lost;
mod moves;
mod partitions;
mod place;
mod read;
mod settled;
mod speed;
mod tables;
mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::limits;
use bytes::Bytes;
use dm_contract::control::ControlState;
use dm_contract::plan::OnConflict;
use dm_contract::plan::{JournalMode, Mode, Plan, RateLimits};
use dm_contract::report::{JournalResult, RestoreCounts};
use dm_contract::restored::Conflict;
use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::restore::Step;
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::value::item_to_json;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::archive::ledger::{self, Completed, Kind, RunOutcome};
use crate::archive::locks::LockTimes;
use crate::archive::{Archive, RunName};
use crate::fault::Fault;
use crate::item_reads::BATCH_GET_KEYS_MAX;
use crate::journal::images::Images;
use crate::journal::{Journal, JournalOptions, JournalReader, JournaledRun};
use crate::layers::apply::Apply;
use crate::layers::tally::Tally;
use crate::restore::conflicts::Conflicts;
pub use crate::restore::conflicts::part_name;
use crate::restore::earlier::{Earlier, EarlierPart};
pub use crate::restore::error::RestoreError;
use crate::restore::moves::Moves;
use crate::restore::partitions::Partitions;
use crate::restore::speed::Speed;
use crate::restore::tables::TableCalls;
use crate::upstream::{CallTimes, CredentialSource, Full, ReadOnly, UpstreamCalls};
pub use dm_contract::report::{ListedConflict, RestoreReport};

type Result<T> = std::result::Result<T, RestoreError>;

/// A restore ready to begin.
#[derive(Debug)]
pub struct Restore {
    archive: Archive,
    source: RunName,
    own: JournaledRun,
    target: Target,
    tally: Arc<Tally>,
    on_conflict: OnConflict,
    counts: Counts,
    conflicts: Conflicts,
    moves: Moves,
    speed: Speed,
    nothing_written: AtomicBool,
    table_calls: OnceLock<TableCalls>,
}

/// What is behind the restore.
#[derive(Debug)]
enum Target {
    /// Of a preview: it cannot write.
    Preview(Images),
    Database(Box<Journal>),
}

#[derive(Debug, Default)]
struct Counts {
    items: AtomicU64,
    restored: AtomicU64,
    deleted: AtomicU64,
    recreated: AtomicU64,
    unchanged: AtomicU64,
    unverified: AtomicU64,
    unconfirmed: AtomicU64,
}

/// What a restore needs besides its plan.
#[derive(Debug)]
pub struct RestoreOptions {
    pub credentials: CredentialSource,
    /// With the journal of the run to restore; the restore writes its own journal there.
    pub archive: Archive,
    /// The number of the run to restore.
    pub run: u32,
    pub on_conflict: OnConflict,
    /// The name of this process in the locks, which a restart keeps; `None`: a new one.
    pub holder: Option<String>,
    pub lock_times: LockTimes,
    pub call_times: CallTimes,
}

impl RestoreOptions {
    /// A restore that leaves what others have changed.
    pub fn new(credentials: CredentialSource, archive: Archive, run: u32) -> Self {
        Self {
            credentials,
            archive,
            run,
            on_conflict: OnConflict::Skip,
            holder: None,
            lock_times: LockTimes::default(),
            call_times: CallTimes::default(),
        }
    }
}

impl Restore {
    /// A restore. The plan is its own: its run number, its database, its archive. In mode
    /// `DryRun` nothing is written, not even to the archive.
    pub fn open(plan: &Plan, options: RestoreOptions) -> Result<Self> {
        let RestoreOptions { credentials, archive, run: number, .. } = options;
        let own = JournaledRun::of_plan(plan)?.ok_or(RestoreError::NoArchive)?;
        // A restore knows the items it writes: it has no use for another mode.
        let mode = JournalMode::Strict;
        let mut own = JournaledRun { kind: Kind::Restore(number), mode, ..own };
        // One process restores what many have written.
        own.plan.parts = None;
        let source = RunName::new(own.name.migration(), number)?;
        let tally = Arc::new(Tally::default());
        let target = match plan.mode {
            Mode::DryRun => {
                let reader = ReadOnly::new(&plan.upstream, credentials)?;
                Target::Preview(Images::new(reader, Arc::clone(&tally)))
            }
            Mode::Apply => {
                let full = Full::new(&plan.upstream, credentials)?;
                let reader = full.read_only();
                let apply = Apply::new(full, Arc::clone(&tally));
                apply.set_times(options.call_times);
                let (archive, run) = (archive.clone(), own.clone());
                let (holder, lock_times) = (options.holder, options.lock_times);
                let options = JournalOptions { holder, lock_times, folder: None };
                let tally = Arc::clone(&tally);
                let journal = Journal::new(archive, run, apply, reader, tally, options);
                Target::Database(Box::new(journal))
            }
        };
        let (counts, conflicts) = (Counts::default(), Conflicts::default());
        let speed = Speed::of(plan);
        Ok(Self {
            archive,
            source,
            own,
            target,
            tally,
            on_conflict: options.on_conflict,
            counts,
            conflicts,
            moves: Moves::default(),
            speed,
            nothing_written: AtomicBool::new(false),
            table_calls: OnceLock::new(),
        })
    }

    /// Opens the archive that a restore's plan names, and writes to it once if the restore will
    /// write.
    pub async fn open_archive(plan: &Plan) -> Result<Archive> {
        let named = plan.archive.as_ref().ok_or(RestoreError::NoArchive)?;
        let archive = Archive::existing(named, &plan.upstream.region).await?;
        if plan.mode == Mode::Apply {
            archive.probe().await?;
        }
        Ok(archive)
    }

    /// Begins no further key; [`Self::run`] then ends.
    pub fn stop(&self) {
        self.speed.stop();
    }

    /// How fast it goes.
    pub fn control(&self) -> ControlState {
        self.speed.rates().state(self.calls())
    }

    /// Changes how fast it may go, from now on.
    pub fn set_rates(&self, limits: &RateLimits) {
        self.speed.set(limits);
    }

    /// Begins nothing from now on, until it continues.
    pub fn pause(&self) {
        self.speed.rates().gate().pause();
    }

    /// Resumes it.
    pub fn resume(&self) {
        self.speed.rates().gate().resume();
    }

    /// The restore's own name in the archive.
    pub fn name(&self) -> &RunName {
        &self.own.name
    }

    /// The archive that it works with.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// What it has journaled of itself, and what went wrong with the tables' locks; `None` for a
    /// preview.
    pub fn journaled(&self) -> Option<(JournalResult, Option<String>)> {
        let Target::Database(journal) = &self.target else { return None };
        Some((journal.result(), journal.lock_problem()))
    }

    /// Does it. The ledger says afterwards that it was completed.
    pub async fn run(&self) -> Result<RestoreReport> {
        let started_at = ledger::now();
        let done = self.put_all_back().await;
        if let Target::Database(journal) = &self.target {
            journal.close().await;
        }
        done?;
        if let Target::Database(journal) = &self.target
            && let Some(problem) = journal.problem()
        {
            return Err(RestoreError::OwnJournal(problem));
        }
        let report = self.report();
        if let Target::Database(_) = &self.target {
            self.complete(&report, started_at).await?;
        }
        Ok(report)
    }

    async fn put_all_back(&self) -> Result<()> {
        if let Target::Database(journal) = &self.target {
            self.keep_from_writing(journal).await?;
        }
        // Before anything is noted of the restore itself.
        let readers = JournalReader::of_run(&self.archive, &self.source).await?;
        if matches!(self.target, Target::Database(_)) && self.source == self.own.name {
            return Err(RestoreError::SameRun);
        }
        let is_empty = readers.iter().all(JournalReader::is_empty);
        self.nothing_written.store(is_empty, Ordering::Relaxed);
        let mut partitions = Partitions::fill(&readers).await?;
        self.check_policy(partitions.tables())?;
        self.check_tables(TableCalls::of(&partitions)).await?;
        let mut earlier = self.earlier(partitions.len()).await?;
        self.check_place().await?;
        if let Target::Database(journal) = &self.target {
            let begun = journal.begun().await;
            begun.map_err(RestoreError::Begin)?;
        }
        // What the run created goes last: of an item that it moved there is always a copy.
        let has_created = self.restore_pass(&mut partitions, &mut earlier, false).await?;
        if has_created {
            self.find_copies(&mut partitions).await?;
            partitions.rewind();
            earlier.rewind();
            self.restore_pass(&mut partitions, &mut earlier, true).await?;
        }
        Ok(())
    }

    /// Restores the items that the run created, or all others; whether there are others than these.
    async fn restore_pass(
        &self,
        partitions: &mut Partitions,
        earlier: &mut Earlier,
        created: bool,
    ) -> Result<bool> {
        let mut has_others = false;
        while let Some(entries) = partitions.next().map_err(RestoreError::Sorting)? {
            let earlier = earlier.next().map_err(RestoreError::Sorting)?;
            let is_of_pass = |entry: &MergedEntry| entry.first().is_none() == created;
            let (these, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_of_pass);
            has_others |= !others.is_empty();
            self.restore_all(these, &earlier).await?;
            if self.speed.is_stopping() {
                return Err(RestoreError::Interrupted);
            }
        }
        Ok(has_others)
    }

    async fn earlier(&self, parts: usize) -> Result<Earlier> {
        let last = match &self.target {
            // It may have the number of any run.
            Target::Preview(_) => u32::MAX,
            Target::Database(_) => self.own.name.number(),
        };
        Earlier::of(&self.archive, (&self.source, last), self.on_conflict, parts).await
    }

    /// What a run writes while its journal is read would be left out, and counted as restored. One
    /// whose end is on record writes no more.
    async fn keep_from_writing(&self, journal: &Journal) -> Result<()> {
        let is_open = ledger::begun(&self.archive, &self.source).await?.is_some()
            && ledger::completed(&self.archive, &self.source).await?.is_none();
        if !is_open || self.source == self.own.name {
            return Ok(());
        }
        let run = self.source.to_string();
        match (journal.exclude(&self.source).await, journal.lock_holder()) {
            (Ok(()), _) => Ok(()),
            (Err(Fault::Refused { .. }), Some(holder)) => {
                Err(RestoreError::Writing { run, since: holder.since })
            }
            (Err(fault), _) => Err(RestoreError::Exclude { run, fault }),
        }
    }

    /// What was done so far.
    pub fn report(&self) -> RestoreReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let units = self.tally.counts();
        let conflicts = self.conflicts.summary();
        RestoreReport {
            counts: RestoreCounts {
                items: count(&self.counts.items),
                restored: count(&self.counts.restored),
                deleted: count(&self.counts.deleted),
                recreated: count(&self.counts.recreated),
                unchanged: count(&self.counts.unchanged),
                unverified: count(&self.counts.unverified),
                unconfirmed: count(&self.counts.unconfirmed),
            },
            conflicts: conflicts.count,
            listed: conflicts.listed,
            groups: conflicts.groups,
            left_out: conflicts.left_out,
            read_units: units.read_units,
            write_units: units.write_units,
            not_restored: self.table_calls.get().map(TableCalls::listed).unwrap_or_default(),
            nothing_written: self.nothing_written.load(Ordering::Relaxed),
            preview: Some(matches!(self.target, Target::Preview(_))),
            on_conflict: Some(self.on_conflict),
        }
    }

    async fn complete(&self, report: &RestoreReport, started_at: String) -> Result<()> {
        let mut part = 0;
        while let Some(lines) = self.conflicts_part(part).map_err(RestoreError::Conflicts)? {
            let path = format!("{}/{}", self.own.name.folder(), part_name(part));
            self.archive.replace(&path, lines).await?;
            part += 1;
        }
        let RestoreCounts { restored, deleted, recreated, .. } = report.counts;
        let (conflicts, s) = (report.conflicts, if report.conflicts == 1 { "" } else { "s" });
        let message = format!(
            "{restored} restored, {deleted} deleted, {recreated} recreated, {conflicts} conflict{s}"
        );
        let completed = Completed {
            conflicts: Some(report.conflicts),
            message: Some(message),
            execution_time: Some(started_at),
            finalization_time: Some(ledger::now()),
            ..Completed::now(RunOutcome::Succeeded)
        };
        Ok(ledger::complete(&self.archive, &self.own.name, &completed).await?)
    }

    /// One part of all conflicts as lines of JSON, from 0; `None` behind the last.
    pub fn conflicts_part(&self, part: usize) -> std::io::Result<Option<Bytes>> {
        self.conflicts.part(part)
    }

    fn calls(&self) -> UpstreamCalls {
        match &self.target {
            Target::Preview(images) => images.calls(),
            Target::Database(journal) => journal.apply().calls(),
        }
    }

    fn observe(&self) {
        self.speed.observe(&self.tally, self.calls());
    }

    fn images(&self) -> &Images {
        match &self.target {
            Target::Preview(images) => images,
            Target::Database(journal) => journal.images(),
        }
    }

    /// Restores keys, tables one after the other, many keys at once.
    async fn restore_all(&self, entries: Vec<MergedEntry>, earlier: &EarlierPart) -> Result<()> {
        let mut rest = entries.as_slice();
        while let Some(first) = rest.first() {
            let of_table = rest.iter().take_while(|entry| entry.table == first.table).count();
            let (these, others) = rest.split_at(of_table);
            rest = others;
            let failed = |fault| RestoreError::Write { table: first.table.clone(), fault };
            let table = match self.images().table(&first.table).await {
                Ok(table) => table,
                Err(Fault::Service(error))
                    if error.code == ErrorCode::ResourceNotFound
                        && self.was_deleted(&first.table) =>
                {
                    self.leave_all(these);
                    continue;
                }
                Err(fault) => return Err(failed(fault)),
            };
            let mut work = futures::stream::iter(these.chunks(BATCH_GET_KEYS_MAX))
                .map(|chunk| self.restore_page(&table, chunk, earlier))
                .buffer_unordered(limits::RESTORE_PAGES_AT_ONCE);
            let mut first = Ok(());
            while let Some(done) = work.next().await {
                first = self.first_of(first, done);
            }
            first.map_err(failed)?;
        }
        Ok(())
    }

    /// Reads the items of a page and puts them all back, at the same time. What is begun here is
    /// polled until its end: a read that waits unpolled, until the writes before it are through,
    /// may have been given what these wait for, and then nothing moves any more.
    async fn restore_page(
        &self,
        table: &TableSchema,
        entries: &[MergedEntry],
        earlier: &EarlierPart,
    ) -> std::result::Result<(), Fault> {
        if !self.speed.may_read(entries.len()).await {
            return Ok(());
        }
        let (here, elsewhere) = tables::by_schema(table, entries);
        self.leave_all(elsewhere);
        let read = self.with_images(table, here).await?;
        self.observe();
        let mut work: FuturesUnordered<_> = read
            .into_iter()
            .map(|(entry, key, now)| async move {
                if self.speed.is_stopping() {
                    return Ok(());
                }
                self.restore_key(table, (entry, earlier), &key, now).await
            })
            .collect();
        let mut first = Ok(());
        while let Some(done) = work.next().await {
            first = self.first_of(first, done);
        }
        first
    }

    /// The first of two results that is an error. No key is begun after it, and those under way are
    /// polled until their end: what they have sent may still be carried out, so the locks of the
    /// tables are kept until then.
    fn first_of(
        &self,
        first: std::result::Result<(), Fault>,
        next: std::result::Result<(), Fault>,
    ) -> std::result::Result<(), Fault> {
        if next.is_err() {
            self.speed.fail();
        }
        first.and(next)
    }

    fn count(&self, entry: &MergedEntry, step: Step) {
        if entry.unverified && step != Step::Nothing {
            self.counts.unverified.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.items.fetch_add(1, Ordering::Relaxed);
        let counter = match step {
            Step::Nothing => &self.counts.unchanged,
            Step::Update => &self.counts.restored,
            Step::Delete => &self.counts.deleted,
            Step::Put => &self.counts.recreated,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn note(&self, entry: &MergedEntry, conflicts: Vec<Conflict>) {
        self.moves.see(entry, &conflicts, self.on_conflict);
        for conflict in conflicts {
            let (table, key) = (entry.table.clone(), Some(item_to_json(&entry.key)));
            self.conflicts.add(ListedConflict { table, key, conflict });
        }
    }
}
