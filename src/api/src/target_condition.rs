//! Condition types and reasons of a `MigrationTarget`. Conditions, events and the documentation
//! share these words.

/// Conditions of a `MigrationTarget`, next to `Ready`.
pub mod types {
    /// Database and archive can be reached with the target's credentials.
    pub const READY: &str = "Ready";
    /// The database answers and accepts the credentials.
    pub const DATABASE_REACHABLE: &str = "DatabaseReachable";
    /// The archive can be written, read and listed, and creates each object once.
    pub const ARCHIVE_REACHABLE: &str = "ArchiveReachable";
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident,)+) => {
        /// Why a condition of a target has its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TargetReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl TargetReason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [TargetReason] = &[$(TargetReason::$variant,)+];

            /// The word as it stands in conditions and events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(TargetReason::$variant => stringify!($variant),)+
                }
            }
        }
    };
}

reasons! {
    /// The last check succeeded.
    Reachable,
    /// The first check of this generation has not ended.
    Checking,
    /// A Secret that the target names does not exist or lacks a key.
    SecretNotFound,
    /// A ServiceAccount that the target names does not exist.
    ServiceAccountNotFound,
    /// The source of credentials that the target names has none: no role is bound.
    CredentialsNotFound,
    /// The database or the archive rejects the credentials.
    CredentialsRejected,
    /// The database does not answer.
    DatabaseUnreachable,
    /// The archive does not answer, or an object cannot be written, read or listed.
    ArchiveUnavailable,
    /// The archive's server ignores conditional writes.
    ArchiveOverwrites,
    /// The image of the check cannot be pulled.
    ImagePullFailed,
    /// No node can take the check's pod.
    Unschedulable,
    /// The archive's claim does not exist or cannot be mounted.
    VolumeUnavailable,
    /// The check's container could not be started.
    ContainerStartFailed,
    /// The API server, a quota or an admission rule rejects the check's Job or pod.
    ObjectRefused,
    /// A Job of the check's name belongs to somebody else.
    NameTaken,
    /// The check ended without a result.
    CheckFailed,
}

impl std::fmt::Display for TargetReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
