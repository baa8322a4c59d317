//! Where things are in an archive (docs/reference/archive.md). Names only; nothing is read or
//! written here.

use std::fmt;

/// Most characters of a migration's name in the archive.
const NAME_CHARS_MAX: usize = 200;

/// Most characters of an object's uid in a path; they have 36.
const UID_CHARS_MAX: usize = 64;

/// One run of one migration in the archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    migration: String,
    number: u32,
}

/// A name cannot be one in the archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A migration's.
    #[error("`{0}` is no name of a migration: letters, digits, `.`, `_` and `-` are needed")]
    Migration(String),
    /// A run's.
    #[error("`{0}` is no run: MIGRATION/NUMBER is needed")]
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
        Ok(Self { migration: migration.to_owned(), number })
    }

    /// Reads `MIGRATION/NUMBER`.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let wrong = || LayoutError::Run(text.to_owned());
        let (migration, number) = text.rsplit_once('/').ok_or_else(wrong)?;
        Self::new(migration, number.parse().map_err(|_| wrong())?)
    }

    /// The migration's name.
    pub fn migration(&self) -> &str {
        &self.migration
    }

    /// The run's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The folder of everything but the ledger.
    pub fn folder(&self) -> String {
        format!("runs/{}/{:06}", self.migration, self.number)
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
        let good = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let uid: String = uid.chars().filter(good).take(UID_CHARS_MAX).collect();
        format!("{}/dry-run-{uid}", self.folder())
    }

    /// The guard's full report.
    pub fn report(&self) -> String {
        format!("{}/report.json", self.folder())
    }

    /// The program's output.
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
        format!("ledger/{}/{:06}.begun.json", self.migration, self.number)
    }

    /// The ledger's entry that the run was completed.
    pub fn completed(&self) -> String {
        format!("ledger/{}/{:06}.completed.json", self.migration, self.number)
    }

    /// The ids of the tables that the run writes, beside those that it began with.
    pub fn tables(&self) -> String {
        format!("ledger/{}/{:06}.tables.json", self.migration, self.number)
    }

    /// How far the run's journal has come, as far as was noted.
    pub fn extent(&self) -> String {
        format!("ledger/{}/{:06}.journal.json", self.migration, self.number)
    }

    /// The record that the run's journal was removed on purpose.
    pub fn removal(&self) -> String {
        format!("ledger/{}/{:06}.journal-removed.json", self.migration, self.number)
    }

    /// The run whose object this is, for any path under `runs/` or `ledger/`.
    pub fn of_path(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let root = parts.next().filter(|root| ["runs", "ledger"].contains(root));
        let (migration, number) = (parts.next()?, parts.next()?);
        root.and_then(|_| Self::new(migration, number.split('.').next()?.parse().ok()?).ok())
    }

    /// The number of a segment's path.
    pub fn segment_number(path: &str) -> Option<u32> {
        path.rsplit('/').next()?.strip_suffix(".ndjson.zst")?.parse().ok()
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.migration, self.number)
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
