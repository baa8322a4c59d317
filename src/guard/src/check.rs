//! `datamigration-guard check`: whether a target's database and archive can be used with the
//! credentials of its container. It sends one reading call to the database and writes nothing but
//! the archive's probe.

use dm_contract::check::{CHECK_VERSION, Finding, Found, TargetCheck};
use dm_contract::error_chain::chain;
use dm_contract::plan::{ArchivePlan, Plan};
use dm_engine::archive::{Archive, ArchiveError};
use dm_engine::operation::ReadOperation;
use dm_engine::upstream::{ReadOnly, UpstreamError};
use dm_engine::{CredentialSource, Fault};
use serde_json::json;

use crate::limits;

/// The database's errors that are about credentials and not about what they allow (Amazon DynamoDB
/// Developer Guide, "Error handling": these come before authorization).
const REJECTS: [&str; 7] = [
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationTokenException",
    "ExpiredTokenException",
    "InvalidClientTokenId",
];

/// The credentials are valid, and the action is not allowed.
const DENIED: &str = "AccessDeniedException";

/// Checks both parts of a target at the same time. Whatever is found is a result.
pub async fn check(
    plan: &Plan,
    credentials: Result<CredentialSource, UpstreamError>,
) -> TargetCheck {
    let archive = async {
        let asked = Box::pin(archive(plan.archive.as_ref()?, &plan.upstream.region));
        Some(within(asked, "the archive").await)
    };
    let asked = Box::pin(database(plan, credentials));
    let (database, archive) = tokio::join!(within(asked, "the database"), archive);
    TargetCheck { version: CHECK_VERSION, database, archive }
}

async fn within(asked: impl Future<Output = Finding>, who: &str) -> Finding {
    let time_max = limits::CHECK_PART_MAX;
    tokio::time::timeout(time_max, asked).await.unwrap_or_else(|_| Finding {
        found: Found::Unreachable,
        message: format!("{who} did not answer within {} s", time_max.as_secs()),
    })
}

async fn database(plan: &Plan, credentials: Result<CredentialSource, UpstreamError>) -> Finding {
    let source = match credentials {
        Ok(source) => source,
        Err(error) => return finding(Found::NoCredentials, chain(&error)),
    };
    // Asked first, so that an absent role is not reported as an absent database.
    if let Err(error) = source.current().await {
        return finding(Found::NoCredentials, chain(&error));
    }
    let reader = match ReadOnly::new(&plan.upstream, source) {
        Ok(reader) => reader,
        Err(error) => return finding(Found::Unreachable, chain(&error)),
    };
    let (operation, action, request) = match table_of(&plan.policy.tables) {
        Some(table) => {
            (ReadOperation::DESCRIBE_TABLE, "DescribeTable", json!({"TableName": table}))
        }
        None => (ReadOperation::LIST_TABLES, "ListTables", json!({"Limit": 1})),
    };
    let answer = reader.read(operation, &request).await;
    judged(answer.map(drop), action, table_of(&plan.policy.tables))
}

/// A table that the policy names without a pattern: the policy of a dry run allows to describe it.
fn table_of(tables: &[String]) -> Option<&str> {
    tables.iter().find(|name| !name.contains(['*', '?'])).map(String::as_str)
}

/// What an answer says of the database and the credentials.
fn judged(answer: Result<(), Fault>, action: &str, table: Option<&str>) -> Finding {
    let on = table.map(|table| format!(" on table {table}")).unwrap_or_default();
    let fault = match answer {
        Ok(()) => {
            return finding(Found::Reachable, format!("the database answered {action}{on}"));
        }
        Err(fault) => fault,
    };
    if fault.is_upstream("ResourceNotFoundException") {
        let message = format!("the database accepted the credentials; there is no{on}");
        return finding(Found::Reachable, message.replace("no on table", "no table"));
    }
    if fault.is_upstream(DENIED) {
        let message = format!(
            "the database accepted the credentials; they do not allow dynamodb:{action}{on}"
        );
        return finding(Found::Reachable, message);
    }
    if let Some(name) = REJECTS.iter().find(|name| fault.is_upstream(name)) {
        return finding(
            Found::Rejected,
            format!("the database rejects the credentials with {name}"),
        );
    }
    let found = match &fault {
        // It answers, with throttling.
        Fault::Throttled | Fault::Limited => Found::Reachable,
        Fault::Service(_)
        | Fault::Refused { .. }
        | Fault::Upstream { .. }
        | Fault::NotJournaled(_)
        | Fault::NotSent(_)
        | Fault::Stopping
        | Fault::Unavailable(_) => Found::Unreachable,
    };
    finding(found, chain(&fault))
}

async fn archive(named: &ArchivePlan, region: &str) -> Finding {
    let checked = async {
        let archive = Archive::open(named, region).await?;
        archive.check_usable().await
    };
    match checked.await {
        Ok(()) => {
            let message = "an object can be created once, read and listed in the archive";
            finding(Found::Reachable, message.into())
        }
        Err(error) => finding(found_of(&error), chain(&error)),
    }
}

fn found_of(error: &ArchiveError) -> Found {
    match error {
        ArchiveError::Overwrites => Found::Overwrites,
        ArchiveError::NoAnswer { .. } => Found::Unreachable,
        ArchiveError::Location(_)
        | ArchiveError::Store { .. }
        | ArchiveError::Private { .. }
        | ArchiveError::TooLarge(_)
        | ArchiveError::TooMany(_) => Found::NotUsable,
    }
}

fn finding(found: Found, message: String) -> Finding {
    Finding { found, message }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn says(name: &str) -> Result<(), Fault> {
        let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{name}")});
        Err(Fault::Upstream { status: 400, body: Bytes::from(body.to_string()) })
    }

    #[test]
    fn an_answer_says_whether_the_credentials_are_accepted() {
        let check = |answer, table, found, words: &str| {
            let judged = judged(answer, "DescribeTable", table);
            assert_eq!(judged.found, found, "{}", judged.message);
            assert!(judged.message.contains(words), "{}", judged.message);
        };
        check(Ok(()), Some("cars"), Found::Reachable, "answered DescribeTable on table cars");
        check(
            says("ResourceNotFoundException"),
            Some("cars"),
            Found::Reachable,
            "there is no table cars",
        );
        check(says(DENIED), None, Found::Reachable, "do not allow dynamodb:DescribeTable");
        for name in REJECTS {
            check(says(name), None, Found::Rejected, name);
        }
        check(Err(Fault::Throttled), None, Found::Reachable, "throttles");
        check(Err(Fault::NotSent("no route".into())), None, Found::Unreachable, "no route");
        check(says("InternalServerError"), None, Found::Unreachable, "status 400");
    }

    #[test]
    fn a_table_without_a_pattern_is_described() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(table_of(&names(&["ca*", "b?", "cars"])), Some("cars"));
        assert_eq!(table_of(&names(&["ca*"])), None);
        assert_eq!(table_of(&[]), None);
    }
}
