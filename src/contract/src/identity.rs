//! Which program a run is of, and which database and tables it worked on. The ledger keeps it, so
//! that a recorded run is taken for another one's only where program, database and tables are the
//! same.
//!
//! Pure: what is compared is looked up elsewhere. What one of the two sides does not know, as in
//! entries of older versions, differs from nothing.

mod place;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use place::DatabaseId;

/// Ids of tables (`TableId` of DescribeTable) by their names. A table that is created again, or
/// restored from a backup under its name, has another id. A table that the run itself deleted has
/// an empty one, which is compared with nothing.
pub type TableIds = BTreeMap<String, String>;

/// What a run executes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProgramId {
    /// Digest of the program without its target: files, image, command, arguments, environment.
    pub digest: String,
    /// Digests of the images of its containers, as far as they are known, by the containers' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
}

/// The database and the tables that a dry run saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TriedOn {
    pub database: DatabaseId,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: TableIds,
}

/// How a recorded run differs from what is to happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mismatch {
    /// It worked on another database: another partition, account, region or endpoint.
    OtherDatabase,
    /// It ran another program.
    OtherProgram,
    /// A table that it wrote was deleted since, and created or restored under the same name.
    TableReplaced,
}

/// What differs, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub reason: Mismatch,
    /// What the record has, and what is there now, in a sentence without a full stop.
    pub what: String,
}

/// A database in its current state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub database: DatabaseId,
    /// The ids of tables that were looked at; `None` where there is no such table.
    pub tables: BTreeMap<String, Option<String>>,
    /// Whether the database is known to have no table at all.
    pub is_empty: bool,
}

/// What is made of a recorded table that does not exist now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// A later migration may have dropped it.
    MayBe,
    IsReplaced,
}

/// What a record says of its run.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// The database, where the record has it.
    pub database: Option<&'a DatabaseId>,
    /// The program, where the record has it.
    pub program: Option<&'a ProgramId>,
    /// The tables that it wrote.
    pub tables: &'a TableIds,
}

impl Recorded<'_> {
    /// The first difference in database or tables that is not accepted.
    pub fn differs_in_place(
        self,
        now: &Seen,
        absent: Absent,
        accepted: &[Mismatch],
    ) -> Option<Difference> {
        if let Some(recorded) = self.database
            && !self.is_same_database(recorded, now)
        {
            let what = format!("it worked on {recorded}, and the database is now {}", now.database);
            // Other tables are what another database has.
            return difference(Mismatch::OtherDatabase, what, accepted);
        }
        let what = self.replaced(now, absent)?;
        difference(Mismatch::TableReplaced, what, accepted)
    }

    /// Whether it ran another program, unless that is accepted.
    pub fn differs_in_program(
        self,
        now: Option<&ProgramId>,
        accepted: &[Mismatch],
    ) -> Option<Difference> {
        let (recorded, now) = (self.program?, now?);
        if recorded.digest != now.digest {
            let what = format!(
                "it ran the program {}, and the program is now {}",
                recorded.digest, now.digest
            );
            return difference(Mismatch::OtherProgram, what, accepted);
        }
        let moved = recorded.images.iter().find_map(|(container, digest)| {
            let other = now.images.get(container).filter(|other| *other != digest)?;
            Some(format!("it ran the image {digest}, and the image is now {other}"))
        });
        difference(Mismatch::OtherProgram, moved?, accepted)
    }

    fn is_same_database(self, recorded: &DatabaseId, now: &Seen) -> bool {
        // Ids are random: who has one of them has the table.
        let shares_a_table = self.tables.iter().any(|(name, id)| {
            now.tables.get(name).and_then(Option::as_ref).is_some_and(|other| other == id)
        });
        shares_a_table || recorded.is_same(&now.database, self.none_is_there(now))
    }

    /// Whether all tables of the record are known to be absent.
    fn none_is_there(self, now: &Seen) -> bool {
        let absent = |name: &String| now.tables.get(name).is_some_and(Option::is_none);
        self.kept().next().is_some() && self.kept().all(|(name, _)| absent(name))
    }

    /// The tables that the run has not deleted itself.
    fn kept(&self) -> impl Iterator<Item = (&String, &String)> {
        self.tables.iter().filter(|(_, id)| !id.is_empty())
    }

    fn replaced(self, now: &Seen, absent: Absent) -> Option<String> {
        let other = self.kept().find_map(|(name, id)| {
            let found = now.tables.get(name)?;
            match (found, absent) {
                (Some(other), _) if other != id => Some(format!(
                    "it worked on table {name} with the id {id}, and table {name} has the id \
                     {other} now: it was deleted and created, or restored, under the same name"
                )),
                (None, Absent::IsReplaced) => Some(format!(
                    "it worked on table {name} with the id {id}, which does not exist"
                )),
                (Some(_), _) | (None, Absent::MayBe) => None,
            }
        });
        other.or_else(|| {
            let (name, _) = self.kept().next().filter(|_| now.is_empty)?;
            self.none_is_there(now).then(|| {
                format!("it worked on table {name}, and the database has no tables at all now")
            })
        })
    }
}

fn difference(reason: Mismatch, what: String, accepted: &[Mismatch]) -> Option<Difference> {
    (!accepted.contains(&reason)).then_some(Difference { reason, what })
}

#[cfg(test)]
mod tests;
