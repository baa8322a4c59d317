//! Everything that a decision rests on.

use dm_api::status::{DataMigrationStatus, RunRecord};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::identified::{Identified, Migration, Target};
use crate::objects::Settings;
use crate::read::answers::Answers;
use crate::read::dependencies::Dependencies;
use crate::read::holders::Holder;
use crate::read::recorders::RecordJob;
use crate::read::view::RunObjects;
use crate::runnable::{Problem, Runnable};

/// Everything a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The migration as the watch shows it. A write to it names its version.
    pub migration: &'a Migration,
    /// It and its files and target, checked.
    pub runnable: Result<&'a Runnable, &'a Problem>,
    /// Its target, as far as it exists.
    pub target: Option<&'a Target>,
    /// Where the migrations stand that it depends on.
    pub dependencies: &'a Dependencies,
    /// The objects of the run under way, if there is one.
    pub objects: RunObjects<'a>,
    /// Jobs of all its runs.
    pub jobs: &'a [Identified<Job>],
    /// Pods of all its runs, in the order of their creation.
    pub pods: &'a [Pod],
    /// Whether its Job is known to be what the operator creates, with all copies that its pod
    /// needs.
    pub is_complete: bool,
    /// What the guards of the run answered, as far as they were asked.
    pub answers: &'a Answers,
    /// Runs of other migrations on the same target that write, or are about to.
    pub holders: &'a [Holder],
    /// Whether its namespace is known to be in deletion: no object is created there any more.
    pub namespace_ends: bool,
    /// Jobs that record the end of runs in the archive.
    pub recorders: &'a [RecordJob],
    /// What the operator was started with.
    pub settings: &'a Settings,
    pub now: Timestamp,
}

impl<'a> Situation<'a> {
    /// Whether the migration is being deleted, or its namespace.
    pub fn is_terminating(&self) -> bool {
        self.migration.metadata.deletion_timestamp.is_some() || self.namespace_ends
    }

    /// The run under way, as status has it.
    pub fn run(&self) -> Option<&'a RunRecord> {
        self.migration.status.as_ref().and_then(DataMigrationStatus::under_way)
    }
}
