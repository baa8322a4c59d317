//! What keeps a run's pod to itself: its node, its network, its credentials, its image.

use super::*;

fn annotations_of(job: &Job) -> std::collections::BTreeMap<String, String> {
    job.spec.clone().unwrap().template.metadata.unwrap().annotations.unwrap()
}

#[test]
fn a_pod_that_writes_is_left_alone_by_autoscalers() {
    let author = json!({"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "false"}}});
    let migration = samples::with(&script(), json!({"spec": {"podTemplate": author}}));
    for (job, stays) in [
        (built(&script(), RunKind::DryRun), false),
        (built(&migration, RunKind::Apply), true),
        (restore_job(RunKind::Restore, &script(), &in_a_bucket()), true),
        (restore_job(RunKind::RestorePreview, &script(), &in_a_bucket()), false),
    ] {
        let all = annotations_of(&job);
        let of = |name: &str| all.get(name).map(String::as_str);
        let expected = if stays { (Some("false"), Some("true")) } else { (None, None) };
        let safe = "cluster-autoscaler.kubernetes.io/safe-to-evict";
        assert_eq!((of(safe), of("karpenter.sh/do-not-disrupt")), expected);
    }
}

#[test]
fn a_guard_is_told_its_one_source_of_credentials() {
    let role = json!({"credentials": {"secret": null, "serviceAccount": {"name": "migrations"}}});
    let secret = json!({"credentials": {"secret": {"name": "aws"}}});
    for (target, source) in [(secret, "Secret"), (role, "Role")] {
        let mut target = target;
        target["archive"] = in_a_bucket();
        let on = runnable_on(&script(), &target);
        let job = job::build(&script(), &record(RunKind::Apply), &on, &settings());
        for container in containers(&job) {
            let of = |name: &str| {
                container.env.iter().flatten().find(|one| one.name == name)?.value.clone()
            };
            let ours = [GUARD_CONTAINER, LEDGER_CONTAINER].contains(&container.name.as_str());
            let expected = ours.then(|| source.to_owned());
            assert_eq!(of("DATAMIGRATION_CREDENTIALS"), expected, "{}", container.name);
            let without_env = container.name == PREPARE_CONTAINER;
            assert_eq!(of("AWS_EC2_METADATA_DISABLED").is_none(), without_env);
        }
    }
}

#[test]
fn the_network_policy_of_a_run_is_the_golden_one() {
    let job = samples::created(&built(&script(), RunKind::Apply), "uid-j");
    let from = |credentials: Value| {
        let target = samples::target(json!({"credentials": credentials}));
        let run = record(RunKind::Apply);
        network::build(&script(), &run, &job, &target.spec.credentials, "datamigration-system")
    };
    let secret = from(json!({"secret": {"name": "aws"}}));
    check("network-policy", &secret);
    let role = from(json!({"secret": null, "serviceAccount": {"name": "migrations"}}));
    let rules = |policy: &k8s_openapi::api::networking::v1::NetworkPolicy| {
        policy.spec.clone().unwrap().egress.unwrap().len()
    };
    assert_eq!((rules(&secret), rules(&role)), (2, 3), "its role's agent is link-local, too");
    // It selects the run's pods, and no recorder's.
    let labels = built(&script(), RunKind::Apply).spec.unwrap().template.metadata.unwrap().labels;
    let selected = secret.spec.unwrap().pod_selector.unwrap().match_labels.unwrap();
    assert!(selected.contains_key(dm_api::RUN_LABEL));
    assert!(selected.iter().all(|(name, value)| labels.as_ref().unwrap().get(name) == Some(value)));
}

#[test]
fn each_pod_is_selected_by_one_policy() {
    let target = samples::target(json!({"archive": in_a_bucket()}));
    let (migration, run) = killed();
    let of = samples::created(&built_with(in_a_bucket(), RunKind::Apply), "uid-j");
    let recorder = record::build(&migration, &run, &of, None, &settings()).unwrap();
    let recorder = samples::with(&recorder, json!({"metadata": {"uid": "uid-r"}}));
    let checked = crate::objects::check::build(&target, &settings());
    let credentials = &target.spec.credentials;
    let policies = [
        network::build(&migration, &run, &of, credentials, "datamigration-system"),
        network::of_recorder(&recorder),
        crate::objects::check::policy(&target),
    ];
    for job in [Job::clone(&of), recorder.clone(), checked] {
        let labels = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
        let selects = |policy: &&k8s_openapi::api::networking::v1::NetworkPolicy| {
            let selector = policy.spec.clone().unwrap().pod_selector.unwrap();
            selector.match_labels.unwrap().iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        assert_eq!(policies.iter().filter(selects).count(), 1, "{labels:?}");
    }
    let owner = &policies[1].metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Job", "uid-r"));
    assert_eq!(policies[1].spec.as_ref().unwrap().ingress, None);
}

#[test]
fn pods_are_outside_of_meshes_unless_their_author_says_otherwise() {
    let of = |migration: &Migration| {
        let metadata = built(migration, RunKind::Apply).spec.unwrap().template.metadata.unwrap();
        let (labels, annotations) = (metadata.labels.unwrap(), metadata.annotations.unwrap());
        let inject = labels.get("sidecar.istio.io/inject").cloned();
        (inject.unwrap(), annotations.get("linkerd.io/inject").cloned().unwrap())
    };
    assert_eq!(of(&script()), ("false".to_owned(), "disabled".to_owned()));
    let author = json!({"metadata": {
        "labels": {"sidecar.istio.io/inject": "true"},
        "annotations": {"linkerd.io/inject": "enabled"},
    }});
    let migration = samples::with(&script(), json!({"spec": {"podTemplate": author}}));
    assert_eq!(of(&migration), ("true".to_owned(), "enabled".to_owned()));
}

#[test]
fn an_apply_runs_the_image_that_was_tried() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let image = |kind, id: Option<String>| {
        let run = RunRecord { image_id: id, ..record(kind) };
        let job = job::build(&script(), &run, &runnable(&script()), &settings());
        pod_of(&job).containers[0].image.clone().unwrap()
    };
    let tried = Some(format!("docker.io/library/python@{digest}"));
    assert_eq!(image(RunKind::Apply, tried), format!("python@{digest}"));
    assert_eq!(image(RunKind::Apply, Some(digest)), "python:3.12", "loaded onto the node");
    assert_eq!(image(RunKind::DryRun, None), "python:3.12");
}

#[test]
fn a_target_gives_the_guards_resources_before_the_operator_does() {
    let parsed = |value: Value| serde_json::from_value::<AgentResources>(value).unwrap();
    let settings = Settings {
        resources: parsed(json!({
            "guard": {"limits": {"memory": "1Gi"}}, "prepare": {"limits": {"cpu": "1"}},
        })),
        ..settings()
    };
    let limits = |job: &Job| -> Vec<(String, Value)> {
        containers(job)
            .into_iter()
            .filter(|one| one.name != PROGRAM_CONTAINER)
            .map(|one| (one.name.clone(), json!(one.resources.unwrap().limits)))
            .collect()
    };
    let mut target: Value = serde_json::from_str(TARGET).unwrap();
    target["archive"] = in_a_bucket();
    let built = |target: &Value| {
        let on = runnable_on(&script(), target);
        job::build(&script(), &record(RunKind::Apply), &on, &settings)
    };
    let (guard, small) = (json!({"memory": "1Gi"}), json!({"cpu": "1"}));
    let expected = [("prepare", &small), ("ledger", &small), ("guard", &guard)];
    let expected = expected.map(|(name, limits)| (name.to_owned(), limits.clone()));
    assert_eq!(limits(&built(&target)), expected);
    target["resources"] = json!({"guard": {"limits": {"memory": "512Mi"}}});
    assert_eq!(limits(&built(&target))[2].1, json!({"memory": "512Mi"}));
    let (migration, run) = killed();
    let recorder = record::build(&migration, &run, &built(&target), None, &settings).unwrap();
    assert_eq!(limits(&recorder)[0].1, small);
    // A restore has no small task: the target's is used, or else the operator's.
    target["resources"] = json!({"prepare": {"limits": {"cpu": "2"}}});
    let on = runnable_on(&script(), &target);
    let restore = RunRecord { kind: RunKind::Restore, ..run.clone() };
    let of = job::build(&migration, &restore, &on, &settings);
    for (target, expected) in [(Some(&on.target), json!({"cpu": "2"})), (None, small)] {
        let recorder = record::build(&migration, &restore, &of, target, &settings).unwrap();
        assert_eq!(limits(&recorder)[0].1, expected);
    }
    let noted = record::baseline(&migration, &run, &on, &settings).unwrap();
    assert_eq!(limits(&noted)[0].1, json!({"cpu": "2"}));
}
