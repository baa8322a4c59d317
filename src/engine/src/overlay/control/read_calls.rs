//! Descriptions and lists of tables, merged with what the program has made of them. What it has not
//! touched, the database tells itself.

use bytes::Bytes;
use dm_dynamodb::request::control::Listing;
use dm_dynamodb::request::{Outline, no_table};
use dm_dynamodb::table_name::plain_name;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::{Class, Operation, ReadOperation};
use crate::overlay::control::{settings, tags};
use crate::overlay::{Overlay, not_simulated};

/// Names of one page of ListTables.
const NAMES_OF_A_PAGE: u32 = 100;

impl Overlay {
    /// Answers a call that reads descriptions; refuses others.
    pub async fn metadata(
        &self,
        operation: Operation,
        listing: Option<Listing>,
        body: &Value,
    ) -> Result<Bytes, Fault> {
        let read =
            ReadOperation::of(operation).filter(|_| operation.class() == Class::MetadataRead);
        let read = read.ok_or_else(|| not_simulated(operation))?;
        let token = match listing {
            Some(Listing::Tables { limit, start }) => {
                return if self.schemas().anything_made() {
                    self.list_tables(limit.unwrap_or(NAMES_OF_A_PAGE), start).await
                } else {
                    self.upstream().read(read, body).await
                };
            }
            Some(Listing::Tags { token }) => token,
            None => None,
        };
        let empty = Map::new();
        let outline = Outline::of(operation, body.as_object().unwrap_or(&empty));
        let tables = outline.tables();
        let touched = |table: &&&str| self.schemas().is_touched(plain_name(table));
        let Some(name) = tables.iter().find(touched).map(|name| plain_name(name)) else {
            return self.upstream().read(read, body).await;
        };
        if self.schemas().is_gone(name) {
            return Err(no_table(operation, name).into());
        }
        let answer = match operation {
            Operation::DescribeTable => {
                let name = outline.table().map_or(name, plain_name);
                self.schemas().awaited(name);
                json!({"Table": self.description(name).await?})
            }
            Operation::DescribeTimeToLive => {
                json!({"TimeToLiveDescription": self.time_to_live(name).await?})
            }
            Operation::DescribeContinuousBackups => {
                json!({"ContinuousBackupsDescription": self.backups(name).await?})
            }
            Operation::ListTagsOfResource => {
                match self.schemas().shape(name).and_then(|(_, shape)| shape.tags) {
                    Some(tags) => tags::page(&tags, token.as_deref()),
                    None => return self.upstream().read(read, body).await,
                }
            }
            // The database knows nothing of a table that was created here, and of one that was
            // changed here it knows what these tell.
            _ if self.schemas().shape(name).is_some_and(|(table, _)| table.upstream) => {
                return self.upstream().read(read, body).await;
            }
            _ => {
                let operation = operation.name();
                return Err(Fault::refused(
                    format!(
                        "The guard's dry run cannot answer {operation} for a table that exists in \
                         the dry run only."
                    ),
                    "asked for a table that exists in the dry run only",
                ));
            }
        };
        Ok(Bytes::from(answer.to_string()))
    }

    /// A table's TimeToLiveDescription as it is for the program.
    pub async fn time_to_live(&self, name: &str) -> Result<Value, Fault> {
        let made = self.schemas().shape(name);
        let made = made.and_then(|(table, shape)| match shape.time_to_live {
            None if !table.upstream => Some(settings::no_time_to_live()),
            described => described,
        });
        match made {
            Some(made) => Ok(made),
            None => {
                self.described(ReadOperation::TIME_TO_LIVE, name, "TimeToLiveDescription").await
            }
        }
    }

    /// A table's ContinuousBackupsDescription as it is for the program.
    pub async fn backups(&self, name: &str) -> Result<Value, Fault> {
        let made = self.schemas().shape(name);
        let made = made.and_then(|(table, shape)| match shape.backups {
            None if !table.upstream => Some(settings::no_backups()),
            described => described,
        });
        if let Some(made) = made {
            return Ok(made);
        }
        let read = ReadOperation::CONTINUOUS_BACKUPS;
        self.described(read, name, "ContinuousBackupsDescription").await
    }

    async fn described(
        &self,
        read: ReadOperation,
        name: &str,
        member: &str,
    ) -> Result<Value, Fault> {
        let mut answer = self.ask(read, &json!({"TableName": name})).await?;
        answer
            .remove(member)
            .ok_or_else(|| Fault::Unavailable(format!("its answer has no {member}")))
    }

    /// ListTables: the database's names without those that were deleted here, and those that were
    /// created here, in order.
    async fn list_tables(&self, limit: u32, start: Option<String>) -> Result<Bytes, Fault> {
        let limit = limit as usize;
        let (created, gone) = self.schemas().names();
        let mut names: Vec<String> = Vec::new();
        let mut from = start.clone();
        let is_behind = |name: &String| start.as_ref().is_none_or(|start| name > start);
        loop {
            let mut request = json!({"Limit": NAMES_OF_A_PAGE});
            if let Some(from) = &from {
                request["ExclusiveStartTableName"] = from.as_str().into();
            }
            let answer = self.ask(ReadOperation::LIST_TABLES, &request).await?;
            let page = answer.get("TableNames").and_then(Value::as_array);
            let page = page.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            names.extend(page.filter(|name| !gone.contains(name) && !created.contains(name)));
            from = match answer.get("LastEvaluatedTableName").and_then(Value::as_str) {
                Some(last) if names.len() <= limit => Some(last.to_owned()),
                last => {
                    let last = last.map(str::to_owned);
                    let in_page = |name: &&String| last.as_ref().is_none_or(|last| *name <= last);
                    names.extend(created.iter().filter(|n| is_behind(n)).filter(in_page).cloned());
                    names.sort_unstable();
                    return Ok(listed(names, limit, last.is_some()));
                }
            };
        }
    }
}

fn listed(mut names: Vec<String>, limit: usize, more_behind: bool) -> Bytes {
    let more = more_behind || names.len() > limit;
    names.truncate(limit);
    let mut answer = json!({"TableNames": names});
    if let (true, Some(last)) = (more, names.last()) {
        answer["LastEvaluatedTableName"] = last.as_str().into();
    }
    Bytes::from(answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_names_tells_where_it_ended_only_if_there_are_more() {
        let page = |names: &[&str], more_behind| -> Value {
            let names = names.iter().map(ToString::to_string).collect();
            serde_json::from_slice(&listed(names, 2, more_behind)).unwrap()
        };
        let ended = |names: &[&str]| json!({"TableNames": names});
        assert_eq!(page(&["a", "b"], false), ended(&["a", "b"]));
        assert_eq!(page(&[], true), ended(&[]));
        for (names, more_behind) in [(&["a", "b"][..], true), (&["a", "b", "c"], false)] {
            let page = page(names, more_behind);
            assert_eq!(page, json!({"TableNames": ["a", "b"], "LastEvaluatedTableName": "b"}));
        }
    }
}
