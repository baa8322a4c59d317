//! The secret that control requests must present. The program on the same machine has none, so that
//! it cannot change its own limits.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits;
use sha2::{Digest as _, Sha256};

/// A token, kept as its digest.
#[derive(Clone)]
pub struct ControlToken([u8; 32]);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("reading the control token's file {0}")]
    File(PathBuf, #[source] io::Error),
    /// It could be guessed.
    #[error("the control token has {0} characters, and needs \
             {min}", min = limits::CONTROL_TOKEN_CHARS_MIN)]
    Short(usize),
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlToken")
    }
}

impl ControlToken {
    /// Of a text; blanks around it do not count.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let length = text.chars().count();
        if length < limits::CONTROL_TOKEN_CHARS_MIN {
            return Err(TokenError::Short(length));
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    pub fn of_file(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path);
        Self::new(&text.map_err(|error| TokenError::File(path.to_owned(), error))?)
    }

    /// Whether an Authorization header shows it. Digests are compared, all their bytes in any case,
    /// so that the time it takes says nothing of either.
    pub fn is_shown_by(&self, header: Option<&[u8]>) -> bool {
        let Some(shown) = header.and_then(|header| header.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let shown: [u8; 32] = Sha256::digest(shown).into();
        let differing =
            self.0.iter().zip(shown).fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs));
        std::hint::black_box(differing) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_is_taken() {
        let token = ControlToken::new(" 0123456789abcdef\n").unwrap();
        for (header, taken) in [
            (Some("Bearer 0123456789abcdef"), true),
            (Some("Bearer 0123456789abcdeF"), false),
            (Some("Bearer 0123456789abcdef0"), false),
            (Some("Bearer "), false),
            (Some("Basic 0123456789abcdef"), false),
            (Some("0123456789abcdef"), false),
            (None, false),
        ] {
            assert_eq!(token.is_shown_by(header.map(str::as_bytes)), taken, "{header:?}");
        }
        assert_eq!(format!("{token:?}"), "ControlToken");
    }

    #[test]
    fn a_token_that_could_be_guessed_is_none() {
        assert!(matches!(ControlToken::new("secret"), Err(TokenError::Short(6))));
        assert!(matches!(ControlToken::new(""), Err(TokenError::Short(0))));
        assert!(ControlToken::of_file(Path::new("/no/such/file")).is_err());
    }
}
