//! A condition that an item is still as it was read: what makes a write depend on the image that the
//! journal holds, or that a restore has decided on.
//!
//! No condition can say "and no other attribute": an attribute that nobody knew of, added between the
//! read and the write, is not noticed by it. Who replaces or deletes whole items compares what the
//! write returns as well.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::expression::{EXPRESSION_BYTES_MAX, OPERATORS_MAX};
use crate::value::{AttributeValue, Item};

/// Names and values of expressions that are put together here, with placeholders of their own.
#[derive(Clone, Debug)]
pub struct Placeholding {
    prefix: String,
    names: Map<String, Value>,
    values: Map<String, Value>,
}

impl Placeholding {
    /// Beside a request's own placeholders.
    pub fn beside(request: &Map<String, Value>) -> Self {
        let members = |name| request.get(name).and_then(Value::as_object).cloned();
        let names = members("ExpressionAttributeNames").unwrap_or_default();
        let values = members("ExpressionAttributeValues").unwrap_or_default();
        let mut prefix = "m".to_owned();
        let taken = |prefix: &str| {
            let begins = |key: &String| key[1.min(key.len())..].starts_with(prefix);
            names.keys().any(begins) || values.keys().any(begins)
        };
        while taken(&prefix) {
            prefix.push('m');
        }
        Self { prefix, names, values }
    }

    /// With none but its own.
    pub fn alone() -> Self {
        Self::beside(&Map::new())
    }

    /// A placeholder for an attribute's name.
    pub fn name(&mut self, name: &str) -> String {
        let known = |(key, value): (&String, &Value)| (value == name).then(|| key.clone());
        if let Some(key) = self.names.iter().find_map(known) {
            return key;
        }
        let key = format!("#{}{}", self.prefix, self.names.len());
        self.names.insert(key.clone(), name.into());
        key
    }

    /// A placeholder for a value.
    pub fn value(&mut self, value: &AttributeValue) -> String {
        let key = format!(":{}{}", self.prefix, self.values.len());
        self.values.insert(key.clone(), value.to_json());
        key
    }

    /// Puts them into a request.
    pub fn finish(self, request: &mut Map<String, Value>) {
        for (member, map) in
            [("ExpressionAttributeNames", self.names), ("ExpressionAttributeValues", self.values)]
        {
            if !map.is_empty() {
                request.insert(member.to_owned(), Value::Object(map));
            }
        }
    }
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// The condition's text; never empty.
    pub text: String,
    /// Whether all the attributes asked for are compared. They are not where an expression's bytes or
    /// operators do not allow it.
    pub complete: bool,
}

/// The condition that the item of a key is still this image, as far as these attributes go. `beside`
/// is a condition of the request's own, which takes its part of an expression's limits.
pub fn unchanged(
    placeholding: &mut Placeholding,
    key: &Item,
    image: Option<&Item>,
    attributes: &BTreeSet<&str>,
    beside: &str,
) -> Unchanged {
    // Either key attribute will do, and there is always one.
    let presence = key.keys().next().map(|name| placeholding.name(name)).unwrap_or_default();
    let Some(image) = image else {
        return Unchanged { text: format!("attribute_not_exists({presence})"), complete: true };
    };
    let mut text = format!("attribute_exists({presence})");
    // Of the request's own condition it is only known that an operator takes two bytes at least.
    let operators_taken = 2 + beside.len() / 2;
    // A comparison and an AND each.
    let mut left = OPERATORS_MAX.saturating_sub(operators_taken) / 2;
    let bytes_max = EXPRESSION_BYTES_MAX.saturating_sub(beside.len() + "() AND ()".len());
    for name in attributes.iter().filter(|name| !key.contains_key(**name)) {
        if left == 0 || text.len() + CLAUSE_BYTES_MAX > bytes_max {
            return Unchanged { text, complete: false };
        }
        left -= 1;
        let name_placeholder = placeholding.name(name);
        text.push_str(" AND ");
        match image.get(*name) {
            Some(value) => {
                text.extend([name_placeholder.as_str(), " = ", &placeholding.value(value)]);
            }
            None => text.extend(["attribute_not_exists(", &name_placeholder, ")"]),
        }
    }
    Unchanged { text, complete: true }
}

/// Room for one clause: ` AND attribute_not_exists(#m1234)` and some prefix.
const CLAUSE_BYTES_MAX: usize = 64;

/// Both conditions, the request's own first.
pub fn both(own: Option<&str>, unchanged: &str) -> String {
    match own {
        None => unchanged.to_owned(),
        Some(own) => format!("({own}) AND ({unchanged})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Condition, ExpressionKind, Placeholders};
    use serde_json::json;

    fn item(attributes: &[(&str, i64)]) -> Item {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    }

    /// Whether the condition of `image` over `attributes` holds on `now`.
    fn holds(image: Option<&Item>, attributes: &[&str], now: &Item) -> bool {
        let mut placeholding = Placeholding::alone();
        let attributes = attributes.iter().copied().collect();
        let key = item(&[("id", 1)]);
        let made = unchanged(&mut placeholding, &key, image, &attributes, "");
        assert!(made.complete);
        let mut request = Map::new();
        placeholding.finish(&mut request);
        let mut placeholders = Placeholders::from_json(
            request.get("ExpressionAttributeNames"),
            request.get("ExpressionAttributeValues"),
        )
        .unwrap();
        let condition =
            Condition::parse(ExpressionKind::Condition, &made.text, &mut placeholders).unwrap();
        placeholders.check_all_used().unwrap();
        condition.matches(now)
    }

    #[test]
    fn it_holds_while_the_named_attributes_are_as_they_were() {
        let image = item(&[("id", 1), ("a", 1), ("b", 2)]);
        let check = |attributes: &[&str], now: &[(&str, i64)], expected| {
            assert_eq!(holds(Some(&image), attributes, &item(now)), expected, "{attributes:?}");
        };
        check(&["a", "x"], &[("id", 1), ("a", 1), ("b", 9)], true);
        check(&["a", "b"], &[("id", 1), ("a", 1), ("b", 9)], false);
        check(&["a"], &[("id", 1), ("b", 2)], false);
        check(&["x"], &[("id", 1), ("x", 1)], false);
        check(&[], &[], false);
        check(&["id"], &[("id", 1)], true);
        assert!(holds(None, &["a"], &Item::new()));
        assert!(!holds(None, &["a"], &image));
    }

    #[test]
    fn wide_items_are_compared_as_far_as_the_limits_allow() {
        let names: Vec<String> = (0..500).map(|i| format!("a{i}")).collect();
        let image: Item = names.iter().map(|name| (name.clone(), 1.into())).collect();
        let attributes = names.iter().map(String::as_str).collect();
        let mut placeholding = Placeholding::alone();
        let key = item(&[("id", 1)]);
        let own = "size(z) > :z";
        let made = unchanged(&mut placeholding, &key, Some(&image), &attributes, own);
        assert!(!made.complete);
        let mut request = Map::new();
        placeholding.finish(&mut request);
        request["ExpressionAttributeValues"][":z"] = json!({"N": "1"});
        let mut placeholders = Placeholders::from_json(
            request.get("ExpressionAttributeNames"),
            request.get("ExpressionAttributeValues"),
        )
        .unwrap();
        let text = both(Some(own), &made.text);
        assert!(Condition::parse(ExpressionKind::Condition, &text, &mut placeholders).is_ok());
        placeholders.check_all_used().unwrap();
    }

    #[test]
    fn placeholders_keep_clear_of_the_requests_own() {
        let request = json!({
            "ExpressionAttributeNames": {"#m0": "a", "#mm": "b"},
            "ExpressionAttributeValues": {":m1": {"N": "1"}},
        });
        let mut placeholding = Placeholding::beside(request.as_object().unwrap());
        assert_eq!(placeholding.name("a"), "#m0");
        assert_eq!(placeholding.name("c"), "#mmm2");
        assert_eq!(placeholding.value(&1.into()), ":mmm1");
    }
}
