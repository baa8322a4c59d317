//! One item that a dry run would change, in a line for a person. Pure.

use serde_json::Value;

use super::{ChangeKind, ChangedItem, ItemChange};
use crate::visible::visible;

/// Characters of a line, and of one value in it.
const LINE_CHARS_MAX: usize = 110;
const VALUE_CHARS_MAX: usize = 40;

/// The item's key, and what would change in it.
pub fn line(item: &ChangedItem) -> String {
    let key = item.key.as_ref().map_or_else(|| "an item".to_owned(), item_text);
    let changes = match item.kind {
        ItemChange::Deleted => vec!["deleted".to_owned()],
        ItemChange::Created => vec!["created".to_owned()],
        ItemChange::Updated => item
            .attributes
            .iter()
            .map(|(name, kind)| change(name, *kind, item.before.as_ref(), item.after.as_ref()))
            .collect(),
    };
    cut(&visible(&format!("{key}  {}", changes.join("  "))), LINE_CHARS_MAX)
}

fn change(name: &str, kind: ChangeKind, before: Option<&Value>, after: Option<&Value>) -> String {
    let value = |image: Option<&Value>| image.and_then(|image| image.get(name)).map(value_text);
    let (sign, shown) = match kind {
        ChangeKind::Added => ('+', value(after)),
        ChangeKind::Removed => ('-', value(before)),
        ChangeKind::Changed => {
            let both = value(before).zip(value(after));
            ('~', both.map(|(before, after)| format!("{before} → {after}")))
        }
    };
    match shown {
        Some(shown) => format!("{sign} {name} {shown}"),
        None => format!("{sign} {name}"),
    }
}

fn item_text(item: &Value) -> String {
    let attributes = item.as_object().into_iter().flatten();
    let texts: Vec<String> =
        attributes.map(|(name, value)| format!("{name}: {}", value_text(value))).collect();
    format!("{{{}}}", texts.join(", "))
}

/// DynamoDB's JSON without its types, where they go without saying.
fn value_text(value: &Value) -> String {
    let typed = value.as_object().and_then(|object| object.iter().next());
    let text = match typed.map(|(kind, inner)| (kind.as_str(), inner)) {
        Some(("N", Value::String(number))) => number.clone(),
        Some(("S" | "BOOL", inner)) => inner.to_string(),
        Some(("NULL", _)) => "null".into(),
        Some(_) | None => value.to_string(),
    };
    cut(&text, VALUE_CHARS_MAX)
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(item: Value, expected: &str) {
        let mut item = item;
        item["version"] = 1.into();
        item["table"] = "cars".into();
        assert_eq!(line(&serde_json::from_value(item).unwrap()), expected);
    }

    #[test]
    fn an_example_shows_its_key_and_what_changes() {
        check(
            json!({
                "kind": "updated", "key": {"id": {"S": "audi"}, "n": {"N": "7"}},
                "attributes": {"a": "changed", "old": "removed", "price": "added"},
                "before": {"a": {"BOOL": true}, "old": {"L": []}},
                "after": {"a": {"NULL": true}, "price": {"N": "4100"}},
            }),
            r#"{id: "audi", n: 7}  ~ a true → null  - old {"L":[]}  + price 4100"#,
        );
        check(
            json!({"kind": "created", "key": {"id": {"S": "x"}}, "attributes": {}}),
            r#"{id: "x"}  created"#,
        );
    }

    #[test]
    fn a_name_or_a_value_forges_no_line_and_no_color() {
        check(
            json!({
                "kind": "updated", "key": {"i\u{1b}[2Kd": {"S": "a\u{9b}31m"}},
                "attributes": {"x\n::stop-commands::x": "added", "y": "changed"},
                "before": {"y": {"S": "\u{202e}"}}, "after": {"y": {"L": [{"S": "\u{2028}"}]}},
            }),
            concat!(
                r#"{i\u{1b}[2Kd: "a\u{9b}31m"}  + x\n::stop-commands::x"#,
                r#"  ~ y "\u{202e}" → {"L":[{"S":"\u{2028}"}]}"#,
            ),
        );
    }

    #[test]
    fn what_is_not_there_or_too_long_is_left_out() {
        check(
            json!({"kind": "updated", "key": {"id": {"S": "x"}},
                "attributes": {"a": "changed", "b": "added"}}),
            r#"{id: "x"}  ~ a  + b"#,
        );
        let long = "y".repeat(100);
        check(
            json!({"kind": "deleted", "key": {"id": {"S": long}}, "attributes": {}}),
            &format!(r#"{{id: "{}…}}  deleted"#, "y".repeat(38)),
        );
    }
}
