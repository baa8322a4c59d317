//! Tokens of transactions: one that comes back with the same request gets the same answer, and nothing
//! is written again. What is sent to the database carries tokens of ours, because the request that is
//! sent depends on the images.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use dm_core::error::{ErrorCode, ServiceError};
use dm_core::limits;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// Transactions that were carried out.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<String, ([u8; 32], Bytes)>,
    order: VecDeque<(String, Instant)>,
}

impl Tokens {
    /// The answer of a transaction that was carried out under this token, or the error that another
    /// request under it gets.
    pub fn answer(&self, token: &str, digest: [u8; 32]) -> Result<Option<Bytes>, ServiceError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget_old();
        match known.answers.get(token) {
            None => Ok(None),
            Some((before, answer)) if *before == digest => Ok(Some(answer.clone())),
            Some(_) => Err(ServiceError::new(
                ErrorCode::IdempotentParameterMismatch,
                "The provided client token was used in a previous request with different \
                 parameters.",
            )),
        }
    }

    /// Remembers a transaction that was carried out.
    pub fn remember(&self, token: &str, digest: [u8; 32], answer: Bytes) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.answers.insert(token.to_owned(), (digest, answer));
        known.order.push_back((token.to_owned(), Instant::now()));
        known.forget_old();
    }
}

impl Known {
    fn forget_old(&mut self) {
        while let Some((token, at)) = self.order.front() {
            if self.order.len() <= limits::REMEMBERED_ANSWERS_MAX
                && at.elapsed() <= limits::TRANSACTION_TOKEN_AGE_MAX
            {
                return;
            }
            self.answers.remove(token);
            self.order.pop_front();
        }
    }
}

/// A token of ours for one sending of a transaction: as unlike any other as a UUID.
pub fn fresh() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let mut hasher = Sha256::new();
    hasher.update(RandomState::new().hash_one(0).to_be_bytes());
    hasher.update(RandomState::new().hash_one(1).to_be_bytes());
    let bytes: [u8; 32] = hasher.finalize().into();
    let (half, _) = bytes.split_at(16);
    format!("{:032x}", u128::from_be_bytes(half.try_into().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_answers_its_own_request_and_refuses_another() {
        let tokens = Tokens::default();
        assert_eq!(tokens.answer("t", [1; 32]), Ok(None));
        tokens.remember("t", [1; 32], Bytes::from_static(b"{}"));
        assert_eq!(tokens.answer("t", [1; 32]), Ok(Some(Bytes::from_static(b"{}"))));
        let error = tokens.answer("t", [2; 32]).unwrap_err();
        assert_eq!(error.code, ErrorCode::IdempotentParameterMismatch);
        assert_ne!(fresh(), fresh());
    }
}
