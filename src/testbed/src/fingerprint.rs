//! Content hashes: the keys of the cache and the tags of images. Equal content gives equal keys on
//! every machine, so paths and times never go in.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// Hex digits of a key: 48 bits, far more than the handful of recipes a machine ever sees.
const KEY_DIGITS: usize = 12;

/// Gathers what a thing is made from.
#[derive(Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds a word or a version.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// Adds a file's content.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let content =
            fs::read(path).with_context(|| format!("reading {} for its hash", path.display()))?;
        self.0.update((content.len() as u64).to_le_bytes());
        self.0.update(&content);
        Ok(self)
    }

    /// Adds every file of a folder, with its name, in a fixed order.
    pub fn folder(mut self, folder: &Path) -> Result<Self> {
        for path in files_below(folder)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            self = self.text(&name).file(&path)?;
        }
        Ok(self)
    }

    pub fn key(self) -> String {
        let mut digits = hex::encode(self.0.finalize());
        digits.truncate(KEY_DIGITS);
        digits
    }
}

/// The SHA-256 of bytes, in hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The whole SHA-256 of a file, as image manifests want it.
pub fn sha256_of(path: &Path) -> Result<String> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hasher = Sha256::new();
    io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut hasher)
        .with_context(|| format!("hashing {}", path.display()))?;
    Ok(hex::encode(hasher.finalize()))
}

/// Every file below a folder, sorted by path.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(next) = pending.pop() {
        let entries = fs::read_dir(&next)
            .with_context(|| format!("listing the folder {}", next.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("listing {}", next.display()))?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_words_are_not_their_concatenation() {
        let apart = Fingerprint::default().text("ab").text("c").key();
        let other = Fingerprint::default().text("a").text("bc").key();
        assert_ne!(apart, other);
    }

    #[test]
    fn a_key_has_twelve_hex_digits() {
        let key = Fingerprint::default().text("x").key();
        assert_eq!(key.len(), KEY_DIGITS);
        assert!(key.chars().all(|digit| digit.is_ascii_hexdigit()));
    }
}
