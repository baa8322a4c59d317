//! What a step does in the cluster.

use dm_api::status::RunRecord;

use crate::act::isolate::Isolation;
use crate::act::{self, ActError, release};
use crate::context::Context;
use crate::decide::{self, Step};
use crate::identified::Migration;
use crate::seen::Seen;

/// Does what a step asks for; status says it already.
pub async fn carry_out(
    context: &Context,
    seen: &Seen,
    step: &Step,
    written: &Migration,
) -> Result<(), ActError> {
    let (cluster, observed) = (context.cluster(written.namespace()), &seen.observed);
    let released = release::release(cluster, written, observed).await?;
    let job = seen.run.as_ref().and_then(|run| observed.job_of(run));
    match (step, &seen.run) {
        (Step::Begin { record, .. }, _) => create(context, seen, written, record).await,
        (Step::Create(_), Some(run)) => create(context, seen, written, run).await,
        (Step::Launch { .. }, Some(run)) => match job {
            Some(job) => {
                let from = context.settings.network_policy_from.as_deref();
                let isolation = from.zip(observed.sources.target.as_ref());
                let isolation = isolation
                    .map(|(operator_namespace, target)| Isolation { target, operator_namespace });
                act::launch(cluster, written, run, job, isolation).await
            }
            None => Ok(()),
        },
        (Step::Suspend { .. }, Some(_)) => match job {
            Some(job) => act::set_suspended(cluster, job, true).await,
            None => Ok(()),
        },
        (Step::Follow { adjustment, deadline, .. }, Some(_)) => {
            if let Some(adjustment) = adjustment {
                act::adjust(observed, written, adjustment).await;
            }
            match (deadline, job) {
                (Some(deadline), Some(job)) => act::set_deadline(cluster, job, *deadline).await,
                (Some(_) | None, _) => Ok(()),
            }
        }
        (Step::Stop { reason, .. }, Some(run)) => {
            act::stop_run(cluster, observed, run, *reason).await
        }
        (Step::Release, _) => release::let_go(cluster, written).await,
        // Held only while a run is open: without us, it can be deleted all the same.
        (Step::Rest(_), None) if released && decide::release::may_vanish(written) => {
            release::let_go(cluster, written).await
        }
        (
            Step::Rest(_)
            | Step::Baseline { .. }
            | Step::Follow { .. }
            | Step::Finish(_)
            | Step::Discard
            | Step::GiveWay(_)
            | Step::Create(_)
            | Step::Launch { .. }
            | Step::Suspend { .. }
            | Step::Stop { .. },
            _,
        ) => Ok(()),
    }
}

async fn create(
    context: &Context,
    seen: &Seen,
    written: &Migration,
    record: &RunRecord,
) -> Result<(), ActError> {
    // `decide` creates nothing that was not validated.
    let Ok(runnable) = &seen.runnable else { return Ok(()) };
    let (cluster, created) = (context.cluster(written.namespace()), &context.created);
    act::create_run(cluster, created, written, record, runnable, &context.settings).await
}
