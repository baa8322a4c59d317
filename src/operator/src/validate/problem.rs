//! Makes problems, each with its reason.

use dm_api::condition::Reason;
use dm_api::script::FilesProblem;

use crate::runnable::Problem;

pub const fn problem(reason: Reason, message: String) -> Problem {
    Problem { reason, message }
}

pub fn invalid(problem: &FilesProblem) -> Problem {
    invalid_spec(problem.to_string())
}

pub const fn invalid_spec(message: String) -> Problem {
    problem(Reason::InvalidSpec, message)
}
