//! The digest of a program's files: the operator takes it of what it read, and `prepare` of what it
//! copied in the pod. What runs is what was hashed, whatever became of the ConfigMap between the
//! two.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::sha256::finished;

/// Files by their path in the program's folder, with `/` between its parts.
pub type ProgramFiles = BTreeMap<String, Vec<u8>>;

/// Returns the digest of the files, as `sha256:` and hexadecimal digits. Lengths come first, so
/// that no two lists of files have the same text.
pub fn digest(files: &ProgramFiles) -> String {
    let mut hasher = Sha256::new();
    for (path, content) in files {
        for part in [path.as_bytes(), content.as_slice()] {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
    }
    finished(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> String {
        let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
        digest(&files.iter().map(file).collect())
    }

    #[test]
    fn other_files_have_another_digest() {
        let all = [
            of(&[]),
            of(&[("a", "")]),
            of(&[("a", "b")]),
            of(&[("ab", "")]),
            of(&[("a", ""), ("b", "")]),
            of(&[("a", "b"), ("b", "")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{index}");
        }
        assert_eq!(of(&[("b", "2"), ("a", "1")]), of(&[("a", "1"), ("b", "2")]));
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of(&[]), known, "SHA-256 of nothing");
    }
}
