//! Items in short: `{"a": "x", "n": 1}` for `{"a": {"S": "x"}, "n": {"N": "1"}}`, wherever a
//! request or an answer holds attributes. What has no short form is an object with one `$` member.

use serde_json::{Map, Value, json};

/// Members that hold one map of attributes.
const ITEMS: [&str; 6] = [
    "Item",
    "Key",
    "Attributes",
    "ExpressionAttributeValues",
    "ExclusiveStartKey",
    "LastEvaluatedKey",
];
const KEYS: [&str; 1] = ["ItemCollectionKey"];

/// Members that hold a list of them.
const LISTS: [&str; 2] = ["Items", "Keys"];

/// Members that hold one value, or a list of values (of the older parameters and of PartiQL).
const VALUES: [&str; 1] = ["Value"];
const VALUE_LISTS: [&str; 2] = ["AttributeValueList", "Parameters"];

/// A request or an answer, from short.
pub fn expand(value: &Value) -> Value {
    walk(value, &to_attribute)
}

/// A request or an answer, to short.
pub fn shorten(value: &Value) -> Value {
    walk(value, &from_attribute)
}

fn walk(value: &Value, convert: &impl Fn(&Value) -> Value) -> Value {
    let map = |value: &Value| each(value, convert);
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let name_str = name.as_str();
                let converted = if ITEMS.contains(&name_str) || KEYS.contains(&name_str) {
                    map(value)
                } else if LISTS.contains(&name_str) && value.is_array() {
                    value.as_array().unwrap().iter().map(map).collect()
                } else if VALUES.contains(&name_str) {
                    convert(value)
                } else if VALUE_LISTS.contains(&name_str) && value.is_array() {
                    value.as_array().unwrap().iter().map(convert).collect()
                } else if name_str == "Responses" && value.is_object() {
                    let lists = value.as_object().unwrap().iter();
                    lists
                        .map(|(table, items)| {
                            let items = items.as_array().unwrap().iter().map(map).collect();
                            (table.clone(), Value::Array(items))
                        })
                        .collect::<Map<_, _>>()
                        .into()
                } else {
                    walk(value, convert)
                };
                (name.clone(), converted)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(elements) => elements.iter().map(|value| walk(value, convert)).collect(),
        other => other.clone(),
    }
}

fn each(value: &Value, convert: &impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), convert(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// One value, from short.
pub fn to_attribute(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"S": text}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::Bool(truth) => json!({"BOOL": truth}),
        Value::Null => json!({"NULL": true}),
        Value::Array(elements) => {
            json!({"L": elements.iter().map(to_attribute).collect::<Value>()})
        }
        Value::Object(members) => match members.iter().next() {
            Some((name, value)) if name == "$raw" => value.clone(),
            Some((name, value)) if name.starts_with('$') => json!({&name[1..]: value}),
            _ => json!({"M": each(value, &to_attribute)}),
        },
    }
}

/// One value, to short.
pub fn from_attribute(value: &Value) -> Value {
    let Some((kind, content)) = value.as_object().and_then(|members| members.iter().next()) else {
        return value.clone();
    };
    match kind.as_str() {
        "S" | "BOOL" => content.clone(),
        "NULL" => Value::Null,
        "N" => match content.as_str().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) => number.into(),
            None => json!({"$N": content}),
        },
        "L" => content.as_array().unwrap().iter().map(from_attribute).collect(),
        "M" => each(content, &from_attribute),
        "SS" | "NS" | "BS" => {
            // Sets have no order.
            let mut elements = content.as_array().cloned().unwrap_or_default();
            elements.sort_by_key(Value::to_string);
            json!({format!("${kind}"): elements})
        }
        other => json!({format!("${other}"): content}),
    }
}
