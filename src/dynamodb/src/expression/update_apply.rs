//! Applies an update to an item.
//!
//! Every value is worked out on the item as it was. Then SET, ADD and DELETE write in the order of
//! their paths, so that elements set beyond a list's end are appended in the order of their
//! indexes, and REMOVE takes away from the back, so that an index means the same element
//! throughout.

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
        let mut targets: Vec<&Target> = self.actions.iter().collect();
        targets.sort_by_key(|target| rank(target, item));
        for target in targets {
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
                let Some(value) = outcome.item.get(&key.name) else { continue };
                let beyond = if value.kind() != key.kind.attribute_type() {
                    "to unsupported type"
                } else if value.size() > index.keys.bytes_max(key) {
                    "beyond allowed size limits"
                } else {
                    continue;
                };
                return Err(ServiceError::validation(format!(
                    "The update expression attempted to update the secondary index key {beyond}"
                )));
            }
        }
        if self.words == Words::Expression {
            table.check_index_keys_not_emptied(&outcome.item)?;
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

/// In which order what is wrong with a target is found: operands of ADD and DELETE, then values of
/// SET, then places.
fn rank(target: &Target, item: &Item) -> u8 {
    match target.action {
        Action::Add(_) => 0,
        Action::Delete(_) if target.path.get(item).is_some() => 0,
        Action::Set(_) => 1,
        Action::Delete(_) | Action::Remove => 2,
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
                    "The provided expression refers to an attribute that does not exist in the \
                     item",
                )
            }),
            // Both are evaluated, so a missing place in the second fails even where the first is
            // there: DynamoDB Local does it. AWS does not document it.
            Self::IfNotExists(path, fallback) => {
                let fallback = fallback.evaluate(item)?;
                Ok(path.get(item).cloned().unwrap_or(fallback))
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Placeholders;
    use crate::value::{item_from_json, item_to_json};
    use serde_json::{Value, json};

    fn before() -> Item {
        item_from_json(&json!({
            "n": {"N": "10"}, "s": {"S": "x"}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1"]},
            "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}, "el": {"L": []},
            "m": {"M": {"k": {"N": "1"}, "l": {"L": [{"M": {"x": {"S": "y"}}}]},
                "ss": {"SS": ["z"]}}},
        }))
        .unwrap()
    }

    fn apply(text: &str) -> Result<UpdateOutcome> {
        let values = json!({
            ":one": {"N": "1"}, ":s": {"S": "new"}, ":l": {"L": [{"S": "e"}]}, ":a": {"SS": ["a"]},
            ":ac": {"SS": ["a", "c"]}, ":ab": {"SS": ["a", "b"]}, ":two": {"NS": ["2"]},
            ":max": {"N": "9.9e125"}, ":small": {"N": "1e-40"}, ":z": {"SS": ["z"]},
        });
        let mut placeholders = Placeholders::from_json(None, Some(&values))?;
        Update::parse(text, &mut placeholders)?.apply(&before())
    }

    /// The outcome is the item before with these attributes changed; null ones are gone.
    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(text: &str, changed: Value) {
        let found = match apply(text) {
            Ok(outcome) => item_to_json(&outcome.item),
            Err(error) => json!(error.message),
        };
        let mut expected = item_to_json(&before());
        match &changed {
            Value::Object(members) => {
                for (name, value) in members {
                    expected[name] = value.clone();
                }
                expected.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            }
            message => expected = message.clone(),
        }
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn set_gives_values_copies_and_sums() {
        check("SET s = :s, copy_of_n = n", json!({"s": {"S": "new"}, "copy_of_n": {"N": "10"}}));
        check("SET n = n + :one, o = :one - n", json!({"n": {"N": "11"}, "o": {"N": "-9"}}));
        check("SET n = s, s = n", json!({"n": {"S": "x"}, "s": {"N": "10"}}));
        check(
            "SET x = if_not_exists(x, :one), n = if_not_exists(n, :one)",
            json!({"x": {"N": "1"}}),
        );
        check("SET x = if_not_exists(x, n) + :one", json!({"x": {"N": "11"}}));
        check("SET el = list_append(el, :l)", json!({"el": {"L": [{"S": "e"}]}}));
        check(
            "SET el = list_append(:l, if_not_exists(gone, :l))",
            json!({"el": {"L": [{"S": "e"}, {"S": "e"}]}}),
        );
    }

    #[test]
    fn set_reaches_into_documents() {
        let map = |k: &str| {
            json!({"M": {"k": {"N": k}, "l": {"L": [{"M": {"x": {"S": "y"}}}]},
            "ss": {"SS": ["z"]}}})
        };
        check("SET m.k = n", json!({"m": map("10")}));
        check(
            "SET m.l[0].x = :s, m.l[5] = :one",
            json!({"m": {"M": {
                "k": {"N": "1"}, "l": {"L": [{"M": {"x": {"S": "new"}}}, {"N": "1"}]},
                "ss": {"SS": ["z"]},
            }}}),
        );
        check("SET l[1] = :s", json!({"l": {"L": [{"N": "0"}, {"S": "new"}, {"N": "2"}]}}));
        check(
            "SET l[9] = :s, l[7] = :one, l[0] = n",
            json!({"l": {"L": [{"N": "10"}, {"N": "1"}, {"N": "2"}, {"N": "1"}, {"S": "new"}]}}),
        );
        check("SET el[3] = :one", json!({"el": {"L": [{"N": "1"}]}}));
    }

    #[test]
    fn remove_takes_each_element_the_item_had() {
        check("REMOVE s, gone", json!({"s": null}));
        check("REMOVE l[0], l[2]", json!({"l": {"L": [{"N": "1"}]}}));
        check("REMOVE l[9]", json!({}));
        check("REMOVE l[0] SET l[1] = :s", json!({"l": {"L": [{"S": "new"}, {"N": "2"}]}}));
        check(
            "REMOVE l[3] SET l[7] = :one",
            json!({"l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "1"}]}}),
        );
        check(
            "REMOVE m.l[0].x, m.ss",
            json!({"m": {"M": {"k": {"N": "1"}, "l": {"L": [{"M": {}}]}}}}),
        );
    }

    #[test]
    fn add_sums_and_unites() {
        check("ADD n :one, fresh :one", json!({"n": {"N": "11"}, "fresh": {"N": "1"}}));
        check("ADD ss :ac", json!({"ss": {"SS": ["a", "b", "c"]}}));
        check("ADD ns :two, fresh :two", json!({"ns": {"NS": ["1", "2"]}, "fresh": {"NS": ["2"]}}));
        check(
            "ADD l[7] :one",
            json!({"l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "1"}]}}),
        );
    }

    #[test]
    fn delete_takes_from_sets_and_empty_sets_go() {
        check("DELETE ss :ac", json!({"ss": {"SS": ["b"]}}));
        check("DELETE ss :ab", json!({"ss": null}));
        check("DELETE gone :ab", json!({}));
        check(
            "DELETE m.ss :z",
            json!({"m": {"M": {"k": {"N": "1"}, "l": {"L": [{"M": {"x": {"S": "y"}}}]}}}}),
        );
    }

    #[test]
    fn what_does_not_fit_the_item_is_refused() {
        let missing =
            "The provided expression refers to an attribute that does not exist in the item";
        let path = "The document path provided in the update expression is invalid for update";
        for (text, expected) in [
            ("SET x = gone", missing),
            ("SET n = gone + :one", missing),
            ("SET x = list_append(gone, :l)", missing),
            ("SET n = s + :one", INCORRECT_TYPE),
            ("SET n = n + s", INCORRECT_TYPE),
            ("SET x = list_append(l, s)", INCORRECT_TYPE),
            ("ADD s :one", INCORRECT_TYPE),
            ("ADD ss :two", INCORRECT_TYPE),
            ("DELETE n :a", INCORRECT_TYPE),
            ("DELETE ns :a", INCORRECT_TYPE),
            ("SET gone.x = :one", path),
            ("SET s.x = :one", path),
            ("SET m[0] = :one", path),
            ("SET l.x = :one", path),
            ("REMOVE gone.x", path),
            ("REMOVE s[0]", path),
            ("ADD gone.x :one", path),
            ("DELETE gone.x :a", path),
            ("REMOVE gone.x SET n = gone ADD s :one", INCORRECT_TYPE),
            ("REMOVE gone.x SET n = gone", missing),
            (
                "SET x = :max + :max",
                "Number overflow. Attempting to store a number with magnitude larger than \
                 supported range",
            ),
            ("ADD n :small", "Attempting to store more than 38 significant digits in a Number"),
        ] {
            check(text, json!(expected));
        }
    }

    #[test]
    fn old_and_new_values_are_those_of_the_named_places() {
        let outcome = apply("SET m.k = :s, fresh = :one, l[1] = :s REMOVE s").unwrap();
        assert_eq!(outcome.touched().into_iter().collect::<Vec<_>>(), ["fresh", "l", "m", "s"]);
        assert_eq!(
            item_to_json(&outcome.updated_old(&before())),
            json!({"l": {"L": [{"N": "1"}]}, "m": {"M": {"k": {"N": "1"}}}, "s": {"S": "x"}})
        );
        assert_eq!(
            item_to_json(&outcome.updated_new()),
            json!({
                "fresh": {"N": "1"}, "l": {"L": [{"S": "new"}]}, "m": {"M": {"k": {"S": "new"}}},
            })
        );
    }
}
