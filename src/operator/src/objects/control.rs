//! The token by which the controller controls a run's guard. It is another one for each run and
//! stands in its Job, where a controller finds it again that has no memory of it, and needs no
//! permission on Secrets for it (decision 008). Pure.

use dm_contract::control::access_key;
use dm_contract::plan::CONTROL_TOKEN_ENV;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::parts::variable;
use super::{GUARD_CONTAINER, PROGRAM_CONTAINER, RESTORE_CONTAINER};

/// The program's variable with the access key that its guard knows it by.
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";

/// Gives the Job's guard its token, or its restore, and the program the access key that follows
/// from it.
pub fn give(job: &mut Job, token: &str) {
    let Some(pod) = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else { return };
    let containers = pod.init_containers.iter_mut().flatten().chain(&mut pod.containers);
    for controlled in containers.filter(|container| is_controlled(container)) {
        controlled.env.get_or_insert_default().push(variable(CONTROL_TOKEN_ENV, token));
    }
    let programs = pod.containers.iter_mut().filter(|other| other.name == PROGRAM_CONTAINER);
    for variable in programs.flat_map(|program| program.env.iter_mut().flatten()) {
        if variable.name == ACCESS_KEY {
            variable.value = Some(access_key(token));
        }
    }
}

/// The token of the Job's guard, or of its restore. One made by an older controller may have none.
pub fn token_of(job: &Job) -> Option<&str> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let mut containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    let controlled = containers.find(|container| is_controlled(container))?;
    let token = controlled.env.iter().flatten().find(|v| v.name == CONTROL_TOKEN_ENV)?;
    token.value.as_deref()
}

fn is_controlled(container: &Container) -> bool {
    [GUARD_CONTAINER, RESTORE_CONTAINER].contains(&container.name.as_str())
}

/// What a container of the guard's program gets that controls nothing.
pub fn without(guard: &Container) -> Option<Vec<EnvVar>> {
    let env = guard.env.as_ref()?.iter().filter(|variable| variable.name != CONTROL_TOKEN_ENV);
    Some(env.cloned().collect())
}
