//! `datamigration archive gc`: deletes what the given age and number of runs do not keep.

use dm_contract::error_chain::chain;
use dm_engine::archive::locks as table_locks;
use dm_engine::archive::{Retention, RunName, ledger};
use dm_engine::limits;
use serde::Serialize;

use super::{DAY_S, Gc};
use crate::answer::Words;
use crate::archive_place::Answered;
use crate::layout::counted;
use crate::print::say;

/// What was deleted, or would be.
#[derive(Debug, Serialize)]
struct Collected {
    /// False after `--dry-run`.
    deleted: bool,
    /// Objects of the archive.
    objects: u64,
    bytes: u64,
    /// Runs of which something goes, as `MIGRATION/NUMBER`.
    runs: Vec<String>,
}

impl Collected {
    fn words(&self) -> String {
        format!(
            "{} of {}, {} {}\n",
            counted(self.objects, "object"),
            counted(self.runs.len() as u64, "run"),
            counted(self.bytes, "byte"),
            if self.deleted { "deleted" } else { "would be deleted" },
        )
    }
}

pub(super) async fn gc(flags: Gc) -> Answered<u8> {
    let archive = flags.place.open().await?;
    let (entries, damaged) = ledger::readable(&archive, None).await?;
    let retention = Retention {
        age_s_max: i64::from(flags.older_than_days) * DAY_S,
        runs_kept: flags.keep,
        journals_too: flags.journals_too,
    };
    let mut objects = archive.list_all("runs").await?;
    for error in &damaged {
        let migration = error.run().map(|run| run.migration().to_owned());
        let of_it = |run: RunName| migration.as_deref().is_none_or(|name| run.migration() == name);
        objects.retain(|object| !RunName::of_path(&object.path).is_some_and(of_it));
        say(&format!("nothing of its migration is deleted: {}", chain(error)));
    }
    let mut chosen = retention.choose(&objects, &entries, jiff::Timestamp::now().as_second());
    let locks = table_locks::prune(&archive, limits::LOCKS_KEPT).await?;
    if !flags.dry_run {
        table_locks::note_pruned(&archive, &locks).await?;
    }
    for object in locks {
        chosen.bytes += object.bytes;
        chosen.paths.push(object.path);
    }
    if !flags.dry_run {
        let by = if flags.journals_too { " --journals-too" } else { "" };
        let by = format!("`datamigration archive gc{by}`");
        ledger::collect(&archive, &chosen, &by).await?;
    }
    let collected = Collected {
        deleted: !flags.dry_run,
        objects: chosen.paths.len() as u64,
        bytes: chosen.bytes,
        runs: chosen.runs.iter().map(ToString::to_string).collect(),
    };
    flags.answer.print(&collected, |_: Words| collected.words())?;
    Ok(u8::from(!damaged.is_empty()))
}
