//! Applies an update to an item.
//!
//! Every value is worked out on the item as it was. Then SET, ADD and DELETE write in the order of
//! their paths, so that elements set beyond a list's end are appended in the order of their indexes,
//! and REMOVE takes away from the back, so that an index means the same element throughout.

use std::collections::BTreeSet;

use super::update::Words;
use super::{Action, Path, SetValue, Step, Target, Update, UpdateOutcome};
use crate::error::ServiceError;
use crate::schema::TableSchema;
use crate::value::{AttributeValue, ITEM_BYTES_MAX, Item, NESTING_DEPTH_MAX, item_size};

type Result<T> = std::result::Result<T, ServiceError>;

/// A change that has been worked out: what stands at the place from now on.
type Write<'u> = (&'u Path, AttributeValue);

impl Update {
    /// Applies it to an item; for one that is not there, to its key's attributes. Does not check
    /// keys: [`Update::check_keys`] before, [`Update::check_outcome`] after.
    pub fn apply(&self, item: &Item) -> Result<UpdateOutcome> {
        let mut writes = Vec::new();
        let mut removals = Vec::new();
        for target in &self.actions {
            match self.work_out(target, item)? {
                Change::Write(value) => writes.push((&target.path, value)),
                Change::Remove => removals.push(&target.path),
                Change::None => {}
            }
        }
        writes.sort_by_key(|(path, _): &Write| *path);
        removals.sort();
        let mut after = item.clone();
        for (path, value) in writes {
            put(&mut after, path, value)?;
        }
        for path in removals.into_iter().rev() {
            remove(&mut after, path);
        }
        let paths = self.actions.iter().map(|target| target.path.clone()).collect();
        Ok(UpdateOutcome { item: after, paths })
    }

    /// Refuses what an update must not leave behind: an item that is too large or too deep, and
    /// index keys of the wrong type.
    pub fn check_outcome(&self, table: &TableSchema, outcome: &UpdateOutcome) -> Result<()> {
        for index in &table.indexes {
            for key in index.keys.attributes() {
                let value = outcome.item.get(&key.name);
                if value.is_some_and(|value| value.kind() != key.kind.attribute_type()) {
                    return Err(ServiceError::validation(
                        "The update expression attempted to update the secondary index key to \
                         unsupported type",
                    ));
                }
            }
        }
        table.check_index_keys(&outcome.item)?;
        if outcome.item.values().any(|value| value.levels() > NESTING_DEPTH_MAX) {
            return Err(ServiceError::validation("Nesting Levels have exceeded supported limits"));
        }
        if item_size(&outcome.item) > ITEM_BYTES_MAX {
            return Err(ServiceError::validation(
                "Item size to update has exceeded the maximum allowed size",
            ));
        }
        Ok(())
    }

    fn work_out(&self, target: &Target, item: &Item) -> Result<Change> {
        let present = target.path.get(item);
        match &target.action {
            Action::Set(value) => Ok(Change::Write(value.evaluate(item)?)),
            Action::Remove if present.is_some() => Ok(Change::Remove),
            Action::Remove => check_parent(item, &target.path).map(|()| Change::None),
            Action::Add(value) => {
                let Some(present) = present else { return Ok(Change::Write(value.clone())) };
                Ok(Change::Write(self.sum(present, value)?))
            }
            Action::Delete(value) => {
                let Some(present) = present else {
                    return check_parent(item, &target.path).map(|()| Change::None);
                };
                without(present, value).ok_or_else(|| self.wrong_type())
            }
        }
    }

    fn sum(&self, present: &AttributeValue, added: &AttributeValue) -> Result<AttributeValue> {
        Ok(match (present, added) {
            (AttributeValue::N(present), AttributeValue::N(added)) => {
                AttributeValue::N(present.plus(*added)?)
            }
            (AttributeValue::Ss(present), AttributeValue::Ss(added)) => {
                AttributeValue::Ss(present | added)
            }
            (AttributeValue::Ns(present), AttributeValue::Ns(added)) => {
                AttributeValue::Ns(present | added)
            }
            (AttributeValue::Bs(present), AttributeValue::Bs(added)) => {
                AttributeValue::Bs(present | added)
            }
            (AttributeValue::L(present), AttributeValue::L(added)) => {
                AttributeValue::L([present.as_slice(), added].concat())
            }
            _ => return Err(self.wrong_type()),
        })
    }

    fn wrong_type(&self) -> ServiceError {
        ServiceError::validation(match self.words {
            Words::Expression => INCORRECT_TYPE,
            Words::Legacy => "Type mismatch for attribute to update",
        })
    }
}

enum Change {
    Write(AttributeValue),
    Remove,
    None,
}

const INCORRECT_TYPE: &str = "An operand in the update expression has an incorrect data type";

/// `None` when the two are not sets of one type. A set of which nothing is left is removed.
fn without(present: &AttributeValue, taken: &AttributeValue) -> Option<Change> {
    fn left<T: Ord + Clone>(
        present: &BTreeSet<T>,
        taken: &BTreeSet<T>,
        make: fn(BTreeSet<T>) -> AttributeValue,
    ) -> Change {
        let left = present - taken;
        if left.is_empty() { Change::Remove } else { Change::Write(make(left)) }
    }
    match (present, taken) {
        (AttributeValue::Ss(present), AttributeValue::Ss(taken)) => {
            Some(left(present, taken, AttributeValue::Ss))
        }
        (AttributeValue::Ns(present), AttributeValue::Ns(taken)) => {
            Some(left(present, taken, AttributeValue::Ns))
        }
        (AttributeValue::Bs(present), AttributeValue::Bs(taken)) => {
            Some(left(present, taken, AttributeValue::Bs))
        }
        _ => None,
    }
}

impl SetValue {
    fn evaluate(&self, item: &Item) -> Result<AttributeValue> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Path(path) => path.get(item).cloned().ok_or_else(|| {
                ServiceError::validation(
                    "The provided expression refers to an attribute that does not exist in the item",
                )
            }),
            Self::IfNotExists(path, fallback) => match path.get(item) {
                Some(value) => Ok(value.clone()),
                None => fallback.evaluate(item),
            },
            Self::Plus(left, right) => {
                let (left, right) = (left.number(item)?, right.number(item)?);
                Ok(AttributeValue::N(left.plus(right)?))
            }
            Self::Minus(left, right) => {
                let (left, right) = (left.number(item)?, right.number(item)?);
                Ok(AttributeValue::N(left.minus(right)?))
            }
            Self::ListAppend(first, second) => {
                let mut list = first.list(item)?;
                list.extend(second.list(item)?);
                Ok(AttributeValue::L(list))
            }
        }
    }

    fn number(&self, item: &Item) -> Result<crate::value::Number> {
        match self.evaluate(item)? {
            AttributeValue::N(number) => Ok(number),
            _ => Err(ServiceError::validation(INCORRECT_TYPE)),
        }
    }

    fn list(&self, item: &Item) -> Result<Vec<AttributeValue>> {
        match self.evaluate(item)? {
            AttributeValue::L(list) => Ok(list),
            _ => Err(ServiceError::validation(INCORRECT_TYPE)),
        }
    }
}

fn invalid_path() -> ServiceError {
    ServiceError::validation(
        "The document path provided in the update expression is invalid for update",
    )
}

/// Refuses a place whose surroundings are not there, or are no map or list as the path says.
fn check_parent(item: &Item, path: &Path) -> Result<()> {
    let Some((step, before)) = path.steps.split_last() else { return Ok(()) };
    let parent = Path { root: path.root.clone(), steps: before.to_vec() };
    match (parent.get(item), step) {
        (Some(AttributeValue::M(_)), Step::Field(_))
        | (Some(AttributeValue::L(_)), Step::Index(_)) => Ok(()),
        _ => Err(invalid_path()),
    }
}

fn put(item: &mut Item, path: &Path, value: AttributeValue) -> Result<()> {
    let Some((step, before)) = path.steps.split_last() else {
        item.insert(path.root.clone(), value);
        return Ok(());
    };
    match (parent_mut(item, &path.root, before), step) {
        (Some(AttributeValue::M(map)), Step::Field(name)) => {
            map.insert(name.clone(), value);
        }
        (Some(AttributeValue::L(list)), Step::Index(index)) => match list.get_mut(*index) {
            Some(element) => *element = value,
            None => list.push(value),
        },
        _ => return Err(invalid_path()),
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) {
    let Some((step, before)) = path.steps.split_last() else {
        item.remove(&path.root);
        return;
    };
    match (parent_mut(item, &path.root, before), step) {
        (Some(AttributeValue::M(map)), Step::Field(name)) => {
            map.remove(name);
        }
        (Some(AttributeValue::L(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
        }
        _ => {}
    }
}

fn parent_mut<'i>(
    item: &'i mut Item,
    root: &str,
    steps: &[Step],
) -> Option<&'i mut AttributeValue> {
    steps.iter().try_fold(item.get_mut(root)?, |value, step| match (value, step) {
        (AttributeValue::M(map), Step::Field(name)) => map.get_mut(name),
        (AttributeValue::L(list), Step::Index(index)) => list.get_mut(*index),
        _ => None,
    })
}
