//! ProjectionExpressions: which parts of an item are returned.

use std::collections::BTreeMap;

use super::condition::check_key_paths;
use super::cursor::{Cursor, Rank, Result};
use super::{ExpressionKind, Path, PathRelation, Placeholders, Step, relation};
use crate::schema::TableSchema;
use crate::value::{AttributeValue, Item};

/// The parts of an item a request wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    paths: Vec<Path>,
    tree: BTreeMap<String, Part>,
}

/// What is wanted of one value.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    All,
    Fields(BTreeMap<String, Part>),
    Elements(BTreeMap<usize, Part>),
}

impl Projection {
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self> {
        let mut cursor = Cursor::new(ExpressionKind::Projection, text, placeholders)?;
        let mut paths = vec![cursor.path(never_keyword)?];
        while cursor.eat_symbol(",") {
            paths.push(cursor.path(never_keyword)?);
        }
        note_related(&mut cursor, &paths);
        cursor.finish()?;
        Ok(Self::of(paths))
    }

    /// A projection to these paths, of which none lies inside another.
    pub fn of(paths: Vec<Path>) -> Self {
        let mut tree = BTreeMap::new();
        for path in &paths {
            insert(tree.entry(path.root.clone()), &path.steps);
        }
        Self { paths, tree }
    }

    /// The paths, as they were written.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Refuses paths that go into key attributes, which are scalars.
    pub fn check_key_paths(&self, table: &TableSchema) -> Result<()> {
        check_key_paths(self.paths.iter(), table)
    }

    /// What the item has of it. Documents are rebuilt around the parts: a list holds only the
    /// wanted elements, in their order; what is not there leaves nothing.
    pub fn apply(&self, item: &Item) -> Item {
        fields(&self.tree, item)
    }
}

/// Notes paths that overlap or conflict, as DynamoDB words it.
pub(crate) fn note_related(cursor: &mut Cursor, paths: &[Path]) {
    for (at, second) in paths.iter().enumerate() {
        for first in &paths[..at] {
            let (rank, what) = match relation(first, second) {
                PathRelation::Apart => continue,
                PathRelation::Overlap => (Rank::Overlap, "overlap"),
                PathRelation::Conflict => (Rank::Conflict, "conflict"),
            };
            cursor.note(
                rank,
                format!(
                    "Two document paths {what} with each other; must remove or rewrite one of \
                     these paths; path one: {first}, path two: {second}"
                ),
            );
        }
    }
}

fn never_keyword(_: &str) -> bool {
    false
}

type Slot<'a, K> = std::collections::btree_map::Entry<'a, K, Part>;

fn insert<K: Ord>(slot: Slot<'_, K>, steps: &[Step]) {
    let Some((step, rest)) = steps.split_first() else {
        *slot.or_insert(Part::All) = Part::All;
        return;
    };
    match (slot.or_insert_with(|| empty(step)), step) {
        (Part::Fields(fields), Step::Field(name)) => insert(fields.entry(name.clone()), rest),
        (Part::Elements(elements), Step::Index(index)) => insert(elements.entry(*index), rest),
        // The whole is wanted already, or the two conflict, which parsing refuses.
        _ => {}
    }
}

fn empty(step: &Step) -> Part {
    match step {
        Step::Field(_) => Part::Fields(BTreeMap::new()),
        Step::Index(_) => Part::Elements(BTreeMap::new()),
    }
}

fn fields(wanted: &BTreeMap<String, Part>, item: &Item) -> Item {
    wanted
        .iter()
        .filter_map(|(name, part)| Some((name.clone(), part.of(item.get(name)?)?)))
        .collect()
}

impl Part {
    /// `None` when the value has nothing of what is wanted.
    fn of(&self, value: &AttributeValue) -> Option<AttributeValue> {
        match (self, value) {
            (Self::All, value) => Some(value.clone()),
            (Self::Fields(wanted), AttributeValue::M(map)) => {
                let found = fields(wanted, map);
                (!found.is_empty()).then_some(AttributeValue::M(found))
            }
            (Self::Elements(wanted), AttributeValue::L(list)) => {
                let found: Vec<_> =
                    wanted.iter().filter_map(|(index, part)| part.of(list.get(*index)?)).collect();
                (!found.is_empty()).then_some(AttributeValue::L(found))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{item_from_json, item_to_json};
    use serde_json::{Value, json};

    fn item() -> Item {
        item_from_json(&json!({
            "a": {"S": "x"},
            "m": {"M": {"k": {"N": "1"},
                "l": {"L": [{"N": "0"}, {"N": "1"}, {"M": {"z": {"S": "q"}}}]}}},
        }))
        .unwrap()
    }

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(text: &str, expected: Value) {
        let names = json!({"#m": "m", "#unused": "x"});
        let mut placeholders = Placeholders::from_json(Some(&names), None).unwrap();
        match Projection::parse(text, &mut placeholders) {
            Ok(found) => assert_eq!(item_to_json(&found.apply(&item())), expected, "{text}"),
            Err(error) => assert_eq!(json!(error.message), expected, "{text}"),
        }
    }

    #[test]
    fn documents_are_rebuilt_around_the_wanted_parts() {
        check("a", json!({"a": {"S": "x"}}));
        check("#m.k, a", json!({"a": {"S": "x"}, "m": {"M": {"k": {"N": "1"}}}}));
        check("m.l[1],m.l[0]", json!({"m": {"M": {"l": {"L": [{"N": "0"}, {"N": "1"}]}}}}));
        check("m.l[2].z", json!({"m": {"M": {"l": {"L": [{"M": {"z": {"S": "q"}}}]}}}}));
        check(
            "m.l[7], m.k.x, b, a.b, a[0]",
            json!(
                "Invalid ProjectionExpression: Two document paths conflict with each other; must \
                 remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]"
            ),
        );
        check("m.l[7], m.k.x, b, a.b", json!({}));
    }

    #[test]
    fn what_is_wrong_is_said_in_dynamodbs_words() {
        for (text, expected) in [
            ("", "The expression can not be empty;"),
            ("a,", "Syntax error; token: \"<EOF>\", near: \",\""),
            ("a b", "Syntax error; token: \"b\", near: \"a b\""),
            ("!!bad", "Syntax error; token: \"!\", near: \"!!\""),
            ("a..b", "Syntax error; token: \".\", near: \"..b\""),
            ("a[b]", "Syntax error; token: \"b\", near: \"[b]\""),
            ("a, data", "Attribute name is a reserved keyword; reserved keyword: data"),
            (
                "#x",
                "An expression attribute name used in the document path is not defined; attribute \
                 name: #x",
            ),
            (
                "a, a.b",
                "Two document paths overlap with each other; must remove or rewrite one of these \
                 paths; path one: [a], path two: [a, b]",
            ),
            ("a[2147483648]", "List index is not within the allowable range; index: [2147483648]"),
        ] {
            check(text, json!(format!("Invalid ProjectionExpression: {expected}")));
        }
        let deep = format!("a{}", ".b".repeat(32));
        let message = "The document path has too many nesting levels; nesting levels: 33";
        check(&deep, json!(format!("Invalid ProjectionExpression: {message}")));
        check(&deep[..deep.len() - 2], json!({}));
    }
}
