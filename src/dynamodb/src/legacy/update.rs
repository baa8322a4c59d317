//! AttributeUpdates.

use serde_json::Value;

use super::{Result, member, structures};
use crate::error::ServiceError;
use crate::expression::{Action, Path, SetValue, Target, Update, Words};
use crate::value::{AttributeType, AttributeValue, string_from_json};

/// AttributeUpdates as an update.
pub fn attribute_updates(json: &Value) -> Result<Update> {
    let actions = structures(json, "AttributeValueUpdate")?
        .into_iter()
        .map(|(name, structure)| {
            let value = member(structure, "Value").map(AttributeValue::from_json).transpose()?;
            let action = member(structure, "Action").map(string_from_json).transpose()?;
            Ok(Target { path: Path::of(name), action: action_of(action, value)? })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Update { actions, words: Words::Legacy })
}

fn action_of(action: Option<&str>, value: Option<AttributeValue>) -> Result<Action> {
    match (action.unwrap_or("PUT"), value) {
        ("DELETE", None) => Ok(Action::Remove),
        (_, None) => Err(ServiceError::invalid_parameter(
            "Only DELETE action is allowed when no attribute value is specified",
        )),
        ("DELETE", Some(value)) if value.kind().is_set() => Ok(Action::Delete(value)),
        ("DELETE", Some(value)) => Err(ServiceError::invalid_parameter(format!(
            "DELETE action with value is not supported for the type {}",
            value.kind()
        ))),
        ("ADD", Some(value)) if can_be_added(value.kind()) => Ok(Action::Add(value)),
        ("ADD", Some(value)) => Err(ServiceError::invalid_parameter(format!(
            "ADD action is not supported for the type {}",
            value.kind()
        ))),
        ("PUT", Some(value)) => Ok(Action::Set(SetValue::Value(value))),
        (other, Some(_)) => Err(super::constraint(
            &format!("'{other}'"),
            "attributeUpdates.member.action",
            "Member must satisfy enum value set: [ADD, DELETE, PUT]",
        )),
    }
}

fn can_be_added(kind: AttributeType) -> bool {
    kind.is_set() || matches!(kind, AttributeType::N | AttributeType::L)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{item_from_json, item_to_json};
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(updates: Value, expected: Value) {
        let item = item_from_json(&json!({
            "n": {"N": "1"}, "s": {"S": "x"}, "set": {"SS": ["a"]}, "l": {"L": [{"N": "1"}]},
        }))
        .unwrap();
        let found = attribute_updates(&updates).and_then(|update| update.apply(&item));
        let shown = match found {
            Ok(outcome) => item_to_json(&outcome.updated_new()),
            Err(error) => json!(error.message),
        };
        assert_eq!(shown, expected, "{updates}");
    }

    #[test]
    fn each_action_does_what_it_did_before_expressions() {
        check(json!({"s": {"Value": {"N": "2"}}}), json!({"s": {"N": "2"}}));
        check(json!({"a.b": {"Action": "PUT", "Value": {"N": "2"}}}), json!({"a.b": {"N": "2"}}));
        check(json!({"n": {"Action": "ADD", "Value": {"N": "2"}}}), json!({"n": {"N": "3"}}));
        check(json!({"new": {"Action": "ADD", "Value": {"N": "2"}}}), json!({"new": {"N": "2"}}));
        check(
            json!({"set": {"Action": "ADD", "Value": {"SS": ["a", "b"]}}}),
            json!({"set": {"SS": ["a", "b"]}}),
        );
        check(
            json!({"l": {"Action": "ADD", "Value": {"L": [{"S": "y"}]}}}),
            json!({"l": {"L": [{"N": "1"}, {"S": "y"}]}}),
        );
        check(json!({"s": {"Action": "DELETE"}, "none": {"Action": "DELETE"}}), json!({}));
        check(json!({"set": {"Action": "DELETE", "Value": {"SS": ["a"]}}}), json!({}));
    }

    #[test]
    fn what_does_not_fit_is_refused_in_dynamodbs_words() {
        let invalid =
            |what: &str| json!(format!("One or more parameter values were invalid: {what}"));
        check(
            json!({"a": {}}),
            invalid("Only DELETE action is allowed when no attribute value is specified"),
        );
        check(
            json!({"a": {"Action": "DELETE", "Value": {"S": "x"}}}),
            invalid("DELETE action with value is not supported for the type S"),
        );
        check(
            json!({"a": {"Action": "ADD", "Value": {"BOOL": true}}}),
            invalid("ADD action is not supported for the type BOOL"),
        );
        for update in [
            json!({"s": {"Action": "ADD", "Value": {"N": "1"}}}),
            json!({"n": {"Action": "DELETE", "Value": {"NS": ["1"]}}}),
        ] {
            check(update, json!("Type mismatch for attribute to update"));
        }
    }
}
