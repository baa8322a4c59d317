//! Programs that end while processes that they started still run.

use super::*;

#[test]
fn a_program_that_left_processes_running_has_not_succeeded() {
    let left = json!({"count": 7, "names": ["python3", "sleep"]});
    let says = program_says(json!({"exitCode": 0, "leftRunning": left}));
    let text = "exit code 0 after 3s, but 7 processes that it had started still ran (python3, \
                sleep …) and ended with its container, perhaps in the middle of a write; 2 items";
    let expected = (RunResult::Failed, Reason::ProcessesLeftRunning, text);
    let left = pod_ended(125, &says, &guard());
    check(RunKind::Apply, Some(&failed_job()), &[&left], expected);
    let dry = pod_ended(125, &says, &guard_says(json!({"mode": "DryRun"})));
    let text = "so the dry run may not show all that applying would do; nothing was written.";
    let expected = (RunResult::Failed, Reason::ProcessesLeftRunning, text);
    check(RunKind::DryRun, Some(&failed_job()), &[&dry], expected);
    // What the container says against itself is believed, whatever it ended with.
    let complete = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::ProcessesLeftRunning, "2 items");
    check(RunKind::Apply, Some(&complete), &[&pod_ended(0, &says, &guard())], expected);
    // A code that the claim does not explain is what counts.
    let expected = (RunResult::Failed, Reason::ProgramFailed, "exit code 3");
    check(RunKind::Apply, Some(&failed_job()), &[&pod_ended(3, &says, &guard())], expected);
}
