//! Which attributes of an item an update depends on and changes.

use std::collections::BTreeSet;

use super::{Action, SetValue, Update};

impl Update {
    /// The top-level attributes that it names, to be changed or to be read for a value.
    pub fn roots(&self) -> BTreeSet<&str> {
        let mut roots = BTreeSet::new();
        for target in &self.actions {
            roots.insert(target.path.root.as_str());
            match &target.action {
                Action::Set(value) => add_roots(value, &mut roots),
                Action::Remove | Action::Add(_) | Action::Delete(_) => {}
            }
        }
        roots
    }
}

fn add_roots<'u>(value: &'u SetValue, roots: &mut BTreeSet<&'u str>) {
    match value {
        SetValue::Value(_) => {}
        SetValue::Path(path) => {
            roots.insert(&path.root);
        }
        SetValue::IfNotExists(path, fallback) => {
            roots.insert(&path.root);
            add_roots(fallback, roots);
        }
        SetValue::Plus(left, right)
        | SetValue::Minus(left, right)
        | SetValue::ListAppend(left, right) => {
            add_roots(left, roots);
            add_roots(right, roots);
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
