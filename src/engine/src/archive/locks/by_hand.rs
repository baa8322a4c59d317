//! Locks as people and the verdict before a run see them: all of them, whether one is held by
//! somebody who lives, and taking one from its owner, on record.

use std::collections::BTreeMap;

use dm_contract::verdict::LockHolder;

use crate::archive::ledger;
use crate::archive::locks::clock::Moment;
use crate::archive::locks::record::{
    LOCKS, Pruned, above, json, of_path, pruned_path, release_path,
};
use crate::archive::locks::{
    LOCK_VERSION, LockError, LockTimes, ReleaseRecord, Standing, standing_of,
};
use crate::archive::store::{Archive, Created};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub table: String,
    pub state: LockState,
}

/// How a lock stands. Whether an owner lives shows only to who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    Free,
    /// A run has it, and has written its heartbeat last at this time, in seconds since 1970, by the
    /// store's clock.
    Held(LockHolder, i64),
    /// A person took it away.
    Forced(ReleaseRecord),
}

/// The locks of all tables that ever had one, in order.
pub async fn all(archive: &Archive) -> Result<Vec<Listed>, LockError> {
    let mut beats: BTreeMap<String, (u32, i64)> = BTreeMap::new();
    for object in archive.list(LOCKS).await? {
        if let Some((name, fence, false)) = of_path(&object.path) {
            // The heartbeats of a run with parts are those of its parts' locks.
            let (table, fence) = above(name).unwrap_or((name, fence));
            let last = beats.entry(table.to_owned()).or_default();
            *last = (*last).max((fence, object.written_at_s));
        }
    }
    let mut listed = Vec::new();
    for (table, (_, beat_at_s)) in beats {
        let state = match standing_of(archive, &table).await? {
            Standing::Free { .. } => LockState::Free,
            Standing::Forced { release, .. } => LockState::Forced(release),
            Standing::Held { fence, record, .. } => {
                LockState::Held(record.told(&table, fence), beat_at_s)
            }
        };
        listed.push(Listed { table, state });
    }
    Ok(listed)
}

/// Who has one of these tables and lives; runs of this object's uid do not count. Whether an owner
/// lives is known when its heartbeat moves, or has stood still for a lease.
pub async fn locked(
    archive: &Archive,
    tables: &[String],
    uid: &str,
    times: LockTimes,
) -> Result<Option<LockHolder>, LockError> {
    for table in tables {
        let begun = Moment::now();
        let mut first = None;
        while begun.elapsed() < times.patience {
            let Standing::Held { fence, record, content } = standing_of(archive, table).await?
            else {
                break;
            };
            if record.uid == uid {
                break;
            }
            let now = (fence, content);
            if *first.get_or_insert_with(|| now.clone()) != now {
                return Ok(Some(record.told(table, fence)));
            }
            tokio::time::sleep(times.patience / crate::limits::LOCK_LOOKS_PER_LEASE).await;
        }
    }
    Ok(None)
}

/// Takes a table's lock from its owner, on record; who had it, if somebody had.
pub async fn unlock(
    archive: &Archive,
    table: &str,
    by: &str,
    reason: &str,
) -> Result<Option<LockHolder>, LockError> {
    let Standing::Held { fence, record, .. } = standing_of(archive, table).await? else {
        return Ok(None);
    };
    let release = ReleaseRecord {
        version: LOCK_VERSION,
        forced: true,
        by: by.to_owned(),
        at: ledger::now(),
        reason: Some(reason.to_owned()),
    };
    match archive.create(&release_path(table, fence), json(&release)).await? {
        Created::New => Ok(Some(record.told(table, fence))),
        // Its owner has just given it back.
        Created::Exists(_) => Ok(None),
    }
}

/// Objects of locks that were released long ago: all but the last numbers of each table, which must
/// never be given out again.
pub async fn prune(
    archive: &Archive,
    kept: u32,
) -> Result<Vec<crate::archive::store::Listed>, LockError> {
    let objects = archive.list(LOCKS).await?;
    let mut highest: BTreeMap<String, u32> = BTreeMap::new();
    for object in &objects {
        if let Some((table, fence, false)) = of_path(&object.path)
            && above(table).is_none()
        {
            let last = highest.entry(table.to_owned()).or_default();
            *last = fence.max(*last);
        }
    }
    let old = |path: &str| {
        of_path(path).is_some_and(|(name, fence, _)| {
            let (table, fence) = above(name).unwrap_or((name, fence));
            highest.get(table).is_some_and(|last| fence.saturating_add(kept.max(1)) <= *last)
        })
    };
    Ok(objects.into_iter().filter(|object| old(&object.path)).collect())
}

/// Notes which numbers of which tables are about to be deleted, so that nobody who lists late takes
/// one of them for free.
pub async fn note_pruned(
    archive: &Archive,
    old: &[crate::archive::store::Listed],
) -> Result<(), LockError> {
    let mut below: BTreeMap<&str, u32> = BTreeMap::new();
    let numbers = old.iter().filter_map(|object| of_path(&object.path));
    // The numbers of a part's lock go with that of its run, under which none is taken any more.
    for (table, fence, _) in numbers.filter(|(name, ..)| above(name).is_none()) {
        let first_kept = below.entry(table).or_default();
        *first_kept = (*first_kept).max(fence.saturating_add(1));
    }
    for (table, below) in below {
        let pruned = Pruned { version: LOCK_VERSION, below };
        archive.replace(&pruned_path(table), json(&pruned)).await?;
    }
    Ok(())
}
