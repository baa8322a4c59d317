//! What the Job controller does with a pod that failed: whether another one takes its place. Pure.

use dm_api::DataMigration;
use dm_api::status::{RunKind, RunRecord};
use dm_contract::report::{EXIT_PARTIALLY_FAILED, TransformEnd};
use dm_contract::restored::EXIT_JOURNAL;
use dm_contract::verdict::{EXIT_DIFFERS, EXITS_FINAL, EXITS_ON_RECORD};
use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};

use crate::limits;
use crate::objects::{
    LEDGER_CONTAINER, PREPARE_CONTAINER, PROGRAM_CONTAINER, RESTORE_CONTAINER, archive,
};

/// Exit code of `datamigration-entry prepare` where it cannot (src/entry/src/main.rs).
const EXIT_NOT_PREPARED: u8 = 1;

/// How often a pod that failed is replaced; of a run that is split, how often for each part.
pub fn backoff_limit(migration: &DataMigration, record: &RunRecord) -> i32 {
    if record.kind.restores() {
        return limits::RESTORE_BACKOFF_LIMIT;
    }
    let of_author = migration.spec.backoff_limit;
    if of_author == 0 && migration.spec.transform.is_some() {
        return limits::TRANSFORM_BACKOFF_LIMIT;
    }
    of_author
}

/// What the Job controller does with a pod that was disrupted, and with exit codes that would be
/// the same in every pod. A dry run starts over, a restore and a transform continue; a program that
/// applies is started again only if its author said that it may be repeated.
pub fn policy(migration: &DataMigration, record: &RunRecord, asks: bool) -> PodFailurePolicy {
    let repeatable = record.kind != RunKind::Apply || archive::is_repeatable(migration, record);
    let disrupted = PodFailurePolicyRule {
        action: if repeatable { "Ignore" } else { "FailJob" }.into(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".into(),
            status: Some("True".into()),
        }]),
        on_exit_codes: None,
    };
    let ledger = asks.then(|| on_codes("FailJob", LEDGER_CONTAINER, refusals(migration)));
    // A restore that is in the wrong place, or has no journal, is so in every pod.
    let codes = [EXIT_DIFFERS, EXIT_JOURNAL];
    let restores = record.kind.restores();
    let restore = restores.then(|| on_codes("FailJob", RESTORE_CONTAINER, &codes));
    let transform = if restores { Vec::new() } else { of_transform(migration, record) };
    let rules = ledger.into_iter().chain(restore).chain(transform).chain([disrupted]);
    PodFailurePolicy { rules: rules.collect() }
}

/// Returns the answers of the ledger that end the run. A program that is refused has run nowhere:
/// the operator puts its run off and tries again. A transform may run in other pods of the Job, or
/// have run in the pod that this one replaces. An outage that one pod meets must not end these.
const fn refusals(migration: &DataMigration) -> &'static [u8] {
    if migration.spec.transform.is_some() { &EXITS_ON_RECORD } else { &EXITS_FINAL }
}

/// A transform that stopped at an item, or could not change some, would do so again, unless its
/// author wants it repeated. Other ends are those of its pod: deleted, killed, a node lost.
fn of_transform(migration: &DataMigration, record: &RunRecord) -> Vec<PodFailurePolicyRule> {
    if migration.spec.transform.is_none() || migration.spec.backoff_limit > 0 {
        return Vec::new();
    }
    let failed = TransformEnd::Failed.exit_code();
    // Files that are not those of the run are so in every pod.
    let prepare = on_codes("FailJob", PREPARE_CONTAINER, &[EXIT_NOT_PREPARED]);
    if record.parts() == 1 {
        let codes = [failed, EXIT_PARTIALLY_FAILED];
        return vec![prepare, on_codes("FailJob", PROGRAM_CONTAINER, &codes)];
    }
    vec![
        prepare,
        on_codes("FailJob", PROGRAM_CONTAINER, &[failed]),
        // `onItemError: Continue`: the other parts still change their items.
        on_codes("FailIndex", PROGRAM_CONTAINER, &[EXIT_PARTIALLY_FAILED]),
    ]
}

fn on_codes(action: &str, container: &str, codes: &[u8]) -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: action.into(),
        on_pod_conditions: None,
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(container.into()),
            operator: "In".into(),
            values: codes.iter().map(|code| i32::from(*code)).collect(),
        }),
    }
}
