//! The pure parsers: text and JSON into values, and what they mean for an item.

use dm_dynamodb::expression::{
    Condition, ExpressionKind, KeyExpression, Placeholders, Projection, Update,
};
use dm_dynamodb::journal::Record;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::value::{AttributeValue, Item, item_from_json, item_to_json};
use serde_json::{Value, json};

/// An item in which most of what a short expression names is there.
fn sample() -> Item {
    let item = json!({
        "a": {"N": "1"}, "b": {"S": "x"}, "m": {"M": {"k": {"S": "x"}}}, "l": {"L": [{"N": "1"}]},
        "ss": {"SS": ["a"]}, "ns": {"NS": ["1", "2"]}, "z": {"NULL": true},
    });
    item_from_json(&item).unwrap_or_default()
}

fn placeholders() -> Option<Placeholders> {
    let names = json!({"#a": "a", "#s": "ss"});
    let values = json!({
        ":n": {"N": "1"}, ":s": {"S": "x"}, ":l": {"L": []}, ":ss": {"SS": ["a"]},
        ":b": {"B": "AA=="},
    });
    Placeholders::from_json(Some(&names), Some(&values)).ok()
}

/// The text as each kind of expression. What an update leaves is an item that its own JSON gives
/// back.
pub fn expression(input: &[u8]) {
    let (Ok(text), Some(mut values)) = (std::str::from_utf8(input), placeholders()) else { return };
    let item = sample();
    for kind in [ExpressionKind::Condition, ExpressionKind::Filter] {
        if let Ok(condition) = Condition::parse(kind, text, &mut values) {
            let _ = condition.matches(&item);
            let _ = condition.matches(&Item::new());
        }
    }
    if let Ok(update) = Update::parse(text, &mut values) {
        for item in [&item, &Item::new()] {
            if let Ok(outcome) = update.apply(item) {
                survives_its_json(&outcome.item);
            }
        }
    }
    if let Ok(projection) = Projection::parse(text, &mut values) {
        let projected = projection.apply(&item);
        assert!(projected.keys().all(|name| item.contains_key(name)), "an attribute from nowhere");
    }
    let _ = KeyExpression::parse(text, &mut values);
}

/// The text as a PartiQL statement, with and without parameters.
pub fn statement(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let parameters = [AttributeValue::from("x"), AttributeValue::Null, 7_i64.into()];
    for count in 0..=parameters.len() {
        if let Ok(statement) = Statement::parse(text, &parameters[..count]) {
            let _ = statement.table();
            let _ = statement.is_read();
            if let Statement::Insert(insert) = statement {
                survives_its_json(&insert.item);
            }
        }
    }
}

/// The bytes as an item in DynamoDB's JSON, and as a line of a journal.
pub fn item(input: &[u8]) {
    let _ = Record::read_line(input);
    let Ok(json) = serde_json::from_slice::<Value>(input) else { return };
    if let Ok(item) = item_from_json(&json) {
        survives_its_json(&item);
    }
}

fn survives_its_json(item: &Item) {
    assert_eq!(item_from_json(&item_to_json(item)).as_ref(), Ok(item));
}
