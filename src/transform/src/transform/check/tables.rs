//! Whether a transform fits the keys and indexes of its tables.

use dm_dynamodb::expression::Path;
use dm_dynamodb::schema::{IndexProjection, TableSchema};
use dm_dynamodb::value::AttributeType;

use super::{Result, written, wrong};
use crate::ast::Node;
use crate::number;
use crate::transform::Transform;

impl Transform {
    /// Checks the transform against its table, and against the one that the items go to.
    pub fn check_tables(&self, table: &TableSchema, to: Option<&TableSchema>) -> Result<()> {
        self.check_index(table)?;
        for (field, path) in written(self) {
            if table.keys.contains(&path.root) {
                return Err(wrong(
                    field,
                    format!("{} is part of the key of {}; use rekey", path.root, table.name),
                ));
            }
        }
        let target = to.unwrap_or(table);
        self.check_new_key(table, target)?;
        self.check_index_keys(target)
    }

    fn check_index(&self, table: &TableSchema) -> Result<()> {
        let Some(name) = &self.index else { return Ok(()) };
        let Some(index) = table.index(name) else {
            let known: Vec<&str> = table.indexes.iter().map(|i| i.name.as_str()).collect();
            let known = if known.is_empty() {
                "it has none; remove this field to scan the table".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            return Err(wrong("index", format!("{} has no index {name}; {known}", table.name)));
        };
        if index.projection != IndexProjection::All {
            let message = format!(
                "{name} does not project ALL, so its items lack attributes; remove this field to \
                 scan the table"
            );
            return Err(wrong("index", message));
        }
        Ok(())
    }

    fn check_new_key(&self, table: &TableSchema, target: &TableSchema) -> Result<()> {
        for (field, name, node) in &self.rekey {
            let Some(key) = target.keys.attributes().find(|key| key.name == *name) else {
                return Err(wrong(
                    field,
                    format!("{name} is not part of the key of {}; use set", target.name),
                ));
            };
            let what = format!("{name} is part of the key of {}", target.name);
            check_key_value(field, &what, key.kind.attribute_type(), node)?;
        }
        for key in target.keys.attributes().filter(|_| self.moves()) {
            if self.rekey.iter().any(|(_, name, _)| *name == key.name) {
                continue;
            }
            let (name, kind) = (&key.name, key.kind.attribute_type());
            let Some(old) = table.keys.attributes().find(|old| old.name == *name) else {
                let message = format!(
                    "{} has {name} in its key; give it a value: rekey: {{{name}: …}}",
                    target.name
                );
                return Err(wrong("rekey", message));
            };
            if old.kind != key.kind {
                let was = number::in_words(old.kind.attribute_type());
                let message = format!(
                    "{name} is {} in the key of {} and {was} in that of {}; give it a value: \
                     rekey: {{{name}: …}}",
                    number::in_words(kind),
                    target.name,
                    table.name
                );
                return Err(wrong("rekey", message));
            }
        }
        Ok(())
    }

    /// Checks what becomes of attributes that are keys of indexes: the database rejects each item
    /// whose value has another type there.
    fn check_index_keys(&self, target: &TableSchema) -> Result<()> {
        let index_key = |path: &Path| {
            let index = target.indexes.iter().find(|index| index.keys.contains(&path.root))?;
            let kind = target.attribute_types.get(&path.root)?.attribute_type();
            Some((format!("{} is part of the key of the index {}", path.root, index.name), kind))
        };
        for (field, path, node) in self.set.iter().chain(&self.default) {
            let Some((what, kind)) = index_key(path) else { continue };
            if !path.steps.is_empty() {
                return Err(wrong(field, format!("{what}, so nothing is inside it")));
            }
            check_key_value(field, &what, kind, node)?;
        }
        for (field, path, conversion) in &self.convert {
            let Some((what, kind)) = index_key(path) else { continue };
            if path.steps.is_empty() && conversion.kind() != kind {
                return Err(wrong(field, wrong_kind(&what, kind, conversion.kind())));
            }
        }
        Ok(())
    }
}

/// Checks the value of a key attribute as far as it is known before any item is.
fn check_key_value(field: &str, what: &str, kind: AttributeType, node: &Node) -> Result<()> {
    match node.kind() {
        Some(found) if found != kind => Err(wrong(field, wrong_kind(what, kind, found))),
        _ if node.is_empty_literal() => Err(wrong(field, format!("{what}, so it is never empty"))),
        _ => Ok(()),
    }
}

fn wrong_kind(what: &str, kind: AttributeType, found: AttributeType) -> String {
    let (kind, found) = (number::in_words(kind), number::in_words(found));
    format!("{what} and must be {kind}; this gives {found}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Files, Source};
    use serde_json::{Value, json};

    fn parsed(source: &Value) -> Result<Transform> {
        let mut source = source.clone();
        source["table"] = json!("cars");
        let source: Source = serde_json::from_value(source).unwrap();
        Transform::parse(&source, &Files::default())
    }

    fn schema(name: &str, keys: &Value) -> TableSchema {
        let types: Vec<Value> = ["pk", "sk", "id"]
            .iter()
            .map(|name| json!({"AttributeName": name, "AttributeType": "S"}))
            .collect();
        TableSchema::from_json(&json!({
            "TableName": name, "AttributeDefinitions": types, "KeySchema": keys,
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-sk", "Projection": {"ProjectionType": "KEYS_ONLY"},
                "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}],
            }],
        }))
        .unwrap()
    }

    #[test]
    fn a_transform_fits_its_table() {
        let cars = schema("cars", &json!([{"AttributeName": "id", "KeyType": "HASH"}]));
        let other = schema(
            "other",
            &json!([
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ]),
        );
        for (source, expected) in [
            (json!({"set": {"a": "1"}}), "ok"),
            (json!({"set": {"id": "1"}}), "set.id: id is part of the key of cars; use rekey"),
            (
                json!({"rename": {"id": "pk"}}),
                "rename.id: id is part of the key of cars; use rekey",
            ),
            (json!({"index": "x", "delete": true}), "index: cars has no index x; it has by-sk"),
            (
                json!({"index": "by-sk", "delete": true}),
                "index: by-sk does not project ALL, so its items lack attributes; remove this \
                 field to scan the table",
            ),
            (json!({"rekey": {"pk": "1"}}), "rekey.pk: pk is not part of the key of cars; use set"),
            (
                json!({"rekey": {"pk": "id"}, "to": {"table": "other"}}),
                "rekey: other has sk in its key; give it a value: rekey: {sk: …}",
            ),
            (json!({"rekey": {"pk": "id", "sk": "'x'"}, "to": {"table": "other"}}), "ok"),
            (
                json!({"rekey": {"pk": "id", "sk": "now()"}, "to": {"table": "other"}}),
                "rekey.sk: sk is part of the key of other and must be a string; this gives a \
                 number",
            ),
            (
                json!({"rekey": {"id": "''"}}),
                "rekey.id: id is part of the key of cars, so it is never empty",
            ),
            (
                json!({"set": {"sk": "1"}}),
                "set.sk: sk is part of the key of the index by-sk and must be a string; this gives \
                 a number",
            ),
            (json!({"set": {"sk": "if(attribute_exists(a), 'x', b)"}}), "ok"),
            (
                json!({"default": {"sk.x": "'a'"}}),
                "default.sk.x: sk is part of the key of the index by-sk, so nothing is inside it",
            ),
            (
                json!({"convert": {"sk": "N"}}),
                "convert.sk: sk is part of the key of the index by-sk and must be a string; this \
                 gives a number",
            ),
            (json!({"convert": {"sk": "iso8601"}}), "ok"),
        ] {
            let transform = parsed(&source).unwrap();
            let to = transform.to.as_ref().map(|_| &other);
            let found = transform.check_tables(&cars, to);
            assert_eq!(
                found.map_or_else(|e| e.to_string(), |()| "ok".into()),
                expected,
                "{source}"
            );
        }
    }
}
