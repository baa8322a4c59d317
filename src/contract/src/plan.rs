//! What the operator passes to a run's pod: the plan that the guard reads when it starts.
//!
//! It crosses a process boundary, so it carries a version and has a golden file. It never holds a
//! credential: those reach the guard's container through its environment.

use serde::{Deserialize, Serialize};

use crate::identity::{Mismatch, ProgramId, TriedOn};

/// The version this build writes and the only one it reads.
pub const PLAN_VERSION: u32 = 1;

/// Name of the environment variable that carries the plan as JSON into the guard's container.
pub const PLAN_ENV: &str = "DATAMIGRATION_PLAN";

/// Name of the environment variable that names the one source of a guard's credentials:
/// [`FROM_SECRET`] or [`FROM_ROLE`]. Without it, as on a laptop, AWS's default chain is asked.
pub const CREDENTIALS_ENV: &str = "DATAMIGRATION_CREDENTIALS";

/// The keys of a Secret, in the container's environment.
pub const FROM_SECRET: &str = "Secret";

/// The role of the pod's ServiceAccount: a web identity, or a container's credentials.
pub const FROM_ROLE: &str = "Role";

/// Environment variables with credentials of the archive where they are others than the database's.
/// Without them AWS's default chain is asked, as for the database.
pub const ARCHIVE_ACCESS_KEY_ENV: &str = "DATAMIGRATION_ARCHIVE_ACCESS_KEY_ID";

/// The secret that belongs to [`ARCHIVE_ACCESS_KEY_ENV`].
pub const ARCHIVE_SECRET_KEY_ENV: &str = "DATAMIGRATION_ARCHIVE_SECRET_ACCESS_KEY";

/// The token that belongs to them, where they are temporary.
pub const ARCHIVE_SESSION_TOKEN_ENV: &str = "DATAMIGRATION_ARCHIVE_SESSION_TOKEN";

/// Name of the environment variable with the token of the guard's control (see [`crate::control`]).
/// Without it the guard cannot be controlled.
pub const CONTROL_TOKEN_ENV: &str = "DATAMIGRATION_CONTROL_TOKEN";

/// Name of the environment variable with the access key that the guard's clients must sign with,
/// where it does not follow from the control token ([`crate::control::access_key`]).
pub const ACCESS_KEY_ENV: &str = "DATAMIGRATION_ACCESS_KEY_ID";

/// Where the guard serves the program: loopback only.
pub const PROGRAM_PORT: u16 = 8000;

/// Where the guard answers the kubelet's probe and the operator: on the pod's address.
pub const CONTROL_PORT: u16 = 8001;

/// Where the entry program reports, beside the program's requests, that a second pass begins.
pub const SECOND_PASS_PATH: &str = "/datamigration/second-pass";

/// Where the guard tells, beside the program's requests, whether it is paused: as soon as that is
/// different from the query's `known`, `true` or `false`, or after a while.
pub const PAUSED_PATH: &str = "/datamigration/paused";

/// What points a program's SDK at the guard: an endpoint, a region and credentials that are worth
/// nothing elsewhere. The access key is what the guard knows its program by.
pub fn program_environment(
    endpoint: &str,
    region: &str,
    access_key: &str,
) -> [(&'static str, String); 8] {
    [
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint.into()),
        ("AWS_ENDPOINT_URL", endpoint.into()),
        ("AWS_REGION", region.into()),
        ("AWS_DEFAULT_REGION", region.into()),
        ("AWS_ACCESS_KEY_ID", access_key.into()),
        ("AWS_SECRET_ACCESS_KEY", "worthless".into()),
        ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled".into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
    ]
}

/// Environment variables that a migration must not set itself: a program that replaced them would
/// leave the guard.
pub const PROGRAM_ENVIRONMENT_RESERVED: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
];

/// What a guard does with one run's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Always [`PLAN_VERSION`].
    pub version: u32,
    /// Which run this is.
    pub run: RunId,
    /// What happens to writes.
    pub mode: Mode,
    /// The database behind the guard.
    pub upstream: Upstream,
    /// What the target's owner allows.
    pub policy: Policy,
    /// How fast it may go.
    #[serde(default)]
    pub limits: RateLimits,
    /// What the target's owner allows at most. The limits can be changed while the run continues,
    /// these cannot: whoever finds the control's token goes no faster.
    #[serde(default, skip_serializing_if = "RateLimits::is_unlimited")]
    pub limits_max: RateLimits,
    /// Where an applied run is journaled. Without it writes are not journaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchivePlan>,
    /// Whether the program of a dry run runs a second time over what it wrote, to see whether it
    /// changes anything again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_pass: bool,
    /// Of a restore: what it restores. The mode says whether it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestorePlan>,
    /// What the run executes. Absent where nobody has fixed it, as for a program of a laptop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramId>,
    /// Differences between a recorded run and this one that a person has accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Mismatch>,
    /// What the dry run saw without which this run must not write; absent where none is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<TriedOn>,
    /// How many parts the run has, each of which one pod does ([`crate::part::Part`]): from 2 to
    /// [`crate::limits::PARTS_MAX`]. Absent where one pod does the whole run. The limits are those
    /// of each part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Seconds since 1970 that a transform's `now()` gives: the same in all parts and in all guards
    /// of the run. Absent for programs, and where the guard takes the time of its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now_s: Option<i64>,
}

/// What a restore restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestorePlan {
    /// The number of the run that is restored, of the same migration.
    pub run: u32,
    /// What happens to what others have changed since.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// What happens to conflicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnConflict {
    /// They are left as they are.
    #[default]
    Skip,
    /// They get back what they had before the run, too.
    Overwrite,
}

/// Where ledger, journals, reports and logs are kept, and under which name those of this migration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivePlan {
    /// `s3://bucket/prefix`, `file:///folder` or, in tests, `memory://`.
    pub url: String,
    /// An endpoint of S3's protocol other than AWS's, as `http://host:port`; paths begin with the
    /// bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The bucket's region, if it is not the database's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Names the migration beyond its object's and its cluster's life: letters, digits, `.`, `_`,
    /// `-`.
    pub migration: String,
    /// Runs up to this number may have been begun and never completed: a person has decided to run
    /// again although nobody knows how they ended. 0: no run may.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overrule: u32,
    /// Whether the Job starts the program again after it failed (`backoffLimit`). A failure then is
    /// not the run's end, and the guard leaves it to the operator to note it in the ledger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeatable: bool,
    /// Whether a program that sends no request may have succeeded. Otherwise it may have bypassed
    /// the guard, and the guard records it as failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expect_no_requests: bool,
    /// Tables that the run is expected to write, by its dry run: whether one is locked by another
    /// run is looked at before anything starts. Others are looked at when they are written first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// What goes from the archive after an applied run has succeeded. Without it nothing goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionPlan>,
    /// Whether the run is applied whatever runs of this name did, also beside others: on a laptop,
    /// where a person starts each run and one name stands for many programs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is kept in the archive of the runs of this migration. The ledger is always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionPlan {
    /// Runs that wrote something to the archive in the last days, this many of them, stay.
    pub max_age_days: u32,
    /// The last runs stay, this many of them, however old.
    pub keep_runs: u32,
    /// Whether a journal goes although its run was not restored.
    #[serde(default)]
    pub journals: bool,
}

/// Names one run of one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunId {
    /// Namespace of the `DataMigration`.
    pub namespace: String,
    /// Name of the `DataMigration`.
    pub name: String,
    /// Its uid: a re-created object of the same name is another one.
    pub uid: String,
    /// The run's number, from 1.
    pub number: u32,
}

/// What happens to the program's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// They go to an overlay; the database sees reads only.
    DryRun,
    /// They go to the database.
    Apply,
}

/// The database behind the guard. Never derived from a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    /// AWS region, for the signature and the default endpoint.
    pub region: String,
    /// An endpoint other than AWS's own for the region, as `http://host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// What the target's owner allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Globs (`*` and `?`) of table names that may be touched. Empty allows every table.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Whether control-plane writes (CreateTable, UpdateTable …) may pass, or are simulated in a
    /// dry run.
    #[serde(default)]
    pub control_plane: bool,
    /// Whether item values may appear in reports.
    #[serde(default)]
    pub show_values: bool,
    /// What an applied run's journal holds before a write is sent, and what that may cost.
    #[serde(default, skip_serializing_if = "JournalMode::is_default")]
    pub journal: JournalMode,
}

/// What a journal promises (docs/reference/archive.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalMode {
    /// The image before and the digest of what comes after are durable before a write is sent.
    #[default]
    Strict,
    /// The image before and the names of the attributes that change are; the digest follows at
    /// once.
    Ahead,
    /// As `Ahead`, its own reads are eventually consistent, and batches are sent as batches,
    /// which nobody can make conditional: their entries are marked as unverified.
    Cheap,
}

impl JournalMode {
    #[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Upper bounds of a run's speed; `None` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "units come last")]
pub struct RateLimits {
    /// Items read, per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_per_second: Option<u32>,
    /// Items written, per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_per_second: Option<u32>,
    /// Read request units, per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_units_per_second: Option<u32>,
    /// Write request units, per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_units_per_second: Option<u32>,
}

impl RateLimits {
    /// Whether there is no bound at all.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The lower bound of each kind, where there is any.
    #[must_use]
    pub fn lower(&self, other: &Self) -> Self {
        let lower = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Self {
            reads_per_second: lower(self.reads_per_second, other.reads_per_second),
            writes_per_second: lower(self.writes_per_second, other.writes_per_second),
            read_units_per_second: lower(self.read_units_per_second, other.read_units_per_second),
            write_units_per_second: lower(
                self.write_units_per_second,
                other.write_units_per_second,
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A dry run without anything that may be absent.
    pub(crate) fn plan() -> Plan {
        let json = serde_json::json!({
            "version": PLAN_VERSION,
            "run": {"namespace": "team", "name": "m", "uid": "u", "number": 1},
            "mode": "DryRun",
            "upstream": {"region": "eu-west-1"},
            "policy": {},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_lower_limit_of_each_kind_holds() {
        let one = RateLimits {
            reads_per_second: Some(5),
            writes_per_second: Some(7),
            ..RateLimits::default()
        };
        let other = RateLimits {
            reads_per_second: Some(6),
            write_units_per_second: Some(1),
            ..RateLimits::default()
        };
        let both = RateLimits {
            reads_per_second: Some(5),
            writes_per_second: Some(7),
            read_units_per_second: None,
            write_units_per_second: Some(1),
        };
        assert_eq!(one.lower(&other), both);
        assert_eq!(other.lower(&one), both);
    }
}
