//! Who ran what, and when: what a report has beside the guard's result.

use std::time::Duration;

use dm_contract::plan::Plan;
use dm_report::file::{About, End};

use crate::database;

/// Variables with the name of who started the run: those of CI first, because its account is
/// nobody.
const WHO: [&str; 4] = ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME"];

/// What is known when a program has ended.
#[derive(Clone, Debug)]
pub struct Ran<'a> {
    /// When it was started, RFC 3339 in UTC.
    pub started_at: &'a str,
    /// When it had ended.
    pub finished_at: &'a str,
    /// How long it ran.
    pub took: Duration,
    pub end: End,
    /// How its second pass ended, if there was one.
    pub second_end: Option<End>,
    /// Why there was none.
    pub second_not_run: Option<String>,
    pub database: database::Kind,
    /// Whether a run without a request is a failure.
    pub expects_requests: bool,
}

/// Who ran this plan.
pub fn about(plan: &Plan, ran: &Ran<'_>) -> About {
    About {
        name: plan.run.name.clone(),
        database: Some(match ran.database {
            database::Kind::Embedded => format!("embedded ({})", plan.upstream.region),
            database::Kind::OfChain => database::name(&plan.upstream),
        }),
        by: WHO.iter().find_map(|name| std::env::var(name).ok().filter(|who| !who.is_empty())),
        started_at: Some(ran.started_at.to_owned()),
        finished_at: Some(ran.finished_at.to_owned()),
        took_ms: u64::try_from(ran.took.as_millis()).ok(),
        end: Some(ran.end),
        second_pass: plan.second_pass,
        second_end: ran.second_end,
        second_not_run: ran.second_not_run.clone(),
        expects_no_requests: !ran.expects_requests,
    }
}
