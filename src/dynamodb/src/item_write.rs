//! One write of one item, held against its table: what it makes of an image of the item, and what
//! it returns of the item. The same for a separate request, a part of a batch, an action of a
//! transaction and a statement. Nothing is parsed here, and nothing is sent.

use std::collections::BTreeSet;

use crate::error::{ErrorCode, ServiceError};
use crate::expression::{Condition, Path, Projection, Update, UpdateOutcome};
use crate::schema::{ItemKey, TableSchema};
use crate::value::{Item, item_size};

type Result<T> = std::result::Result<T, ServiceError>;

/// A write that has passed all checks that do not need the item.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemWrite {
    pub key: ItemKey,
    /// What the write does to the item.
    pub change: Change,
    /// What the item must meet, besides the key.
    pub condition: Option<Condition>,
    /// Whether the item must exist.
    pub presence: Presence,
    /// Which image of the item the write returns.
    pub returned: ReturnValues,
    /// Whether the error of a failed condition shows the item.
    pub shows_on_failure: bool,
}

/// What a write does to its item.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Put(Item),
    /// Changes parts of the item.
    Update(Update),
    Delete,
    /// Leaves the item unchanged: a ConditionCheck, or a statement's EXISTS.
    Check,
}

/// The kind of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// [`Change::Put`].
    Put,
    /// [`Change::Update`].
    Update,
    /// [`Change::Delete`].
    Delete,
    /// [`Change::Check`].
    Check,
}

/// Whether an item must exist. Only statements require it; requests use conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Either way: requests other than statements.
    Any,
    /// The item must exist: UPDATE and EXISTS.
    Required,
    /// The item must not exist: INSERT.
    Forbidden,
    /// Where the item is missing, the write succeeds whatever its condition: DELETE.
    Optional,
}

/// What remains to be done once it is known whether the item exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// The condition is evaluated and the change is made.
    Change,
    Nothing,
}

/// Which image of the item a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnValues {
    None,
    /// The item before the write.
    AllOld,
    /// The places an update names, before the write.
    UpdatedOld,
    /// The item after the write.
    AllNew,
    /// The places an update names, after the write.
    UpdatedNew,
}

/// What a write makes of an image.
#[derive(Clone, Debug)]
pub struct Made {
    /// The item after the write, if it then exists.
    pub after: Option<Item>,
    /// The places an update names.
    updated: Option<Vec<Path>>,
}

impl Change {
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Put(_) => ChangeKind::Put,
            Self::Update(_) => ChangeKind::Update,
            Self::Delete => ChangeKind::Delete,
            Self::Check => ChangeKind::Check,
        }
    }
}

impl ItemWrite {
    /// Returns what the write makes of an image, or DynamoDB's error of a write that fails on it.
    pub fn evaluate(&self, table: &TableSchema, before: Option<&Item>) -> Result<Made> {
        let made = |after| Made { after, updated: None };
        if self.presence.check(before.is_some())? == Remaining::Nothing {
            return Ok(made(None));
        }
        let absent = Item::new();
        let seen = before.unwrap_or(&absent);
        if self.condition.as_ref().is_some_and(|condition| !condition.matches(seen)) {
            let shown = before.filter(|_| self.shows_on_failure).cloned();
            return Err(ServiceError::conditional_check_failed(shown));
        }
        match &self.change {
            Change::Put(item) => Ok(made(Some(item.clone()))),
            Change::Delete => Ok(made(None)),
            Change::Check => Ok(made(before.cloned())),
            Change::Update(update) => {
                let outcome = match before {
                    Some(item) => update.apply(item)?,
                    None => update.apply(&self.key.to_item())?,
                };
                update.check_outcome(table, &outcome)?;
                let UpdateOutcome { item, paths } = outcome;
                let after = (before.is_some() || !update.only_removes()).then_some(item);
                Ok(Made { after, updated: Some(paths) })
            }
        }
    }

    /// Returns the image that the write's answer shows, if there is one and it is not empty.
    pub fn image(&self, before: Option<&Item>, made: &Made) -> Option<Item> {
        let updated = |of: Option<&Item>| {
            let paths = made.updated.clone()?;
            Some(Projection::of(paths).apply(of?))
        };
        let image = match self.returned {
            ReturnValues::None => None,
            ReturnValues::AllOld => before.cloned(),
            ReturnValues::AllNew => made.after.clone(),
            ReturnValues::UpdatedOld => updated(before),
            ReturnValues::UpdatedNew => updated(made.after.as_ref()),
        };
        image.filter(|image| !image.is_empty())
    }

    /// Rejects a statement's change of a key attribute.
    pub fn check_keys(&self, table: &TableSchema) -> Result<()> {
        match &self.change {
            Change::Update(update) => update.check_keys(table),
            Change::Put(_) | Change::Delete | Change::Check => Ok(()),
        }
    }

    /// Whether the write can change its item.
    pub fn changes(&self) -> bool {
        self.change.kind() != ChangeKind::Check
    }

    /// Returns the attributes that decide what the write makes of an item.
    pub fn depends_on(&self) -> BTreeSet<&str> {
        let conditions = self.condition.iter().flat_map(Condition::paths);
        let mut names: BTreeSet<&str> = conditions.map(|path| path.root.as_str()).collect();
        if let Change::Update(update) = &self.change {
            names.extend(update.roots());
        }
        names
    }

    /// Returns the size in bytes of the item or key that the write names.
    pub fn named_size(&self) -> usize {
        match &self.change {
            Change::Put(item) => item_size(item),
            Change::Update(_) | Change::Delete | Change::Check => item_size(&self.key.to_item()),
        }
    }
}

impl Presence {
    /// Returns what remains to be done to an item that exists or not, or the error of a write that
    /// fails for it.
    pub fn check(self, exists: bool) -> Result<Remaining> {
        match (self, exists) {
            (Self::Required, false) => Err(ServiceError::conditional_check_failed(None)),
            (Self::Forbidden, true) => Err(ServiceError::new(
                ErrorCode::DuplicateItem,
                "Duplicate primary key exists in table",
            )),
            (Self::Optional, false) => Ok(Remaining::Nothing),
            (Self::Any, _) | (Self::Required | Self::Optional, true) | (Self::Forbidden, false) => {
                Ok(Remaining::Change)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::expression::Placeholders;
    use crate::value::{item_from_json, item_to_json};

    #[test]
    fn an_item_that_exists_or_not_decides_what_remains() {
        let shown = |presence: Presence, exists| match presence.check(exists) {
            Ok(remaining) => format!("{remaining:?}"),
            Err(error) => error.code.name().to_owned(),
        };
        let all = [Presence::Any, Presence::Required, Presence::Forbidden, Presence::Optional];
        let missing = all.map(|presence| shown(presence, false));
        assert_eq!(missing, ["Change", "ConditionalCheckFailedException", "Change", "Nothing"]);
        let exists = all.map(|presence| shown(presence, true));
        assert_eq!(exists, ["Change", "Change", "DuplicateItemException", "Change"]);
    }

    /// Checks what an update returns of an item.
    fn check(returned: ReturnValues, before: Option<&Value>, expected: &Value) {
        let table = TableSchema::from_json(&json!({
            "TableName": "t",
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        }));
        let table = table.unwrap();
        let values = json!({":one": {"N": "1"}});
        let mut placeholders = Placeholders::from_json(None, Some(&values)).unwrap();
        let update = Update::parse("SET m.n = m.n + :one", &mut placeholders).unwrap();
        let key = item_from_json(&json!({"p": {"S": "a"}})).unwrap();
        let write = ItemWrite {
            key: ItemKey::from_key(&table, &key).unwrap(),
            change: Change::Update(update),
            condition: None,
            presence: Presence::Any,
            returned,
            shows_on_failure: false,
        };
        let before = before.map(|before| item_from_json(before).unwrap());
        let image = write.evaluate(&table, before.as_ref()).map(|made| {
            let image = write.image(before.as_ref(), &made);
            image.map_or(Value::Null, |image| item_to_json(&image))
        });
        assert_eq!(image.unwrap_or_else(|error| error.code.name().into()), *expected);
    }

    #[test]
    fn an_update_that_only_removes_is_known() {
        for (text, value, only) in [
            ("REMOVE a", None, true),
            ("REMOVE a, b DELETE s :v", Some(json!({":v": {"SS": ["x"]}})), true),
            ("REMOVE a SET b = :v", Some(json!({":v": {"N": "1"}})), false),
            ("REMOVE a ADD s :v", Some(json!({":v": {"SS": ["x"]}})), false),
        ] {
            let mut placeholders = Placeholders::from_json(None, value.as_ref()).unwrap();
            let update = Update::parse(text, &mut placeholders).unwrap();
            assert_eq!(update.only_removes(), only, "{text}");
        }
        assert!(!Update::nothing().only_removes());
    }

    #[test]
    fn an_update_returns_the_image_that_is_asked_for() {
        let item = |n: &str| json!({"p": {"S": "a"}, "m": {"M": {"n": {"N": n}}}});
        let place = |n: &str| json!({"m": {"M": {"n": {"N": n}}}});
        let before = item("1");
        check(ReturnValues::None, Some(&before), &Value::Null);
        check(ReturnValues::AllOld, Some(&before), &before);
        check(ReturnValues::AllNew, Some(&before), &item("2"));
        check(ReturnValues::UpdatedOld, Some(&before), &place("1"));
        check(ReturnValues::UpdatedNew, Some(&before), &place("2"));
        check(ReturnValues::AllOld, None, &json!("ValidationException"));
    }
}
