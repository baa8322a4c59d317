//! When a request is a repetition of another: the token that a transaction carries, and a digest of
//! a request by its value. Two requests that DynamoDB takes for the same have the same digest, in
//! whatever order their JSON members and sets are written, and however their numbers and binaries
//! are spelled.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{ErrorCode, ServiceError};
use crate::value::Number;

/// The parameter that carries a transaction's token.
pub const TOKEN: &str = "ClientRequestToken";

/// Characters of a token (DynamoDB API Reference, TransactWriteItems).
pub const TOKEN_CHARS_MAX: usize = 36;

/// A transaction's token, with the digest of what its request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientToken {
    pub text: String,
    /// The digest of the parameter that lists actions or statements: how the transaction is
    /// answered may differ between two requests.
    pub digest: [u8; 32],
}

impl ClientToken {
    /// Reads the token of a body; `member` is the parameter that says what the transaction does.
    pub fn of(body: &Map<String, Value>, member: &str) -> Result<Option<Self>, ServiceError> {
        let Some(text) = token(body)? else { return Ok(None) };
        let digest = digest(member, body.get(member).unwrap_or(&Value::Null));
        Ok(Some(Self { text: text.to_owned(), digest }))
    }
}

/// The token of a transaction, if it has one, checked as DynamoDB checks it.
pub fn token(parameters: &Map<String, Value>) -> Result<Option<&str>, ServiceError> {
    let Some(value) = parameters.get(TOKEN).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let token = value
        .as_str()
        .ok_or_else(|| ServiceError::serialization("Unexpected value type in payload"))?;
    let bound = match token.chars().count() {
        0 => "greater than or equal to 1".to_owned(),
        1..=TOKEN_CHARS_MAX => return Ok(Some(token)),
        _ => format!("less than or equal to {TOKEN_CHARS_MAX}"),
    };
    Err(ServiceError::validation(format!(
        "1 validation error detected: Value '{token}' at 'clientRequestToken' failed to satisfy \
         constraint: Member must have length {bound}"
    )))
}

/// The error of another request under a token that is known.
pub fn mismatch() -> ServiceError {
    ServiceError::new(
        ErrorCode::IdempotentParameterMismatch,
        "The request uses the same client token as a previous, but non-identical request. Do not \
         reuse a client token with different requests, unless the requests are identical",
    )
}

/// The digest of a request, or of a part of one.
pub fn digest(name: &str, parameters: &Value) -> [u8; 32] {
    let mut hasher = Sha256::new();
    put_bytes(&mut hasher, name.as_bytes());
    put(&mut hasher, parameters);
    hasher.finalize().into()
}

/// The digest of a call's parameters.
pub fn digest_of_call(name: &str, parameters: &Map<String, Value>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    put_bytes(&mut hasher, name.as_bytes());
    put_object(&mut hasher, parameters);
    hasher.finalize().into()
}

/// Whether two parts of requests are equal by value.
pub fn are_equal(left: &Value, right: &Value) -> bool {
    left == right || digest("", left) == digest("", right)
}

fn put(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"0"),
        Value::Bool(truth) => hasher.update(if *truth { b"t" } else { b"f" }),
        Value::Number(number) => {
            hasher.update(b"#");
            put_bytes(hasher, number.to_string().as_bytes());
        }
        Value::String(text) => {
            hasher.update(b"s");
            put_bytes(hasher, text.as_bytes());
        }
        Value::Array(elements) => {
            hasher.update(b"[");
            put_length(hasher, elements.len());
            for element in elements {
                put(hasher, element);
            }
        }
        Value::Object(members) => put_object(hasher, members),
    }
}

fn put_object(hasher: &mut Sha256, members: &Map<String, Value>) {
    if let Some((kind, elements)) = spelled_freely(members) {
        hasher.update(b"v");
        put_bytes(hasher, kind.as_bytes());
        put_length(hasher, elements.len());
        for element in &elements {
            put_bytes(hasher, element);
        }
        return;
    }
    // A member that is null is as if it were not there.
    let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
    members.sort_unstable_by_key(|(name, _)| name.as_str());
    hasher.update(b"{");
    put_length(hasher, members.len());
    for (name, value) in members {
        put_bytes(hasher, name.as_bytes());
        put(hasher, value);
    }
}

/// A number, a binary or a set, in the one form that all its spellings have. Nothing else in a
/// request is an object of just such a member: where a map or a table has that name, it holds no
/// text.
fn spelled_freely(members: &Map<String, Value>) -> Option<(&str, Vec<Vec<u8>>)> {
    let mut all = members.iter();
    let (Some((kind, content)), None) = (all.next(), all.next()) else { return None };
    let number = |text: &str| Some(Number::parse(text).ok()?.to_string().into_bytes());
    let binary = |text: &str| STANDARD.decode(text).ok();
    let string = |text: &str| Some(text.as_bytes().to_vec());
    let elements = match kind.as_str() {
        "N" => vec![number(content.as_str()?)?],
        "B" => vec![binary(content.as_str()?)?],
        "NS" => sorted(content, number)?,
        "BS" => sorted(content, binary)?,
        "SS" => sorted(content, string)?,
        _ => return None,
    };
    Some((kind, elements))
}

fn sorted(set: &Value, element: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let elements = set.as_array()?.iter().map(|text| element(text.as_str()?));
    let mut elements: Vec<_> = elements.collect::<Option<_>>()?;
    elements.sort_unstable();
    Some(elements)
}

fn put_bytes(hasher: &mut Sha256, bytes: &[u8]) {
    put_length(hasher, bytes.len());
    hasher.update(bytes);
}

fn put_length(hasher: &mut Sha256, length: usize) {
    hasher.update((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(left: &str, right: &str, equal: bool) {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(are_equal(&read(left), &read(right)), equal, "{left} {right}");
    }

    #[test]
    fn equal_requests_are_equal_however_they_are_written() {
        for (left, right) in [
            (r#"{"a": 1, "b": {"c": 2, "d": 3}}"#, r#"{"b": {"d": 3, "c": 2}, "a": 1}"#),
            (r#"{"Item": {"n": {"N": "1.50"}}}"#, r#"{"Item": {"n": {"N": "15E-1"}}}"#),
            (r#"{"N": "+0"}"#, r#"{"N": "-0.0"}"#),
            (r#"{"SS": ["a", "b"]}"#, r#"{"SS": ["b", "a"]}"#),
            (r#"{"NS": ["10", "2"]}"#, r#"{"NS": ["2.0", "1e1"]}"#),
            (r#"{"BS": ["AA==", "AQ=="]}"#, r#"{"BS": ["AQ==", "AA=="]}"#),
            (r#"{"S": "\u0061"}"#, r#"{"S": "a"}"#),
            (
                r#"{"L": [{"M": {"x": {"N": "1"}, "y": {"S": ""}}}]}"#,
                r#"{"L": [{"M": {"y": {"S": ""}, "x": {"N": "1.0"}}}]}"#,
            ),
            (r#"{"a": 1, "ReturnValues": null}"#, r#"{"a": 1}"#),
        ] {
            check(left, right, true);
        }
    }

    #[test]
    fn different_requests_are_different() {
        for (left, right) in [
            (r#"{"N": "1"}"#, r#"{"S": "1"}"#),
            (r#"{"N": "1"}"#, r#"{"N": "2"}"#),
            (r#"{"S": "1.0"}"#, r#"{"S": "1"}"#),
            (r#"{"L": [{"N": "1"}, {"N": "2"}]}"#, r#"{"L": [{"N": "2"}, {"N": "1"}]}"#),
            (r#"{"SS": ["ab", "c"]}"#, r#"{"SS": ["a", "bc"]}"#),
            (r#"{"NS": ["1"]}"#, r#"{"SS": ["1"]}"#),
            (r#"{"N": {"N": "1"}}"#, r#"{"N": {"N": "2"}}"#),
            ("[1, 2]", "[2, 1]"),
            (r#"{"a": {}}"#, "{}"),
            (r#"{"N": "x"}"#, r#"{"N": "y"}"#),
        ] {
            check(left, right, false);
        }
        assert_ne!(digest("PutItem", &json!({})), digest("DeleteItem", &json!({})));
    }

    #[test]
    fn a_token_has_one_to_thirty_six_characters() {
        let of = |token: Value| {
            let body = json!({ TOKEN: token });
            token_of(&body)
        };
        assert_eq!(of(Value::Null), Ok(None));
        assert_eq!(of("t".into()), Ok(Some("t".to_owned())));
        assert!(of("t".repeat(36).into()).is_ok());
        let long = "t".repeat(37);
        assert_eq!(
            of(long.clone().into()).unwrap_err().message,
            format!(
                "1 validation error detected: Value '{long}' at 'clientRequestToken' failed to \
                 satisfy constraint: Member must have length less than or equal to 36"
            )
        );
        assert!(of("".into()).unwrap_err().message.ends_with("greater than or equal to 1"));
        assert_eq!(of(7.into()).unwrap_err().code.name(), "SerializationException");
    }

    fn token_of(body: &Value) -> Result<Option<String>, ServiceError> {
        token(body.as_object().unwrap()).map(|token| token.map(str::to_owned))
    }
}
