//! Unique names.

use std::hash::{BuildHasher as _, RandomState};

use sha2::{Digest as _, Sha256};

/// Returns a name that is as unique as a UUID: 32 hexadecimal digits.
pub fn fresh_name() -> String {
    let mut hasher = Sha256::new();
    hasher.update(RandomState::new().hash_one(0).to_be_bytes());
    hasher.update(RandomState::new().hash_one(1).to_be_bytes());
    let bytes: [u8; 32] = hasher.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    format!("{:032x}", u128::from_be_bytes(half))
}
