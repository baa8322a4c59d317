//! Document paths: an attribute's name, and the fields and elements inside it.

use std::fmt;

use crate::value::{AttributeValue, Item};

/// A place inside an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    pub root: String,
    pub steps: Vec<Step>,
}

/// One step into a map or a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Field(String),
    /// A list's element, from 0.
    Index(usize),
}

/// How two paths of one expression stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRelation {
    /// They can both be used.
    Apart,
    /// One is the other or lies inside it.
    Overlap,
    /// They take the same place once for a map and once for a list.
    Conflict,
}

impl Path {
    pub fn of(name: impl Into<String>) -> Self {
        Self { root: name.into(), steps: Vec::new() }
    }

    /// What stands there, if anything does.
    pub fn get<'i>(&self, item: &'i Item) -> Option<&'i AttributeValue> {
        self.steps.iter().try_fold(item.get(&self.root)?, |value, step| match (value, step) {
            (AttributeValue::M(map), Step::Field(name)) => map.get(name),
            (AttributeValue::L(list), Step::Index(index)) => list.get(*index),
            _ => None,
        })
    }

    /// Whether it is a whole top-level attribute.
    pub fn is_top_level(&self) -> bool {
        self.steps.is_empty()
    }
}

/// How the two stand to each other.
pub fn relation(left: &Path, right: &Path) -> PathRelation {
    if left.root != right.root {
        return PathRelation::Apart;
    }
    for pair in left.steps.iter().zip(&right.steps) {
        match pair {
            (Step::Field(_), Step::Index(_)) | (Step::Index(_), Step::Field(_)) => {
                return PathRelation::Conflict;
            }
            (left, right) if left != right => return PathRelation::Apart,
            _ => {}
        }
    }
    PathRelation::Overlap
}

impl fmt::Display for Path {
    /// As in DynamoDB's messages: `[a, b, [0]]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.root)?;
        for step in &self.steps {
            match step {
                Step::Field(name) => write!(f, ", {name}")?,
                Step::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::json;

    fn path(parts: &[&str]) -> Path {
        let step = |part: &&str| match part.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Field((*part).to_owned()),
        };
        Path { root: parts[0].to_owned(), steps: parts[1..].iter().map(step).collect() }
    }

    fn check(left: &[&str], right: &[&str], expected: PathRelation) {
        assert_eq!(relation(&path(left), &path(right)), expected, "{left:?} {right:?}");
        assert_eq!(relation(&path(right), &path(left)), expected, "{right:?} {left:?}");
    }

    #[test]
    fn a_path_overlaps_with_what_it_contains() {
        check(&["a"], &["a"], PathRelation::Overlap);
        check(&["a"], &["a", "b"], PathRelation::Overlap);
        check(&["a", "1"], &["a", "1", "c"], PathRelation::Overlap);
        check(&["a", "b"], &["a", "c"], PathRelation::Apart);
        check(&["a"], &["b"], PathRelation::Apart);
        check(&["a", "1"], &["a", "2"], PathRelation::Apart);
        check(&["a", "1"], &["a", "b"], PathRelation::Conflict);
    }

    #[test]
    fn a_path_finds_only_what_is_there() {
        let item = item_from_json(&json!({"a": {"M": {"b": {"L": [{"N": "1"}, {"N": "2"}]}}}}));
        let item = item.unwrap();
        assert_eq!(path(&["a", "b", "1"]).get(&item), Some(&AttributeValue::from(2)));
        for parts in [&["x"][..], &["a", "x"], &["a", "1"], &["a", "b", "2"], &["a", "b", "c"]] {
            assert_eq!(path(parts).get(&item), None);
        }
        assert_eq!(path(&["a", "b", "1"]).to_string(), "[a, b, [1]]");
    }
}
