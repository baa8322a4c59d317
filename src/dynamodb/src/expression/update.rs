//! UpdateExpressions as lists of actions, whichever way they were written.

use std::collections::BTreeSet;

use super::condition::check_key_paths;
use super::update_parse::parse_update;
use super::{Path, Placeholders, Projection};
use crate::error::ServiceError;
use crate::schema::{KeyAttribute, TableSchema};
use crate::value::{AttributeType, AttributeValue, Item};

/// What an update does to an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub(crate) actions: Vec<Target>,
    pub(crate) words: Words,
}

/// Which messages evaluation uses: the older parameters have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    Expression,
    Legacy,
}

/// One action and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub path: Path,
    pub action: Action,
}

/// What is done at one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Set(SetValue),
    Remove,
    /// To a number, a set, or (in the older parameters only) a list.
    Add(AttributeValue),
    /// Elements from a set.
    Delete(AttributeValue),
}

/// The right side of a SET.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SetValue {
    Path(Path),
    Value(AttributeValue),
    Plus(Box<SetValue>, Box<SetValue>),
    Minus(Box<SetValue>, Box<SetValue>),
    IfNotExists(Path, Box<SetValue>),
    ListAppend(Box<SetValue>, Box<SetValue>),
}

/// What an update made of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateOutcome {
    pub item: Item,
    /// The places the update names, whether or not anything changed there.
    pub paths: Vec<Path>,
}

impl UpdateOutcome {
    /// The top-level attributes the update names.
    pub fn touched(&self) -> BTreeSet<&str> {
        self.paths.iter().map(|path| path.root.as_str()).collect()
    }

    /// What UPDATED_OLD returns: what stood in these places before. DynamoDB leaves out
    /// `Attributes` when that is nothing.
    pub fn updated_old(&self, before: &Item) -> Item {
        Projection::of(self.paths.clone()).apply(before)
    }

    /// What UPDATED_NEW returns: what stands in these places now, such as the element that moved to
    /// a removed one's index. DynamoDB leaves out `Attributes` when that is nothing.
    pub fn updated_new(&self) -> Item {
        Projection::of(self.paths.clone()).apply(&self.item)
    }
}

impl Update {
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ServiceError> {
        Ok(Self { actions: parse_update(text, placeholders)?, words: Words::Expression })
    }

    /// An UpdateItem without any action, which makes sure that the item is there.
    pub fn nothing() -> Self {
        Self { actions: Vec::new(), words: Words::Expression }
    }

    /// Whether it has actions, all of which remove. AWS creates no item for it ("Legacy conditional
    /// parameters", `AttributeUpdates`; expressions likewise), unlike for one without any action.
    pub fn only_removes(&self) -> bool {
        let removes = |target: &Target| matches!(target.action, Action::Remove | Action::Delete(_));
        !self.actions.is_empty() && self.actions.iter().all(removes)
    }

    /// The places it names, in the order of the text.
    pub fn paths(&self) -> Vec<&Path> {
        self.actions.iter().map(|target| &target.path).collect()
    }

    /// Refuses updates of the table's key, and of index keys to other types.
    pub fn check_keys(&self, table: &TableSchema) -> Result<(), ServiceError> {
        for key in table.keys.attributes() {
            if self.actions.iter().any(|target| target.path.root == key.name) {
                return Err(ServiceError::invalid_parameter(format!(
                    "Cannot update attribute {}. This attribute is part of the key",
                    key.name
                )));
            }
        }
        let mut indexes: Vec<_> = table.indexes.iter().collect();
        indexes.sort_unstable_by_key(|index| &index.name);
        for index in indexes {
            for key in index.keys.attributes() {
                self.check_index_key(key, &index.name)?;
            }
        }
        check_key_paths(self.all_paths().into_iter(), table)
    }

    /// Refuses constants that leave the key of an index empty. In a transaction this is an error of
    /// the request, not a reason for which it is canceled.
    pub fn check_no_empty_index_keys(&self, table: &TableSchema) -> Result<(), ServiceError> {
        let constant = |target: &Target| match (&target.action, target.path.is_top_level()) {
            (Action::Set(SetValue::Value(value)), true) => {
                Some((target.path.root.clone(), value.clone()))
            }
            _ => None,
        };
        let set: Item = self.actions.iter().filter_map(constant).collect();
        table.check_index_keys_not_emptied(&set)
    }

    fn check_index_key(&self, key: &KeyAttribute, index: &str) -> Result<(), ServiceError> {
        let targets = self.actions.iter().filter(|target| target.path == Path::of(&key.name));
        for kind in targets.filter_map(|target| target.action.known_kind()) {
            let expected = key.kind.attribute_type();
            if kind != expected {
                return Err(ServiceError::invalid_parameter(format!(
                    "Type mismatch for Index Key {} Expected: {expected} Actual: {kind} \
                     IndexName: {index}",
                    key.name
                )));
            }
        }
        Ok(())
    }
}

impl Action {
    /// The type it leaves, where that is known without an item.
    fn known_kind(&self) -> Option<AttributeType> {
        match self {
            Self::Set(value) => value.known_kind(),
            Self::Add(value) => Some(value.kind()),
            Self::Delete(_) | Self::Remove => None,
        }
    }
}

impl SetValue {
    /// Its type, where that is known without an item.
    pub(crate) fn known_kind(&self) -> Option<AttributeType> {
        match self {
            Self::Path(_) => None,
            Self::Value(value) => Some(value.kind()),
            Self::Plus(..) | Self::Minus(..) => Some(AttributeType::N),
            Self::ListAppend(..) => Some(AttributeType::L),
            Self::IfNotExists(_, fallback) => fallback.known_kind(),
        }
    }
}
