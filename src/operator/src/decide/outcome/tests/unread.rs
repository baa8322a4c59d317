//! Results of guards that are missing, cut or shortened.

use super::*;

#[test]
fn a_dry_run_needs_its_guards_result() {
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &Value::Null);
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::GuardFailed, "guard left no result");
    check(RunKind::DryRun, Some(&job), &[&pod], expected);
    let unread = with(&pod_ended(0, "", &guard_says(json!({"version": 2}))), json!({}));
    check(RunKind::DryRun, Some(&job), &[&unread], expected);
}

#[test]
fn an_apply_whose_guards_result_was_cut_has_not_succeeded() {
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard());
    let mut cut = serde_json::to_value(&pod).unwrap();
    let message = &mut cut["status"]["initContainerStatuses"][0]["state"]["terminated"]["message"];
    *message = message.as_str().unwrap()[..100].into();
    let cut = serde_json::from_value(cut).unwrap();
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::GuardFailed, "or the kubelet cut it");
    check(RunKind::Apply, Some(&job), &[&cut], expected);
    let without = pod_ended(0, &program_says(json!({"exitCode": 0})), &Value::Null);
    check(RunKind::Apply, Some(&job), &[&without], expected);
}

#[test]
fn a_refused_call_without_a_remark_makes_a_dry_run_incomplete() {
    let operations = json!([{"operation": "UpdateTable", "refused": 1}]);
    let says = guard_says(json!({"dryRun": {"operations": operations, "changedUnderneath": 0}}));
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &says);
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::DryRunIncomplete, "");
    check(RunKind::DryRun, Some(&job), &[&pod], expected);
}
