//! The write of one item as a statement of PartiQL, many of which one request may carry. It does
//! what the request of [`crate::write`] does, and holds under the same condition; an item for which
//! that is not certain has none.

use std::fmt::Write as _;

use dm_dynamodb::partiql::STATEMENT_CHARS_MAX;
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::value::{AttributeValue, Item};

use crate::error::ItemError;
use crate::limits::STATEMENT_PARAMETERS_MAX;
use crate::transform::{Evaluation, Transform};
use crate::write::fits_indexes;

/// A statement and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub text: String,
    pub parameters: Vec<AttributeValue>,
    /// Whether it deletes the item, and so returns it: one that was not there is not returned.
    pub is_deletion: bool,
}

impl Transform {
    /// Returns the statement that makes of an item what an evaluation says, if there is one.
    pub fn statement(
        &self,
        table: &TableSchema,
        before: &Item,
        evaluation: &Evaluation,
    ) -> Result<Option<Statement>, ItemError> {
        let mut building = Building::default();
        let is_deletion = match evaluation {
            Evaluation::Update(after) => {
                fits_indexes(table, after)?;
                building.update(table, before, after);
                false
            }
            Evaluation::Delete => {
                building.push("DELETE FROM ");
                building.name(&table.name);
                true
            }
            Evaluation::Skipped | Evaluation::Unchanged | Evaluation::Move(_) => return Ok(None),
        };
        building.condition(self, table, before);
        if is_deletion {
            building.push(" RETURNING ALL OLD *");
        }
        Ok(building.finish(is_deletion))
    }
}

#[derive(Default)]
struct Building<'a> {
    text: String,
    parameters: Vec<&'a AttributeValue>,
    /// Whether it holds something of which it is not certain how it is read.
    is_unfit: bool,
}

impl<'a> Building<'a> {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A name in double quotes. How those in a name are written is not documented.
    fn name(&mut self, name: &str) {
        self.is_unfit |= name.contains(['"', '\\']) || name.chars().any(char::is_control);
        // Nothing fails to be written into memory.
        let _ = write!(self.text, "\"{name}\"");
    }

    fn update(&mut self, table: &TableSchema, before: &'a Item, after: &'a Item) {
        self.push("UPDATE ");
        self.name(&table.name);
        for (name, value) in after.iter().filter(|(name, value)| before.get(name) != Some(value)) {
            self.push(" SET ");
            self.name(name);
            self.push("=?");
            // A request has lists and maps as text, which is read as an expression's value only.
            self.is_unfit |= matches!(value, AttributeValue::L(_) | AttributeValue::M(_));
            self.parameters.push(value);
        }
        // One REMOVE for each: DynamoDB Local takes no list.
        for name in before.keys().filter(|name| after.get(name).is_none()) {
            self.push(" REMOVE ");
            self.name(name);
        }
    }

    /// The key, and what was read to decide. An item that is not there meets no condition of an
    /// update, and a deletion of it has no effect.
    fn condition(&mut self, transform: &Transform, table: &TableSchema, before: &'a Item) {
        let keys = table.keys.partition.iter().chain(&table.keys.sort);
        for (at, key) in keys.enumerate() {
            self.push(if at == 0 { " WHERE " } else { " AND " });
            self.equals(&key.name, before.get(&key.name));
        }
        for name in transform.reads.iter().filter(|name| !table.keys.contains(name)) {
            self.push(" AND ");
            self.equals(name, before.get(name));
        }
    }

    fn equals(&mut self, name: &str, value: Option<&'a AttributeValue>) {
        self.name(name);
        let Some(value) = value else { return self.push(" IS MISSING") };
        // Of other types it is not documented that `=` is as in an expression.
        self.is_unfit |= !is_scalar(value);
        self.push("=?");
        self.parameters.push(value);
    }

    fn finish(self, is_deletion: bool) -> Option<Statement> {
        let Self { text, parameters, is_unfit } = self;
        // A character has one byte or more.
        let fits =
            text.len() <= STATEMENT_CHARS_MAX && parameters.len() <= STATEMENT_PARAMETERS_MAX;
        let parameters = || parameters.into_iter().cloned().collect();
        (fits && !is_unfit).then(|| Statement { text, parameters: parameters(), is_deletion })
    }
}

fn is_scalar(value: &AttributeValue) -> bool {
    use AttributeValue::{B, Bool, N, S};
    matches!(value, S(_) | N(_) | B(_) | Bool(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Files, Source};
    use dm_dynamodb::partiql;
    use dm_dynamodb::value::{Number, item_from_json};
    use serde_json::{Value, json};

    fn statement(source: &Value, item: &Value) -> Option<Statement> {
        let table = TableSchema::from_json(&json!({
            "TableName": "cars",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
        }))
        .unwrap();
        let source: Source = serde_json::from_value(source.clone()).unwrap();
        let transform = Transform::parse(&source, &Files::default()).unwrap();
        let before = item_from_json(item).unwrap();
        let evaluation = transform.evaluate(&before, Number::ZERO).unwrap();
        let statement = transform.statement(&table, &before, &evaluation).unwrap()?;
        let parsed = partiql::Statement::parse(&statement.text, &statement.parameters).unwrap();
        let write = parsed.on_item(&table).unwrap();
        let key = [("id", &before), ("at", &before)];
        for (name, before) in key {
            assert_eq!(write.key.to_item().get(name), before.get(name));
        }
        Some(statement)
    }

    #[test]
    fn a_statement_is_bound_to_what_was_read() {
        let found = statement(
            &json!({
                "table": "cars", "filter": "attribute_not_exists(price)",
                "set": {"price": "weight * 2", "tags": "set('a')"}, "remove": ["old", "none"],
            }),
            &json!({
                "id": {"S": "a"}, "at": {"N": "7"}, "weight": {"N": "10"}, "old": {"BOOL": true},
                "other": {"S": "x"},
            }),
        );
        let found = found.unwrap();
        assert_eq!(
            found.text,
            "UPDATE \"cars\" SET \"price\"=? SET \"tags\"=? REMOVE \"old\" WHERE \"id\"=? AND \
             \"at\"=? AND \"none\" IS MISSING AND \"old\"=? AND \"price\" IS MISSING AND \"tags\" \
             IS MISSING AND \"weight\"=?"
        );
        let parameters: Vec<Value> = found.parameters.iter().map(AttributeValue::to_json).collect();
        let expected = json!([{"N": "20"}, {"SS": ["a"]}, {"S": "a"}, {"N": "7"}, {"BOOL": true},
            {"N": "10"}]);
        assert_eq!(Value::from(parameters), expected);
        let deletion = statement(
            &json!({"table": "cars", "filter": "weight > 5", "delete": true}),
            &json!({"id": {"S": "a"}, "at": {"N": "7"}, "weight": {"N": "10"}}),
        );
        let deletion = deletion.unwrap();
        assert!(deletion.is_deletion);
        let text = "DELETE FROM \"cars\" WHERE \"id\"=? AND \"at\"=? AND \"weight\"=? \
                    RETURNING ALL OLD *";
        assert_eq!(deletion.text, text);
    }

    #[test]
    fn what_is_not_certain_to_be_read_alike_has_none() {
        let check = |action: Value, attribute: Value| {
            let mut source = json!({"table": "cars"});
            source.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
            let mut item = json!({"id": {"S": "a"}, "at": {"N": "7"}});
            item.as_object_mut().unwrap().extend(attribute.as_object().unwrap().clone());
            assert_eq!(statement(&source, &item), None, "{source} {item}");
        };
        check(json!({"set": {"m.a": "1"}}), json!({"m": {"M": {}}}));
        check(json!({"set": {"l": "list('a')"}}), json!({}));
        check(json!({"remove": ["n"]}), json!({"n": {"NULL": true}}));
        check(json!({"remove": ["s"]}), json!({"s": {"SS": ["a"]}}));
        check(json!({"remove": ["\"a\"\"b\""]}), json!({"a\"b": {"S": "x"}}));
        check(json!({"rekey": {"id": "concat('x', id)"}, "filter": "id = 'a'"}), json!({}));
        let many: serde_json::Map<String, Value> =
            (0..60).map(|i| (format!("{i}-{}", "n".repeat(100)), json!("1"))).collect();
        let quoted: serde_json::Map<String, Value> =
            many.into_iter().map(|(name, value)| (format!("\"{name}\""), value)).collect();
        check(json!({"set": quoted}), json!({}));
    }
}
