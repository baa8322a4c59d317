//! Runs that failed because another run has a table's lock.

use super::*;

#[test]
fn a_run_that_a_lock_stopped_waits_for_its_holder() {
    let locked = json!({
        "table": "cars", "by": "team.0006-repaint/1", "namespace": "team", "name": "0006-repaint",
        "since": time(0), "fence": 7,
    });
    let changes = json!({
        "problem": "table cars is locked", "locked": locked, "tables": [], "writeCallsUpstream": 0,
    });
    let says = |code: i32| program_says(json!({"exitCode": code}));
    let of = |code: i32, restarts: i32| {
        let mut pod = pod_ended(code, &says(code), &guard_says(changes.clone()));
        let status = pod.status.as_mut().unwrap();
        let guards = status.init_container_statuses.iter_mut().flatten();
        for guard in guards {
            guard.restart_count = restarts;
        }
        end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap()
    };
    for (code, reason) in [(0, Reason::GuardFailed), (1, Reason::ProgramFailed)] {
        let outcome = of(code, 0);
        assert_eq!(outcome.reason, reason);
        assert!(outcome.message.ends_with("; no item was written."), "{}", outcome.message);
        let advice = "Wait until that run has ended: table cars has been locked by 0006-repaint \
                      (run team.0006-repaint/1) since 2026-11-02T10:00:00Z. Then set spec.retry \
                      to 1";
        assert!(outcome.what_now.starts_with(advice), "{}", outcome.what_now);
    }
    // What a guard wrote before it was restarted is not known.
    let outcome = of(1, 1);
    assert!(outcome.message.ends_with("the guard counted no written item."), "{}", outcome.message);
    assert!(outcome.what_now.contains("may be partly changed"), "{}", outcome.what_now);
}
