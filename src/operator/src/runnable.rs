//! What can be run, or why nothing can: what `validate` makes of a migration, and what a Job is
//! made from.

use std::collections::BTreeMap;

use dm_api::condition::Reason;
use dm_api::migration::{ContainerProgram, Limits, OnConflict, PodSettings, Script};
use dm_contract::identity::ProgramId;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::identified::Target;

/// Why a migration cannot be run as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub reason: Reason,
    /// What is wrong, by the field's name, and what to do.
    pub message: String,
}

/// What can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Runnable {
    /// The target it works on.
    pub target: Target,
    pub program: Program,
    /// Digest of all of it.
    pub digest: String,
    /// What the ledger knows the program by, whatever its target; none of the author's in a
    /// restore.
    pub identity: Option<ProgramId>,
    /// Digest of the rest that a Job is made from.
    pub settings_digest: String,
    /// Settings of the pod.
    pub pod: PodSettings,
    /// The ConfigMaps that the program's volumes and variables refer to; `None` where there is
    /// none.
    pub config_maps: BTreeMap<String, Option<ConfigMap>>,
    pub limits: Limits,
}

impl Runnable {
    /// How many migrations may write to the target at the same time.
    pub fn runs_at_once(&self) -> usize {
        let wanted = self.target.spec.policy.max_concurrent_runs.unwrap_or(1);
        usize::try_from(wanted).unwrap_or(usize::MAX).max(1)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// Files, run in their folder.
    Script {
        /// The files by their path.
        files: Files,
        /// The file to run, unless a command does.
        file: Option<String>,
        /// The rest, as it was written.
        script: Script,
    },
    /// A program in an image.
    Container(ContainerProgram),
    /// None of the author's: the guard carries out what these files declare.
    Transform {
        /// The declaration and its lookup files, by their path.
        files: Files,
    },
    /// None of the author's: what a run changed is restored.
    Restore(Restoration),
    /// None: it was applied before this operator existed.
    Baseline,
}

impl Program {
    /// Returns the files that its run gets a copy of.
    pub fn files(&self) -> Option<&Files> {
        match self {
            Self::Script { files, .. } | Self::Transform { files } => Some(files),
            Self::Container(_) | Self::Restore(_) | Self::Baseline => None,
        }
    }
}

/// The files of a program: path in its folder and content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is restored, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// Number of the run; `None` where nothing is left to restore.
    pub run: Option<u32>,
    /// What happens to what others changed since.
    pub on_conflict: OnConflict,
}

/// The ConfigMap of a script, as it was found.
#[derive(Clone, Debug, PartialEq)]
pub enum FilesFound {
    /// The source is not a script.
    NotNeeded,
    /// There is no such ConfigMap.
    Missing,
    Found(Box<ConfigMap>),
}
