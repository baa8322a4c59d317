//! The last write, tried on another item: what it would leave there, if the program does to that
//! item what it did to the last.

use std::sync::Arc;

use dm_dynamodb::item_write::ChangeKind;
use dm_dynamodb::journal::After;
use dm_dynamodb::value::{AttributeValue, Item};

use crate::journal::Draft;
use crate::journal::prepared::Prepared;

/// A write that was carried out.
#[derive(Debug)]
pub struct Template {
    prepared: Arc<Prepared>,
    /// What a PutItem changed of the item: it names the whole item, of which most was read before.
    difference: Vec<(String, Option<AttributeValue>)>,
}

impl Template {
    /// Of a write of an item that was there. `None` where it tells nothing of others.
    pub fn of(prepared: &Arc<Prepared>, before: &Item, after: Option<&Item>) -> Option<Self> {
        let difference = match (prepared.kind(), after) {
            (ChangeKind::Update, Some(_)) | (ChangeKind::Delete, None) => Vec::new(),
            (ChangeKind::Put, Some(after)) => {
                let gone = before.keys().filter(|name| !after.contains_key(name));
                let set = after.iter().filter(|(name, value)| before.get(name) != Some(value));
                gone.map(|name| (name.clone(), None))
                    .chain(set.map(|(name, value)| (name.clone(), Some(value.clone()))))
                    .collect()
            }
            (ChangeKind::Update | ChangeKind::Put, None)
            | (ChangeKind::Delete, Some(_))
            | (ChangeKind::Check, _) => {
                return None;
            }
        };
        Some(Self { prepared: Arc::clone(prepared), difference })
    }

    /// The table it is about.
    pub fn table(&self) -> &str {
        &self.prepared.table.name
    }

    /// What it leaves of an image, with the entry for it. `None` where it would fail, or change
    /// nothing.
    pub fn predict(&self, image: &Item) -> Option<(After, Draft)> {
        let made = self.prepared.evaluate(Some(image)).ok()?;
        let changed = (self.prepared.kind() == ChangeKind::Put).then(|| {
            let mut changed = image.clone();
            for (name, value) in &self.difference {
                match value {
                    Some(value) => changed.insert(name.clone(), value.clone()),
                    None => changed.remove(name),
                };
            }
            changed
        });
        let after = After::of(Some(image), changed.as_ref().or(made.after.as_ref()));
        let keys = self.prepared.table.keys.attributes();
        let key: Option<Item> =
            keys.map(|key| Some((key.name.clone(), image.get(&key.name)?.clone()))).collect();
        let draft = Draft {
            table: self.table().to_owned(),
            key: key?,
            before: Some(image.clone()),
            after: after.clone(),
            unverified: false,
            transaction: None,
        };
        (!after.is_unchanged(Some(image))).then_some((after, draft))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::request::SingleWrite;
    use dm_dynamodb::schema::TableSchema;
    use dm_dynamodb::value::item_from_json;
    use serde_json::{Value, json};

    fn item(json: &Value) -> Item {
        item_from_json(json).unwrap()
    }

    /// What a write of the first item foresees of the second one, and what it comes to there.
    fn check(kind: ChangeKind, first: &Value, second: &Value, foreseen: bool) {
        let table = json!({
            "TableName": "t",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        let table = Arc::new(TableSchema::from_json(&table).unwrap());
        let prepared = |body: &Value| {
            let body = body.as_object().unwrap();
            let request = SingleWrite::decode(kind, body).unwrap();
            Arc::new(Prepared::of_request(request, Arc::clone(&table), body.clone()).unwrap())
        };
        let image = |id: &str, n: &str| item(&json!({"id": {"S": id}, "n": {"N": n}}));
        let (write, before) = (prepared(first), image("a", "1"));
        let made = write.evaluate(Some(&before)).unwrap();
        let template = Template::of(&write, &before, made.after.as_ref()).unwrap();
        let (next, before) = (prepared(second), image("b", "2"));
        let made = next.evaluate(Some(&before)).unwrap();
        let after = After::of(Some(&before), made.after.as_ref());
        let (predicted, draft) = template.predict(&before).unwrap();
        assert_eq!(predicted == after, foreseen, "{first} {second}");
        assert_eq!(draft.key, next.write.key.to_item());
    }

    #[test]
    fn the_next_write_is_foreseen_where_it_does_what_the_last_one_did() {
        let update = |id: &str, text: &str, value: &str| {
            json!({"Key": {"id": {"S": id}}, "UpdateExpression": text,
                "ExpressionAttributeValues": {":v": {"N": value}}})
        };
        let check_update = |text, value, foreseen| {
            check(ChangeKind::Update, &update("a", text, "7"), &update("b", text, value), foreseen);
        };
        check_update("SET price = :v", "7", true);
        check_update("SET price = :v", "8", false);
        check_update("ADD n :v", "7", true);
        check_update("SET moved = n, price = :v REMOVE n", "7", true);
        let put = |id: &str, n: &str, price: &str| {
            json!({
                "Item": {"id": {"S": id}, "n": {"N": n}, "price": {"N": price}}
            })
        };
        check(ChangeKind::Put, &put("a", "1", "7"), &put("b", "2", "7"), true);
        check(ChangeKind::Put, &put("a", "1", "7"), &put("b", "2", "8"), false);
        let delete = |id: &str| json!({"Key": {"id": {"S": id}}});
        check(ChangeKind::Delete, &delete("a"), &delete("b"), true);
    }

    #[test]
    fn nothing_is_foreseen_where_the_write_would_fail_or_change_nothing() {
        let table = json!({
            "TableName": "t",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        let table = Arc::new(TableSchema::from_json(&table).unwrap());
        let body = json!({"Key": {"id": {"S": "a"}}, "UpdateExpression": "SET n = :v",
            "ConditionExpression": "attribute_not_exists(done)",
            "ExpressionAttributeValues": {":v": {"N": "7"}}});
        let body = body.as_object().unwrap();
        let request = SingleWrite::decode(ChangeKind::Update, body).unwrap();
        let write = Prepared::of_request(request, table, body.clone());
        let before = item(&json!({"id": {"S": "a"}}));
        let after = item(&json!({"id": {"S": "a"}, "n": {"N": "7"}}));
        let template = Template::of(&Arc::new(write.unwrap()), &before, Some(&after)).unwrap();
        let done = item(&json!({"id": {"S": "b"}, "done": {"BOOL": true}}));
        assert!(template.predict(&done).is_none());
        assert!(template.predict(&item(&json!({"id": {"S": "b"}, "n": {"N": "7"}}))).is_none());
        assert!(template.predict(&item(&json!({"id": {"S": "b"}, "n": {"N": "8"}}))).is_some());
    }
}
