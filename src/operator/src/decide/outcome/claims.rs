//! What a program's container says of itself. Whoever runs in it can write its termination message,
//! so a claim is believed only where the kubelet's own record of the container agrees, and none
//! says anything of the data: what was written the guard and the ledger know. Pure.

use dm_contract::report::{LeftRunning, ProgramResult, SecondRun};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use crate::limits;
use crate::objects::PROGRAM_CONTAINER;
use crate::objects::program::ENTRY;
use crate::read::view;

/// Exit codes of the entry program where it could not start the program (src/entry/src/args.rs).
const NOT_STARTED: [i32; 3] = [125, 126, 127];

/// What is believed of a program's end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// When the program began.
    pub started_at: Option<Timestamp>,
    /// When it had ended.
    pub finished_at: Option<Timestamp>,
    /// Its exit code, which is the container's.
    pub exit_code: Option<i32>,
    /// The signal by which it was asked to end, where it then ended with 0.
    pub interrupted: Option<i32>,
    /// Processes that it left running when it ended with 0.
    pub left_running: Option<LeftRunning>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not be started. Whether it was not is decided with the guard's count of
    /// requests.
    pub start_error: Option<String>,
    pub last_lines: Vec<String>,
    /// How its second run ended.
    pub second_run: Option<SecondRun>,
}

/// Returns what the program's container of a pod says of itself, as far as it is believed; `None`
/// where the entry program said nothing. Where the container's exit code contradicts it, its last
/// lines are all that is believed.
pub fn of(pod: &Pod) -> Option<Claims> {
    // An image with its own entrypoint has no entry program that could have written a result.
    if !runs_entry(pod) {
        return None;
    }
    let ended = view::program_end(pod)?;
    let said = view::program_result(pod)?;
    let first = said.last_lines.len().saturating_sub(limits::LAST_LINES_MAX);
    let last_lines = said.last_lines[first..].to_vec();
    if !agrees(&said, ended) {
        return Some(Claims { last_lines, ..Claims::default() });
    }
    let within = |text: Option<&String>| {
        text.and_then(|text| text.parse::<Timestamp>().ok()).filter(|time| is_within(*time, ended))
    };
    let (started_at, finished_at) =
        (within(said.started_at.as_ref()), within(said.finished_at.as_ref()));
    let in_order = started_at.zip(finished_at).is_none_or(|(start, end)| start <= end);
    Some(Claims {
        started_at: started_at.filter(|_| in_order),
        finished_at: finished_at.filter(|_| in_order),
        exit_code: said.exit_code,
        interrupted: said.interrupted(),
        left_running: said.left_running,
        signal: said.signal,
        start_error: said.start_error,
        last_lines,
        second_run: said.second_run,
    })
}

fn runs_entry(pod: &Pod) -> bool {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let program = containers.iter().find(|container| container.name == PROGRAM_CONTAINER);
    let command = program.and_then(|program| program.command.as_ref()?.first());
    command.is_some_and(|command| command == ENTRY)
}

/// Whether a result fits the exit code that the kubelet saw.
fn agrees(said: &ProgramResult, ended: &ContainerStateTerminated) -> bool {
    let code = ended.exit_code;
    match (said.exit_code, said.signal, &said.start_error) {
        // The entry program ends as if by the signal that asked its program to end, or with its
        // own code where the program left processes running.
        (Some(claimed), None, None) => {
            claimed == code
                || said.interrupted().is_some_and(|signal| code == 128 + signal)
                || (claimed == 0 && said.left_running.is_some() && code == NOT_STARTED[0])
        }
        (None, Some(signal), None) => (1..=64).contains(&signal) && code == 128 + signal,
        (None, None, Some(_)) => NOT_STARTED.contains(&code),
        // The entry program ends with this where its child was taken from it.
        (None, None, None) => code == NOT_STARTED[0],
        (Some(_), Some(_), _) | (_, Some(_), Some(_)) | (Some(_), None, Some(_)) => false,
    }
}

/// Whether a time lies in the life of the container, whose times have whole seconds.
fn is_within(time: Timestamp, ended: &ContainerStateTerminated) -> bool {
    let slack = SignedDuration::from_secs(limits::CONTAINER_TIME_SLACK_SECONDS);
    let (Some(start), Some(end)) = (&ended.started_at, &ended.finished_at) else { return false };
    let after_start = start.0.checked_sub(slack).is_ok_and(|start| start <= time);
    after_start && end.0.checked_add(slack).is_ok_and(|end| time <= end)
}

#[cfg(test)]
mod tests;
