//! How a run ended, from what its program and its guard say. Pure.

use dm_contract::report::{GuardResult, NO_REQUESTS, ProgramResult};
use dm_contract::verdict::RunOutcome;

/// What a run is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Its Job may start the program again.
    pub repeatable: bool,
    /// Its program may send no request.
    pub no_requests: bool,
}

/// Returns how the run ended; `None` if that is unknown, or if the Job starts the program again.
pub fn outcome(
    program: &ProgramResult,
    result: &GuardResult,
    allowed: Allowed,
) -> Option<RunOutcome> {
    let Allowed { repeatable, no_requests } = allowed;
    match (program.exit_code, program.signal, &program.start_error) {
        // It was asked to stop, so its work may be incomplete.
        (Some(0), None, None) if program.interrupted().is_some() => {
            (!repeatable).then_some(RunOutcome::Failed)
        }
        // They were stopped with its container, in the middle of their writes.
        (Some(0), None, None) if program.left_running.is_some() => {
            (!repeatable).then_some(RunOutcome::Failed)
        }
        // Its last calls failed because the archive or the database did not answer, and it ignored
        // that.
        (Some(0), None, None) if result.outage().is_some() => {
            (!repeatable).then_some(RunOutcome::Failed)
        }
        // It may have written to the database itself. Its Job is over, but the operator knows what
        // its other pods have sent.
        (Some(0), None, None) if is_unseen(result) && !no_requests && result.problem.is_none() => {
            (!repeatable).then_some(RunOutcome::Failed)
        }
        // A person must judge the result of a guard with a problem.
        (Some(0), None, None) => result.problem.is_none().then_some(RunOutcome::Succeeded),
        (None, None, None) => None,
        (Some(_), _, _) | (None, Some(_), _) | (None, None, Some(_)) => {
            (!repeatable).then_some(RunOutcome::Failed)
        }
    }
}

/// Whether a program has sent nothing. A transform is carried out by the guard itself.
const fn is_unseen(result: &GuardResult) -> bool {
    result.requests == 0 && result.transform.is_none()
}

/// What a person should know of it.
pub fn message(program: &ProgramResult, result: &GuardResult) -> Option<String> {
    if let Some(signal) = program.interrupted() {
        return Some(format!(
            "Signal {signal} asked the program to stop, and it ended with exit code 0."
        ));
    }
    if let Some(left) = &program.left_running {
        return Some(format!("The program ended with exit code 0 while {left}."));
    }
    match (program.exit_code, program.signal, &program.start_error) {
        (Some(0), None, None) if is_unseen(result) => Some(NO_REQUESTS.into()),
        (Some(0), ..) | (None, None, None) => None,
        (Some(code), ..) => Some(format!("The program ended with exit code {code}.")),
        (None, Some(signal), _) => Some(format!("The program was ended by signal {signal}.")),
        (None, None, Some(_)) if result.requests > 0 => Some(format!(
            "The program's container reports that the program never started, but the guard \
             received {} requests from it.",
            result.requests
        )),
        (None, None, Some(_)) => Some("The program could not be started.".into()),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use dm_contract::plan::Mode;
    use dm_contract::report::{LeftRunning, REPORT_VERSION};

    pub fn program(
        exit_code: Option<i32>,
        signal: Option<i32>,
        start: Option<&str>,
    ) -> ProgramResult {
        ProgramResult {
            version: REPORT_VERSION,
            started_at: Some("2026-12-01T00:00:00.000Z".into()),
            finished_at: Some("2026-12-01T00:01:00.000Z".into()),
            exit_code,
            signal,
            asked_to_end: None,
            left_running: None,
            start_error: start.map(str::to_owned),
            second_run: None,
            last_lines: Vec::new(),
            log_problem: None,
        }
    }

    pub fn result(problem: Option<&str>) -> GuardResult {
        let problem = problem.map(str::to_owned);
        GuardResult { problem, requests: 1, ..GuardResult::empty(Mode::Apply) }
    }

    #[test]
    fn an_end_is_noted_only_where_it_is_known() {
        let check = |program: &ProgramResult, problem, repeatable, expected| {
            let allowed = Allowed { repeatable, no_requests: false };
            let found = outcome(program, &result(problem), allowed);
            assert_eq!(found, expected, "{program:?} {problem:?} {repeatable}");
        };
        let (ok, failed) = (Some(RunOutcome::Succeeded), Some(RunOutcome::Failed));
        for repeatable in [false, true] {
            check(&program(Some(0), None, None), None, repeatable, ok);
            check(&program(Some(0), None, None), Some("lost"), repeatable, None);
            check(&program(None, None, None), None, repeatable, None);
        }
        let left_running = Some(LeftRunning { count: 1, names: vec!["sleep".into()] });
        let outlived = ProgramResult { left_running, ..program(Some(0), None, None) };
        let said = message(&outlived, &result(None)).unwrap();
        assert!(said.contains("a process that it had started still ran (sleep)"), "{said}");
        let interrupted = ProgramResult { asked_to_end: Some(15), ..program(Some(0), None, None) };
        for ended in [
            interrupted,
            outlived,
            program(Some(3), None, None),
            program(None, Some(9), None),
            program(None, None, Some("no python3")),
        ] {
            check(&ended, None, false, failed);
            check(&ended, Some("lost"), false, failed);
            check(&ended, None, true, None);
        }
    }

    #[test]
    fn a_program_that_sent_nothing_has_failed_unless_none_is_expected() {
        let program = program(Some(0), None, None);
        let silent = GuardResult { requests: 0, ..result(None) };
        let check = |result: &GuardResult, repeatable, no_requests, expected| {
            let allowed = Allowed { repeatable, no_requests };
            assert_eq!(outcome(&program, result, allowed), expected, "{allowed:?}");
        };
        check(&silent, false, false, Some(RunOutcome::Failed));
        check(&silent, false, true, Some(RunOutcome::Succeeded));
        // An earlier pod may have sent some: the operator records it.
        check(&silent, true, false, None);
        check(&silent, true, true, Some(RunOutcome::Succeeded));
        check(&GuardResult { requests: 0, ..result(Some("lost")) }, false, false, None);
        assert_eq!(message(&program, &silent).as_deref(), Some(NO_REQUESTS));
        assert_eq!(message(&program, &result(None)), None);
    }
}
