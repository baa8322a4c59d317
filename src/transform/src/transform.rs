//! A checked transform, and what it makes of one item.

mod check;

use std::collections::BTreeSet;

use dm_dynamodb::expression::Path;
use dm_dynamodb::value::{Item, Number, check_item_size};

use crate::ast::Node;
use crate::convert::Conversion;
use crate::error::{Cause, ItemError, SpecError};
use crate::evaluate::Context;
use crate::lookup::Files;
use crate::place;
use crate::source::Source;

/// A field of the declaration: its path in messages.
type Field = String;

/// A transform whose declaration was checked.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Digest of the declaration and its lookup files, and of the version that reads them.
    pub digest: String,
    /// The table whose items change.
    pub table: String,
    /// The index that is scanned instead of the table.
    pub index: Option<String>,
    /// The table that the items go to, if not their own.
    pub to: Option<String>,
    /// Whether an item that goes elsewhere also stays.
    pub keep_original: bool,
    pub(crate) filter: Option<Node>,
    pub(crate) set: Vec<(Field, Path, Node)>,
    pub(crate) default: Vec<(Field, Path, Node)>,
    pub(crate) rename: Vec<(Field, Path, Path)>,
    pub(crate) convert: Vec<(Field, Path, Conversion)>,
    pub(crate) remove: Vec<(Field, Path)>,
    pub(crate) delete: bool,
    pub(crate) rekey: Vec<(Field, String, Node)>,
    /// Top-level attributes that decide what becomes of an item.
    pub(crate) reads: BTreeSet<String>,
}

/// What becomes of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// The filter does not select it.
    Skipped,
    /// It is as the transform would leave it.
    Unchanged,
    /// It becomes this one.
    Update(Item),
    Delete,
    /// It becomes this one, under another key or in another table.
    Move(Item),
}

impl Evaluation {
    /// Whether it makes of the item what this one is.
    pub fn leaves(&self, item: &Item) -> bool {
        match self {
            Self::Update(after) => after == item,
            Self::Skipped | Self::Unchanged | Self::Delete | Self::Move(_) => false,
        }
    }
}

impl Transform {
    /// Checks a declaration: syntax, functions, conversions, lookup files, and that no two actions
    /// write the same place.
    pub fn parse(source: &Source, files: &Files<'_>) -> Result<Self, SpecError> {
        check::parse(source, files)
    }

    /// Whether items go to another key or table.
    pub fn moves(&self) -> bool {
        self.to.is_some() || !self.rekey.is_empty()
    }

    /// Returns what becomes of an item. The same item always becomes the same: `now` is that of the
    /// run.
    pub fn evaluate(&self, item: &Item, now: Number) -> Result<Evaluation, ItemError> {
        let evaluation = self.once(item, now)?;
        let after = match &evaluation {
            Evaluation::Update(after) => after,
            Evaluation::Move(after) if self.to.is_none() => after,
            _ => return Ok(evaluation),
        };
        // An interrupted run may meet its own results, and so may a scan that meets a moved item.
        let again = match self.once(after, now) {
            Ok(Evaluation::Skipped | Evaluation::Unchanged) => return Ok(evaluation),
            Ok(_) => "changes the item again".to_owned(),
            Err(error) => format!("fails ({error})"),
        };
        Err(fails(
            "transform",
            Cause::Unfit(format!(
                "not repeatable: evaluated on its own result it {again}; exclude finished items \
                 with filter"
            )),
        ))
    }

    fn once(&self, item: &Item, now: Number) -> Result<Evaluation, ItemError> {
        let context = Context { item, now };
        if let Some(filter) = &self.filter
            && !context.holds(filter).map_err(|cause| fails("filter", cause))?
        {
            return Ok(Evaluation::Skipped);
        }
        if self.delete {
            return Ok(Evaluation::Delete);
        }
        let mut after = self.changed(context)?;
        for (field, name, node) in &self.rekey {
            let value = context.value(node).map_err(|cause| of_field(field, node, cause))?;
            after.insert(name.clone(), value.into_owned());
        }
        check_item_size(&after).map_err(|error| fails("transform", Cause::Unfit(error.message)))?;
        let rekeyed = |(_, name, _): &(Field, String, Node)| item.get(name) != after.get(name);
        if self.to.is_some() || self.rekey.iter().any(rekeyed) {
            return Ok(Evaluation::Move(after));
        }
        Ok(if after == *item { Evaluation::Unchanged } else { Evaluation::Update(after) })
    }

    /// The item after all actions but the re-key. Every expression reads the item as it was.
    fn changed(&self, context: Context<'_>) -> Result<Item, ItemError> {
        let item = context.item;
        let mut puts = Vec::new();
        let absent = self.default.iter().filter(|(_, path, _)| path.get(item).is_none());
        for (field, path, node) in self.set.iter().chain(absent) {
            let value = context.value(node).map_err(|cause| of_field(field, node, cause))?;
            puts.push((path, field, value.into_owned()));
        }
        for (field, path, conversion) in &self.convert {
            if let Some(value) = path.get(item) {
                let value = conversion.of(value).map_err(|cause| fails(field, cause))?;
                puts.push((path, field, value));
            }
        }
        let mut gone: Vec<&Path> = self.remove.iter().map(|(_, path)| path).collect();
        for (field, from, to) in &self.rename {
            let Some(value) = from.get(item) else { continue };
            if to.get(item).is_some() {
                let message =
                    format!("{} exists already; exclude such items with filter", place::shown(to));
                return Err(fails(field, Cause::Unfit(message)));
            }
            puts.push((to, field, value.clone()));
            gone.push(from);
        }
        // Elements behind a list's end are put in order: each is appended, and none is found by an
        // index that is still behind the end.
        puts.sort_by_key(|(path, ..)| *path);
        let mut after = item.clone();
        for (path, field, value) in puts {
            place::put(&mut after, path, value).map_err(|cause| fails(field, cause))?;
        }
        // The last elements of a list first, so that those before them keep their places.
        gone.sort_unstable_by(|left, right| right.cmp(left));
        for path in gone {
            place::take(&mut after, path);
        }
        Ok(after)
    }
}

/// A field that is one word only: its author may have meant a text, of which YAML took the quotes.
fn of_field(field: &str, node: &Node, cause: Cause) -> ItemError {
    let cause = match (cause, node) {
        (Cause::Missing(name), Node::Path(path)) if path.steps.is_empty() => Cause::Word(name),
        (cause, _) => cause,
    };
    fails(field, cause)
}

fn fails(field: &str, cause: Cause) -> ItemError {
    ItemError { field: field.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::{item_from_json, item_to_json};
    use serde_json::{Value, json};

    fn evaluated(source: &Value, item: &Value) -> Result<Evaluation, ItemError> {
        let mut source = source.clone();
        source["table"] = json!("cars");
        let source: Source = serde_json::from_value(source).unwrap();
        let transform = Transform::parse(&source, &Files::default()).unwrap();
        transform.evaluate(&item_from_json(item).unwrap(), Number::ZERO)
    }

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
    fn check(source: Value, item: Value, expected: Value) {
        let found = match evaluated(&source, &item) {
            Ok(Evaluation::Skipped) => json!("skipped"),
            Ok(Evaluation::Unchanged) => json!("unchanged"),
            Ok(Evaluation::Delete) => json!("deleted"),
            Ok(Evaluation::Update(after)) => item_to_json(&after),
            Ok(Evaluation::Move(after)) => json!({"to": item_to_json(&after)}),
            Err(error) => json!(error.to_string()),
        };
        assert_eq!(found, expected, "{source} {item}");
    }

    #[test]
    fn a_filter_selects_items() {
        let source = json!({"filter": "a > 1", "set": {"b": "'x'"}});
        check(source.clone(), json!({"a": {"N": "1"}}), json!("skipped"));
        check(source.clone(), json!({}), json!("skipped"));
        check(source.clone(), json!({"a": {"N": "2"}}), json!({"a": {"N": "2"}, "b": {"S": "x"}}));
        check(source, json!({"a": {"N": "2"}, "b": {"S": "x"}}), json!("unchanged"));
    }

    #[test]
    fn expressions_read_the_item_as_it_was() {
        check(
            json!({"filter": "a = 1", "set": {"a": "b", "b": "a"}}),
            json!({"a": {"N": "1"}, "b": {"N": "2"}}),
            json!({"a": {"N": "2"}, "b": {"N": "1"}}),
        );
        check(
            json!({"default": {"a": "0", "b": "a + 1"}}),
            json!({"a": {"N": "1"}}),
            json!({"a": {"N": "1"}, "b": {"N": "2"}}),
        );
    }

    #[test]
    fn values_behind_the_end_of_a_list_are_appended_in_the_order_of_their_indexes() {
        let two = json!({"l": {"L": [{"S": "a"}, {"S": "b"}]}, "old": {"S": "z"}});
        let set = json!({"l[10]": "'y'", "l[2]": "'x'"});
        check(
            json!({"filter": "size(l) = 2", "set": set, "rename": {"old": "l[3]"}}),
            two,
            json!({"l": {"L": [{"S": "a"}, {"S": "b"}, {"S": "x"}, {"S": "z"}, {"S": "y"}]}}),
        );
    }

    #[test]
    fn attributes_are_renamed_converted_and_removed_at_any_depth() {
        check(
            json!({
                "rename": {"Miles_per_Gallon": "mpg", "m.old": "m.\"new-one\"", "absent": "there"},
                "convert": {"year": "N", "tags": "SS", "gone": "S"},
                "remove": ["legacy", "l[0]", "l[2]", "nothing.here"],
            }),
            json!({
                "Miles_per_Gallon": {"N": "17"}, "m": {"M": {"old": {"S": "v"}}},
                "year": {"S": "1970"}, "tags": {"L": [{"S": "b"}, {"S": "a"}]},
                "legacy": {"BOOL": true}, "l": {"L": []},
            }),
            json!({
                "mpg": {"N": "17"}, "m": {"M": {"new-one": {"S": "v"}}},
                "year": {"N": "1970"}, "tags": {"SS": ["a", "b"]}, "l": {"L": []},
            }),
        );
        check(
            json!({"filter": "size(l) = 4", "remove": ["l[0]", "l[2]"]}),
            json!({"l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "3"}]}}),
            json!({"l": {"L": [{"N": "1"}, {"N": "3"}]}}),
        );
        check(
            json!({"rename": {"a": "b"}}),
            json!({"a": {"N": "1"}, "b": {"N": "2"}}),
            json!("rename.a: b exists already; exclude such items with filter"),
        );
    }

    #[test]
    fn what_fails_is_named_with_field_and_path() {
        check(json!({"set": {"x": "a.b + 1"}}), json!({}), json!("set.x: a.b is missing"));
        check(
            json!({"set": {"x": "red"}}),
            json!({}),
            json!("set.x: red is missing; if a string is meant, write \"'red'\" with both quotes"),
        );
        check(
            json!({"set": {"m.x": "1"}}),
            json!({}),
            json!("set.m.x: m is missing; set all of it, with map('name', value)"),
        );
        check(
            json!({"convert": {"year": "N"}}),
            json!({"year": {"S": "1970-01-01"}}),
            json!("convert.year: the string is not a number"),
        );
        check(
            json!({"filter": "1 / a > 0", "delete": true}),
            json!({"a": {"N": "0"}}),
            json!(
                "filter: Division by zero; exclude such items with filter, or choose with \
                 if(condition, a, b)"
            ),
        );
    }

    #[test]
    fn a_transform_must_be_repeatable() {
        let hint = "exclude finished items with filter";
        check(
            json!({"set": {"price": "price * 2"}}),
            json!({"price": {"N": "1"}}),
            json!(format!(
                "transform: not repeatable: evaluated on its own result it changes the item again; \
                 {hint}"
            )),
        );
        check(
            json!({"set": {"b": "number(a)"}, "remove": ["a"]}),
            json!({"a": {"S": "1"}}),
            json!(format!(
                "transform: not repeatable: evaluated on its own result it fails (set.b: a is \
                 missing); {hint}"
            )),
        );
        check(
            json!({"filter": "attribute_exists(a)", "set": {"b": "number(a)"}, "remove": ["a"]}),
            json!({"a": {"S": "1"}}),
            json!({"b": {"N": "1"}}),
        );
        check(
            json!({"rekey": {"id": "concat('x#', id)"}}),
            json!({"id": {"S": "1"}}),
            json!(format!(
                "transform: not repeatable: evaluated on its own result it changes the item again; \
                 {hint}"
            )),
        );
    }

    #[test]
    fn items_are_deleted_moved_and_copied() {
        check(
            json!({"filter": "a = 1", "delete": true}),
            json!({"a": {"N": "1"}}),
            json!("deleted"),
        );
        let rekey = json!({
            "filter": "NOT begins_with(id, 'x#')", "rekey": {"id": "concat('x#', id)"},
            "set": {"old": "id"},
        });
        check(
            rekey,
            json!({"id": {"S": "1"}}),
            json!({"to": {"id": {"S": "x#1"}, "old": {"S": "1"}}}),
        );
        check(
            json!({"to": {"table": "other"}, "set": {"n": "n + 1"}}),
            json!({"id": {"S": "1"}, "n": {"N": "1"}}),
            json!({"to": {"id": {"S": "1"}, "n": {"N": "2"}}}),
        );
        check(json!({"rekey": {"id": "lower(id)"}}), json!({"id": {"S": "a"}}), json!("unchanged"));
    }
}
