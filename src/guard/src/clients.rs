//! Whose requests the guard serves: those that are signed with the run's access key. Other users of
//! the machine reach the same loopback address and would act with the owner's credentials.

use std::fmt;
use std::io;

use sha2::{Digest as _, Sha256};

/// Which clients are served.
#[derive(Clone, Debug)]
pub enum Clients {
    /// Those that present this key.
    With(AccessKey),
    /// Everyone who reaches the address.
    Any,
}

/// An access key, kept as its digest.
#[derive(Clone)]
pub struct AccessKey([u8; 32]);

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey")
    }
}

impl AccessKey {
    /// The key of this text.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Compares digests, all their bytes in any case: the time it takes reveals nothing of either
    /// key.
    fn is(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let differing =
            self.0.iter().zip(presented).fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs));
        std::hint::black_box(differing) == 0
    }
}

impl Clients {
    /// Whether a client with this access key is served.
    pub fn include(&self, access_key: &str) -> bool {
        match self {
            Self::With(key) => key.is(access_key),
            Self::Any => true,
        }
    }

    /// Whether an Authorization header presents the key as a bearer token, as the entry program
    /// does.
    pub fn include_bearer(&self, header: Option<&[u8]>) -> bool {
        let presented = header.and_then(|header| header.strip_prefix(b"Bearer "));
        let presented = presented.and_then(|key| std::str::from_utf8(key).ok());
        matches!(self, Self::Any) || presented.is_some_and(|key| self.include(key))
    }
}

/// A random access key: 128 bits of the system's randomness.
pub fn fresh_access_key() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(dm_contract::control::access_key(&format!("{:032x}", u128::from_ne_bytes(random))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_key_is_served() {
        let clients = Clients::With(AccessKey::new("DM0123456789ABCDEF"));
        for (key, served) in [
            ("DM0123456789ABCDEF", true),
            ("dm0123456789abcdef", false),
            ("DM0123456789ABCDE", false),
            ("", false),
        ] {
            assert_eq!(clients.include(key), served, "{key}");
            let bearer = format!("Bearer {key}");
            assert_eq!(clients.include_bearer(Some(bearer.as_bytes())), served, "{bearer}");
            assert!(Clients::Any.include(key));
        }
        assert!(!clients.include_bearer(None) && Clients::Any.include_bearer(None));
        assert_eq!(format!("{clients:?}"), "With(AccessKey)");
    }

    #[test]
    fn fresh_keys_differ() {
        assert_ne!(fresh_access_key().unwrap(), fresh_access_key().unwrap());
    }
}
