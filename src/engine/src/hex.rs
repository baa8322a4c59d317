//! SHA-256 as hexadecimal digits, as signatures and digests are written.

use sha2::{Digest as _, Sha256};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The digest of these bytes in 64 digits.
pub fn sha256(bytes: &[u8]) -> String {
    finished(Sha256::new_with_prefix(bytes))
}

/// The digest of what this hasher was given, in 64 digits.
pub fn finished(hasher: Sha256) -> String {
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(half)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard() {
        // FIPS 180-4, examples: one block.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }
}
