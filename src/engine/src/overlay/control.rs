//! Calls of the control plane in a dry run: tables are created, changed and deleted here, and
//! described as they would be then. Each call checks what DynamoDB documents, so that one which
//! would fail when applied fails here; what cannot be simulated exactly is refused.
//!
//! A table that is created is `CREATING` in the answer and `ACTIVE` from then on; one that is
//! deleted is gone at once. So waiters end with their first look.

mod catalog_calls;
mod changed_settings;
mod create;
mod read_calls;
mod setting_calls;
mod settings;
mod tags;
mod throughput;
mod update;
mod words;

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dm_contract::report::TableEffect;
use dm_dynamodb::request::control::Control;
use dm_dynamodb::request::no_table;
use dm_dynamodb::table_name::plain_name;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::operation::{Operation, ReadOperation};
use crate::overlay::control::create::Circumstances;
use crate::overlay::state::table::{Shape, Table};
use crate::overlay::{NOT_SIMULATED, Overlay, REJECTED};

/// The account in ARNs of tables where none is known: DynamoDB Local's.
const NO_ACCOUNT: &str = "000000000000";

impl Overlay {
    /// Answers a call that creates, changes or deletes a table or its settings. One at a time, as a
    /// call looks at the table before it changes it.
    pub async fn control(&self, asked: Control) -> Result<Bytes, Fault> {
        let _one = self.control.lock().await;
        let answer = match asked {
            Control::CreateTable(create) => self.create_table(*create).await?,
            Control::UpdateTable(update) => self.update_table(&update).await?,
            Control::DeleteTable(table) => self.delete_table(plain_name(&table)).await?,
            Control::UpdateTimeToLive(asked) => self.update_time_to_live(&asked).await?,
            Control::UpdateBackups(asked) => self.update_backups(&asked).await?,
            Control::ChangeTags { resource, add, remove } => {
                self.change_tags(&resource, add, &remove).await?;
                // DynamoDB answers these with no body at all.
                return Ok(Bytes::new());
            }
            Control::Unknown { member, of } => return Err(not_simulated_member(&member, of)),
        };
        Ok(Bytes::from(answer.to_string()))
    }

    /// Whether this is the ARN of a table that the program created, or of an index or stream of it.
    pub fn made_arn(&self, arn: &str) -> bool {
        self.schemas().shape(plain_name(arn)).is_some_and(|(table, _)| {
            let of_table = table.schema.arn.as_deref();
            !table.upstream && of_table.is_some_and(|of_table| is_of(arn, of_table))
        })
    }

    /// What would change in tables themselves, added to what would change in their items.
    pub fn table_changes(&self, effects: &mut Vec<TableEffect>) {
        for (name, change, settings) in self.schemas().changes() {
            let known = effects.iter().position(|effect| effect.name == name);
            let at = known.unwrap_or(effects.len());
            if known.is_none() {
                effects.push(TableEffect { name, ..TableEffect::default() });
            }
            effects[at].change = Some(change);
            effects[at].settings = settings;
        }
    }

    /// The description of a table as it is for the program, as DescribeTable has it.
    async fn description(&self, name: &str) -> Result<Value, Fault> {
        if self.schemas().is_gone(name) {
            return Err(no_table(Operation::DescribeTable, name).into());
        }
        let shape = match self.schemas().shape(name) {
            Some((table, shape)) if !table.upstream => {
                return Ok(Value::Object(self.with_size(&table, shape.members)));
            }
            Some((_, shape)) => shape,
            None => Shape::default(),
        };
        let request = json!({"TableName": name});
        let mut answer = self.ask(ReadOperation::DESCRIBE_TABLE, &request).await?;
        let Some(Value::Object(mut table)) = answer.remove("Table") else {
            return Err(Fault::Unavailable("it returned no description of the table".into()));
        };
        set_members(&mut table, &shape.members);
        Ok(Value::Object(table))
    }

    /// The description of a table that exists here only. An embedded database counts its items; in
    /// a dry run the counts stay 0, as DynamoDB's do for six hours.
    fn with_size(&self, table: &Table, mut members: Map<String, Value>) -> Map<String, Value> {
        if self.is_database() {
            let size = self.state().size(table);
            members.insert("ItemCount".into(), size.items.into());
            members.insert("TableSizeBytes".into(), size.bytes.into());
        }
        members
    }

    async fn circumstances(&self, name: &str) -> Result<Circumstances, Fault> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let label = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
        let mut digest = Sha256::digest(format!("{name} {}", since.as_nanos()));
        // A random UUID, as the ids of tables are (RFC 9562, version 4).
        digest[6] = (digest[6] & 0x0f) | 0x40;
        digest[8] = (digest[8] & 0x3f) | 0x80;
        let mut id = String::new();
        for (at, byte) in digest.iter().take(16).enumerate() {
            let separator = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(id, "{separator}{byte:02x}");
        }
        Ok(Circumstances {
            arn_prefix: self.arn_prefix().await?,
            now_s: since.as_secs_f64(),
            label,
            id,
        })
    }

    /// What stands before a table's name in its ARN, known from any table of the account.
    async fn arn_prefix(&self) -> Result<String, Fault> {
        let ask = async {
            let answer = self.ask(ReadOperation::LIST_TABLES, &json!({"Limit": 1})).await?;
            if let Some(name) = answer.get("TableNames").and_then(|names| names[0].as_str()) {
                let request = json!({"TableName": name});
                let answer = self.ask(ReadOperation::DESCRIBE_TABLE, &request).await?;
                let arn = answer.get("Table").and_then(|table| table["TableArn"].as_str());
                if let Some(prefix) = arn.and_then(|arn| arn.strip_suffix(name)) {
                    return Ok(prefix.to_owned());
                }
            }
            let region = self.upstream().region();
            let partition = match region {
                region if region.starts_with("cn-") => "aws-cn",
                region if region.starts_with("us-gov-") => "aws-us-gov",
                _ => "aws",
            };
            Ok(format!("arn:{partition}:dynamodb:{region}:{NO_ACCOUNT}:table/"))
        };
        self.arn_prefix.get_or_try_init(|| ask).await.cloned()
    }
}

/// Whether an ARN is a table's, or of something below it.
fn is_of(arn: &str, table: &str) -> bool {
    arn.strip_prefix(table).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Sets members of a description; null takes one away.
fn set_members(table: &mut Map<String, Value>, members: &Map<String, Value>) {
    for (name, value) in members {
        if value.is_null() {
            table.remove(name);
        } else {
            table.insert(name.clone(), value.clone());
        }
    }
}

/// The refusal of a parameter that is not simulated.
fn not_simulated_member(member: &str, of: &str) -> Fault {
    let member: String = member.chars().take(crate::limits::QUOTED_BYTES_MAX).collect();
    Fault::refused(
        format!("{NOT_SIMULATED}{member} of {of}{REJECTED}"),
        format!("a dry run does not simulate a parameter of {of}"),
    )
}

#[cfg(test)]
mod tests;
