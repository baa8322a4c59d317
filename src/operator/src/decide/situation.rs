//! Everything that a decision rests on.

use jiff::Timestamp;

use crate::identified::{Migration, Target};
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
    /// Whether its Job is known to be what the operator creates, with all copies that its pod
    /// needs.
    pub is_complete: bool,
    /// What the guards of the run answered, as far as they were asked.
    pub answers: &'a Answers,
    /// Runs of other migrations on the same target that write, or are about to.
    pub holders: &'a [Holder],
    /// Jobs that note the end of runs in the archive.
    pub recorders: &'a [RecordJob],
    /// The image of guard and entry program that new Jobs get.
    pub agent_image: &'a str,
    pub now: Timestamp,
}
