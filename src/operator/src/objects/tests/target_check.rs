//! The Job that checks a target has what a run's guard has, and nothing else.

use dm_api::agent_resources::AgentResources;

use super::*;
use crate::identified::Target;
use crate::objects::check as target_check;

fn target(spec: Value) -> Target {
    let metadata = json!({"metadata": {"uid": "uid-t", "generation": 3}});
    samples::with(&samples::target(spec), metadata)
}

fn built_for(spec: Value) -> Job {
    target_check::build(&target(spec), &settings())
}

fn names(job: &Job) -> Vec<String> {
    containers(job).into_iter().map(|container| container.name).collect()
}

#[test]
fn the_job_of_a_check_is_the_golden_one() {
    let mut spec: Value = serde_json::from_str(TARGET).unwrap();
    spec["archive"] = on_a_volume();
    check("job-check", &built_for(spec));
}

#[test]
fn a_check_of_a_role_has_its_account_and_no_keys() {
    let role = |name: &str| json!({"secret": null, "serviceAccount": {"name": name}});
    let one = built_for(json!({"credentials": role("migrations"), "archive": in_a_bucket()}));
    assert_eq!(pod_of(&one).service_account_name.as_deref(), Some("migrations"));
    let text = serde_json::to_string(&one).unwrap();
    assert!(!text.contains("\"AWS_ACCESS_KEY_ID\"") || text.contains("archive-keys"), "{text}");
    assert_eq!(names(&one), ["check"]);
    // A pod has one ServiceAccount: the other role cannot be checked with it.
    let two = built_for(json!({"credentials": role("migrations"),
            "dryRunCredentials": {"serviceAccount": {"name": "reader"}}}));
    assert_eq!(names(&two), ["check"]);
    let mixed = built_for(json!({"credentials": {"secret": {"name": "aws"}},
            "dryRunCredentials": {"serviceAccount": {"name": "reader"}}}));
    assert_eq!(names(&mixed), ["check", "check-dry-run"]);
    assert_eq!(pod_of(&mixed).service_account_name.as_deref(), Some("reader"));
    let same = built_for(json!({"dryRunCredentials": {"secret": {"name": "aws"}}}));
    assert_eq!(names(&same), ["check"], "the same credentials are checked once");
}

#[test]
fn a_check_keeps_to_pod_securitys_restricted_profile() {
    let job = built_for(json!({"archive": on_a_volume()}));
    let pod = pod_of(&job);
    let all = pod.security_context.clone().unwrap();
    assert_eq!((all.run_as_non_root, all.run_as_user), (Some(true), Some(65_532)));
    assert_eq!(all.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert_eq!(pod.automount_service_account_token, Some(false));
    for container in containers(&job) {
        let own = container.security_context.unwrap();
        assert_eq!(own.allow_privilege_escalation, Some(false));
        assert_eq!(own.read_only_root_filesystem, Some(true));
        assert_eq!(own.capabilities.unwrap().drop, Some(vec!["ALL".into()]));
    }
    let spec = job.spec.unwrap();
    assert_eq!((spec.backoff_limit, spec.active_deadline_seconds), (Some(0), Some(300)));
}

#[test]
fn pods_of_checks_and_runs_use_the_pull_secrets_of_the_target() {
    let named =
        |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({"name": name})).collect() };
    let secrets = |pod: &PodSpec| serde_json::to_value(&pod.image_pull_secrets).unwrap();
    let of_target = json!({"imagePullSecrets": named(&["mirror", "registry"])});
    assert_eq!(
        secrets(&pod_of(&built_for(of_target.clone()))),
        json!(named(&["mirror", "registry"]))
    );
    assert_eq!(secrets(&pod_of(&built_for(json!({})))), Value::Null);

    let mut runnable = runnable(&container());
    runnable.target = target(of_target);
    for kind in [RunKind::DryRun, RunKind::Apply, RunKind::RestorePreview, RunKind::Restore] {
        let job = job::build(&container(), &record(kind), &runnable, &settings());
        let expected = json!(named(&["mirror", "registry"]));
        assert_eq!(
            secrets(&pod_of(&job)),
            expected,
            "{kind:?}: `registry` is in both, and once here"
        );
    }
}

#[test]
fn a_checks_resources_are_those_of_prepare() {
    let limits = |memory: &str| json!({"limits": {"memory": memory}});
    let of = |job: &Job| {
        let resources = containers(job)[0].resources.clone().unwrap();
        serde_json::to_value(resources.limits.unwrap()).unwrap()
    };
    let by_target = built_for(json!({"resources": {"prepare": limits("64Mi")}}));
    assert_eq!(of(&by_target), json!({"memory": "64Mi"}));
    let resources: AgentResources =
        serde_json::from_value(json!({"prepare": limits("96Mi")})).unwrap();
    let by_operator =
        target_check::build(&target(json!({})), &Settings { resources, ..settings() });
    assert_eq!(of(&by_operator), json!({"memory": "96Mi"}));
}

#[test]
fn nobody_reaches_a_check_and_a_role_reaches_its_agent() {
    let policy = |credentials: Value| {
        let policy = target_check::policy(&target(json!({"credentials": credentials})));
        let spec = policy.spec.unwrap();
        assert_eq!(spec.ingress, None);
        assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
        (policy.metadata.name.unwrap(), serde_json::to_string(&spec.egress).unwrap())
    };
    let (keys, egress) = policy(json!({"secret": {"name": "aws"}}));
    assert_eq!(keys, "dev-check-keys");
    assert!(egress.contains("169.254.0.0/16") && !egress.contains("169.254.170.23"), "{egress}");
    let (role, egress) = policy(json!({"secret": null, "serviceAccount": {"name": "m"}}));
    assert_eq!(role, "dev-check-role");
    assert!(egress.contains("169.254.170.23/32"), "{egress}");
}
