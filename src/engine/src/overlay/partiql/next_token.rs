//! NextToken: where a SELECT continues, bound to its statement and parameters. A program may send
//! anything as one: it is decoded with care and proves nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::idempotency;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most characters of one (DynamoDB API Reference).
const TOKEN_CHARS_MAX: usize = 32_768;

/// Of this form; another is not understood.
const VERSION: u32 = 1;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    /// Digest of the statement and its parameters, by value.
    statement: String,
    /// The key that the page before ended with.
    after: Value,
}

/// The token of a page that ended with this key.
pub fn token(body: &Value, after: &Value) -> String {
    let statement = digest(body);
    let content = Content { version: VERSION, statement, after: after.clone() };
    STANDARD.encode(serde_json::json!(content).to_string())
}

/// The key that a request's token tells of, if it has one.
pub fn after(body: &Value) -> Result<Option<Value>, ServiceError> {
    let Some(text) = body.get("NextToken").and_then(Value::as_str) else { return Ok(None) };
    let decoded = (text.len() <= TOKEN_CHARS_MAX).then(|| STANDARD.decode(text).ok()).flatten();
    let content = decoded.and_then(|bytes| serde_json::from_slice::<Content>(&bytes).ok());
    match content.filter(|content| content.version == VERSION) {
        None => Err(invalid()),
        Some(content) if content.statement == digest(body) => Ok(Some(content.after)),
        Some(_) => Err(ServiceError::validation("NextToken does not match request")),
    }
}

/// It is none of ours, or says what cannot be.
pub fn invalid() -> ServiceError {
    ServiceError::validation("Invalid NextToken")
}

fn digest(body: &Value) -> String {
    let bound = serde_json::json!([body.get("Statement"), body.get("Parameters")]);
    STANDARD.encode(idempotency::digest("", &bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(statement: &str, token: &str) -> Value {
        json!({"Statement": statement, "Parameters": [{"S": "a"}], "NextToken": token})
    }

    fn check(request: &Value, expected: Result<Option<Value>, &str>) {
        let found = after(request).map_err(|error| error.message);
        assert_eq!(found, expected.map_err(str::to_owned), "{request}");
    }

    #[test]
    fn a_token_belongs_to_its_statement() {
        let key = json!({"id": {"S": "a"}});
        let asked = json!({"Statement": "SELECT 1", "Parameters": [{"S": "a"}], "Limit": 3});
        let token = token(&asked, &key);
        check(&request("SELECT 1", &token), Ok(Some(key)));
        let numbers = |text| json!({"Statement": "SELECT 1", "Parameters": [{"NS": text}]});
        let (one, same) = (numbers(json!(["1", "2"])), numbers(json!(["2.0", "1"])));
        assert_eq!(digest(&one), digest(&same));
        check(&request("SELECT 2", &token), Err("NextToken does not match request"));
        check(&json!({"Statement": "SELECT 1"}), Ok(None));
        let changed = json!({"Statement": "SELECT 1", "NextToken": token});
        check(&changed, Err("NextToken does not match request"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let other = STANDARD.encode(r#"{"version":2,"statement":"","after":{}}"#);
        for text in ["", "x", "eyJ9", "{}", "====", &other, &"A".repeat(TOKEN_CHARS_MAX + 1)] {
            check(&request("SELECT 1", text), Err("Invalid NextToken"));
        }
    }
}
