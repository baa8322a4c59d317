//! One write of one item, read from a request: what it makes of an image, and as what it is sent so
//! that it can only change that very image.
//!
//! A request with expressions is sent as it is, with a condition of ours beside its own. Older
//! parameters and statements cannot have one beside them: they are sent as the change that they make
//! of the image, with a condition on all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dm_core::error::ServiceError;
use dm_core::expression::{Condition, Update, UpdateOutcome};
use dm_core::parameters::{Parameters, RequestKind};
use dm_core::partiql::{ItemChange, ItemStatement, Presence, Remaining, Returning};
use dm_core::schema::{ItemKey, TableSchema};
use dm_core::unchanged::{Placeholding, both, unchanged};
use dm_core::value::{Item, item_from_json, item_to_json};
use serde_json::{Map, Value};

use crate::operation::Operation;

/// Parameters that expressions have replaced.
const OLDER: [&str; 3] = ["Expected", "AttributeUpdates", "ConditionalOperator"];

/// The error of a condition that was not met.
pub const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// A write that has passed all checks which do not need the item.
#[derive(Debug)]
pub struct Prepared {
    /// The table.
    pub table: Arc<TableSchema>,
    /// The item's key.
    pub key: ItemKey,
    /// The program's request: of a PutItem, UpdateItem or DeleteItem, or such an action.
    body: Map<String, Value>,
    change: Change,
    condition: Option<Condition>,
    form: Form,
    returned: Returned,
    shows_on_failure: bool,
}

/// What a write does to its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It replaces it.
    Put,
    /// It changes some of it.
    Update,
    /// It takes it away.
    Delete,
}

#[derive(Debug)]
enum Change {
    Put(Item),
    Update(Update),
    Delete,
    /// A statement's EXISTS: nothing, in a transaction.
    Check,
}

/// As what it is sent.
#[derive(Debug)]
enum Form {
    /// As the program's request.
    Own,
    /// As the change itself. These attributes matter although the image may not have them.
    Rewritten(BTreeSet<String>),
    /// As a change that only an existing item can have (PartiQL's UPDATE), or only a missing one (its
    /// INSERT).
    Statement(Presence),
}

/// Which image the program wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returned {
    None,
    AllOld,
    AllNew,
    UpdatedOld,
    UpdatedNew,
}

/// What a write makes of an image.
#[derive(Debug)]
pub struct Made {
    /// The item afterwards.
    pub after: Option<Item>,
    outcome: Option<UpdateOutcome>,
}

/// A request ready to be sent.
#[derive(Debug)]
pub struct Sent {
    /// Its operation.
    pub operation: Operation,
    /// Its parameters.
    pub body: Map<String, Value>,
    /// Whether the answer tells the whole item as it was, to be compared with the image.
    pub tells_old: bool,
    /// Whether the condition compares every attribute of the image, so that the image need not be the
    /// newest.
    pub bound: bool,
}

type Result<T> = std::result::Result<T, ServiceError>;

impl Prepared {
    /// PutItem, UpdateItem or DeleteItem, or such an action of a transaction or a batch.
    pub fn read(
        operation: Operation,
        table: Arc<TableSchema>,
        body: &Map<String, Value>,
    ) -> Result<Self> {
        let request = Value::Object(body.clone());
        let required = |name: &str| {
            let there = body.get(name).filter(|value| !value.is_null());
            there.ok_or_else(|| missing(name)).and_then(item_from_json)
        };
        let (key, change, condition) = match operation {
            Operation::PutItem => {
                let item = required("Item")?;
                let key = table.check_item(&item)?;
                let parameters = Parameters::read(RequestKind::Write, &request)?;
                (key, Change::Put(item), parameters.condition)
            }
            Operation::UpdateItem => {
                let key = ItemKey::from_key(&table, &required("Key")?)?;
                let parameters = Parameters::read(RequestKind::Update, &request)?;
                let update = parameters.update.unwrap_or_else(Update::nothing);
                update.check_keys(&table)?;
                (key, Change::Update(update), parameters.condition)
            }
            _ => {
                let key = ItemKey::from_key(&table, &required("Key")?)?;
                let parameters = Parameters::read(RequestKind::Write, &request)?;
                (key, Change::Delete, parameters.condition)
            }
        };
        if let Some(condition) = &condition {
            condition.check_key_paths(&table)?;
        }
        let older = OLDER.iter().any(|name| body.get(*name).is_some_and(|value| !value.is_null()));
        let form = if older { Form::Rewritten(named(body)) } else { Form::Own };
        let returned = Returned::of(body.get("ReturnValues"))?;
        if operation != Operation::UpdateItem
            && ![Returned::None, Returned::AllOld].contains(&returned)
        {
            return Err(ServiceError::validation("Return values set to invalid value"));
        }
        let shows_on_failure = shows_on_failure(body);
        Ok(Self {
            table,
            key,
            body: body.clone(),
            change,
            condition,
            form,
            returned,
            shows_on_failure,
        })
    }

    /// A statement on one item. `body` has the parameters that the answer depends on.
    pub fn of_statement(
        statement: ItemStatement,
        table: Arc<TableSchema>,
        body: &Map<String, Value>,
    ) -> Result<Self> {
        statement.check_keys(&table)?;
        let ItemStatement { key, change, condition, presence, returning } = statement;
        let change = match change {
            ItemChange::Put(item) => Change::Put(item),
            ItemChange::Update(update) => Change::Update(update),
            ItemChange::Delete => Change::Delete,
            ItemChange::Check => Change::Check,
        };
        let returned = match returning {
            None => Returned::None,
            Some(Returning::AllOld) => Returned::AllOld,
            Some(Returning::AllNew) => Returned::AllNew,
            Some(Returning::ModifiedOld) => Returned::UpdatedOld,
            Some(Returning::ModifiedNew) => Returned::UpdatedNew,
        };
        let form = Form::Statement(presence);
        let shows_on_failure = shows_on_failure(body);
        Ok(Self {
            table,
            key,
            body: body.clone(),
            change,
            condition,
            form,
            returned,
            shows_on_failure,
        })
    }

    /// What it makes of an image, or why it does not.
    pub fn evaluate(&self, before: Option<&Item>) -> Result<Made> {
        if let Form::Statement(presence) = self.form
            && presence.check(before.is_some())? == Remaining::Nothing
        {
            return Ok(Made { after: None, outcome: None });
        }
        let absent = Item::new();
        let seen = before.unwrap_or(&absent);
        if self.condition.as_ref().is_some_and(|condition| !condition.matches(seen)) {
            let shown = before.filter(|_| self.shows_on_failure).cloned();
            return Err(ServiceError::conditional_check_failed(shown));
        }
        match &self.change {
            Change::Put(item) => Ok(Made { after: Some(item.clone()), outcome: None }),
            Change::Delete => Ok(Made { after: None, outcome: None }),
            Change::Check => Ok(Made { after: before.cloned(), outcome: None }),
            Change::Update(update) => {
                let outcome = match before {
                    Some(item) => update.apply(item)?,
                    None => update.apply(&self.key.to_item())?,
                };
                update.check_outcome(&self.table, &outcome)?;
                Ok(Made { after: Some(outcome.item.clone()), outcome: Some(outcome) })
            }
        }
    }

    /// What it does to its item.
    pub fn kind(&self) -> Kind {
        match self.change {
            Change::Put(_) => Kind::Put,
            Change::Update(_) => Kind::Update,
            // A check stands in transactions only, of which nothing is learnt.
            Change::Delete | Change::Check => Kind::Delete,
        }
    }

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
        Sent { operation, body, tells_old, bound: whole && condition.complete }
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
        let bound = condition.complete;
        Sent { operation: self.operation(), body, tells_old: true, bound }
    }

    /// What the program wants to see of the item, of a write that was made of this image.
    pub fn returned(&self, before: Option<&Item>, made: &Made) -> Option<Item> {
        let image = match (self.returned, &made.outcome) {
            (Returned::AllOld, _) => before.cloned(),
            (Returned::AllNew, _) => made.after.clone(),
            (Returned::UpdatedOld, Some(outcome)) => {
                before.map(|before| outcome.updated_old(before))
            }
            (Returned::UpdatedNew, Some(outcome)) => Some(outcome.updated_new()),
            (Returned::None, _) | (Returned::UpdatedOld | Returned::UpdatedNew, None) => None,
        };
        image.filter(|image| !image.is_empty())
    }

    /// Whether the program wants to see the item when its condition fails.
    pub fn shows_on_failure(&self) -> bool {
        self.shows_on_failure
    }

    /// Whether it can change the item.
    pub fn changes(&self) -> bool {
        !matches!(self.change, Change::Check)
    }

    /// The name of the action that it is in a transaction.
    pub fn action(&self) -> &'static str {
        match self.change {
            Change::Put(_) => "Put",
            Change::Update(_) => "Update",
            Change::Delete => "Delete",
            Change::Check => "ConditionCheck",
        }
    }

    fn operation(&self) -> Operation {
        match self.change {
            Change::Put(_) => Operation::PutItem,
            Change::Update(_) => Operation::UpdateItem,
            // A check stands in transactions only, where actions have no operation.
            Change::Delete | Change::Check => Operation::DeleteItem,
        }
    }
}

impl Returned {
    fn of(parameter: Option<&Value>) -> Result<Self> {
        match parameter.and_then(Value::as_str) {
            None | Some("NONE") => Ok(Self::None),
            Some("ALL_OLD") => Ok(Self::AllOld),
            Some("ALL_NEW") => Ok(Self::AllNew),
            Some("UPDATED_OLD") => Ok(Self::UpdatedOld),
            Some("UPDATED_NEW") => Ok(Self::UpdatedNew),
            Some(_) => Err(ServiceError::validation("Return values set to invalid value")),
        }
    }
}

fn first<'a>((name, _): (&'a String, &'a dm_core::value::AttributeValue)) -> &'a str {
    name
}

fn shows_on_failure(body: &Map<String, Value>) -> bool {
    body.get("ReturnValuesOnConditionCheckFailure").and_then(Value::as_str) == Some("ALL_OLD")
}

/// The attributes that older parameters name.
fn named(body: &Map<String, Value>) -> BTreeSet<String> {
    ["Expected", "AttributeUpdates"]
        .iter()
        .filter_map(|name| body.get(*name).and_then(Value::as_object))
        .flat_map(|members| members.keys().cloned())
        .collect()
}

fn missing(name: &str) -> ServiceError {
    let member = name.to_lowercase();
    ServiceError::validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: \
         Member must not be null"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use dm_core::error::ErrorCode;
    use dm_core::partiql::Statement;
    use serde_json::json;

    fn table() -> Arc<TableSchema> {
        let description = json!({
            "TableName": "t",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        Arc::new(TableSchema::from_json(&description).unwrap())
    }

    fn item(json: &Value) -> Item {
        item_from_json(json).unwrap()
    }

    fn prepared(operation: Operation, body: &Value) -> Prepared {
        Prepared::read(operation, table(), body.as_object().unwrap()).unwrap()
    }

    /// What the request that is sent makes of an image, if its condition lets it.
    fn sent(prepared: &Prepared, read: Option<&Item>, now: Option<&Item>) -> Result<Option<Item>> {
        let made = prepared.evaluate(read).unwrap();
        let sent = prepared.request(read, &made);
        let again = Prepared::read(sent.operation, table(), &sent.body).unwrap();
        again.evaluate(now).map(|made| made.after)
    }

    fn check(operation: Operation, body: &Value) {
        let prepared = prepared(operation, body);
        let image = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "y"}}));
        let made = prepared.evaluate(Some(&image)).unwrap();
        assert_eq!(sent(&prepared, Some(&image), Some(&image)), Ok(made.after), "{body}");
        let other = item(&json!({"id": {"S": "a"}, "n": {"N": "2"}, "x": {"S": "y"}}));
        assert!(sent(&prepared, Some(&image), Some(&other)).is_err(), "{body}");
        assert!(sent(&prepared, Some(&image), None).is_err(), "{body}");
        let made = prepared.evaluate(Some(&image)).unwrap();
        let bound = prepared.bound_request(Some(&image), &made);
        assert!(bound.bound && bound.tells_old, "{body}");
        let again = Prepared::read(bound.operation, table(), &bound.body).unwrap();
        assert_eq!(again.evaluate(Some(&image)).map(|made| made.after), Ok(made.after), "{body}");
        for other in [json!({"n": {"N": "2"}}), json!({"x": {"S": "z"}}), json!({"x": null})] {
            let mut now = json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "y"}});
            for (name, value) in other.as_object().unwrap() {
                match value {
                    Value::Null => drop(now.as_object_mut().unwrap().remove(name)),
                    value => now[name] = value.clone(),
                }
            }
            assert!(again.evaluate(Some(&item(&now))).is_err(), "{body} {now}");
        }
    }

    #[test]
    fn what_is_sent_does_the_same_and_only_to_the_image_that_was_read() {
        let key = json!({"id": {"S": "a"}});
        check(
            Operation::UpdateItem,
            &json!({"TableName": "t", "Key": key, "UpdateExpression": "ADD #n :m",
                "ConditionExpression": "x = :m0", "ExpressionAttributeNames": {"#n": "n"},
                "ExpressionAttributeValues": {":m": {"N": "1"}, ":m0": {"S": "y"}}}),
        );
        check(Operation::PutItem, &json!({"TableName": "t", "Item": {"id": {"S": "a"}}}));
        check(Operation::DeleteItem, &json!({"TableName": "t", "Key": key}));
        check(
            Operation::UpdateItem,
            &json!({"TableName": "t", "Key": key, "AttributeUpdates": {
                "n": {"Action": "ADD", "Value": {"N": "5"}}, "x": {"Action": "DELETE"},
            }, "Expected": {"z": {"Exists": false}}}),
        );
        check(
            Operation::DeleteItem,
            &json!({"TableName": "t", "Key": key, "Expected": {"n": {"Value": {"N": "1"}}}}),
        );
    }

    #[test]
    fn an_attribute_that_older_parameters_want_missing_stays_missing() {
        let body = json!({"TableName": "t", "Item": {"id": {"S": "a"}},
            "Expected": {"z": {"Exists": false}}});
        let prepared = prepared(Operation::PutItem, &body);
        let image = item(&json!({"id": {"S": "a"}}));
        let now = item(&json!({"id": {"S": "a"}, "z": {"N": "1"}}));
        assert!(sent(&prepared, Some(&image), Some(&now)).is_err());
    }

    #[test]
    fn statements_become_conditional_writes() {
        let body = Map::new();
        let prepared = |text: &str| {
            let statement = Statement::parse(text, &[]).unwrap();
            Prepared::of_statement(statement.on_item(&table()).unwrap(), table(), &body).unwrap()
        };
        let image = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}}));
        let update = prepared("UPDATE t SET n = n + 1 WHERE id = 'a'");
        let after = item(&json!({"id": {"S": "a"}, "n": {"N": "2"}}));
        assert_eq!(sent(&update, Some(&image), Some(&image)), Ok(Some(after)));
        assert!(update.evaluate(None).is_err());
        let insert = prepared("INSERT INTO t VALUE {'id': 'a'}");
        let error = insert.evaluate(Some(&image)).unwrap_err();
        assert_eq!(error.code, ErrorCode::DuplicateItem);
        assert!(sent(&insert, None, Some(&image)).is_err());
        let check = prepared("EXISTS(SELECT * FROM t WHERE id = 'a' AND n = 1)");
        let made = check.evaluate(Some(&image)).unwrap();
        assert_eq!(made.after.as_ref(), Some(&image));
        let request = check.request(Some(&image), &made).body;
        let compared = request["ExpressionAttributeValues"].as_object().unwrap();
        assert_eq!(compared.values().collect::<Vec<_>>(), [&json!({"N": "1"})]);
        let delete = prepared("DELETE FROM t WHERE id = 'a' AND n = 1");
        assert_eq!(sent(&delete, Some(&image), Some(&image)), Ok(None));
        assert!(delete.evaluate(None).is_ok());
    }

    #[test]
    fn an_impossible_request_is_met_by_no_item() {
        let key = json!({"id": {"S": "a"}});
        let body = json!({"TableName": "t", "Key": key, "ConditionExpression": "n > :n",
            "ExpressionAttributeValues": {":n": {"N": "0"}}});
        let body = prepared(Operation::DeleteItem, &body).impossible_request();
        let again = prepared(Operation::DeleteItem, &Value::Object(body));
        assert!(again.evaluate(None).is_err());
        assert!(again.evaluate(Some(&item(&json!({"id": {"S": "a"}, "n": {"N": "1"}})))).is_err());
    }
}
