//! The requests that carry out a prepared write: each can only change the image that it was made
//! of, as far as DynamoDB's limits let a condition say so.

use std::collections::BTreeSet;

use dm_dynamodb::expression::{EXPRESSION_BYTES_MAX, Update};
use dm_dynamodb::item_write::{Change, Made};
use dm_dynamodb::unchanged::{Binding, Placeholding, without_condition};
use dm_dynamodb::value::{AttributeValue, Item, item_to_folded_json, item_to_json};
use serde_json::Map;

use crate::call::Call;
use crate::journal::prepared::{Form, Prepared, Sent};
use crate::operation::Operation;

/// How much of the image a request compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What the write replaces: of an image that was just read.
    Concerned,
    /// Every attribute, and the answer as well: for an image that may be an old one.
    Whole,
}

const OF_STATEMENTS: [&str; 4] =
    ["Statement", "Parameters", "ReturnConsumedCapacity", "ReturnValuesOnConditionCheckFailure"];

impl Prepared {
    /// The request that makes this of this image, and of no other, as far as it concerns the write.
    /// At most `bytes_max` are added in names and values. `None` where what the change depends on
    /// has no room in an expression: then only [`Self::as_it_is`] does what the program asked for.
    pub fn request(
        &self,
        before: Option<&Item>,
        made: &Made,
        scope: Scope,
        bytes_max: usize,
    ) -> Option<Sent> {
        match &self.form {
            Form::Own => Some(self.own_request(before, scope, bytes_max)),
            Form::Rewritten | Form::Statement => self.rewritten_request(before, made, bytes_max),
        }
    }

    /// The program's own request, with no condition of ours. A write tells what it replaced; a
    /// statement does not.
    pub fn as_it_is(&self) -> Sent {
        let mut body = self.body.clone();
        let (operation, returns_old) = match &self.form {
            Form::Own | Form::Rewritten => {
                body.insert("ReturnValues".into(), "ALL_OLD".into());
                (self.operation(), true)
            }
            Form::Statement => {
                body.retain(|name, _| OF_STATEMENTS.contains(&name.as_str()));
                (Operation::ExecuteStatement, false)
            }
        };
        // Nothing binds it, so an update could be made twice.
        let repeatable = false;
        let call = Call::new(operation, body);
        Sent { call, returns_old, bound: false, repeatable, complete: false, added: 0 }
    }

    fn own_request(&self, before: Option<&Item>, scope: Scope, bytes_max: usize) -> Sent {
        let operation = self.operation();
        let mut body = self.body.clone();
        if let Change::Check = self.write.change {
            let (returns_old, bound, repeatable, complete) = (false, false, true, true);
            let call = Call::new(operation, body);
            return Sent { call, returns_old, bound, repeatable, complete, added: 0 };
        }
        let key = self.write.key.to_item();
        let compared = self.compared(before, scope);
        let mut binding = Binding::beside(&body, &key, before, bytes_max);
        let mut complete = binding.presence() & binding.attributes(compared.iter().copied());
        if !complete && self.write.condition.is_some() {
            // What meets the condition depends on these attributes only: while they are as they
            // were, so is its outcome.
            let rest = without_condition(&body);
            let mut alone = Binding::beside(&rest, &key, before, bytes_max);
            let names = compared.into_iter().chain(self.write.depends_on());
            if alone.presence() & alone.attributes(names.collect::<BTreeSet<&str>>()) {
                (body, binding, complete) = (rest, alone, true);
            }
        }
        self.bind_missing(&mut binding, before);
        let added = binding.finish(&mut body);
        body.insert("ReturnValuesOnConditionCheckFailure".into(), "ALL_OLD".into());
        // No condition can say that an item has no further attributes.
        let replaces = operation != Operation::UpdateItem && before.is_some();
        let whole = scope == Scope::Whole;
        let returns_old = replaces || whole || !complete;
        if returns_old {
            body.insert("ReturnValues".into(), "ALL_OLD".into());
        }
        // A second time the condition fails, or the item is replaced by what is there already.
        let repeatable = operation != Operation::UpdateItem || complete;
        let bound = whole && complete;
        let call = Call::new(operation, body);
        Sent { call, returns_old, bound, repeatable, complete, added }
    }

    /// Compares that the attributes which a put adds to the image are still missing, as far as
    /// there is room. Others are likely to add the same.
    fn bind_missing(&self, binding: &mut Binding<'_>, before: Option<&Item>) {
        if let (Change::Put(item), Some(image)) = (&self.write.change, before) {
            let missing = item.keys().filter(|name| !image.contains_key(name));
            binding.attributes(missing.map(String::as_str));
        }
    }

    fn compared<'a>(&'a self, before: Option<&'a Item>, scope: Scope) -> BTreeSet<&'a str> {
        let image = before.into_iter().flatten().map(first);
        match (&self.write.change, scope) {
            (Change::Update(update), Scope::Concerned) => update.roots(),
            (Change::Update(update), Scope::Whole) => {
                update.roots().into_iter().chain(image).collect()
            }
            (Change::Put(_) | Change::Delete | Change::Check, _) => image.collect(),
        }
    }

    fn rewritten_request(
        &self,
        before: Option<&Item>,
        made: &Made,
        bytes_max: usize,
    ) -> Option<Sent> {
        let mut body = Map::new();
        for kept in ["ReturnConsumedCapacity", "ReturnItemCollectionMetrics"] {
            body.extend(self.body.get(kept).map(|value| (kept.to_owned(), value.clone())));
        }
        body.insert("TableName".into(), self.table.name.as_str().into());
        let key = self.write.key.to_item();
        let mut binding = Binding::beside(&body, &key, before, bytes_max);
        let depends_on = self.write.depends_on();
        if !(binding.presence() & binding.attributes(depends_on.iter().copied())) {
            return None;
        }
        match (&self.write.change, &made.after) {
            (Change::Put(item), _) => {
                body.insert("Item".into(), item_to_folded_json(item));
            }
            (Change::Update(update), after) => {
                body.insert("Key".into(), item_to_json(&key));
                let placeholding = binding.placeholding();
                let text = match after {
                    Some(after) => change_text(placeholding, &key, before, after),
                    // It only removes; without an expression it would create the item.
                    None => removal(placeholding, update),
                };
                if text.len() > EXPRESSION_BYTES_MAX || !binding.fits() {
                    return None;
                }
                if !text.is_empty() {
                    body.insert("UpdateExpression".into(), text.into());
                }
            }
            (Change::Delete | Change::Check, _) => {
                body.insert("Key".into(), item_to_json(&key));
            }
        }
        let others = before.into_iter().flatten().map(first);
        let others = others.filter(|name| !depends_on.contains(name));
        let (bound, complete) = match self.write.change {
            // The rest of an item that is only checked may change.
            Change::Check => (false, true),
            // What is changed is compared already.
            Change::Update(_) => (binding.attributes(others), true),
            Change::Put(_) | Change::Delete => {
                let all = binding.attributes(others);
                (all, all)
            }
        };
        self.bind_missing(&mut binding, before);
        let added = binding.finish(&mut body);
        body.insert("ReturnValuesOnConditionCheckFailure".into(), "ALL_OLD".into());
        body.insert("ReturnValues".into(), "ALL_OLD".into());
        // What it sets are values: a second time sets the same ones.
        let (call, repeatable) = (Call::new(self.operation(), body), true);
        Some(Sent { call, returns_old: true, bound, repeatable, complete, added })
    }
}

fn first<'a>((name, _): (&'a String, &'a AttributeValue)) -> &'a str {
    name
}

/// An update that, like this one, removes from an item that does not exist.
fn removal(placeholding: &mut Placeholding, update: &Update) -> String {
    let names: Vec<String> = update.roots().into_iter().map(|n| placeholding.name(n)).collect();
    format!("REMOVE {}", names.join(", "))
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
    let gone = before.keys().filter(|name| !after.contains_key(name));
    let remove: Vec<String> = gone.map(|name| placeholding.name(name)).collect();
    let clause = |word: &str, actions: &[String]| {
        (!actions.is_empty()).then(|| format!("{word} {}", actions.join(", ")))
    };
    let clauses = [clause("SET", &set), clause("REMOVE", &remove)];
    clauses.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
