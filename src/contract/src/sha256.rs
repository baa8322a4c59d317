//! Digests as they are written everywhere: `sha256:` and hexadecimal digits.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns the text of a digest.
pub fn finished(hasher: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in hasher.finalize() {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
