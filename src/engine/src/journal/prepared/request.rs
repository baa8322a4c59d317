//! The requests that carry out a prepared write: each can only change the image that it was made of.

use std::collections::BTreeSet;

use dm_core::unchanged::{Placeholding, both, unchanged};
use dm_core::value::{AttributeValue, Item, item_to_json};
use serde_json::{Map, Value};

use super::{Change, Form, Made, Prepared, Sent};
use crate::operation::Operation;

impl Prepared {
    /// The request that makes this of this image, and of no other, as far as it concerns the write.
    pub fn request(&self, before: Option<&Item>, made: &Made) -> Sent {
        match &self.form {
            Form::Own => self.own_request(before, false),
            Form::Rewritten(_) | Form::Statement(_) => self.rewritten_request(before, made),
        }
    }

    /// The same with every attribute of the image compared, and the answer to be compared as well: for
    /// an image that may be an old one.
    pub fn bound_request(&self, before: Option<&Item>, made: &Made) -> Sent {
        match &self.form {
            Form::Own => self.own_request(before, true),
            Form::Rewritten(_) | Form::Statement(_) => self.rewritten_request(before, made),
        }
    }

    /// The request as one that no item can meet: for an action of a transaction that fails anyway,
    /// and must not succeed after all without an entry in the journal.
    pub fn impossible_request(&self) -> Map<String, Value> {
        let mut body = self.body.clone();
        let mut placeholding = Placeholding::beside(&body);
        let key = self.key.to_item();
        let presence = key.keys().next().map(|name| placeholding.name(name)).unwrap_or_default();
        let never = format!("attribute_exists({presence}) AND attribute_not_exists({presence})");
        let own = body.get("ConditionExpression").and_then(Value::as_str);
        let text = both(own, &never);
        body.insert("ConditionExpression".into(), text.into());
        placeholding.finish(&mut body);
        body.insert("ReturnValuesOnConditionCheckFailure".into(), "ALL_OLD".into());
        body
    }

    fn own_request(&self, before: Option<&Item>, whole: bool) -> Sent {
        let mut body = self.body.clone();
        let image = || before.into_iter().flatten().map(first);
        let compared: BTreeSet<&str> = match &self.change {
            Change::Update(update) if whole => update.roots().into_iter().chain(image()).collect(),
            Change::Update(update) => update.roots(),
            Change::Put(_) | Change::Delete | Change::Check => image().collect(),
        };
        let own = body.get("ConditionExpression").and_then(Value::as_str).map(str::to_owned);
        let mut placeholding = Placeholding::beside(&body);
        let condition = unchanged(
            &mut placeholding,
            &self.key.to_item(),
            before,
            &compared,
            own.as_deref().unwrap_or_default(),
        );
        let text = both(own.as_deref(), &condition.text);
        body.insert("ConditionExpression".into(), text.into());
        placeholding.finish(&mut body);
        body.insert("ReturnValuesOnConditionCheckFailure".into(), "ALL_OLD".into());
        let operation = self.operation();
        // No condition can say that an item has no further attributes.
        let replaces = operation != Operation::UpdateItem && before.is_some();
        let tells_old = replaces || whole || !condition.complete;
        if tells_old {
            body.insert("ReturnValues".into(), "ALL_OLD".into());
        }
        // A second time the condition fails, or the item is replaced by what is there already.
        let repeatable = operation != Operation::UpdateItem || condition.complete;
        Sent { operation, body, tells_old, bound: whole && condition.complete, repeatable }
    }

    fn rewritten_request(&self, before: Option<&Item>, made: &Made) -> Sent {
        let mut body = Map::new();
        for kept in ["ReturnConsumedCapacity", "ReturnItemCollectionMetrics"] {
            body.extend(self.body.get(kept).map(|value| (kept.to_owned(), value.clone())));
        }
        body.insert("TableName".into(), self.table.name.as_str().into());
        let mut placeholding = Placeholding::alone();
        let mut compared: BTreeSet<&str> = match (&self.change, &self.condition) {
            // The rest of an item that is only checked may change.
            (Change::Check, Some(condition)) => {
                condition.paths().into_iter().map(|path| path.root.as_str()).collect()
            }
            _ => before.into_iter().flatten().map(first).collect(),
        };
        if let Form::Rewritten(named) = &self.form {
            compared.extend(named.iter().map(String::as_str));
        }
        let key = self.key.to_item();
        let condition = unchanged(&mut placeholding, &key, before, &compared, "");
        match (&self.change, &made.after) {
            (Change::Put(item), _) => {
                body.insert("Item".into(), item_to_json(item));
            }
            (Change::Update(_), Some(after)) => {
                body.insert("Key".into(), item_to_json(&key));
                let text = change_text(&mut placeholding, &key, before, after);
                if !text.is_empty() {
                    body.insert("UpdateExpression".into(), text.into());
                }
            }
            (Change::Update(_) | Change::Delete | Change::Check, _) => {
                body.insert("Key".into(), item_to_json(&key));
            }
        }
        body.insert("ConditionExpression".into(), condition.text.clone().into());
        placeholding.finish(&mut body);
        body.insert("ReturnValuesOnConditionCheckFailure".into(), "ALL_OLD".into());
        body.insert("ReturnValues".into(), "ALL_OLD".into());
        // What it sets are values: a second time sets the same ones.
        let (bound, repeatable) = (condition.complete, true);
        Sent { operation: self.operation(), body, tells_old: true, bound, repeatable }
    }
}

fn first<'a>((name, _): (&'a String, &'a AttributeValue)) -> &'a str {
    name
}

/// The update that makes `after` of `before`; empty where they are equal.
fn change_text(
    placeholding: &mut Placeholding,
    key: &Item,
    before: Option<&Item>,
    after: &Item,
) -> String {
    let none = Item::new();
    let before = before.unwrap_or(&none);
    let mut set = Vec::new();
    for (name, value) in after {
        if before.get(name) != Some(value) && !key.contains_key(name) {
            let name = placeholding.name(name);
            set.push(format!("{name} = {}", placeholding.value(value)));
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let remove: Vec<String> = gone.map(|name| placeholding.name(name)).collect();
    let clause = |word: &str, actions: &[String]| {
        (!actions.is_empty()).then(|| format!("{word} {}", actions.join(", ")))
    };
    let clauses = [clause("SET", &set), clause("REMOVE", &remove)];
    clauses.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
