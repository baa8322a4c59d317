//! The layers in their order around one call. What each layer does is in its own file, and the
//! result of them all in `result`.

mod continued;
mod dry_run;
mod embedded;
mod identity;
mod memory;
mod result;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use dm_contract::control::ControlState;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan, RateLimits, Upstream as UpstreamPlan};
use dm_contract::report::{Fidelity, GuardResult, JournalResult, Outage, Timeline};
use dm_contract::verdict::LockHolder;

use crate::answer_members::Members;
use crate::archive::locks::LockTimes;
use crate::archive::{Archive, ArchiveError, LayoutError};
use crate::call::{Answer, Call};
use crate::error_name::error_name;
use crate::fault::Fault;
use crate::journal::{Journal, JournalOptions, JournaledRun};
use crate::layers::apply::Apply;
use crate::layers::arns::Arns;
use crate::layers::completion::{Client, RunToCompletion};
use crate::layers::outages::Outages;
use crate::layers::policy::Policy;
use crate::layers::rates::{Rates, Used};
use crate::layers::replay::Replay;
use crate::layers::tally::Tally;
use crate::operation::{Class, Operation};
use crate::overlay::Overlay;
use crate::retry_pacing::RetryPacing;
use crate::upstream::{CallTimes, CredentialSource, Full, ReadOnly, UpstreamCalls, UpstreamError};

/// What stands between a program and its database.
#[derive(Debug)]
pub struct Engine {
    mode: Mode,
    upstream: UpstreamPlan,
    policy: Policy,
    arns: Arns,
    rates: Rates,
    replay: Replay,
    tally: Arc<Tally>,
    outages: Outages,
    bottom: Bottom,
    archive: Option<Archive>,
    part: Option<Part>,
    problem: Option<String>,
    second_pass: bool,
    /// The result as it was when the second pass began: the record of the run.
    first_pass: OnceLock<GuardResult>,
    /// Whether two asked for a second pass: then nobody knows whose calls the first one's were.
    begun_twice: AtomicBool,
    /// What earlier guards counted whose transform this one continues.
    before: OnceLock<Before>,
}

/// The lowest layer: where writes go.
#[derive(Debug)]
enum Bottom {
    Overlay(Box<Overlay>),
    Apply(Apply),
    Journal(Box<Journal>),
    /// Nowhere: every call is refused for this reason.
    Closed(ReadOnly, String),
}

/// What became of an earlier guard of the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    First,
    /// It was ended in the middle of the run, and its memory is lost.
    Again,
}

/// What an engine needs besides the plan of its run.
#[derive(Debug)]
pub struct EngineOptions {
    pub credentials: CredentialSource,
    pub start: Start,
    /// The archive that the plan names, opened. An applied run of a plan that names an archive
    /// never writes without one.
    pub archive: Option<Archive>,
    /// The part of the run that this process does; `None`: the whole run.
    pub part: Option<Part>,
    /// The name of this guard in the locks, which a restart keeps; `None`: a new one.
    pub holder: Option<String>,
    /// Where what does not fit in memory is kept; `None`: the system's folder of temporary files.
    pub folder: Option<PathBuf>,
    pub lock_times: LockTimes,
    /// Times of the calls that write to the database, and of every call of a journaled run.
    pub call_times: CallTimes,
}

impl EngineOptions {
    /// The first guard of a whole run without an archive.
    pub fn new(credentials: CredentialSource) -> Self {
        Self {
            credentials,
            start: Start::First,
            archive: None,
            part: None,
            holder: None,
            folder: None,
            lock_times: LockTimes::default(),
            call_times: CallTimes::default(),
        }
    }
}

pub use crate::stack::continued::{Before, Usage};
pub use crate::stack::dry_run::SecondPassError;

/// Why there is no engine for a plan.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("preparing the connection to the database")]
    Upstream(#[from] UpstreamError),
    #[error("preparing the journal")]
    Archive(#[from] ArchiveError),
    /// The migration's name in the archive.
    #[error("preparing the journal")]
    Name(#[from] LayoutError),
    /// The plan names an archive, and none was given.
    #[error("the plan names an archive, and there is none")]
    NoArchive,
    /// The lock by which others see that the run lives.
    #[error("taking the run's lock in the archive")]
    Presence(#[source] Fault),
}

/// Problem of a dry run whose guard was restarted.
const DRY_RUN_LOST: &str = "The guard was restarted in the middle of the dry run and has lost the \
     writes it held; nothing was written to the database. Run it again.";

/// Problem of an apply whose guard was restarted.
const COUNTS_LOST: &str = "The guard was restarted in the middle of the run: its counts begin at \
     the restart.";

impl Bottom {
    fn of_dry_run(
        plan: &Plan,
        options: EngineOptions,
        tally: &Arc<Tally>,
    ) -> Result<(Self, ReadOnly), OpenError> {
        let upstream = ReadOnly::new(&plan.upstream, options.credentials)?;
        if options.start == Start::Again {
            return Ok((Self::Closed(upstream.clone(), DRY_RUN_LOST.into()), upstream));
        }
        let overlay = Overlay::new(upstream.clone(), Arc::clone(tally));
        let overlay = match options.folder {
            Some(folder) => overlay.in_folder(folder),
            None => overlay,
        };
        Ok((Self::Overlay(Box::new(overlay)), upstream))
    }

    fn of_apply(
        plan: &Plan,
        options: EngineOptions,
        tally: &Arc<Tally>,
    ) -> Result<(Self, ReadOnly), OpenError> {
        let EngineOptions { archive, part, holder, folder, lock_times, .. } = options;
        let upstream = Full::new(&plan.upstream, options.credentials)?;
        let reader = upstream.read_only();
        let apply = Apply::new(upstream, Arc::clone(tally));
        apply.set_times(options.call_times);
        let Some(run) = JournaledRun::of_plan(plan)? else {
            return Ok((Self::Apply(apply), reader));
        };
        let (run, archive) = (run.in_part(part), archive.ok_or(OpenError::NoArchive)?);
        let options = JournalOptions { holder, lock_times, folder };
        let (tally, for_journal) = (Arc::clone(tally), reader.clone());
        let journal = Journal::new(archive, run, apply, for_journal, tally, options);
        Ok((Self::Journal(Box::new(journal)), reader))
    }
}

impl Engine {
    /// The engine of a plan. Nothing is sent yet.
    pub fn open(plan: &Plan, options: EngineOptions) -> Result<Self, OpenError> {
        let tally = Arc::new(Tally::default());
        let (archive, part) = (options.archive.clone(), options.part);
        let problem = match (plan.mode, options.start) {
            (_, Start::First) => None,
            (Mode::DryRun, Start::Again) => Some(DRY_RUN_LOST),
            (Mode::Apply, Start::Again) => Some(COUNTS_LOST),
        };
        let (bottom, reader) = match plan.mode {
            Mode::DryRun => Bottom::of_dry_run(plan, options, &tally)?,
            Mode::Apply => Bottom::of_apply(plan, options, &tally)?,
        };
        Ok(Self {
            mode: plan.mode,
            upstream: plan.upstream.clone(),
            policy: Policy::new(plan.policy.clone(), &plan.run, plan.mode),
            arns: Arns::new(reader),
            rates: Rates::new(plan.mode, &plan.limits, plan.limits_max.clone()),
            replay: Replay::default(),
            tally,
            outages: Outages::default(),
            bottom,
            archive,
            part,
            problem: problem.map(str::to_owned),
            second_pass: plan.second_pass,
            first_pass: OnceLock::new(),
            begun_twice: AtomicBool::new(false),
            before: OnceLock::new(),
        })
    }

    /// Takes the lock by which others see that the run lives, where its entry in the ledger is
    /// already there: a program may read for long before its first write.
    pub async fn take_presence(&self) -> Result<(), OpenError> {
        match &self.bottom {
            Bottom::Journal(journal) => journal.take_presence().await.map_err(OpenError::Presence),
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => Ok(()),
        }
    }

    /// Whether writes go to the database as they are, without overlay and journal.
    pub fn writes_directly(&self) -> bool {
        matches!(self.bottom, Bottom::Apply(_))
    }

    /// Whether the journal holds each write until its entry is durable.
    pub fn journals(&self) -> bool {
        matches!(self.bottom, Bottom::Journal(_))
    }

    /// The archive that the plan names.
    pub fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    /// Answers one call. Once begun it continues to its end, even if the caller goes away: a retry
    /// must find the answer.
    pub async fn handle(self: &Arc<Self>, call: Call) -> Answer {
        self.handle_with(call, ()).await
    }

    /// The same; what is given is dropped when the call has come to its end, and not before.
    pub async fn handle_with(
        self: &Arc<Self>,
        mut call: Call,
        held: impl Send + 'static,
    ) -> Answer {
        self.tally.request();
        // Here, and not in the work below: that outlives a client that goes away, and what is held
        // would be carried out later although its client has sent it again.
        if let Err(fault) = self.rates.gate().pass(call.is_patient()).await {
            return self.failed(call.operation, fault, !call.is_patient());
        }
        let writes = matches!(call.operation.class(), Class::DataWrite | Class::ControlPlaneWrite);
        if !writes {
            return self.answer(call, Client::default()).await;
        }
        let engine = Arc::clone(self);
        let invocation = call.invocation.take();
        let work = RunToCompletion::new(|client| async move {
            let _held = held;
            let work = std::pin::pin!(engine.answer(call, client));
            engine.replay.once(invocation, work).await
        });
        match work.await {
            Ok(answer) => answer,
            Err(_) => Fault::Unavailable("the guard failed on this request".into()).into(),
        }
    }

    /// A request that was refused before it became a call.
    pub fn refused_on_the_wire(&self, operation: &str, why: &str) {
        self.tally.request();
        self.tally.remark(operation, Fidelity::Refused, why);
    }

    async fn answer(&self, call: Call, client: Client) -> Answer {
        let operation = call.operation;
        let writes = operation.class() == Class::DataWrite && !call.only_reads();
        let is_program = !call.is_patient();
        match self.descend(call, client).await {
            Ok(answer) => {
                self.tally.answered(operation.name());
                self.outages.carried_out(writes);
                if is_program && operation == Operation::BatchExecuteStatement {
                    let members = Members::of(&answer.body);
                    let failed = members.map(|members| members.failed_statements());
                    for code in failed.unwrap_or_default() {
                        self.tally.error(operation.name(), &code);
                    }
                }
                answer
            }
            Err(fault) => {
                self.outages.failed(&fault, self.calls().answered);
                self.failed(operation, fault, is_program)
            }
        }
    }

    /// The answer to a call that was not carried out: noted, and counted among the errors of a
    /// program. A transform, whose calls are patient, has its own account of its items.
    fn failed(&self, operation: Operation, fault: Fault, is_program: bool) -> Answer {
        self.note(operation, &fault);
        // Of one that is rejected, a remark says it.
        let counts = is_program && !matches!(fault, Fault::Refused { .. });
        let answer = Answer::from(self.worded(operation, fault));
        if counts {
            let error = error_name(&answer.body);
            self.tally.error(operation.name(), error.as_deref().unwrap_or("unknown"));
        }
        answer
    }

    async fn descend(&self, mut call: Call, client: Client) -> Result<Answer, Fault> {
        if let Bottom::Closed(_, why) = &self.bottom {
            return Err(Fault::refused(why.clone(), "the guard was restarted"));
        }
        self.policy.check(&call)?;
        let made = |arn: &str| match &self.bottom {
            Bottom::Overlay(overlay) => overlay.made_arn(arn),
            Bottom::Apply(_) | Bottom::Journal(_) | Bottom::Closed(..) => false,
        };
        self.arns.check(&call, made).await.map_err(|fault| self.arn_fault(fault))?;
        self.rates.admit(&call, &client).await?;
        let pacing = call.pacing.take().map(|pacing| (call.operation.class(), pacing));
        let body = RetryPacing::within(pacing, async {
            match &self.bottom {
                // These are large, and a call that only passes is not to have room for them.
                Bottom::Overlay(overlay) => Box::pin(overlay.handle(call)).await,
                Bottom::Apply(apply) => apply.handle(&call).await,
                Bottom::Journal(journal) => Box::pin(journal.handle(call)).await,
                Bottom::Closed(..) => Err(Fault::Unavailable("closed".into())),
            }
        });
        let body = body.await;
        self.rates.observe(self.used());
        body.map(Answer::ok)
    }

    fn used(&self) -> Used {
        let UpstreamCalls { read_throttles, write_throttles, paced_throttles, .. } = self.calls();
        let journal_units = match &self.bottom {
            Bottom::Journal(journal) => journal.images().read_units(),
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => 0.0,
        };
        Used {
            journal_units,
            read_throttles,
            write_throttles,
            paced_throttles,
            ..self.tally.used()
        }
    }

    /// Changes how fast the run may go, from now on.
    pub fn set_rates(&self, limits: &RateLimits) {
        self.rates.set(limits);
    }

    /// Notes the write units a second that throttles have led a caller to which paces its own
    /// calls, for people.
    pub fn note_paced(&self, write_units_per_second: Option<u32>) {
        self.rates.note_paced(write_units_per_second);
    }

    /// Holds every call from now on. Calls under way are completed.
    pub fn pause(&self) {
        self.rates.gate().pause();
    }

    /// Releases the held calls.
    pub fn resume(&self) {
        self.rates.gate().resume();
    }

    /// Whether it is paused, as soon as that differs from what the caller knows.
    pub async fn is_paused_other_than(&self, known: bool) -> bool {
        self.rates.gate().is_paused_other_than(known).await
    }

    /// Sends away what a pause holds, for good: the guard is about to stop.
    pub fn let_nothing_wait(&self) {
        self.rates.gate().close();
    }

    /// How fast an apply went over time; a dry run writes nothing, so its speed says nothing.
    pub fn timeline(&self) -> Option<Timeline> {
        (self.mode == Mode::Apply).then(|| self.rates.timeline())
    }

    /// How fast the run goes.
    pub fn control(&self) -> ControlState {
        self.rates.state(self.calls())
    }

    fn note(&self, operation: Operation, fault: &Fault) {
        match fault {
            Fault::Refused { why, .. } => {
                tracing::warn!(operation = operation.name(), why, "refused");
                self.tally.remark(operation.name(), Fidelity::Refused, why);
            }
            Fault::Throttled
            | Fault::Limited
            | Fault::Stopping
            | Fault::NotJournaled(_)
            | Fault::NotSent(_) => {
                tracing::warn!(operation = operation.name(), %fault, "not carried out");
            }
            Fault::Unavailable(_) => {
                tracing::warn!(operation = operation.name(), %fault, "its outcome is not known");
            }
            Fault::Service(_) | Fault::Upstream { .. } => {
                self.tally.answered(operation.name());
                tracing::debug!(operation = operation.name(), %fault, "answered with an error");
            }
        }
    }

    /// The outages of archive and database that were noted, those that have ended included.
    pub fn outages(&self) -> Vec<Outage> {
        self.outages.all()
    }

    /// Who has the lock that a write waits for, or that it was last rejected for.
    pub fn locked(&self) -> Option<LockHolder> {
        match &self.bottom {
            Bottom::Journal(journal) => journal.lock_holder(),
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => None,
        }
    }

    fn calls(&self) -> UpstreamCalls {
        match &self.bottom {
            Bottom::Overlay(overlay) => overlay.calls(),
            Bottom::Apply(apply) => apply.calls(),
            Bottom::Journal(journal) => journal.apply().calls(),
            Bottom::Closed(upstream, _) => upstream.calls(),
        }
    }

    /// Makes everything durable that is left to be; whether that succeeded. To be called when no
    /// request is being worked on any more.
    pub async fn close(&self) -> bool {
        match &self.bottom {
            Bottom::Journal(journal) => journal.close().await,
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => true,
        }
    }

    fn journaled(&self) -> Option<JournalResult> {
        let Bottom::Journal(journal) = &self.bottom else { return None };
        Some(journal.result())
    }
}
