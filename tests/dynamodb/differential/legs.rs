//! The ways in which a random program is carried out beside the direct one.

use dm_contract::plan::{JournalMode, Mode, Plan, Policy};
use dm_engine::archive::Archive;
use dm_engine::restore::Restore;
use dm_engine::restore::RestoreOptions;
use dm_guard::Guard;
use tempfile::TempDir;

use super::Names;
use crate::bed::{self, Endpoint, REGION, database};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    DryRun,
    Applied,
    /// With a journal in this mode, and restored afterwards.
    Journaled(JournalMode),
}

/// A guard that carries out a program.
pub struct Running {
    leg: Leg,
    plan: Plan,
    guard: Guard,
    through: Endpoint,
    /// Where the archive is.
    _folder: Option<TempDir>,
}

impl Leg {
    pub async fn begin(self) -> Running {
        let mode = if self == Self::DryRun { Mode::DryRun } else { Mode::Apply };
        let mut plan = bed::plan(mode, Policy::default());
        let mut folder = None;
        if let Self::Journaled(journal) = self {
            let place = tempfile::tempdir().unwrap();
            plan.archive = Some(bed::archive(&format!("file://{}", place.path().display())));
            plan.policy.journal = journal;
            folder = Some(place);
        }
        let (guard, through) = bed::guard(&plan).await;
        Running { leg: self, plan, guard, through, _folder: folder }
    }
}

impl Running {
    /// What the program talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.through
    }

    /// Ends it; what is wrong with what it left of these tables, which held this before.
    pub async fn end(self, tables: &Names, before: &[Vec<String>; 2]) -> Option<String> {
        let result = self.guard.stop().await;
        match self.leg {
            Leg::DryRun if result.write_calls_upstream != 0 => {
                return Some("the dry run sent a write".into());
            }
            Leg::DryRun => {}
            Leg::Applied => return None,
            // A run that wrote nothing has no journal.
            Leg::Journaled(_) if result.journal.is_none_or(|journal| journal.entries == 0) => {}
            Leg::Journaled(_) => {
                // Not as a part of this future: what a restore awaits is not known to be `Send`.
                let handle = tokio::runtime::Handle::current();
                let restored = restore(self.plan);
                let wrong = tokio::task::block_in_place(|| handle.block_on(restored));
                if wrong.is_some() {
                    return wrong;
                }
            }
        }
        let after = tables.items(&database()).await;
        (after != *before).then(|| {
            format!("what was there is not there again\n  before {before:?}\n  after  {after:?}")
        })
    }
}

/// Restores what a plan's run wrote; what is wrong with that.
async fn restore(mut plan: Plan) -> Option<String> {
    let run = plan.run.number;
    plan.run.number = run + 1;
    let archive = Archive::open(plan.archive.as_ref().unwrap(), REGION).await.unwrap();
    let options = RestoreOptions::new(bed::credentials(), archive, run);
    let restore = Restore::open(&plan, options).unwrap();
    match restore.run().await {
        Ok(report) if report.conflicts == 0 => None,
        Ok(report) => Some(format!("the restore found conflicts: {:?}", report.listed)),
        Err(error) => Some(format!("the restore failed: {error:?}")),
    }
}
