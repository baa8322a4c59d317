//! `datamigration archive unlock`, and the locks in what `archive ls` prints. Which run has a table
//! is decided by the guards; a person only takes one away from its run, on record.

use clap::Args;
use dm_engine::archive::locks::{self, Listed, LockState};
use serde::Serialize;

use crate::answer::{self, Words};
use crate::archive_place::{ArchiveVerbError, Place};
use crate::print::{self, Confirmed};

/// Flags of `datamigration archive unlock`.
#[derive(Clone, Debug, Args)]
pub struct Unlock {
    #[command(flatten)]
    place: Place,
    /// The table
    #[arg(long, value_name = "NAME")]
    table: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who, for the record
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    answer: answer::Flags,
}

/// What became of a lock.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unlocked {
    table: String,
    /// Whether it was removed now.
    removed: bool,
    /// The run that had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

/// Takes a table's lock from its run: 0, or 1 if no run had it.
pub async fn unlock(flags: Unlock) -> Result<u8, ArchiveVerbError> {
    let archive = flags.place.open().await?;
    let held = locks::all(&archive).await?.into_iter().find(|lock| lock.table == flags.table);
    let Some(Listed { state: LockState::Held(holder, beat_at_s), .. }) = held else {
        let free = Unlocked { table: flags.table.clone(), removed: false, from: None };
        flags.answer.print(&free, |_: Words| format!("{} is not locked\n", flags.table))?;
        return Ok(1);
    };
    let question = format!(
        "{} is locked by run {} of {} since {}; last heartbeat {}. After the removal this run \
         sends no more writes. Remove the lock?",
        holder.table,
        holder.by,
        holder.owner(),
        holder.since,
        time(beat_at_s),
    );
    if !flags.yes {
        match print::confirm(&question)? {
            Confirmed::Yes => {}
            Confirmed::No => return Ok(1),
            Confirmed::NobodyThere => return Err(ArchiveVerbError::Unasked),
        }
    }
    let had = locks::unlock(&archive, &flags.table, &flags.by, &flags.reason).await?;
    let from = had.map(|holder| holder.by);
    let unlocked = Unlocked { table: flags.table, removed: from.is_some(), from };
    flags.answer.print(&unlocked, |_: Words| words(&unlocked))?;
    Ok(0)
}

fn words(unlocked: &Unlocked) -> String {
    let table = &unlocked.table;
    match &unlocked.from {
        Some(run) => format!(
            "the lock of {table} was removed from run {run}. Another run can take it after 30 s, \
             when run {run} must have noticed the removal\n"
        ),
        None => format!("{table} was released before the removal\n"),
    }
}

/// The locks that are not free, as a table; empty if there are none.
pub fn listed(locks: &[Listed]) -> String {
    let lines: Vec<String> = locks.iter().filter_map(line).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{:<30} {:<44} {:<24} {}\n", "TABLE", "LOCKED BY", "SINCE", "LAST HEARTBEAT")
        + &lines.concat()
}

fn line(lock: &Listed) -> Option<String> {
    let table = &lock.table;
    match &lock.state {
        LockState::Free => None,
        LockState::Held(holder, beat_at_s) => {
            let (by, since, beat) = (&holder.by, &holder.since, time(*beat_at_s));
            Some(format!("{table:<30} {by:<44} {since:<24} {beat}\n"))
        }
        LockState::Forced(release) => {
            let by = format!("removed by {}", release.by);
            let why = release.reason.as_deref().unwrap_or_default();
            Some(format!("{table:<30} {by:<44} {:<24} {why}\n", release.at))
        }
    }
}

fn time(at_s: i64) -> String {
    jiff::Timestamp::from_second(at_s).map_or_else(|_| "-".into(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::verdict::LockHolder;

    #[test]
    fn only_locks_that_stand_in_the_way_are_shown() {
        let lock = |state| Listed { table: "cars".into(), state };
        assert_eq!(line(&lock(LockState::Free)), None);
        let holder = LockHolder {
            table: "cars".into(),
            by: "team.m/1".into(),
            namespace: "team".into(),
            name: "m".into(),
            since: "2026-12-01T00:00:00.000Z".into(),
            fence: 1,
        };
        let held = line(&lock(LockState::Held(holder, 1_796_083_260))).unwrap();
        assert!(held.contains("team.m/1") && held.ends_with("2026-12-01T00:01:00Z\n"), "{held}");
    }
}
