//! Tables named by ARN: an ARN may pass only when it is that of the very table the plain name
//! stands for, in the account and region of the target. Else a policy that allows `cars` would
//! allow the `cars` of any account.

use std::collections::HashMap;

use crate::limits;
use dm_dynamodb::request;
use dm_dynamodb::table_name::TableArn;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::call::Call;
use crate::fault::Fault;
use crate::identity;
use crate::operation::{Class, ReadOperation};
use crate::upstream::ReadOnly;

/// ARNs looked up so far, and whether they are ours.
#[derive(Debug)]
pub struct Arns {
    upstream: ReadOnly,
    known: Mutex<HashMap<String, bool>>,
}

impl Arns {
    pub fn new(upstream: ReadOnly) -> Self {
        Self { upstream, known: Mutex::default() }
    }

    /// Refuses a call that names another account's or region's table. A dry run tells of ARNs
    /// whether it has made them.
    pub async fn check(&self, call: &Call, made: impl Fn(&str) -> bool) -> Result<(), Fault> {
        // Operations on tags have a different message for what is not a table's ARN.
        if call.outline().gives("ResourceArn") {
            request::check_members(call.operation, call.body())?;
        }
        let statements = call.statements()?.iter();
        let in_statements = statements.filter_map(|one| Some(one.statement.as_ref().ok()?.table()));
        for text in call.outline().tables().into_iter().chain(in_statements) {
            if !text.starts_with("arn:") {
                continue;
            }
            let refused = || {
                let name = call.operation.name();
                Fault::refused(
                    format!(
                        "The guard rejects {name}: its ARN is not that of a table in the account \
                         and region of the target. Use the table's name."
                    ),
                    "an ARN is not that of a table of the target",
                )
            };
            let arn = TableArn::parse(text);
            let data = matches!(call.operation.class(), Class::DataRead | Class::DataWrite);
            let as_table = data || call.outline().table() == Some(text);
            if as_table && arn.as_ref().is_some_and(|arn| !arn.is_table) {
                return Err(request::no_table_arn().into());
            }
            if made(text) {
                continue;
            }
            let Some(arn) = arn else {
                // Of backups, exports and the like in a metadata read: nothing to compare with.
                if call.operation.class() == Class::MetadataRead {
                    continue;
                }
                return Err(request::no_table_arn().into());
            };
            if !Box::pin(self.is_ours(arn)).await? {
                return Err(refused());
            }
        }
        Ok(())
    }

    async fn is_ours(&self, arn: TableArn<'_>) -> Result<bool, Fault> {
        let below = arn.arn.find(&format!("table/{}", arn.name)).unwrap_or(0);
        let table_arn = &arn.arn[..below + "table/".len() + arn.name.len()];
        let known = |known: &Mutex<HashMap<String, bool>>| known.lock().get(table_arn).copied();
        if let Some(ours) = known(&self.known) {
            return Ok(ours);
        }
        let request = json!({"TableName": arn.name});
        let ours = match self.upstream.read(ReadOperation::DESCRIBE_TABLE, &request).await {
            Ok(body) => {
                let described: Value = serde_json::from_slice(&body).unwrap_or_default();
                described.pointer("/Table/TableArn").and_then(Value::as_str) == Some(table_arn)
            }
            // A backup outlives its table. The ARN of another table has the account and region.
            Err(fault) if is_missing(&fault) && !arn.is_table => {
                let prefix = &table_arn[..below + "table/".len()];
                let some = identity::some_arn(&self.upstream).await?;
                return Ok(some.is_some_and(|arn| arn.starts_with(prefix)));
            }
            Err(fault) if is_missing(&fault) => return Ok(false),
            Err(fault) => return Err(fault),
        };
        let mut known = self.known.lock();
        if known.len() < limits::TABLES_COUNTED_MAX {
            known.insert(table_arn.to_owned(), ours);
        }
        Ok(ours)
    }
}

fn is_missing(fault: &Fault) -> bool {
    fault.is_upstream("ResourceNotFoundException")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;
    use crate::upstream::mock::{Answer, credentials, database};

    #[tokio::test]
    async fn a_backup_of_a_deleted_table_is_of_the_account_of_the_other_tables() {
        // The table of the backup, the list, and its first table.
        let plan = database(|number, _| match number % 3 {
            0 => Answer::new(400, &json!({"__type": "x#ResourceNotFoundException"})),
            1 => Answer::new(200, &json!({"TableNames": ["makers"]})),
            _ => {
                let arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/makers";
                Answer::new(200, &json!({"Table": {"TableArn": arn}}))
            }
        })
        .await;
        let arns = Arns::new(ReadOnly::new(&plan, credentials()).unwrap());
        for (place, is_ours) in [
            ("eu-west-1:111122223333", true),
            ("eu-west-1:444455556666", false),
            ("us-east-1:111122223333", false),
        ] {
            let backup = format!("arn:aws:dynamodb:{place}:table/cars/backup/01");
            let Value::Object(body) = json!({"BackupArn": backup}) else { unreachable!() };
            let call = Call::new(Operation::DeleteBackup, body);
            assert_eq!(arns.check(&call, |_| false).await.is_ok(), is_ours, "{place}");
        }
    }
}
