//! The Job of a run, compared whole with the ones in `golden/`. To accept a change, run the tests
//! with `DATAMIGRATION_ACCEPT=1` and read the difference.

use std::path::Path;

use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, RunKind, RunRecord, RunResult};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::identified::Migration;
use crate::runnable::{FilesFound, Runnable};
use crate::samples;
use crate::{runnable, validate};

mod hostile;
mod isolation;
mod target_check;
mod transform;

const TARGET: &str = r#"{
    "endpoint": "http://dynamodb:8000",
    "dryRunCredentials": {"secret": {"name": "aws-read-only"}},
    "policy": {"tables": ["cars", "brands-*"], "controlPlane": true, "showValues": true}
}"#;

fn settings() -> Settings {
    Settings {
        agent_image: "datamigration:1".into(),
        agent_pull_policy: "IfNotPresent".into(),
        resources: AgentResources::default(),
        network_policy_from: None,
    }
}

fn check(name: &str, built: &impl serde::Serialize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(format!("{name}.json"));
    let built = format!("{}\n", serde_json::to_string_pretty(built).unwrap());
    if std::env::var_os("DATAMIGRATION_ACCEPT").is_some() {
        std::fs::write(&path, &built).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(built == golden, "{} is another now:\n{built}", path.display());
}

fn record(kind: RunKind) -> RunRecord {
    let digest = "sha256:0123".into();
    RunRecord { program_digest: digest, job_uid: None, ..samples::record(kind) }
}

fn runnable(migration: &Migration) -> Runnable {
    runnable_on(migration, &serde_json::from_str(TARGET).unwrap())
}

fn runnable_on(migration: &Migration, target: &Value) -> Runnable {
    let target = samples::target(target.clone());
    let files = samples::files(json!({"main.py": "print('cars')", "data.csv": "a,b"}));
    let files = if migration.spec.script.is_some() { files } else { FilesFound::NotNeeded };
    let found = validate::validate(migration, Some(&target), None, &files).unwrap();
    Runnable { settings_digest: "sha256:4567".into(), ..found }
}

fn built(migration: &Migration, kind: RunKind) -> Job {
    job::build(migration, &record(kind), &runnable(migration), &settings())
}

/// The same on a target with an archive.
fn built_with(archive: Value, kind: RunKind) -> Job {
    let mut target: Value = serde_json::from_str(TARGET).unwrap();
    target["archive"] = archive;
    let migration = script();
    job::build(&migration, &record(kind), &runnable_on(&migration, &target), &settings())
}

fn in_a_bucket() -> Value {
    json!({
        "url": "s3://archive/prod", "endpoint": "http://s3:9000", "region": "eu-central-1",
        "credentials": {"secret": {"name": "archive-keys"}},
    })
}

fn on_a_volume() -> Value {
    let volume = json!({"persistentVolumeClaim": {"claimName": "archive-disk"}});
    json!({"url": "file:///archive/", "volume": volume})
}

fn script() -> Migration {
    samples::migration(json!({"spec": {
        "script": {"args": ["--all"], "env": [{"name": "MODE", "value": "fast"}]},
        "limits": {"writesPerSecond": 200},
    }}))
}

/// A program in an image, with every setting of its pod.
fn container() -> Migration {
    samples::applying(json!({
        "script": null,
        "container": {
            "image": "cars:1", "command": ["/cars"], "args": ["--all"], "workingDir": "/srv",
            "imagePullPolicy": "Always", "env": [{"name": "MODE", "value": "fast"}],
        },
        "activeDeadlineSeconds": 600,
        "backoffLimit": 2,
        "podTemplate": {
            "metadata": {
                "labels": {"team": "cars", "datamigration.dev/run": "99"},
                "annotations": {"note": "yes"},
            },
            "resources": {"limits": {"memory": "1Gi"}},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "batch", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu",
                    "operator": "DoesNotExist"}]}],
            }}},
            "priorityClassName": "low",
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [
                {"name": "a", "emptyDir": {}},
                {"name": "b", "configMap": {"name": "rates"}},
                {"name": "c", "secret": {"secretName": "mine"}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "disk"}},
            ],
            "volumeMounts": [{"name": "a", "mountPath": "/a"}],
            "runAsUser": 1000,
            "terminationGracePeriodSeconds": 90,
        },
    }))
}

/// An image that brings its own command.
fn bare_image() -> Migration {
    samples::applying(json!({"script": null, "container": {"image": "cars:1", "args": ["--all"]}}))
}

fn pod_of(job: &Job) -> PodSpec {
    job.spec.clone().unwrap().template.spec.unwrap()
}

fn containers(job: &Job) -> Vec<Container> {
    let pod = pod_of(job);
    pod.init_containers.into_iter().flatten().chain(pod.containers).collect()
}

#[test]
fn the_job_of_a_scripts_dry_run_is_the_golden_one() {
    check("job-script-dry-run", &built(&script(), RunKind::DryRun));
}

#[test]
fn the_job_of_an_image_with_every_setting_is_the_golden_one() {
    check("job-container-apply", &built(&container(), RunKind::Apply));
}

#[test]
fn the_copy_of_the_files_is_the_golden_one() {
    let migration = script();
    let Ok(runnable::Program::Script { files, .. }) = Ok::<_, ()>(runnable(&migration).program)
    else {
        panic!("no script")
    };
    let copy = files::build(&migration, &record(RunKind::DryRun), &samples::job(json!({})), &files);
    check("files", &copy);
    assert_eq!(copy.immutable, Some(true));
}

#[test]
fn every_container_keeps_to_pod_securitys_restricted_profile() {
    for job in [
        built(&script(), RunKind::DryRun),
        built(&container(), RunKind::Apply),
        built(&bare_image(), RunKind::Apply),
        restore_job(RunKind::Restore, &container(), &in_a_bucket()),
        restore_job(RunKind::RestorePreview, &script(), &on_a_volume()),
    ] {
        let pod = pod_of(&job);
        let all = pod.security_context.clone().unwrap();
        assert_eq!(
            (all.run_as_non_root, all.seccomp_profile.unwrap().type_.as_str()),
            (Some(true), "RuntimeDefault")
        );
        assert!(all.run_as_user.is_some_and(|user| user > 0));
        assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
        assert_eq!(pod.automount_service_account_token, Some(false));
        for container in containers(&job) {
            let own = container.security_context.unwrap();
            assert_eq!(own.allow_privilege_escalation, Some(false), "{}", container.name);
            let capabilities = own.capabilities.unwrap();
            assert_eq!(capabilities.drop, Some(vec!["ALL".into()]), "{}", container.name);
            assert_eq!((capabilities.add, own.privileged), (None, None), "{}", container.name);
            assert!(own.run_as_user.is_none_or(|user| user > 0), "{}", container.name);
            assert!(own.run_as_non_root != Some(false), "{}", container.name);
            assert_eq!(own.seccomp_profile, None, "the pod's profile holds: {}", container.name);
            let ports = container.ports.into_iter().flatten();
            assert!(ports.into_iter().all(|port| port.host_port.is_none()), "{}", container.name);
        }
        for volume in pod.volumes.unwrap() {
            assert_eq!(volume.host_path, None, "{}", volume.name);
        }
    }
}

#[test]
fn only_the_guard_is_given_credentials() {
    for (kind, secret) in [(RunKind::DryRun, "aws-read-only"), (RunKind::Apply, "aws")] {
        let job = built(&script(), kind);
        for container in containers(&job) {
            let text = serde_json::to_string(&container).unwrap();
            let is_guard = container.name == GUARD_CONTAINER;
            assert_eq!(text.contains("secretKeyRef"), is_guard, "{}", container.name);
            let named = format!("\"name\":\"{secret}\"");
            assert_eq!(text.contains(&named), is_guard, "{}", container.name);
        }
    }
}

#[test]
fn no_pod_has_more_containers_than_its_messages_have_room_for() {
    let most = [RunKind::DryRun, RunKind::Apply]
        .map(|kind| containers(&built_with(in_a_bucket(), kind)).len());
    assert_eq!(most.into_iter().max(), Some(dm_contract::limits::POD_CONTAINERS_MAX));
}

#[test]
fn the_job_of_a_run_with_an_archive_is_the_golden_one() {
    check("job-script-apply-bucket", &built_with(in_a_bucket(), RunKind::Apply));
    check("job-script-apply-volume", &built_with(on_a_volume(), RunKind::Apply));
}

/// A run that was killed, of a migration that has something to say of it.
fn killed() -> (Migration, RunRecord) {
    let mut migration = script();
    let time = |text: &str| Some(Time(text.parse().unwrap()));
    let run = RunRecord {
        result: RunResult::Failed,
        reason: Some(Reason::PodDeleted),
        execution_time: time("2026-11-02T10:00:05Z"),
        finalization_time: time("2026-11-02T10:00:09Z"),
        archived: Some(false),
        ..record(RunKind::Apply)
    };
    let failure = json!({
        "reason": "PodDeleted", "message": "The run's pod was deleted by \
                                            hand", "whatNow": "", "run": 1,
    });
    migration.status = Some(DataMigrationStatus {
        failure: serde_json::from_value(failure).unwrap(),
        runs: vec![run.clone()],
        ..DataMigrationStatus::default()
    });
    (migration, run)
}

#[test]
fn the_job_that_notes_a_runs_end_is_the_golden_one() {
    let (migration, run) = killed();
    for (name, archive) in [("bucket", in_a_bucket()), ("volume", on_a_volume())] {
        let of = built_with(archive, RunKind::Apply);
        let job = record::build(&migration, &run, &of, None, &settings()).unwrap();
        check(&format!("job-record-{name}"), &job);
        assert_ne!(job.metadata.name, of.metadata.name);
        let labels = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
        assert!(!labels.contains_key(dm_api::RUN_LABEL), "it is no pod of the run");
    }
}

#[test]
fn the_guard_is_told_what_a_person_has_decided_and_which_tables_to_expect() {
    let mut migration = script();
    let effects = json!({
        "itemsRead": 1,
        "tables": [{"name": "cars", "wouldCreate": 0, "wouldUpdate": 1, "wouldDelete": 0}],
        "writeCallsThatReachedTheDatabase": 0, "readUnits": 1.0, "writeUnits": 1.0, "requests": 1,
    });
    let dry_run = json!({
        "run": 1, "result": "Succeeded", "effects": effects, "programDigest": "sha256:0123",
    });
    migration.status = Some(DataMigrationStatus {
        dry_run: serde_json::from_value(dry_run).unwrap(),
        ..DataMigrationStatus::default()
    });
    migration.spec.backoff_limit = 1;
    let target = samples::target(json!({"archive": {
        "url": "s3://archive", "retention": {"maxAgeDays": 90},
    }}));
    let run = RunRecord { overrules: Some(4), ..record(RunKind::Apply) };
    let plan = archive::plan(&migration, &run, target.spec.archive.as_ref().unwrap());
    assert_eq!((plan.overrule, plan.repeatable, plan.tables), (4, true, vec!["cars".to_owned()]));
    let retention = plan.retention.unwrap();
    assert_eq!((retention.max_age_days, retention.keep_runs, retention.journals), (90, 5, false));
    let other = RunRecord { program_digest: "sha256:other".into(), ..run };
    let plan = archive::plan(&migration, &other, target.spec.archive.as_ref().unwrap());
    assert!(plan.tables.is_empty(), "another program's dry run says nothing");
}

#[test]
fn a_job_fails_at_once_when_the_ledger_refuses_its_run() {
    let rules = |job: Job| job.spec.unwrap().pod_failure_policy.unwrap().rules;
    let with = rules(built_with(in_a_bucket(), RunKind::Apply));
    let codes = with[0].on_exit_codes.as_ref().unwrap();
    assert_eq!(codes.container_name.as_deref(), Some(LEDGER_CONTAINER));
    assert_eq!(
        (with[0].action.as_str(), codes.values.as_slice()),
        ("FailJob", &[80, 81, 82, 83, 84, 86, 87][..])
    );
    assert_eq!(rules(built_with(in_a_bucket(), RunKind::DryRun)).len(), 1);
}

#[test]
fn the_programs_container_has_nothing_of_the_archive() {
    let cases =
        [(in_a_bucket(), ["archive-keys", "s3:9000"]), (on_a_volume(), ["dm-archive", "/archive"])];
    for ((archive, words), kind) in
        cases.iter().flat_map(|case| [(case, RunKind::Apply), (case, RunKind::DryRun)])
    {
        let job = built_with(archive.clone(), kind);
        for container in containers(&job) {
            let text = serde_json::to_string(&container).unwrap();
            let ours = [GUARD_CONTAINER, LEDGER_CONTAINER].contains(&container.name.as_str());
            for word in words {
                assert_eq!(text.contains(word), ours, "{kind:?} {}: {word}", container.name);
            }
        }
    }
}

#[test]
fn a_dry_run_leaves_its_report_in_the_archive_asks_no_ledger_and_reads_with_its_own_credentials() {
    let mut target: Value = serde_json::from_str(TARGET).unwrap();
    target["archive"] = in_a_bucket();
    target["dryRunCredentials"] = json!({"secret": {"name": "read-only-keys"}});
    let migration = script();
    let on = runnable_on(&migration, &target);
    let job = job::build(&migration, &record(RunKind::DryRun), &on, &settings());
    let all = containers(&job);
    assert!(all.iter().all(|container| container.name != LEDGER_CONTAINER));
    let guard = all.iter().find(|container| container.name == GUARD_CONTAINER).unwrap();
    let secret_of = |variable: &str| {
        let found = guard.env.iter().flatten().find(|one| one.name == variable)?;
        Some(found.value_from.as_ref()?.secret_key_ref.as_ref()?.name.clone())
    };
    // It can write to the archive, and to nothing else.
    assert_eq!(secret_of("AWS_ACCESS_KEY_ID").as_deref(), Some("read-only-keys"));
    let of_archive = secret_of(dm_contract::plan::ARCHIVE_ACCESS_KEY_ENV);
    assert_eq!(of_archive.as_deref(), Some("archive-keys"));
    assert!(guard.args.iter().flatten().any(|arg| arg == "--log-dir"));
}

fn restore_job(kind: RunKind, migration: &Migration, archive: &Value) -> Job {
    let mut target: Value = serde_json::from_str(TARGET).unwrap();
    target["archive"] = archive.clone();
    let then = RunRecord {
        archive: Some(archive["url"].as_str().unwrap().into()),
        ..record(RunKind::Apply)
    };
    let then = RunRecord { result: dm_api::status::RunResult::Succeeded, ..then };
    let asked = json!({
        "spec": {"state": "Restored", "restore": {"onConflict": "Overwrite"}},
        "status": {"lastRun": 1, "runs": [then]},
    });
    let migration = samples::with(migration, asked);
    let own = samples::restore(2, kind, 1, dm_api::status::RunResult::Starting);
    let own = RunRecord { program_digest: "sha256:0123".into(), ..own };
    job::build(&migration, &own, &runnable_on(&migration, &target), &settings())
}

#[test]
fn the_jobs_of_a_restore_and_its_preview_are_the_golden_ones() {
    check("job-restore", &restore_job(RunKind::Restore, &container(), &in_a_bucket()));
    let preview = restore_job(RunKind::RestorePreview, &script(), &on_a_volume());
    check("job-restore-preview", &preview);
}

#[test]
fn a_restore_runs_nothing_of_the_author_and_goes_on_after_a_disruption() {
    for kind in [RunKind::Restore, RunKind::RestorePreview] {
        let job = restore_job(kind, &container(), &in_a_bucket());
        let names: Vec<String> = containers(&job).into_iter().map(|c| c.name).collect();
        assert_eq!(names, [RESTORE_CONTAINER]);
        let text = serde_json::to_string(&job).unwrap();
        assert!(!text.contains("cars:1") && !text.contains("mine"), "{text}");
        let spec = job.spec.clone().unwrap();
        let rules = spec.pod_failure_policy.unwrap().rules;
        // In another database, or of a table that was replaced, it would be in every pod.
        assert_eq!(rules[0].on_exit_codes.as_ref().unwrap().values, [86, 88]);
        assert_eq!((rules[0].action.as_str(), rules[1].action.as_str()), ("FailJob", "Ignore"));
        assert_eq!(spec.backoff_limit, Some(crate::limits::RESTORE_BACKOFF_LIMIT));
        assert_eq!(spec.active_deadline_seconds, None, "that of the program is not its own");
        // The same user as the guard that wrote the archive, and the same groups.
        let guard = containers(&built_with(in_a_bucket(), RunKind::Apply)).remove(1);
        let user = |container: &Container| container.security_context.clone().unwrap().run_as_user;
        assert_eq!(user(&containers(&job)[0]), user(&guard));
    }
}

#[test]
fn a_job_is_created_suspended_with_both_finalizers() {
    let job = built(&script(), RunKind::Apply);
    let spec = job.spec.as_ref().unwrap();
    assert_eq!((spec.suspend, spec.backoff_limit), (Some(true), Some(0)));
    assert_eq!(spec.pod_replacement_policy.as_deref(), Some("Failed"));
    let ours = Some(vec![dm_api::OUTCOME_FINALIZER.to_owned()]);
    assert_eq!(job.metadata.finalizers, ours);
    assert_eq!(spec.template.metadata.as_ref().unwrap().finalizers, ours);
    assert_eq!(spec.ttl_seconds_after_finished, None, "not before its outcome is in status");
}

#[test]
fn a_disrupted_run_that_writes_is_repeated_only_where_its_author_allows_it() {
    let action = |migration: &Migration, kind| {
        let job = built(migration, kind);
        job.spec.unwrap().pod_failure_policy.unwrap().rules[0].action.clone()
    };
    assert_eq!(action(&script(), RunKind::Apply), "FailJob");
    assert_eq!(action(&script(), RunKind::DryRun), "Ignore");
    assert_eq!(action(&container(), RunKind::Apply), "Ignore");
}

#[test]
fn an_image_with_its_own_command_is_left_alone() {
    let pod = pod_of(&built(&bare_image(), RunKind::Apply));
    let program = &pod.containers[0];
    assert_eq!((&program.command, &program.args), (&None, &Some(vec!["--all".into()])));
}

#[test]
fn labels_of_the_pod_cannot_hide_its_run() {
    let template = built(&container(), RunKind::Apply).spec.unwrap().template;
    let labels = template.metadata.unwrap().labels.unwrap();
    assert_eq!((labels["team"].as_str(), labels["datamigration.dev/run"].as_str()), ("cars", "1"));
}

/// What other tests of this file would not notice: the plan that the guard reads.
#[test]
fn the_guards_plan_says_what_the_target_allows() {
    let job = built(&script(), RunKind::DryRun);
    let guard = &pod_of(&job).init_containers.unwrap()[1];
    let plan = guard.env.as_ref().unwrap()[0].value.clone().unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["mode"], "DryRun");
    assert_eq!(plan["policy"]["tables"], json!(["cars", "brands-*"]));
    assert_eq!(plan["limits"], json!({"writesPerSecond": 200}));
    assert_eq!(plan["limitsMax"], Value::Null, "the migration's own");
    assert_eq!(plan["run"]["uid"], "uid-m");
}

#[test]
fn only_the_guard_has_the_controls_token_and_no_other_job_inherits_it() {
    let (migration, run) = killed();
    let mut job = built_with(in_a_bucket(), RunKind::Apply);
    assert_eq!(control::token_of(&job), None);
    control::give(&mut job, "0123456789abcdef0123456789abcdef");
    assert_eq!(control::token_of(&job), Some("0123456789abcdef0123456789abcdef"));
    let has = |container: &Container| serde_json::to_string(container).unwrap().contains("0123456");
    for container in containers(&job) {
        assert_eq!(has(&container), container.name == GUARD_CONTAINER, "{}", container.name);
        let key = dm_contract::control::access_key("0123456789abcdef0123456789abcdef");
        let knows = serde_json::to_string(&container).unwrap().contains(&key);
        assert_eq!(knows, container.name == PROGRAM_CONTAINER, "{}", container.name);
    }
    let recorder = record::build(&migration, &run, &job, None, &settings()).unwrap();
    assert!(!containers(&recorder).iter().any(has));
    let mut restore = restore_job(RunKind::Restore, &container(), &in_a_bucket());
    control::give(&mut restore, "0123456789abcdef0123456789abcdef");
    assert_eq!(control::token_of(&restore), Some("0123456789abcdef0123456789abcdef"));
}

#[test]
fn the_plan_has_what_no_control_exceeds() {
    let mut target: Value = serde_json::from_str(TARGET).unwrap();
    target["policy"]["limits"] = json!({"writesPerSecond": 100, "readsPerSecond": 50});
    let runnable = runnable_on(&script(), &target);
    let job = job::build(&script(), &record(RunKind::Apply), &runnable, &settings());
    let guard = containers(&job).into_iter().find(|c| c.name == GUARD_CONTAINER).unwrap();
    let plan: Value = serde_json::from_str(guard.env.unwrap()[0].value.as_ref().unwrap()).unwrap();
    let both = json!({"writesPerSecond": 100, "readsPerSecond": 50});
    assert_eq!((&plan["limits"], &plan["limitsMax"]), (&both, &both));
}
