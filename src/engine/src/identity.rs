//! Which database this is, and which tables are there: asked of the database, by reading calls
//! only.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use dm_contract::identity::{DatabaseId, Seen};
use dm_contract::plan::Upstream;
use dm_dynamodb::schema::table_id;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::operation::ReadOperation;
use crate::upstream::ReadOnly;

/// A table's description, as far as it tells what it is.
struct Described {
    arn: Option<String>,
    id: Option<String>,
}

/// Looks at these tables. What the credentials may not see stays unknown; a database that does not
/// answer is an error.
pub async fn look(
    reader: &ReadOnly,
    upstream: &Upstream,
    tables: &BTreeSet<String>,
) -> Result<Seen, Fault> {
    let mut database = DatabaseId::new(&upstream.region, upstream.endpoint.as_deref());
    let mut ids = BTreeMap::new();
    let mut calls = Vec::new();
    for name in tables.iter().take(limits::IDENTITY_TABLES_MAX).cloned() {
        calls.push(async move {
            let described = describe(reader, &name).await;
            (name, described)
        });
    }
    let mut answers = futures::stream::iter(calls).buffer_unordered(limits::IDENTITY_CALLS_AT_ONCE);
    while let Some((name, described)) = answers.next().await {
        let Some(described) = described? else { continue };
        if let Some(arn) = described.as_ref().and_then(|table| table.arn.as_ref()) {
            database = database.with_arn(arn);
        }
        match described {
            None => drop(ids.insert(name, None)),
            Some(Described { id: Some(id), .. }) => drop(ids.insert(name, Some(id))),
            Some(Described { id: None, .. }) => {}
        }
    }
    let mut is_empty = false;
    if database.account.is_none() && ids.values().all(Option::is_none) {
        // Any table tells whose account it is.
        match any_table(reader).await? {
            Some(Some(name)) => {
                let described = describe(reader, &name).await?.flatten();
                if let Some(arn) = described.and_then(|table| table.arn) {
                    database = database.with_arn(&arn);
                }
            }
            Some(None) => is_empty = true,
            None => {}
        }
    }
    Ok(Seen { database, tables: ids, is_empty })
}

/// A table; `Some(None)` where there is none, or it is being deleted; `None` where that is not
/// known.
async fn describe(reader: &ReadOnly, name: &str) -> Result<Option<Option<Described>>, Fault> {
    let request = json!({"TableName": name});
    match reader.read(ReadOperation::DESCRIBE_TABLE, &request).await {
        Ok(answer) => {
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let table = answer.get("Table").cloned().unwrap_or_default();
            if table.get("TableStatus").and_then(Value::as_str) == Some("DELETING") {
                return Ok(Some(None));
            }
            let arn = table.get("TableArn").and_then(Value::as_str).map(str::to_owned);
            Ok(Some(Some(Described { arn, id: table_id(&table) })))
        }
        Err(fault) if fault.is_upstream("ResourceNotFoundException") => Ok(Some(None)),
        Err(fault) => not_allowed(fault).map(|()| None),
    }
}

/// The ARN of some table, if one is known.
pub async fn some_arn(reader: &ReadOnly) -> Result<Option<String>, Fault> {
    let Some(name) = any_table(reader).await?.flatten() else { return Ok(None) };
    Ok(describe(reader, &name).await?.flatten().and_then(|table| table.arn))
}

/// The name of some table; `Some(None)` where there is none, `None` where that is not known.
async fn any_table(reader: &ReadOnly) -> Result<Option<Option<String>>, Fault> {
    match reader.read(ReadOperation::LIST_TABLES, &json!({"Limit": 1})).await {
        Ok(answer) => {
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let name = answer.pointer("/TableNames/0").and_then(Value::as_str);
            Ok(Some(name.map(str::to_owned)))
        }
        Err(fault) => not_allowed(fault).map(|()| None),
    }
}

/// An answer that says no leaves something unknown; no answer is an error.
fn not_allowed(fault: Fault) -> Result<(), Fault> {
    match fault {
        Fault::Upstream { status, .. } if status < 500 => {
            tracing::info!(%fault, "a table cannot be identified");
            Ok(())
        }
        Fault::Upstream { .. }
        | Fault::Service(_)
        | Fault::Refused { .. }
        | Fault::Throttled
        | Fault::Limited
        | Fault::Stopping
        | Fault::NotJournaled(_)
        | Fault::NotSent(_)
        | Fault::Unavailable(_) => Err(fault),
    }
}
