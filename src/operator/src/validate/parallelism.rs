//! `spec.parallelism`: only a transform can be split, and each pod needs a share of the limits.
//! Pure.

use dm_api::{DataMigration, MigrationTarget};
use dm_contract::limits::PARTS_MAX;

use crate::objects::{guard, share};
use crate::runnable::Problem;
use crate::validate::problem::invalid_spec;

/// Checks the number of pods against the source and the limits.
pub fn check(migration: &DataMigration, target: &MigrationTarget) -> Result<(), Problem> {
    let spec = &migration.spec;
    let pods = spec.parallelism;
    if !(1..=PARTS_MAX).contains(&pods) {
        return Err(invalid_spec(format!(
            "spec.parallelism: {pods} is not from 1 to {PARTS_MAX}. Correct it"
        )));
    }
    if pods > 1 && spec.transform.is_none() {
        return Err(invalid_spec(
            "spec.parallelism: only a transform can be split among pods. Set it to 1, or use \
             spec.transform as the source"
                .into(),
        ));
    }
    let limits = guard::limits_of_run(&spec.limits.clone().unwrap_or_default(), target);
    match share::too_low(&limits, pods) {
        Some((limit, field)) => Err(invalid_spec(format!(
            "spec.parallelism: {pods} pods cannot share {field} {limit}, because each needs at \
             least 1. Set it to {limit} or less, or raise limits.{field} of the migration or of \
             the target's policy"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::samples;

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
    fn problem(spec: Value, policy: Value) -> Option<String> {
        let mut spec = spec;
        if spec.get("script").is_none() {
            spec["script"] = Value::Null;
            spec["transform"] = json!({"table": "cars", "remove": ["price"]});
        }
        let migration = samples::migration(json!({"spec": spec}));
        let target = samples::target(json!({"policy": policy}));
        check(&migration, &target).err().map(|problem| problem.message)
    }

    #[test]
    fn each_pod_needs_a_share_of_every_limit() {
        let limits = |writes: u32| json!({"limits": {"writesPerSecond": writes}});
        let wants = |pods: u32, writes: u32| {
            json!({
                "parallelism": pods, "limits": {"writesPerSecond": writes}
            })
        };
        assert_eq!(problem(json!({}), json!({})), None);
        assert_eq!(problem(wants(8, 8), json!({})), None);
        assert_eq!(problem(json!({"parallelism": 64}), json!({})), None);
        let said = problem(wants(8, 7), json!({})).unwrap();
        assert!(
            said.starts_with("spec.parallelism: 8 pods cannot share writesPerSecond 7"),
            "{said}"
        );
        let said = problem(wants(8, 100), limits(5)).unwrap();
        assert!(said.contains("Set it to 5 or less"), "{said}");
        assert_eq!(problem(wants(1, 1), limits(1)), None);
    }

    #[test]
    fn only_a_transform_is_split_among_few_pods() {
        let script = json!({"configMap": {"name": "files"}, "image": "python:3.12"});
        let said = problem(json!({"parallelism": 2, "script": script}), json!({})).unwrap();
        assert!(said.contains("only a transform"), "{said}");
        for pods in [0, 65] {
            let said = problem(json!({"parallelism": pods}), json!({})).unwrap();
            assert!(said.contains("is not from 1 to 64"), "{said}");
        }
    }
}
