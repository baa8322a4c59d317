//! The conflicts of a restore: all of them in a file, counted by kind, and the first in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use crate::limits;
use bytes::Bytes;
use dm_contract::limits::CONFLICT_KEYS_MAX;
use dm_contract::report::ListedConflict;
use dm_contract::restored::{Conflict, ConflictGroup};
use parking_lot::Mutex;

/// The conflicts found so far.
#[derive(Debug, Default)]
pub struct Conflicts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    listed: Vec<ListedConflict>,
    groups: BTreeMap<(String, Conflict), Group>,
    left_out: u64,
    file: Option<BufWriter<File>>,
    bytes: u64,
    /// Where each part of the file begins.
    parts: Vec<u64>,
    failed: Option<io::Error>,
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    keys: Vec<serde_json::Value>,
}

/// The conflicts as a report has them.
#[derive(Debug)]
pub struct Summary {
    pub count: u64,
    pub listed: Vec<ListedConflict>,
    /// By table and kind, the largest first.
    pub groups: Vec<ConflictGroup>,
    /// Conflicts of further groups.
    pub left_out: u64,
}

impl Conflicts {
    pub fn add(&self, conflict: ListedConflict) {
        let mut state = self.0.lock();
        state.count += 1;
        state.group(&conflict);
        if state.failed.is_none()
            && let Err(error) = state.write(&conflict)
        {
            state.failed = Some(error);
        }
        if state.listed.len() < limits::RESTORE_CONFLICTS_LISTED_MAX {
            state.listed.push(conflict);
        }
    }

    /// What a report says of them.
    pub fn summary(&self) -> Summary {
        let state = self.0.lock();
        let group = |((table, conflict), group): (&(String, Conflict), &Group)| ConflictGroup {
            table: table.clone(),
            conflict: conflict.clone(),
            count: group.count,
            keys: group.keys.clone(),
        };
        let mut groups: Vec<ConflictGroup> = state.groups.iter().map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        let (count, listed) = (state.count, state.listed.clone());
        Summary { count, listed, groups, left_out: state.left_out }
    }

    /// One part of all lines, from 0; `None` behind the last.
    pub fn part(&self, part: usize) -> io::Result<Option<Bytes>> {
        let mut state = self.0.lock();
        if let Some(error) = &state.failed {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let Some(from) = state.parts.get(part).copied() else { return Ok(None) };
        let to = state.parts.get(part + 1).copied().unwrap_or(state.bytes);
        let Some(file) = &mut state.file else { return Ok(None) };
        file.flush()?;
        let file = file.get_mut();
        file.seek(SeekFrom::Start(from))?;
        let mut lines = Vec::new();
        file.take(to - from).read_to_end(&mut lines)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Some(Bytes::from(lines)))
    }
}

impl State {
    fn group(&mut self, found: &ListedConflict) {
        let place = (found.table.clone(), found.conflict.clone());
        let is_full = self.groups.len() >= limits::RESTORE_CONFLICT_GROUPS_MAX;
        if is_full && !self.groups.contains_key(&place) {
            self.left_out += 1;
            return;
        }
        let group = self.groups.entry(place).or_default();
        group.count += 1;
        if group.keys.len() < CONFLICT_KEYS_MAX {
            group.keys.extend(found.key.clone());
        }
    }

    fn write(&mut self, found: &ListedConflict) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(tempfile::tempfile()?));
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = serde_json::json!(found).to_string() + "\n";
        let begun = self.parts.last().copied();
        if begun.is_none_or(|from| self.bytes - from >= limits::RESTORE_CONFLICTS_PART_BYTES) {
            self.parts.push(self.bytes);
        }
        file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// The name of a part in its run's folder, from 0. Mostly there is one.
pub fn part_name(part: usize) -> String {
    match part {
        0 => "conflicts.ndjson".to_owned(),
        later => format!("conflicts-{}.ndjson", later + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(key: usize, name: &str) -> ListedConflict {
        ListedConflict {
            table: "cars".into(),
            key: Some(serde_json::json!({"id": {"S": format!("{key:0>1000}")}})),
            conflict: Conflict::AttributeChanged(name.into()),
        }
    }

    #[test]
    fn all_conflicts_are_counted_and_written_although_only_the_first_are_kept() {
        let all = Conflicts::default();
        let count = limits::RESTORE_CONFLICTS_LISTED_MAX + 8_000;
        for key in 0..count {
            all.add(conflict(key, "price"));
        }
        all.add(conflict(count, "rare"));
        let summary = all.summary();
        assert_eq!(summary.count, count as u64 + 1);
        assert_eq!(summary.listed.len(), limits::RESTORE_CONFLICTS_LISTED_MAX);
        let counts: Vec<u64> = summary.groups.iter().map(|group| group.count).collect();
        assert_eq!((counts, summary.left_out), (vec![count as u64, 1], 0));
        let parts: Vec<Bytes> = (0..).map_while(|part| all.part(part).unwrap()).collect();
        assert!(parts.len() > 1, "{}", parts.len());
        let lines: Vec<ListedConflict> = parts
            .iter()
            .flat_map(|part| part.split_inclusive(|byte| *byte == b'\n'))
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.len(), count + 1);
        assert_eq!(lines.last(), Some(&conflict(count, "rare")));
        // It continues behind the last line.
        all.add(conflict(0, "late"));
        let last = all.part(parts.len() - 1).unwrap().unwrap();
        assert!(last.starts_with(&parts[parts.len() - 1]) && last.ends_with(b"}\n"));
    }

    #[test]
    fn names_of_attributes_do_not_fill_the_memory() {
        let all = Conflicts::default();
        for name in 0..limits::RESTORE_CONFLICT_GROUPS_MAX + 3 {
            all.add(conflict(name, &name.to_string()));
        }
        let summary = all.summary();
        let counts = (summary.groups.len(), summary.left_out);
        assert_eq!(counts, (limits::RESTORE_CONFLICT_GROUPS_MAX, 3));
    }
}
