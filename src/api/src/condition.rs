//! Condition types and reasons: the words that conditions, events, run records and the
//! documentation share.

/// Conditions of a `DataMigration`. The first three follow kstatus; the others are present only
/// while they are true.
pub mod types {
    /// The state that `spec.state` requests is reached: applied, or restored.
    pub const READY: &str = "Ready";
    /// The operator or a run is working towards the spec.
    pub const RECONCILING: &str = "Reconciling";
    /// A person must change something.
    pub const STALLED: &str = "Stalled";
    /// `spec.suspend` is true.
    pub const PAUSED: &str = "Paused";
    /// The database throttles the run, and the guard has lowered its rate.
    pub const THROTTLED: &str = "Throttled";
    /// A migration named in `spec.dependsOn` has not been applied yet.
    pub const WAITING_FOR_DEPENDENCY: &str = "WaitingForDependency";
    /// `spec.startAt` is in the future.
    pub const WAITING_FOR_START: &str = "WaitingForStart";
    /// The program's files or its target differ from what the last run ran.
    pub const SOURCE_CHANGED: &str = "SourceChanged";
    /// Another migration writes to the target or to a table.
    pub const LOCKED_BY_ANOTHER: &str = "LockedByAnother";
    /// The archive does not accept the journal of a run under way, so its writes are held or fail.
    pub const ARCHIVE_UNAVAILABLE: &str = "ArchiveUnavailable";
    /// The database does not answer a run under way.
    pub const DATABASE_UNREACHABLE: &str = "DatabaseUnreachable";
    /// The outcome of a run is in status, but not in the archive yet.
    pub const NOT_ARCHIVED: &str = "NotArchived";
    /// The program ended without a request to the guard.
    pub const NO_REQUESTS_SEEN: &str = "NoRequestsSeen";
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident,)+) => {
        /// The reason of a migration's state, in one word. Conditions, `status.failure.reason`, run
        /// records and events use the same words.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The word as it stands in conditions and events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$variant => stringify!($variant),)+
                }
            }
        }
    };
}

reasons! {
    /// A dry run succeeded; `spec.dryRun: false` applies it.
    AwaitingPromotion,
    /// The migration was applied.
    Applied,
    /// The migration was applied before this operator existed (`spec.baseline`); no program ran.
    Baseline,
    /// The archive's ledger says that it was applied, by a run of an object that is gone; the
    /// program was not run.
    Adopted,
    /// The preview of a restore succeeded; `spec.dryRun: false` restores.
    AwaitingRestore,
    /// What the migration changed was restored, or it changed nothing.
    Restored,
    /// `spec.state` is `Restored`, and this object has applied nothing. The archive's ledger may
    /// have an apply of an earlier object, which is adopted with `spec.state: Applied`.
    NotAdopted,
    /// The Job of a restore's preview was created.
    RestorePreviewStarted,
    /// A restore's preview ended well.
    RestorePreviewSucceeded,
    /// A restore's Job was created.
    RestoreStarted,
    /// A restore, or its preview, failed.
    RestoreFailed,
    /// A restore was begun and not finished, so the program is not run again.
    RestoreIncomplete,
    /// The run has no journal in the target's archive, so it cannot be restored.
    ArchiveRequired,
    /// A dry run's Job was created.
    DryRunStarted,
    /// A dry run ended well.
    DryRunSucceeded,
    /// An applying run's Job was created.
    RunStarted,
    /// The program is being run.
    Running,
    /// The run's pod is not running the program yet.
    Starting,
    /// `spec.suspend` is true.
    Suspended,
    /// The database throttles the run.
    Throttled,
    /// `spec.startAt` is in the future.
    WaitingForStart,
    /// A migration named in `spec.dependsOn` has not been applied.
    WaitingForDependency,
    /// Migrations depend on each other in a cycle.
    DependencyCycle,
    /// Another migration has the target or a table to itself.
    LockedByAnother,
    /// The target's archive does not answer, or cannot be written. Nothing that writes runs without
    /// it.
    ArchiveUnavailable,
    /// The database does not answer.
    DatabaseUnreachable,
    /// The archive's ledger and status disagree on how a run ended; neither is corrected.
    LedgerContradicts,
    /// What is on record in the archive, or the dry run that must come first, was of another
    /// database: another partition, account, region or endpoint.
    OtherDatabase,
    /// The run on record in the archive ran another program.
    OtherProgram,
    /// A table that the run on record wrote, or the dry run read, was deleted since and created, or
    /// restored, under the same name.
    TableReplaced,
    /// A Job records the outcome of a run in the archive.
    Recording,
    /// The archive has runs with higher numbers; a new run gets a number above them.
    Renumbered,
    /// The `MigrationTarget` does not exist.
    TargetNotFound,
    /// The ConfigMap with the program's files does not exist.
    ConfigMapNotFound,
    /// A Secret that the pod needs does not exist or lacks a key.
    SecretNotFound,
    /// The target's ServiceAccount does not exist.
    ServiceAccountNotFound,
    /// A field's value cannot be used.
    InvalidSpec,
    /// The target's policy requires a successful dry run of this program, or a preview of this
    /// restore, first.
    DryRunRequired,
    /// The dry run of this program failed, so it is not applied.
    DryRunFailed,
    /// The program's files changed after the run.
    SourceChanged,
    /// An image cannot be pulled.
    ImagePullFailed,
    /// No node can take the pod.
    Unschedulable,
    /// The pod's volumes or its network cannot be set up.
    VolumeUnavailable,
    /// The container could not be created or started.
    ContainerStartFailed,
    /// The API server rejected the run's objects.
    ObjectRefused,
    /// The program ended with an exit code other than 0.
    ProgramFailed,
    /// A transform stopped before it had seen every item: one could not be changed, or a request
    /// failed.
    TransformFailed,
    /// A transform changed all items except those that its report lists.
    PartiallyFailed,
    /// A signal ended the program.
    ProgramKilled,
    /// The program was asked to end and ended with exit code 0, perhaps half way.
    Interrupted,
    /// The program ended with exit code 0 while processes that it had started still ran. They ended
    /// with its container.
    ProcessesLeftRunning,
    /// The program used more memory than its limit.
    OutOfMemory,
    /// The program could not be started: no interpreter, no such file.
    ProgramNotStarted,
    /// The guard rejected calls that a dry run cannot simulate, so its result is not complete.
    DryRunIncomplete,
    /// The guard failed or was restarted in the middle of a run.
    GuardFailed,
    /// `spec.activeDeadlineSeconds` passed.
    DeadlineExceeded,
    /// The pod was evicted or preempted, or its node was drained or shut down.
    Evicted,
    /// Somebody deleted the pod.
    PodDeleted,
    /// Somebody deleted the Job.
    JobDeleted,
    /// The run's Job is gone and its outcome cannot be known, or the archive has a run that was
    /// begun and never completed.
    OutcomeUnknown,
    /// The spec changed before the program started, so a new run replaces this one.
    Superseded,
    /// An apply would run another image than its dry run.
    ImageChanged,
    /// An object of the run's name exists and belongs to somebody else.
    NameTaken,
    /// The program ended without a request to the guard, so what it did is not known.
    NoRequestsSeen,
    /// The migration or its namespace is being deleted; its run is being stopped.
    Terminating,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
