//! The token by which the controller controls a run's guard. It is another one for each run and stands
//! in its Job, where a controller finds it again that has no memory of it, and needs no permission on
//! Secrets for it (decision 008). Pure.

use dm_core::plan::CONTROL_TOKEN_ENV;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::GUARD_CONTAINER;
use super::parts::{guard_of, variable};

/// Gives the Job's guard its token. A Job without a guard, a restore's, has nothing to control.
pub fn give(job: &mut Job, token: &str) {
    let pod = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
    let containers = pod.and_then(|pod| pod.init_containers.as_mut()).into_iter().flatten();
    for guard in containers.filter(|container| container.name == GUARD_CONTAINER) {
        guard.env.get_or_insert_default().push(variable(CONTROL_TOKEN_ENV, token));
    }
}

/// The token of the Job's guard. One made by an older controller may have none.
pub fn token_of(job: &Job) -> Option<&str> {
    let token =
        guard_of(job)?.env.iter().flatten().find(|variable| variable.name == CONTROL_TOKEN_ENV)?;
    token.value.as_deref()
}

/// What a container of the guard's program gets that controls nothing.
pub fn without(guard: &Container) -> Option<Vec<EnvVar>> {
    let env = guard.env.as_ref()?.iter().filter(|variable| variable.name != CONTROL_TOKEN_ENV);
    Some(env.cloned().collect())
}
