//! Tokens of transactions: a transaction that is sent again under its token writes nothing again.
//!
//! What is sent depends on the images, so it carries a token of ours. It follows from the program's
//! token and from what is sent: where the images are the same, a second sending is the same request
//! under the same token, and the database carries it out once. A transaction whose outcome is
//! unknown is kept with its images, to be sent again just so.

use std::collections::{HashMap, VecDeque};

use crate::limits;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::idempotency::{self, ClientToken};
use dm_dynamodb::journal::{RequestDigest, Sequence, TransactionMark};
use dm_dynamodb::value::Item;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::archive::RunName;
use crate::fault::Fault;

/// A program's token, with the request that it came with.
#[derive(Clone, Debug)]
pub struct Token {
    text: String,
    request: RequestDigest,
}

/// A transaction whose outcome is unknown.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// The images that it was made of.
    pub images: Vec<Option<Item>>,
    /// Whether it is the program's, with nothing added.
    pub own_only: bool,
    pub entries: Vec<Sequence>,
    pub fault: Fault,
}

/// What is known of a token.
#[derive(Debug)]
pub enum Known {
    Nothing,
    /// Its transaction was carried out.
    Done,
    /// Its outcome is unknown.
    InDoubt(Box<Doubt>),
}

/// Transactions that were carried out, or may have been.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    done: HashMap<String, RequestDigest>,
    order: VecDeque<(String, Instant)>,
    doubts: VecDeque<(Token, Doubt)>,
}

impl From<ClientToken> for Token {
    fn from(ClientToken { text, digest }: ClientToken) -> Self {
        Self { text, request: RequestDigest::from_bytes(digest) }
    }
}

impl Token {
    /// How entries name it.
    pub fn mark(&self) -> TransactionMark {
        TransactionMark::of(&self.text, self.request)
    }

    /// The token under which a run sends this request.
    pub fn sent(&self, run: &RunName, request: &Map<String, Value>) -> String {
        let mut hasher = Sha256::new();
        for part in [run.to_string().as_bytes(), self.text.as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(idempotency::digest_of_call("", request));
        half(hasher)
    }
}

impl Tokens {
    /// What is known of a token, or the error that another request under it gets. A transaction in
    /// doubt is given to one caller, which either settles it or returns it.
    pub fn known(&self, token: &Token) -> Result<Known, ServiceError> {
        let mut recent = self.0.lock();
        recent.forget_old();
        if let Some(request) = recent.done.get(&token.text) {
            check(*request, token)?;
            return Ok(Known::Done);
        }
        let place = recent.doubts.iter().position(|(known, _)| known.text == token.text);
        let Some(place) = place else { return Ok(Known::Nothing) };
        check(recent.doubts[place].0.request, token)?;
        let doubt = recent.doubts.remove(place).map(|(_, doubt)| Box::new(doubt));
        Ok(doubt.map_or(Known::Nothing, Known::InDoubt))
    }

    /// Remembers a transaction that was carried out.
    pub fn remember(&self, token: &Token) {
        let mut recent = self.0.lock();
        recent.done.insert(token.text.clone(), token.request);
        recent.order.push_back((token.text.clone(), Instant::now()));
        recent.forget_old();
    }

    /// Remembers a transaction that may have been.
    pub fn doubt(&self, token: &Token, doubt: Doubt) {
        let mut recent = self.0.lock();
        recent.doubts.push_back((token.clone(), doubt));
        if recent.doubts.len() > limits::TRANSACTIONS_IN_DOUBT_MAX {
            recent.doubts.pop_front();
        }
    }
}

/// Whether a token's request is the one that it came with before.
pub fn check(before: RequestDigest, token: &Token) -> Result<(), ServiceError> {
    if before == token.request { Ok(()) } else { Err(idempotency::mismatch()) }
}

impl Recent {
    fn forget_old(&mut self) {
        while let Some((token, at)) = self.order.front() {
            if self.order.len() <= limits::REMEMBERED_TOKENS_MAX
                && at.elapsed() <= limits::TRANSACTION_TOKEN_AGE_MAX
            {
                return;
            }
            self.done.remove(token);
            self.order.pop_front();
        }
    }
}

fn half(hasher: Sha256) -> String {
    let bytes: [u8; 32] = hasher.finalize().into();
    let (half, _) = bytes.split_at(16);
    format!("{:032x}", u128::from_be_bytes(half.try_into().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::error::ErrorCode;
    use serde_json::json;

    fn token(text: &str, items: &Value) -> Token {
        let body = json!({"ClientRequestToken": text, "TransactItems": items});
        ClientToken::of(body.as_object().unwrap(), "TransactItems").unwrap().unwrap().into()
    }

    #[test]
    fn a_token_is_known_for_its_own_request_and_refuses_another() {
        let tokens = Tokens::default();
        let (first, other) = (token("t", &json!([1])), token("t", &json!([2])));
        assert!(matches!(tokens.known(&first), Ok(Known::Nothing)));
        tokens.remember(&first);
        assert!(matches!(tokens.known(&first), Ok(Known::Done)));
        let error = tokens.known(&other).unwrap_err();
        assert_eq!(error.code, ErrorCode::IdempotentParameterMismatch);
        assert_ne!(crate::fresh_name::fresh_name(), crate::fresh_name::fresh_name());
    }

    #[test]
    fn a_transaction_in_doubt_is_given_out_once_and_only_for_its_own_request() {
        let tokens = Tokens::default();
        let (first, other) = (token("t", &json!([1])), token("t", &json!([2])));
        let fault = Fault::Unavailable("cut".into());
        let (images, entries) = (Vec::new(), Vec::new());
        tokens.doubt(&first, Doubt { images, own_only: false, entries, fault });
        assert!(tokens.known(&other).is_err());
        assert!(matches!(tokens.known(&first), Ok(Known::InDoubt(_))));
        assert!(matches!(tokens.known(&first), Ok(Known::Nothing)));
    }

    #[test]
    fn what_is_sent_has_one_token_for_one_content() {
        let run = RunName::new("m", 1).unwrap();
        let sent = |token: &Token, body: Value| token.sent(&run, body.as_object().unwrap());
        let first = token("t", &json!([1]));
        assert_eq!(sent(&first, json!({"a": 1, "b": 2})), sent(&first, json!({"b": 2, "a": 1})));
        assert_ne!(sent(&first, json!({"a": 1})), sent(&first, json!({"a": 2})));
        assert_ne!(sent(&first, json!({})), sent(&token("u", &json!([1])), json!({})));
        assert!(sent(&first, json!({})).len() <= idempotency::TOKEN_CHARS_MAX);
    }
}
