//! What a statement does to the one item that it names: a write, or the check of an EXISTS. The same
//! for whoever carries it out; nothing is read or written here.

use super::plan::wrong_key_type;
use super::{Returning, Statement};
use crate::error::{ErrorCode, ServiceError};
use crate::expression::{Condition, Update};
use crate::schema::{ItemKey, TableSchema};
use crate::value::Item;

/// A statement on one item, held against its table's key.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemStatement {
    /// Which item.
    pub key: ItemKey,
    /// What is done to it.
    pub change: ItemChange,
    /// What it must meet, beside the key.
    pub condition: Option<Condition>,
    /// Whether it must be there.
    pub presence: Presence,
    /// What is returned of it.
    pub returning: Option<Returning>,
}

/// What is done to an item.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemChange {
    /// It is put.
    Put(Item),
    /// It is changed.
    Update(Update),
    /// It is deleted.
    Delete,
    /// Nothing: it is only checked.
    Check,
}

/// Whether an item must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must: UPDATE and EXISTS.
    Required,
    /// It must not: INSERT.
    Forbidden,
    /// Where there is none, nothing is left to be done, whatever the condition: DELETE.
    Optional,
}

/// What is left to be done where an item is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// The condition is looked at, and the change is made.
    Change,
    /// Nothing.
    Nothing,
}

impl Statement {
    /// What it does to its item; SELECT does nothing to any.
    pub fn on_item(&self, table: &TableSchema) -> Result<ItemStatement, ServiceError> {
        match self {
            Self::Insert(insert) => Ok(ItemStatement {
                key: inserted_key(&insert.item, table)?,
                change: ItemChange::Put(insert.item.clone()),
                condition: None,
                presence: Presence::Forbidden,
                returning: None,
            }),
            Self::Update(update) => {
                let (key, condition) = update.key(table)?;
                Ok(ItemStatement {
                    key,
                    change: ItemChange::Update(update.update.clone()),
                    condition,
                    presence: Presence::Required,
                    returning: update.returning,
                })
            }
            Self::Delete(delete) => {
                let (key, condition) = delete.key(table)?;
                Ok(ItemStatement {
                    key,
                    change: ItemChange::Delete,
                    condition,
                    presence: Presence::Optional,
                    returning: delete.returns_old.then_some(Returning::AllOld),
                })
            }
            Self::Exists(select) => match select.key(table)? {
                (key, Some(condition)) => Ok(ItemStatement {
                    key,
                    change: ItemChange::Check,
                    condition: Some(condition),
                    presence: Presence::Required,
                    returning: None,
                }),
                (_, None) => Err(ServiceError::validation(
                    "EXISTS() must contain a single item read with additional condition",
                )),
            },
            Self::Select(_) => Err(ServiceError::validation("The statement does nothing to items")),
        }
    }
}

impl ItemStatement {
    /// Refuses changes of keys.
    pub fn check_keys(&self, table: &TableSchema) -> Result<(), ServiceError> {
        match &self.change {
            ItemChange::Update(update) => update.check_keys(table),
            ItemChange::Put(_) | ItemChange::Delete | ItemChange::Check => Ok(()),
        }
    }
}

impl Presence {
    /// What is left to be done to an item that is there or not, or the error that it is an error.
    pub fn check(self, is_there: bool) -> Result<Remaining, ServiceError> {
        match (self, is_there) {
            (Self::Required, false) => Err(ServiceError::conditional_check_failed(None)),
            (Self::Forbidden, true) => Err(ServiceError::new(
                ErrorCode::DuplicateItem,
                "Duplicate primary key exists in table",
            )),
            (Self::Optional, false) => Ok(Remaining::Nothing),
            (Self::Required | Self::Optional, true) | (Self::Forbidden, false) => {
                Ok(Remaining::Change)
            }
        }
    }
}

/// The key of a new item, with INSERT's own words where it has none.
fn inserted_key(item: &Item, table: &TableSchema) -> Result<ItemKey, ServiceError> {
    for key in table.keys.attributes() {
        match item.get(&key.name) {
            None => {
                return Err(ServiceError::validation(format!(
                    "Key attribute should be present in the item: Key {}",
                    key.name
                )));
            }
            Some(value) if value.kind() != key.kind.attribute_type() => {
                return Err(wrong_key_type(key));
            }
            Some(_) => {}
        }
    }
    table.check_item(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> TableSchema {
        TableSchema::from_json(&json!({
            "TableName": "t",
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        }))
        .unwrap()
    }

    fn on_item(text: &str) -> Result<ItemStatement, ServiceError> {
        Statement::parse(text, &[]).unwrap().on_item(&table())
    }

    #[test]
    fn each_statement_says_whether_its_item_must_be_there() {
        for (text, presence) in [
            ("INSERT INTO t VALUE {'p': 'a'}", Presence::Forbidden),
            ("UPDATE t SET n = 1 WHERE p = 'a'", Presence::Required),
            ("DELETE FROM t WHERE p = 'a' AND n = 1", Presence::Optional),
            ("EXISTS(SELECT * FROM t WHERE p = 'a' AND n IS MISSING)", Presence::Required),
        ] {
            assert_eq!(on_item(text).unwrap().presence, presence, "{text}");
        }
    }

    #[test]
    fn an_item_that_is_there_or_not_decides_what_is_left() {
        let shown = |presence: Presence, is_there| match presence.check(is_there) {
            Ok(remaining) => format!("{remaining:?}"),
            Err(error) => error.code.name().to_owned(),
        };
        let missing = [Presence::Required, Presence::Forbidden, Presence::Optional]
            .map(|presence| shown(presence, false));
        assert_eq!(missing, ["ConditionalCheckFailedException", "Change", "Nothing"]);
        let there = [Presence::Required, Presence::Forbidden, Presence::Optional]
            .map(|presence| shown(presence, true));
        assert_eq!(there, ["Change", "DuplicateItemException", "Change"]);
    }

    #[test]
    fn what_names_no_single_item_is_refused() {
        for (text, expected) in [
            ("INSERT INTO t VALUE {'n': 1}", "Key attribute should be present in the item: Key p"),
            (
                "INSERT INTO t VALUE {'p': 1}",
                "Key attribute's data type should match its data type in table's schema: Key p",
            ),
            (
                "EXISTS(SELECT * FROM t WHERE p = 'a')",
                "EXISTS() must contain a single item read with additional condition",
            ),
            (
                "UPDATE t SET n = 1 WHERE n = 2",
                "Where clause does not contain a mandatory equality on all key attributes",
            ),
        ] {
            assert_eq!(on_item(text).unwrap_err().message, expected, "{text}");
        }
    }
}
