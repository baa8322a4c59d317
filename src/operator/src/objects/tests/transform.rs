//! The Job of a transform, on one pod and on several.

use dm_contract::plan::Plan;
use k8s_openapi::api::batch::v1::PodFailurePolicyRule;

use super::*;
use crate::read::view;

#[test]
fn the_job_of_a_transform_is_the_golden_one() {
    let migration = samples::applying(json!({
        "script": null, "secondPass": true,
        "transform": {"table": "cars", "set": {"price": "weight / 2"}},
    }));
    let job = built(&migration, RunKind::DryRun);
    check("job-transform-dry-run", &job);
    let pod = pod_of(&job);
    let guard = pod.init_containers.unwrap().pop().unwrap();
    assert_eq!(pod.containers[0].image, guard.image, "the operator's own image, and no other");
}

#[test]
fn the_job_of_a_transform_on_four_pods_is_the_golden_one() {
    let migration = samples::applying(json!({
        "script": null, "parallelism": 4, "limits": {"writesPerSecond": 203},
        "transform": {"table": "cars", "set": {"price": "weight / 2"}},
    }));
    let mut target: Value = serde_json::from_str(TARGET).unwrap();
    target["archive"] = in_a_bucket();
    let run = RunRecord { parallelism: Some(4), ..record(RunKind::Apply) };
    let job = job::build(&migration, &run, &runnable_on(&migration, &target), &settings());
    check("job-transform-split", &job);
    let spec = job.spec.as_ref().unwrap();
    assert_eq!((spec.completions, spec.parallelism), (Some(4), Some(4)));
    assert_eq!((spec.backoff_limit, spec.backoff_limit_per_index), (None, Some(6)));
    let plan: Plan = serde_json::from_str(view::plan_text(&pod_of(&job)).unwrap()).unwrap();
    assert_eq!((plan.parts, plan.limits.writes_per_second), (Some(4), Some(50)));
    assert_eq!(plan.now_s, Some(run.requested_at.0.as_second()));
    assert!(plan.archive.unwrap().repeatable, "a failed pod is not the end of the run");
}

#[test]
fn a_pod_that_the_archive_does_not_answer_ends_no_transform() {
    let codes = |spec: Value, parallelism: Option<u32>| {
        let migration = samples::applying(spec);
        let run = RunRecord { parallelism, ..record(RunKind::Apply) };
        let policy = crate::objects::failure::policy(&migration, &run, true);
        let of_ledger = |rule: &PodFailurePolicyRule| {
            let codes = rule.on_exit_codes.clone()?;
            (codes.container_name.as_deref() == Some("ledger")).then_some(codes.values)
        };
        policy.rules.iter().find_map(of_ledger).unwrap()
    };
    let transform = || json!({"script": null, "transform": {"table": "cars", "remove": ["a"]}});
    let on_record = vec![80, 81, 82, 83, 86];
    assert_eq!(codes(transform(), Some(4)), on_record);
    assert_eq!(codes(transform(), None), on_record);
    assert_eq!(codes(json!({}), None), [80, 81, 82, 83, 84, 86, 87]);
}

#[test]
fn a_transform_that_its_author_lets_repeat_is_repeated_after_any_failure() {
    let rules = |spec: Value| {
        let mut whole = json!({"script": null, "transform": {"table": "cars", "remove": ["a"]}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let job = built(&samples::applying(whole), RunKind::Apply);
        let spec = job.spec.unwrap();
        let rules = spec.pod_failure_policy.unwrap().rules;
        let actions: Vec<String> = rules.into_iter().map(|rule| rule.action).collect();
        (spec.backoff_limit, actions)
    };
    assert_eq!(
        rules(json!({})),
        (Some(6), ["FailJob", "FailJob", "Ignore"].map(String::from).to_vec())
    );
    assert_eq!(rules(json!({"backoffLimit": 2})), (Some(2), vec![String::from("Ignore")]));
}
