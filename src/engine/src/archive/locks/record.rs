//! What a table's lock looks like in the archive: who has it under which fencing number, and that
//! it was released. Names, types, and reading them; who gets it is decided elsewhere.

use bytes::Bytes;
use dm_contract::part::Part;
use dm_contract::verdict::LockHolder;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use crate::archive::store::{Archive, ArchiveError};
use crate::limits;

/// The version this build writes and the only one it reads.
pub const LOCK_VERSION: u32 = 1;

/// The folder of all locks.
pub const LOCKS: &str = "locks";

/// A run has a table. Its owner writes it again and again: that is its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockRecord {
    /// Always [`LOCK_VERSION`].
    pub version: u32,
    /// The run, as `MIGRATION/NUMBER`.
    pub run: String,
    /// Namespace of the run's object.
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Tells this guard from others of the same run.
    pub holder: String,
    /// Since when, by the holder's clock, RFC 3339 in UTC. For people: nothing is decided by it.
    pub since: String,
    /// Counts the heartbeats. In the record of a run with parts, which has none: 0 until it is
    /// known that no earlier owner writes any more.
    pub beat: u64,
    /// How many parts the run has, each with its own lock under this one; absent where the
    /// owner is one guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// A lock was released, or taken from its owner by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseRecord {
    /// Always [`LOCK_VERSION`].
    pub version: u32,
    /// Whether a person did it.
    pub forced: bool,
    /// Who: the run, or the person.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Why, where a person did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a lock cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("keeping the tables' locks")]
    Archive(#[from] ArchiveError),
    /// A lock is not what this version writes.
    #[error("reading the lock `{0}`: it is not understood")]
    Record(String, #[source] serde_json::Error),
    /// A lock is of another version.
    #[error("the lock `{0}` has a version that this program does not know")]
    Version(String),
}

/// How a table's lock stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has it. The next one gets this number.
    Free { next: u32 },
    /// A person took it from its owner, who may not know it yet.
    Forced {
        fence: u32,
        /// Who did it, and why.
        release: ReleaseRecord,
    },
    /// A run has it, as far as is known.
    Held {
        fence: u32,
        record: LockRecord,
        /// The whole object, and those of the locks of all parts: another one means that the owner
        /// lives.
        content: Bytes,
    },
}

/// The object of a lock.
pub fn lock_path(table: &str, fence: u32) -> String {
    format!("{LOCKS}/{table}/{fence:06}.json")
}

/// The object that marks a lock as released.
pub fn release_path(table: &str, fence: u32) -> String {
    format!("{LOCKS}/{table}/{fence:06}.released.json")
}

/// The name of the lock that a part of a run has under its run's lock of this number. No table has
/// such a name.
pub fn part_lock(table: &str, fence: u32, part: Part) -> String {
    format!("{table}/{fence:06}.{part}")
}

/// The table and the number of the run's lock over that of a part.
pub fn above(name: &str) -> Option<(&str, u32)> {
    let (table, folder) = name.split_once('/')?;
    Some((table, folder.split_once('.')?.0.parse().ok()?))
}

/// Name and fencing number of a lock's object; whether it is the one of its release. The name is
/// that of a table, or of a part's lock.
pub fn of_path(path: &str) -> Option<(&str, u32, bool)> {
    let (table, file) = path.strip_prefix(LOCKS)?.strip_prefix('/')?.rsplit_once('/')?;
    let (number, rest) = file.split_once('.')?;
    let released = match rest {
        "json" => false,
        "released.json" => true,
        _ => return None,
    };
    Some((table, number.parse().ok()?, released))
}

/// The object that says which numbers were deleted.
pub fn pruned_path(table: &str) -> String {
    format!("{LOCKS}/{table}/pruned.json")
}

/// Old numbers of a table's lock were deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pruned {
    /// Always [`LOCK_VERSION`].
    pub version: u32,
    /// Those below this one. They must never be given out again.
    pub below: u32,
}

/// Looks at a table's lock.
pub async fn standing_of(archive: &Archive, table: &str) -> Result<Standing, LockError> {
    let (mut highest, mut released) = (0, 0);
    for object in archive.list(&format!("{LOCKS}/{table}")).await? {
        match of_path(&object.path) {
            // Those of parts are in folders below.
            Some((name, ..)) if name != table => {}
            Some((_, fence, false)) => highest = highest.max(fence),
            Some((_, fence, true)) => released = released.max(fence),
            None => {}
        }
    }
    if archive.lists_late() {
        highest = highest_by_name(archive, table, highest).await?;
    }
    if highest == 0 {
        return Ok(Standing::Free { next: 1 });
    }
    if released > highest {
        return Ok(Standing::Free { next: released + 1 });
    }
    of_number(archive, table, highest).await
}

/// How the lock of this number stands, if it is the highest one.
async fn of_number(archive: &Archive, table: &str, fence: u32) -> Result<Standing, LockError> {
    let path = release_path(table, fence);
    let release = archive.get(&path).await?;
    match release.map(|release| read::<ReleaseRecord>(&path, &release)).transpose()? {
        Some(release) if release.forced => return Ok(Standing::Forced { fence, release }),
        Some(_) => return Ok(Standing::Free { next: fence + 1 }),
        None => {}
    }
    let path = lock_path(table, fence);
    // Where there is none, somebody cleans up by hand: the number is not given out again.
    let Some(content) = archive.get(&path).await? else {
        return Ok(Standing::Free { next: fence + 1 });
    };
    let record: LockRecord = read(&path, &content)?;
    let content = with_parts(archive, table, fence, record.parts, content).await?;
    Ok(Standing::Held { fence, record, content })
}

/// What shows that the owner of the lock of this number lives; `None` if it is gone.
pub async fn content(
    archive: &Archive,
    name: &str,
    fence: u32,
) -> Result<Option<Bytes>, LockError> {
    let path = lock_path(name, fence);
    let Some(content) = archive.get(&path).await? else { return Ok(None) };
    let record: LockRecord = read(&path, &content)?;
    with_parts(archive, name, fence, record.parts, content).await.map(Some)
}

/// A lock's object with what shows of the locks of its parts, whether they are there or not.
async fn with_parts(
    archive: &Archive,
    table: &str,
    fence: u32,
    parts: Option<u32>,
    content: Bytes,
) -> Result<Bytes, LockError> {
    let Some(of) = parts else { return Ok(content) };
    let mut all = content.to_vec();
    for look in standings_of_parts(archive, table, fence, of).await? {
        // Two that differ in anything have another text.
        all.extend_from_slice(format!("{look:?}\n").as_bytes());
    }
    Ok(Bytes::from(all))
}

/// How the locks of all parts stand, in their order.
pub async fn standings_of_parts(
    archive: &Archive,
    table: &str,
    fence: u32,
    of: u32,
) -> Result<Vec<Standing>, LockError> {
    let looks = Part::all(of).map(|part| async move {
        let name = part_lock(table, fence, part);
        // A part's lock has none below it.
        Box::pin(standing_of(archive, &name)).await
    });
    let looks: Vec<_> = looks.collect();
    futures::stream::iter(looks).buffered(limits::ARCHIVE_READS_AT_ONCE).try_collect().await
}

/// The highest number, where a listing may be an old one: numbers follow each other, so names tell.
async fn highest_by_name(archive: &Archive, table: &str, listed: u32) -> Result<u32, LockError> {
    let path = pruned_path(table);
    let pruned = archive.get(&path).await?;
    let pruned = pruned.map(|pruned| read::<Pruned>(&path, &pruned)).transpose()?;
    let mut highest = listed.max(pruned.map_or(0, |pruned| pruned.below.saturating_sub(1)));
    while archive.exists(&lock_path(table, highest + 1)).await? {
        highest += 1;
    }
    Ok(highest)
}

/// Whether the lock of this number stands, which its owner asks; else how it is. Only names are
/// looked at, no listing.
pub async fn stands(
    archive: &Archive,
    table: &str,
    fence: u32,
) -> Result<Option<Standing>, LockError> {
    if archive.exists(&lock_path(table, fence + 1)).await? {
        return standing_of(archive, table).await.map(Some);
    }
    if archive.exists(&release_path(table, fence)).await? {
        return of_number(archive, table, fence).await.map(Some);
    }
    Ok(None)
}

pub fn json(record: &impl Serialize) -> Bytes {
    // Texts and numbers: nothing that JSON cannot hold.
    Bytes::from(serde_json::json!(record).to_string() + "\n")
}

fn read<T: serde::de::DeserializeOwned>(path: &str, content: &[u8]) -> Result<T, LockError> {
    let wrong = |source| LockError::Record(path.to_owned(), source);
    let value: serde_json::Value = serde_json::from_slice(content).map_err(wrong)?;
    if value.get("version").and_then(serde_json::Value::as_u64) != Some(u64::from(LOCK_VERSION)) {
        return Err(LockError::Version(path.to_owned()));
    }
    serde_json::from_value(value).map_err(wrong)
}

impl LockRecord {
    /// Who has the lock, for others.
    pub fn told(&self, table: &str, fence: u32) -> LockHolder {
        LockHolder {
            table: table.to_owned(),
            by: self.run.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            since: self.since.clone(),
            fence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_back() {
        assert_eq!(lock_path("cars", 7), "locks/cars/000007.json");
        assert_eq!(of_path(&lock_path("a.b", 7)), Some(("a.b", 7, false)));
        assert_eq!(of_path(&release_path("a.b", 7)), Some(("a.b", 7, true)));
        let part = part_lock("a.b", 7, Part { index: 3, of: 4 });
        assert_eq!(lock_path(&part, 2), "locks/a.b/000007.part-003/000002.json");
        assert_eq!(of_path(&lock_path(&part, 2)), Some((part.as_str(), 2, false)));
        assert_eq!((above(&part), above("a.b")), (Some(("a.b", 7)), None));
        for other in ["locks/cars", "locks/cars/x.json", "runs/m/000001.json", "locks/c/1.other"] {
            assert_eq!(of_path(other), None, "{other}");
        }
    }

    #[test]
    fn records_have_their_golden_form_and_others_are_refused() {
        let lock = LockRecord {
            version: LOCK_VERSION,
            run: "team.m/2".into(),
            namespace: "team".into(),
            name: "m".into(),
            uid: "u".into(),
            holder: "h".into(),
            since: "2026-12-01T00:00:00.000Z".into(),
            beat: 3,
            parts: None,
        };
        let text = "{\"version\":1,\"run\":\"team.m/2\",\"namespace\":\"team\",\"name\":\"m\",\
                    \"uid\":\"u\",\"holder\":\"h\",\"since\":\"2026-12-01T00:00:00.000Z\",\
                    \"beat\":3}\n";
        assert_eq!(json(&lock), text);
        assert_eq!(read::<LockRecord>("p", text.as_bytes()).unwrap(), lock);
        let release = ReleaseRecord {
            version: LOCK_VERSION,
            forced: true,
            by: "ada".into(),
            at: "2026-12-01T00:00:00.000Z".into(),
            reason: Some("its node is gone".into()),
        };
        let text = "{\"version\":1,\"forced\":true,\"by\":\"ada\",\
                    \"at\":\"2026-12-01T00:00:00.000Z\",\"reason\":\"its node is gone\"}\n";
        assert_eq!(json(&release), text);
        let whole = LockRecord { parts: Some(4), ..lock };
        assert!(String::from_utf8_lossy(&json(&whole)).ends_with("\"parts\":4}\n"));
        for wrong in ["", "{}", "{\"version\":2}", "{\"version\":1}"] {
            assert!(read::<LockRecord>("p", wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
