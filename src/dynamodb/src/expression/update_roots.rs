//! Which attributes of an item an update depends on and changes.

use std::collections::BTreeSet;

use super::{Action, Path, SetValue, Update};

impl Update {
    /// The top-level attributes that it names, to be changed or to be read for a value.
    pub fn roots(&self) -> BTreeSet<&str> {
        self.all_paths().into_iter().map(|path| path.root.as_str()).collect()
    }

    /// All paths that it names, to be changed or to be read for a value.
    pub(super) fn all_paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        for target in &self.actions {
            paths.push(&target.path);
            match &target.action {
                Action::Set(value) => add_paths(value, &mut paths),
                Action::Remove | Action::Add(_) | Action::Delete(_) => {}
            }
        }
        paths
    }
}

fn add_paths<'u>(value: &'u SetValue, paths: &mut Vec<&'u Path>) {
    match value {
        SetValue::Value(_) => {}
        SetValue::Path(path) => paths.push(path),
        SetValue::IfNotExists(path, fallback) => {
            paths.push(path);
            add_paths(fallback, paths);
        }
        SetValue::Plus(left, right)
        | SetValue::Minus(left, right)
        | SetValue::ListAppend(left, right) => {
            add_paths(left, paths);
            add_paths(right, paths);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Placeholders;
    use serde_json::json;

    #[test]
    fn attributes_on_both_sides_are_named() {
        let values = json!({":v": {"N": "1"}, ":s": {"SS": ["x"]}});
        let mut placeholders = Placeholders::from_json(None, Some(&values)).unwrap();
        let text = "SET a.b = if_not_exists(c[0], d) + :v, e = list_append(f, g) REMOVE h \
                    ADD i :v DELETE j :s";
        let update = Update::parse(text, &mut placeholders).unwrap();
        let roots: Vec<&str> = update.roots().into_iter().collect();
        assert_eq!(roots, ["a", "c", "d", "e", "f", "g", "h", "i", "j"]);
    }
}
