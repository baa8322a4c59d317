//! How the parts of a run share a scan. All must cut the table into the same segments, and the
//! table's size changes: so the first part writes down how many there are, and the others read it.
//! Without an archive the number follows from that of the parts alone.

use bytes::Bytes;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan};
use dm_engine::archive::{Archive, ArchiveError, Created};
use dm_engine::journal::JournaledRun;
use serde::{Deserialize, Serialize};

use crate::segments;

/// The version that this build writes and the only one that it reads.
const VERSION: u32 = 1;

/// The part of a scan that one process does, and where the parts agree on what they share.
#[derive(Clone, Debug)]
pub struct Share {
    pub part: Part,
    agreed: Option<(Archive, String)>,
}

/// What all parts of a run share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Segments of the scan.
    pub segments: u32,
    /// Seconds since 1970 that `now()` gives.
    pub now_s: i64,
}

/// The object of a split.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Agreed {
    version: u32,
    segments: u32,
    now_s: i64,
}

/// Why the parts do not agree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SplitError {
    #[error("reading how the run is split")]
    Archive(#[from] ArchiveError),
    #[error(
        "`{path}` in the archive is not how a run of {parts} parts is split; remove it and start \
         the run again"
    )]
    Unknown { path: String, parts: u32 },
}

impl Share {
    /// Returns the share of a plan's part. `archive` is the plan's, if it names one.
    pub fn of(plan: &Plan, part: Part, archive: Option<&Archive>) -> Self {
        let run = JournaledRun::of_plan(plan).ok().flatten();
        let agreed = archive.zip(run).map(|(archive, run)| {
            let path = match plan.mode {
                Mode::Apply => run.name.split(&run.id.uid),
                Mode::DryRun => format!("{}/split.json", run.name.dry_run(&run.id.uid)),
            };
            (archive.clone(), path)
        });
        Self { part, agreed }
    }

    /// Returns how the run is split: as another part wrote it down, or else like this.
    pub(crate) async fn split(&self, bytes: u64, now_s: i64) -> Result<Split, SplitError> {
        let parts = self.part.of;
        let Some((archive, path)) = &self.agreed else {
            return Ok(Split { segments: segments::count_in_parts(0, parts), now_s });
        };
        let segments = segments::count_in_parts(bytes, parts);
        let own = serde_json::json!(Agreed { version: VERSION, segments, now_s }).to_string();
        match archive.create(path, Bytes::from(own + "\n")).await? {
            Created::New => Ok(Split { segments, now_s }),
            Created::Exists(there) => {
                let there = serde_json::from_slice::<Agreed>(&there).ok();
                let there = there.filter(|there| there.version == VERSION && there.fits(parts));
                let wrong = || SplitError::Unknown { path: path.clone(), parts };
                let Agreed { segments, now_s, .. } = there.ok_or_else(wrong)?;
                Ok(Split { segments, now_s })
            }
        }
    }
}

impl Agreed {
    fn fits(&self, parts: u32) -> bool {
        self.segments > 0 && self.segments.is_multiple_of(parts)
    }
}
