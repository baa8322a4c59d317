//! Texts that a program or an author chooses, in every place that takes one: none may make the
//! kubelet hand out a credential.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::*;

/// What the kubelet makes of a text in `command`, `args` or `env`
/// (third_party/forked/golang/expansion/expand.go): `$$` is `$`, `$(NAME)` a variable's value, and
/// everything else itself.
fn expanded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.chars().next() {
            Some('$') => {
                out.push('$');
                rest = &rest[1..];
            }
            Some('(') => match rest.find(')') {
                Some(end) => {
                    out.push_str("LEAKED");
                    rest = &rest[end + 1..];
                }
                None => out.push('$'),
            },
            Some(_) | None => out.push('$'),
        }
    }
    out + rest
}

/// All that a container's strings become.
fn strings(container: &Container) -> Vec<String> {
    let lists = container.command.iter().chain(&container.args).flatten();
    let values = container.env.iter().flatten().filter_map(|variable| variable.value.as_ref());
    lists.chain(values).map(|text| expanded(text)).collect()
}

const HOSTILE: &str =
    "$(AWS_SECRET_ACCESS_KEY) $$(AWS_SECRET_ACCESS_KEY) $(DATAMIGRATION_CONTROL_TOKEN)";

/// A migration and its target with hostile text wherever their types take any, whatever the API
/// server's validation would say to it.
fn hostile(kind: RunKind) -> (Migration, RunRecord, Runnable) {
    let text = |what: &str| format!("{what} {HOSTILE}");
    let (migration, mut run) = killed();
    let spec = json!({"spec": {
        "description": text("description"), "dryRun": !kind.writes(), "secondPass": true,
        "script": {
            "file": text("file"), "image": text("image"), "command": [text("command")],
            "args": [text("args")], "env": [{"name": text("name"), "value": text("value")}],
        },
        "podTemplate": {
            "metadata": {"labels": {"l": text("label")}, "annotations": {"a": text("annotation")}},
            "nodeSelector": {"n": text("node")}, "priorityClassName": text("class"),
        },
    }});
    let mut migration = samples::with(&migration, spec);
    if let Some(failure) = migration.status.as_mut().and_then(|status| status.failure.as_mut()) {
        failure.message = text("failure");
        failure.last_lines = vec![text("line")];
    }
    run.kind = kind;
    run.restores = kind.restores().then_some(1);
    run.message = Some(text("message"));
    run.program_digest = text("digest");
    run.archive = Some(text("archive"));
    let dry_run = json!({"run": 1, "result": "Succeeded", "programDigest": run.program_digest,
        "effects": {
        "itemsRead": 1, "writeCallsThatReachedTheDatabase": 0, "readUnits": 1.0, "writeUnits": 1.0,
        "requests": 1, "tables": [
            {"name": text("table"), "wouldCreate": 0, "wouldUpdate": 1, "wouldDelete": 0},
        ],
    }});
    let status = migration.status.as_mut().unwrap();
    status.dry_run = serde_json::from_value(dry_run).unwrap();
    let target = samples::target(json!({
        "region": text("region"), "endpoint": text("endpoint"),
        "policy": {"tables": [text("glob")]},
        "archive": {"url": format!("s3://{HOSTILE}"), "endpoint": text("s3")},
    }));
    let files = BTreeMap::from([("main.py".to_owned(), text("content").into_bytes())]);
    let script = migration.spec.script.clone().unwrap();
    let program = match kind {
        RunKind::Restore | RunKind::RestorePreview => {
            runnable::Program::Restore(runnable::Restoration {
                run: Some(1),
                on_conflict: dm_api::migration::OnConflict::Skip,
            })
        }
        RunKind::DryRun | RunKind::Apply => {
            runnable::Program::Script { files, file: Some(text("main")), script }
        }
    };
    let runnable = Runnable {
        pod: migration.spec.pod_template.clone(),
        target,
        program,
        ..runnable(&script_of_cars())
    };
    (migration, run, runnable)
}

fn script_of_cars() -> Migration {
    super::script()
}

fn all_jobs() -> Vec<Job> {
    let mut jobs = Vec::new();
    for kind in [RunKind::DryRun, RunKind::Apply, RunKind::RestorePreview, RunKind::Restore] {
        let (migration, run, runnable) = hostile(kind);
        let with_agent = Settings { agent_image: "agent:1".into(), ..settings() };
        let mut job = job::build(&migration, &run, &runnable, &with_agent);
        control::give(&mut job, "0123456789abcdef");
        jobs.extend(record::build(&migration, &run, &job, None, &settings()));
        jobs.push(job);
    }
    assert_eq!(jobs.len(), 8, "each has a guard whose end a recorder can note");
    jobs
}

#[test]
fn no_text_of_an_author_or_a_program_is_expanded_where_credentials_are() {
    for job in all_jobs() {
        for container in containers(&job).iter().filter(|one| one.name != PROGRAM_CONTAINER) {
            for text in strings(container) {
                let what = format!("{:?} {}: {text}", job.metadata.name, container.name);
                assert!(!text.contains("LEAKED"), "{what}");
            }
        }
    }
}

#[test]
fn the_text_itself_arrives() {
    let (mut found, mut plans) = (0, 0);
    for job in all_jobs() {
        for container in containers(&job).iter().filter(|one| one.name != PROGRAM_CONTAINER) {
            for text in strings(container) {
                found += usize::from(text.contains(HOSTILE));
                if let Ok(plan) = serde_json::from_str::<dm_contract::plan::Plan>(&text) {
                    plans += 1;
                    assert!(plan.policy.tables[0].ends_with(HOSTILE), "{plan:?}");
                }
            }
        }
    }
    assert!(found > plans && plans >= 6, "{found} {plans}");
}

/// Strings outside containers are expanded nowhere. A new place has to be looked at before it is
/// added here.
#[test]
fn hostile_text_stands_in_known_places_only() {
    let known = [
        "/spec/template/metadata/labels/",
        "/spec/template/metadata/annotations/",
        "/metadata/annotations/",
        "/spec/template/spec/nodeSelector/",
        "/spec/template/spec/priorityClassName",
        "/spec/template/spec/containers/program/image",
        "/spec/template/spec/containers/program/args/",
        "/spec/template/spec/containers/program/env/",
    ];
    for job in all_jobs() {
        let value = serde_json::to_value(&job).unwrap();
        let mut places = Vec::new();
        walk(&value, String::new(), &mut places);
        for (place, text) in places {
            let plain = expanded(&text).contains("LEAKED");
            let is_known = known.iter().any(|start| place.starts_with(start));
            assert!(!plain || is_known, "{place}: {text}");
        }
    }
}

fn walk(value: &Value, place: String, places: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => places.push((place, text.clone())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item["name"].as_str().filter(|_| place.ends_with("ontainers"));
                let part = name.map_or_else(|| index.to_string(), str::to_owned);
                walk(item, format!("{place}/{part}"), places);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                walk(field, format!("{place}/{key}"), places);
            }
        }
        _ => {}
    }
}

#[test]
fn a_recorder_after_an_older_operators_job_is_escaped_too() {
    let (migration, run, runnable) = hostile(RunKind::Apply);
    let mut job = job::build(&migration, &run, &runnable, &settings());
    let pod = job.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    for container in pod.init_containers.iter_mut().flatten() {
        for variable in container.env.iter_mut().flatten() {
            variable.value = variable.value.as_deref().map(literal::plain);
        }
    }
    let recorder = record::build(&migration, &run, &job, None, &settings()).unwrap();
    for text in strings(&containers(&recorder)[0]) {
        assert!(!text.contains("LEAKED"), "{text}");
    }
}
