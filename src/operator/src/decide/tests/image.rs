//! The image that was tried is the one that is applied.

use super::*;

fn id(letter: &str) -> String {
    format!("docker.io/library/python@sha256:{}", letter.repeat(64))
}

fn tried(result: RunResult) -> RunRecord {
    RunRecord { image_id: Some(id("a")), ..ended(RunKind::DryRun, result) }
}

fn begun(case: &Case) -> RunRecord {
    match case.decision().change {
        Change::Begin(record) => *record,
        other => panic!("it does not begin: {other:?}"),
    }
}

#[test]
fn an_apply_is_begun_with_the_image_of_its_dry_run() {
    let apply = |runs| begun(&Case::new(applying(json!({}))).after(runs)).image_id;
    assert_eq!(apply(vec![tried(RunResult::Succeeded)]), Some(id("a")));
    assert_eq!(apply(vec![]), None);
    let other = RunRecord { program_digest: "sha256:other".into(), ..tried(RunResult::Succeeded) };
    assert_eq!(apply(vec![other]), None, "it was another program's");
    let again =
        begun(&Case::new(trying(json!({"retry": 1}))).after(vec![tried(RunResult::Failed)]));
    assert_eq!(again.image_id, None, "a dry run takes the image as it is");
}

#[test]
fn an_apply_of_another_image_is_stopped() {
    let running = |image: &str, kind| {
        let mut pod = pod_running();
        let status = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
        status[0].image_id = image.to_owned();
        let run = RunRecord { image_id: Some(id("a")), ..record(kind) };
        let migration =
            if kind == RunKind::Apply { applying(json!({})) } else { trying(json!({})) };
        Case::new(migration)
            .after(vec![run])
            .with_objects(Some(job(json!({}))), vec![pod])
            .decision()
    };
    let stopped = |decision: &Decision| match &decision.actions[..] {
        [Action::Stop { reason, .. }] => *reason == Some(StopReason::ImageChanged),
        _ => false,
    };
    assert!(stopped(&running(&id("b"), RunKind::Apply)));
    for same in [id("a"), String::new(), "sha256:0".to_owned()] {
        assert!(!stopped(&running(&same, RunKind::Apply)), "{same}");
    }
    assert!(!stopped(&running(&id("b"), RunKind::DryRun)));
}
