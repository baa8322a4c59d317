//! Where things are in an archive (docs/reference/archive.md). Names only; nothing is read or
//! written here.

use std::fmt;

use dm_contract::part::Part;

/// Most characters of a migration's name in the archive.
const NAME_CHARS_MAX: usize = 200;

/// Most characters of an object's uid in a path; they have 36.
const UID_CHARS_MAX: usize = 64;

/// One run of one migration in the archive, or one part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    migration: String,
    number: u32,
    /// As it is in paths.
    part: Option<String>,
}

/// A name cannot be one in the archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("`{0}` is not the name of a migration: letters, digits, `.`, `_` and `-` are needed")]
    Migration(String),
    #[error("`{0}` is not a run: MIGRATION/NUMBER is needed")]
    Run(String),
}

impl RunName {
    /// The run of this number, from 1.
    pub fn new(migration: &str, number: u32) -> Result<Self, LayoutError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = (1..=NAME_CHARS_MAX).contains(&migration.len());
        if !fits || migration.starts_with('.') || !migration.chars().all(good) {
            return Err(LayoutError::Migration(migration.to_owned()));
        }
        Ok(Self { migration: migration.to_owned(), number, part: None })
    }

    /// Reads `MIGRATION/NUMBER`.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let wrong = || LayoutError::Run(text.to_owned());
        let (migration, number) = text.rsplit_once('/').ok_or_else(wrong)?;
        Self::new(migration, number.parse().map_err(|_| wrong())?)
    }

    /// Returns the name of a part of the run. What a part writes is under that name; that the run
    /// was begun, and that its journal was removed, is on record of the whole run.
    #[must_use]
    pub fn in_part(&self, part: Part) -> Self {
        Self { part: Some(part.to_string()), ..self.clone() }
    }

    /// Returns the name of the whole run.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { part: None, ..self.clone() }
    }

    /// Whether it is the name of a part.
    pub fn is_part(&self) -> bool {
        self.part.is_some()
    }

    pub fn migration(&self) -> &str {
        &self.migration
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// The folder of everything but the ledger.
    pub fn folder(&self) -> String {
        self.within(&format!("runs/{}/{:06}", self.migration, self.number))
    }

    /// The part's folder within one of the run; the folder itself for a whole run.
    fn within(&self, folder: &str) -> String {
        match &self.part {
            Some(part) => format!("{folder}/{part}"),
            None => folder.to_owned(),
        }
    }

    /// An entry of the ledger.
    fn entry(&self, what: &str) -> String {
        let part = self.part.as_ref().map(|part| format!("{part}.")).unwrap_or_default();
        format!("ledger/{}/{:06}.{part}{what}.json", self.migration, self.number)
    }

    /// The folder of the journal's segments.
    pub fn journal(&self) -> String {
        format!("{}/journal", self.folder())
    }

    /// One segment of the journal, from 1.
    pub fn segment(&self, segment: u32) -> String {
        format!("{}/{segment:08}.ndjson.zst", self.journal())
    }

    /// What the journal held when it was closed.
    pub fn closed(&self) -> String {
        format!("{}/journal.closed.json", self.folder())
    }

    /// Where a dry run of this number keeps what it found. Dry runs are not in the ledger, so
    /// objects that were re-created have some of the same number: the uid tells them apart.
    pub fn dry_run(&self, uid: &str) -> String {
        self.within(&format!("{}/dry-run-{}", self.whole().folder(), in_path(uid)))
    }

    /// What the parts of an apply agree on. One that never wrote an item is not in the ledger, so
    /// the uid tells runs of the same number apart.
    pub fn split(&self, uid: &str) -> String {
        format!("{}/split-{}.json", self.whole().folder(), in_path(uid))
    }

    /// The guard's full report.
    pub fn report(&self) -> String {
        format!("{}/report.json", self.folder())
    }

    pub fn log(&self) -> String {
        format!("{}/program.log.zst", self.folder())
    }

    /// How far a transform's scan has come.
    pub fn checkpoint(&self) -> String {
        format!("{}/checkpoint.json", self.folder())
    }

    /// What a restore found in conflict.
    pub fn conflicts(&self) -> String {
        format!("{}/conflicts.ndjson", self.folder())
    }

    /// The ledger's entry that the run was begun.
    pub fn begun(&self) -> String {
        self.whole().entry("begun")
    }

    /// The ledger's entry that the run was completed.
    pub fn completed(&self) -> String {
        self.entry("completed")
    }

    /// The ids of the tables that the run writes, beside those that it began with.
    pub fn tables(&self) -> String {
        self.entry("tables")
    }

    /// How far the run's journal has come, as far as was noted.
    pub fn extent(&self) -> String {
        self.entry("journal")
    }

    /// The record that the run's journal was removed on purpose.
    pub fn removal(&self) -> String {
        self.whole().entry("journal-removed")
    }

    /// The run whose object this is, for any path under `runs/` or `ledger/`.
    pub fn of_path(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let root = parts.next().filter(|root| ["runs", "ledger"].contains(root));
        let (migration, number) = (parts.next()?, parts.next()?);
        root.and_then(|_| Self::new(migration, number.split('.').next()?.parse().ok()?).ok())
    }

    /// Whether a path under `runs/` is one of a journal, of a whole run or of a part.
    pub fn is_of_journal(path: &str) -> bool {
        let mut names = path.split('/').skip(3);
        let first = names.next().unwrap_or_default();
        let name = if first.starts_with("part-") { names.next() } else { Some(first) };
        name.is_some_and(|name| name == "journal" || name.starts_with("journal."))
    }

    /// The number of a segment's path.
    pub fn segment_number(path: &str) -> Option<u32> {
        path.rsplit('/').next()?.strip_suffix(".ndjson.zst")?.parse().ok()
    }
}

/// An object's uid as it is in paths.
fn in_path(uid: &str) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    uid.chars().filter(good).take(UID_CHARS_MAX).collect()
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.migration, self.number)?;
        self.part.as_ref().map_or(Ok(()), |part| write!(f, "/{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_from_paths() {
        let run = RunName::new("prod.0001-add-price", 12).unwrap();
        assert_eq!(run.begun(), "ledger/prod.0001-add-price/000012.begun.json");
        assert_eq!(run.segment(3), "runs/prod.0001-add-price/000012/journal/00000003.ndjson.zst");
        let of_ledger = [run.begun(), run.completed(), run.tables(), run.extent(), run.removal()];
        let of_run = [run.segment(3), run.closed(), run.log()];
        for path in of_ledger.into_iter().chain(of_run) {
            assert_eq!(RunName::of_path(&path).as_ref(), Some(&run), "{path}");
        }
        assert_eq!(RunName::segment_number(&run.segment(3)), Some(3));
        assert_eq!(RunName::parse(&run.to_string()), Ok(run));
    }

    #[test]
    fn a_part_has_names_of_its_own_within_those_of_its_run() {
        let run = RunName::new("m", 12).unwrap();
        let part = run.in_part(Part { index: 3, of: 4 });
        assert_eq!(part.to_string(), "m/12/part-003");
        assert_eq!(part.segment(1), "runs/m/000012/part-003/journal/00000001.ndjson.zst");
        assert_eq!(part.closed(), "runs/m/000012/part-003/journal.closed.json");
        assert_eq!(part.checkpoint(), "runs/m/000012/part-003/checkpoint.json");
        assert_eq!(part.dry_run("u"), "runs/m/000012/dry-run-u/part-003");
        assert_eq!(part.tables(), "ledger/m/000012.part-003.tables.json");
        assert_eq!(part.extent(), "ledger/m/000012.part-003.journal.json");
        assert_eq!(part.completed(), "ledger/m/000012.part-003.completed.json");
        assert_eq!((part.begun(), part.removal()), (run.begun(), run.removal()));
        assert_eq!(part.whole(), run);
        for path in [part.segment(1), part.closed(), part.tables(), part.extent(), part.log()] {
            assert_eq!(RunName::of_path(&path).as_ref(), Some(&run), "{path}");
        }
        for path in [part.segment(1), part.closed(), run.segment(1), run.closed()] {
            assert!(RunName::is_of_journal(&path), "{path}");
        }
        for path in [part.report(), part.checkpoint(), run.report(), part.dry_run("u"), part.log()]
        {
            assert!(!RunName::is_of_journal(&path), "{path}");
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        for wrong in ["", ".", "..", "a/b", "a b", "ü", "a\n"] {
            assert!(RunName::new(wrong, 1).is_err(), "{wrong:?}");
        }
        for wrong in ["", "a", "a/", "a/x", "/1"] {
            assert!(RunName::parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(RunName::of_path("other/a/1"), None);
    }
}
