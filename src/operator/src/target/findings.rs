//! The conditions of a target, made of what its check found. Pure.

use dm_api::MigrationTarget;
use dm_api::target_condition::{TargetReason, types};
use dm_api::target_status::MigrationTargetStatus;
use dm_contract::check::{Finding, Found};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::limits;
use crate::target::state::{Checked, Trouble};

/// What is said of one part of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    status: &'static str,
    reason: TargetReason,
    message: String,
}

/// The parts of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Database,
    Archive,
}

/// Says that the first check of a generation has not ended.
pub fn checking(status: &mut MigrationTargetStatus, target: &MigrationTarget, now: Timestamp) {
    let said = Said {
        status: "Unknown",
        reason: TargetReason::Checking,
        message: "the check of this generation has not ended".into(),
    };
    say_of_all(status, target, &said, now);
}

/// Says why there is no result. Nothing is known of database and archive.
pub fn troubled(
    status: &mut MigrationTargetStatus,
    target: &MigrationTarget,
    trouble: &Trouble,
    now: Timestamp,
) {
    let unknown =
        Said { status: "Unknown", reason: trouble.reason, message: trouble.message.clone() };
    say_of_all(status, target, &unknown, now);
    if trouble.is_fault {
        set(status, target, types::READY, &Said { status: "False", ..unknown }, now);
    }
}

/// Says what was found. Returns whether all of it is well.
pub fn found(
    status: &mut MigrationTargetStatus,
    target: &MigrationTarget,
    checked: &[Checked],
    now: Timestamp,
) -> bool {
    let of = |part: Part| {
        let findings = checked.iter().filter_map(move |one| {
            let finding = match part {
                Part::Database => Some(&one.result.database),
                Part::Archive => one.result.archive.as_ref(),
            };
            Some((one.credentials, finding?))
        });
        said_of(part, &findings.collect::<Vec<_>>())
    };
    let (database, archive) = (of(Part::Database), of(Part::Archive));
    let mut parts: Vec<Said> = Vec::new();
    if let Some(said) = database {
        set(status, target, types::DATABASE_REACHABLE, &said, now);
        parts.push(said);
    }
    match archive {
        Some(said) => {
            set(status, target, types::ARCHIVE_REACHABLE, &said, now);
            parts.push(said);
        }
        None => status.conditions.retain(|one| one.type_ != types::ARCHIVE_REACHABLE),
    }
    let bad = parts.iter().find(|said| said.status != "True").cloned();
    let is_well = bad.is_none();
    let ready = bad.unwrap_or_else(|| Said {
        status: "True",
        reason: TargetReason::Reachable,
        message: match &target.spec.archive {
            Some(_) => "the database and the archive accept the target's credentials".into(),
            None => "the database accepts the target's credentials; there is no archive".into(),
        },
    });
    set(status, target, types::READY, &ready, now);
    is_well
}

/// What several containers found of one part: the first that is not well, or all.
fn said_of(part: Part, findings: &[(&'static str, &Finding)]) -> Option<Said> {
    let bad = findings.iter().find(|(_, finding)| finding.found != Found::Reachable);
    if let Some((credentials, finding)) = bad {
        let (reason, advice) = advice(part, finding.found);
        let message = format!("{credentials}: {}. {advice}", finding.message);
        return Some(Said { status: "False", reason, message });
    }
    let all: Vec<String> =
        findings.iter().map(|(field, finding)| format!("{field}: {}", finding.message)).collect();
    (!all.is_empty()).then(|| Said {
        status: "True",
        reason: TargetReason::Reachable,
        message: all.join("; "),
    })
}

/// The reason of a finding that is not well, and what to do.
fn advice(part: Part, found: Found) -> (TargetReason, &'static str) {
    match (part, found) {
        (_, Found::NoCredentials) => (
            TargetReason::CredentialsNotFound,
            "Bind a cloud role to the ServiceAccount, or name a Secret with keys",
        ),
        (_, Found::Rejected) => (
            TargetReason::CredentialsRejected,
            "Correct the keys in the Secret, or the role; temporary keys may have expired",
        ),
        (Part::Database, _) => (
            TargetReason::DatabaseUnreachable,
            "Correct spec.endpoint or spec.region, or open the network from this namespace",
        ),
        (Part::Archive, Found::Overwrites) => {
            (TargetReason::ArchiveOverwrites, "Runs that write do not start with this archive")
        }
        (Part::Archive, _) => (
            TargetReason::ArchiveUnavailable,
            "Correct spec.archive, let the credentials get, put and list objects there, or open \
             the network from this namespace",
        ),
    }
}

fn say_of_all(
    status: &mut MigrationTargetStatus,
    target: &MigrationTarget,
    said: &Said,
    now: Timestamp,
) {
    set(status, target, types::READY, said, now);
    set(status, target, types::DATABASE_REACHABLE, said, now);
    if target.spec.archive.is_some() {
        set(status, target, types::ARCHIVE_REACHABLE, said, now);
    } else {
        status.conditions.retain(|one| one.type_ != types::ARCHIVE_REACHABLE);
    }
}

/// Sets a condition. Its transition time moves only when its status flips.
fn set(
    status: &mut MigrationTargetStatus,
    target: &MigrationTarget,
    type_: &str,
    said: &Said,
    now: Timestamp,
) {
    let old = status.condition(type_).filter(|old| old.status == said.status);
    let since = old.map_or(Time(now), |old| old.last_transition_time.clone());
    let new = Condition {
        type_: type_.into(),
        status: said.status.into(),
        reason: said.reason.as_str().into(),
        message: said.message.chars().take(limits::MESSAGE_CHARS_MAX).collect(),
        observed_generation: target.metadata.generation,
        last_transition_time: since,
    };
    match status.conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(condition) => *condition = new,
        None => status.conditions.push(new),
    }
}
