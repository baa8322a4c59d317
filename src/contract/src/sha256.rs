//! Digests as they are written everywhere: `sha256:` and hexadecimal digits.

use sha2::{Digest as _, Sha256};

/// Returns the text of a digest.
pub fn finished(hasher: Sha256) -> String {
    format!("sha256:{}", hex::encode(hasher.finalize()))
}
