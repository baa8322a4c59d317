//! What is added to a request holds on the image and on no other, and never exceeds a limit.

use super::*;
use crate::expression::{Condition, EXPANDED_BYTES_MAX, ExpressionKind, Placeholders};
use serde_json::json;

fn item(attributes: &[(&str, i64)]) -> Item {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

fn parsed(request: &Map<String, Value>) -> Result<Condition, String> {
    let mut placeholders = Placeholders::from_json(request.get(NAMES), request.get(VALUES))
        .map_err(|error| error.message)?;
    let text = request[CONDITION].as_str().unwrap();
    let condition = Condition::parse(ExpressionKind::Condition, text, &mut placeholders);
    let condition = condition.map_err(|error| format!("{}: {text:.200}", error.message))?;
    placeholders.check_all_used().map_err(|error| error.message)?;
    Ok(condition)
}

/// Whether the condition of `image` over `attributes` holds on `now`.
fn holds(image: Option<&Item>, attributes: &[&str], now: &Item) -> bool {
    let key = item(&[("id", 1)]);
    let mut binding = Binding::alone(&key, image);
    assert!(binding.presence() && binding.attributes(attributes.iter().copied()));
    let mut request = Map::new();
    binding.finish(&mut request);
    parsed(&request).unwrap().matches(now)
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

/// Puts a binding of `image` beside a condition, and takes both for one that DynamoDB accepts.
fn beside(own: &str, image: &Item) -> (bool, Condition) {
    let key = item(&[("id", 1)]);
    let mut request = json!({
        CONDITION: own, NAMES: {"#a": "a"}, VALUES: {":v": {"N": "1"}, ":w": {"N": "2"}},
    });
    let request = request.as_object_mut().unwrap();
    let outline = Outline::of(own);
    for member in [NAMES, VALUES] {
        let members = request[member].as_object_mut().unwrap();
        members.retain(|key, _| outline.placeholders.contains(key.as_str()));
        if members.is_empty() {
            request.remove(member);
        }
    }
    let mut binding = Binding::beside(request, &key, Some(image), SUBSTITUTED_BYTES_MAX);
    let all = binding.presence() & binding.attributes(image.keys().map(String::as_str));
    binding.finish(request);
    (all, parsed(request).unwrap())
}

#[test]
fn it_stands_beside_every_condition_without_redundant_parentheses() {
    let image = item(&[("id", 1), ("a", 1), ("b", 2)]);
    let changed = item(&[("id", 1), ("a", 1), ("b", 3)]);
    for own in [
        "a = :v",
        "(a = :v)",
        "(attribute_exists(id) AND attribute_not_exists(w))",
        "( attribute_exists(id) AND attribute_not_exists(w) )",
        "((a = :v) AND (b = :w))",
        "((a = :v AND b = :w) AND attribute_exists(id))",
        "(a = :v) AND (b = :w)",
        "(a = :w) OR (b = :w)",
        "((a = :w) OR (b = :w))",
        "a = :w OR b = :w",
        "a = :w or #a = :v and b = :w",
        "NOT (a = :w)",
        "NOT a = :w",
        "(NOT (NOT (a = :v)))",
        "NOT (a = :w) OR b = :v",
        "a BETWEEN :v AND :w",
        "a BETWEEN :v AND :w OR b = :v",
        "(a) = (:v)",
        "a IN (:v, :w) AND (b = :w OR b = :v)",
    ] {
        let (all, condition) = beside(own, &image);
        assert!(all && condition.matches(&image), "{own}");
        assert!(!condition.matches(&changed), "{own}");
    }
}

#[test]
fn conditions_at_the_limits_stay_within_them() {
    let mut image: Item = (0..500).map(|i| (format!("a{i}"), 1.into())).collect();
    image.insert("id".to_owned(), 1.into());
    let many = vec!["attribute_exists(id)"; 150].join(" AND ");
    let long = format!("attribute_not_exists({})", "z".repeat(4_070));
    let longest = format!("attribute_not_exists({})", "z".repeat(4_074));
    assert_eq!(longest.len(), EXPRESSION_BYTES_MAX);
    for (own, expected) in [("a1 = :v", false), (&many, false), (&long, false), (&longest, false)] {
        let own: &str = own;
        let (all, condition) = beside(own, &image);
        assert_eq!(all, expected);
        assert!(condition.matches(&image), "{own:.80}");
    }
    let few = item(&[("id", 1), ("a", 1)]);
    // An operator is not just two bytes.
    let (all, _) = beside(&format!("attribute_not_exists({})", "z".repeat(2_000)), &few);
    assert!(all);
}

#[test]
fn values_that_are_too_large_are_left_out_and_smaller_ones_compared() {
    let key = item(&[("id", 1)]);
    let mut image = item(&[("id", 1), ("b", 2)]);
    image.insert("a".to_owned(), AttributeValue::S("x".repeat(1_000)));
    let mut binding = Binding::beside(&Map::new(), &key, Some(&image), 500);
    assert!(binding.presence());
    assert!(!binding.attributes(["a"]));
    assert!(binding.attributes(["b", "c"]));
    let mut request = Map::new();
    assert!(binding.finish(&mut request) < 60);
    assert_eq!(request[VALUES], json!({":m0": {"N": "2"}}));
    parsed(&request).unwrap();
    let mut none = Binding::beside(&Map::new(), &key, Some(&image), 0);
    assert!(!none.presence());
    let mut request = Map::new();
    none.finish(&mut request);
    assert!(request.is_empty());
}

#[test]
fn a_condition_stays_within_the_bytes_that_its_placeholders_stand_for() {
    let key = item(&[("id", 1)]);
    let mut image = item(&[("id", 1), ("b", 2)]);
    image.insert("a".to_owned(), AttributeValue::S("x".repeat(300_000)));
    // Used twice, and so counted twice.
    let own = "c <> :v AND d <> :v";
    for (bytes, room) in [(100, true), (EXPANDED_BYTES_MAX / 2 - 100_000, false)] {
        let mut request = json!({CONDITION: own, VALUES: {":v": {"S": "v".repeat(bytes)}}});
        let request = request.as_object_mut().unwrap();
        let mut binding = Binding::beside(request, &key, Some(&image), SUBSTITUTED_BYTES_MAX);
        assert!(binding.presence());
        assert_eq!(binding.attributes(["a"]), room);
        assert!(binding.attributes(["b"]));
        binding.finish(request);
        parsed(request).unwrap();
    }
}

#[test]
fn placeholders_keep_clear_of_the_requests_own() {
    let request = json!({
        NAMES: {"#m0": "a", "#m1_": "b"},
        VALUES: {":m1": {"N": "1"}, ":": {"N": "1"}},
    });
    let mut placeholding = Placeholding::beside(request.as_object().unwrap());
    assert_eq!(placeholding.name("a"), "#m0");
    assert_eq!(placeholding.name("c"), "#m2_2");
    assert_eq!(placeholding.value(&1.into()), ":m2_2");
    let longest = format!("#{}", "m".repeat(254));
    let request = json!({NAMES: {longest: "a"}});
    let mut placeholding = Placeholding::beside(request.as_object().unwrap());
    assert!(placeholding.name("c").len() < 10, "a placeholder has at most 255 bytes");
}

#[test]
fn a_request_without_its_condition_has_no_unused_placeholders() {
    let request = json!({
        "UpdateExpression": "SET #a = :v", CONDITION: "#b = :w OR #a = :v",
        NAMES: {"#a": "a", "#b": "b"}, VALUES: {":v": {"N": "1"}, ":w": {"N": "1"}},
    });
    let expected =
        json!({"UpdateExpression": "SET #a = :v", NAMES: {"#a": "a"}, VALUES: {":v": {"N": "1"}}});
    assert_eq!(json!(without_condition(request.as_object().unwrap())), expected);
    let request = json!({CONDITION: "#b = :w", NAMES: {"#b": "b"}, VALUES: {":w": {"N": "1"}}});
    assert_eq!(json!(without_condition(request.as_object().unwrap())), json!({}));
}
