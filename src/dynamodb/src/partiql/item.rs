//! What a statement does to the one item that it names: a write, or the check of an EXISTS. The
//! same for whoever carries it out; nothing is read or written here.

use super::no_item::NoItem;
use super::plan::{named_key, wrong_key_type};
use super::{Returning, Statement};
use crate::error::ServiceError;
use crate::expression::Condition;
use crate::item_write::{Change, ItemWrite, Presence, ReturnValues};
use crate::schema::{ItemKey, TableSchema};
use crate::value::Item;

impl Statement {
    /// What it does to its item; SELECT does nothing to any.
    pub fn on_item(self, table: &TableSchema) -> Result<ItemWrite, NoItem> {
        let write = |(key, condition): (ItemKey, Option<Condition>), change, presence| ItemWrite {
            key,
            change,
            condition,
            presence,
            returned: ReturnValues::None,
            shows_on_failure: false,
        };
        match self {
            Self::Insert(insert) => {
                let key = inserted_key(&insert.item, table)?;
                Ok(write((key, None), Change::Put(insert.item), Presence::Forbidden))
            }
            Self::Update(update) => {
                let key = update.key(table)?;
                let returned = update.returning.map_or(ReturnValues::None, Returning::image);
                let write = write(key, Change::Update(update.update), Presence::Required);
                Ok(ItemWrite { returned, ..write })
            }
            Self::Delete(delete) => {
                let write = write(delete.key(table)?, Change::Delete, Presence::Optional);
                let returned =
                    if delete.returns_old { ReturnValues::AllOld } else { ReturnValues::None };
                Ok(ItemWrite { returned, ..write })
            }
            Self::Exists(select) => match select.key(table)? {
                key @ (_, Some(_)) => Ok(write(key, Change::Check, Presence::Required)),
                (_, None) => Err(NoItem::unnamed(
                    "EXISTS() must contain a single item read with additional condition",
                )),
            },
            Self::Select(_) => Err(NoItem::unnamed("The statement does nothing to items")),
        }
    }
}

impl Statement {
    /// Rejects empty values in keys, which are an error of the request even in a transaction.
    pub(super) fn check_no_empty_keys(&self, table: &TableSchema) -> Result<(), ServiceError> {
        match self {
            Self::Insert(insert) => table.check_no_empty_keys(&insert.item),
            Self::Update(update) => {
                table.check_no_empty_keys(&named_key(update.condition.as_ref(), table))?;
                update.update.check_no_empty_index_keys(table)
            }
            Self::Delete(delete) => {
                table.check_no_empty_keys(&named_key(delete.condition.as_ref(), table))
            }
            Self::Exists(_) | Self::Select(_) => Ok(()),
        }
    }
}

impl Returning {
    fn image(self) -> ReturnValues {
        match self {
            Self::AllOld => ReturnValues::AllOld,
            Self::AllNew => ReturnValues::AllNew,
            Self::ModifiedOld => ReturnValues::UpdatedOld,
            Self::ModifiedNew => ReturnValues::UpdatedNew,
        }
    }
}

/// The key of a new item, with INSERT's own words where it has none.
fn inserted_key(item: &Item, table: &TableSchema) -> Result<ItemKey, NoItem> {
    for key in table.keys.attributes() {
        match item.get(&key.name) {
            None => {
                return Err(NoItem::unnamed(&format!(
                    "Key attribute should be present in the item: Key {}",
                    key.name
                )));
            }
            Some(value) if value.kind() != key.kind.attribute_type() => {
                return Err(NoItem::Unnamed(wrong_key_type(key)));
            }
            Some(_) => {}
        }
    }
    table.check_item(item).map_err(NoItem::Unfit)
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

    fn on_item(text: &str) -> Result<ItemWrite, NoItem> {
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
            assert_eq!(on_item(text), Err(NoItem::unnamed(expected)), "{text}");
        }
    }

    #[test]
    fn an_item_that_no_table_can_hold_is_named() {
        for text in [
            "INSERT INTO t VALUE {'p': ''}",
            "UPDATE t SET n = 1 WHERE p = ''",
            "DELETE FROM t WHERE p = '' AND n = 1",
        ] {
            let Err(NoItem::Unfit(error)) = on_item(text) else { panic!("{text}") };
            assert!(error.message.contains("cannot contain an empty string value"), "{error:?}");
        }
    }
}
