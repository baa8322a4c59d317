//! Digests of items and values: SHA-256 over an encoding in which every value has exactly one form.
//!
//! Each value is its type's letter code, a length, and its content; maps and sets are in order,
//! numbers in their canonical text. So equal values have equal digests, however they were written
//! on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::value::{AttributeValue, Item};

/// The first bytes of a SHA-256 digest, `sha256:` and hexadecimal as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest<const BYTES: usize>([u8; BYTES]);

/// Of a whole item.
pub type ItemDigest = Digest<32>;

/// Of one value: half of it. It only has to tell values of one attribute apart, and there may be
/// one for every attribute of every item.
pub type ValueDigest = Digest<16>;

/// Of a request, by its value.
pub type RequestDigest = Digest<32>;

/// A text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: sha256: and {0} hexadecimal digits are needed")]
pub struct DigestError(usize);

const PREFIX: &str = "sha256:";

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl<const BYTES: usize> Digest<BYTES> {
    fn finish(hasher: Sha256) -> Self {
        let whole: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&whole[..BYTES]);
        Self(bytes)
    }
}

impl RequestDigest {
    /// Of a digest that was made elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl ItemDigest {
    pub fn of_item(item: &Item) -> Self {
        let mut hasher = Sha256::new();
        put_map(&mut hasher, item);
        Self::finish(hasher)
    }
}

impl ValueDigest {
    pub fn of_value(value: &AttributeValue) -> Self {
        let mut hasher = Sha256::new();
        put(&mut hasher, value);
        Self::finish(hasher)
    }
}

fn put(hasher: &mut Sha256, value: &AttributeValue) {
    put_bytes(hasher, value.kind().as_str().as_bytes());
    match value {
        AttributeValue::S(text) => put_bytes(hasher, text.as_bytes()),
        AttributeValue::N(number) => put_bytes(hasher, number.to_string().as_bytes()),
        AttributeValue::B(bytes) => put_bytes(hasher, bytes),
        AttributeValue::Bool(truth) => put_bytes(hasher, &[u8::from(*truth)]),
        AttributeValue::Null => put_bytes(hasher, &[]),
        AttributeValue::M(map) => put_map(hasher, map),
        AttributeValue::L(list) => {
            put_length(hasher, list.len());
            for element in list {
                put(hasher, element);
            }
        }
        AttributeValue::Ss(set) => {
            put_length(hasher, set.len());
            for element in set {
                put_bytes(hasher, element.as_bytes());
            }
        }
        AttributeValue::Ns(set) => {
            put_length(hasher, set.len());
            for element in set {
                put_bytes(hasher, element.to_string().as_bytes());
            }
        }
        AttributeValue::Bs(set) => {
            put_length(hasher, set.len());
            for element in set {
                put_bytes(hasher, element);
            }
        }
    }
}

fn put_map(hasher: &mut Sha256, map: &Item) {
    put_length(hasher, map.len());
    for (name, value) in map {
        put_bytes(hasher, name.as_bytes());
        put(hasher, value);
    }
}

fn put_bytes(hasher: &mut Sha256, bytes: &[u8]) {
    put_length(hasher, bytes.len());
    hasher.update(bytes);
}

fn put_length(hasher: &mut Sha256, length: usize) {
    hasher.update((length as u64).to_be_bytes());
}

impl<const BYTES: usize> Digest<BYTES> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl<const BYTES: usize> fmt::Display for Digest<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(PREFIX.len() + 2 * BYTES);
        text.push_str(PREFIX);
        let halves = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        text.extend(halves.map(|half| char::from(DIGITS[usize::from(half)])));
        f.write_str(&text)
    }
}

impl<const BYTES: usize> fmt::Debug for Digest<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const BYTES: usize> From<Digest<BYTES>> for String {
    fn from(digest: Digest<BYTES>) -> Self {
        digest.to_string()
    }
}

impl<const BYTES: usize> TryFrom<String> for Digest<BYTES> {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        let wrong = DigestError(2 * BYTES);
        let hex = text.strip_prefix(PREFIX).ok_or(wrong)?.as_bytes();
        if hex.len() != 2 * BYTES {
            return Err(wrong);
        }
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            let value = digit(0).zip(digit(1)).map(|(high, low)| high * 16 + low).ok_or(wrong)?;
            *byte = u8::try_from(value).map_err(|_| wrong)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(json: &serde_json::Value) -> ValueDigest {
        ValueDigest::of_value(&AttributeValue::from_json(json).unwrap())
    }

    #[test]
    fn equal_values_have_equal_digests_however_they_are_written() {
        for (left, right) in [
            (json!({"N": "1"}), json!({"N": "1.00"})),
            (json!({"N": "1E3"}), json!({"N": "1000"})),
            (json!({"SS": ["a", "b"]}), json!({"SS": ["b", "a"]})),
            (
                json!({"M": {"a": {"S": ""}, "b": {"N": "-0"}}}),
                json!({"M": {"b": {"N": "0"}, "a": {"S": ""}}}),
            ),
        ] {
            assert_eq!(of(&left), of(&right), "{left} {right}");
        }
    }

    #[test]
    fn different_values_have_different_digests() {
        let values = [
            json!({"N": "1"}),
            json!({"S": "1"}),
            json!({"B": "MQ=="}),
            json!({"BOOL": true}),
            json!({"BOOL": false}),
            json!({"NULL": true}),
            json!({"SS": ["1"]}),
            json!({"NS": ["1"]}),
            json!({"BS": ["MQ=="]}),
            json!({"L": []}),
            json!({"M": {}}),
            json!({"L": [{"L": []}, {"L": []}]}),
            json!({"L": [{"L": [{"L": []}]}]}),
            json!({"SS": ["ab", "c"]}),
            json!({"SS": ["a", "bc"]}),
        ];
        for (at, left) in values.iter().enumerate() {
            for right in &values[at + 1..] {
                assert_ne!(of(left), of(right), "{left} {right}");
            }
        }
    }

    #[test]
    fn a_digest_is_read_back_from_its_text_and_nothing_else_is() {
        let digest = of(&json!({"S": "x"}));
        assert_eq!(ValueDigest::try_from(digest.to_string()), Ok(digest));
        for wrong in ["", "sha256:", "sha256:00", "md5:00112233445566778899aabbccddeeff"] {
            assert!(ValueDigest::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(ItemDigest::try_from(digest.to_string()).is_err());
    }
}
