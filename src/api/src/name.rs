//! Names of Kubernetes objects, as they stand in references.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use std::fmt;

/// Pattern of an object's name: a DNS subdomain (Kubernetes documentation, "Object Names and IDs").
pub const PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Characters of the longest name.
pub const CHARS_MAX: usize = 253;

/// Characters of the longest name that is also the value of a label.
pub const LABEL_CHARS_MAX: usize = 63;

/// What a name with that bound consists of, for a message.
pub const LABEL_RULE: &str =
    "at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends";

/// Whether a name is a DNS label: a migration's is, as it becomes a label of the run's objects, and
/// a namespace's.
pub fn is_label(text: &str) -> bool {
    text.len() <= LABEL_CHARS_MAX && is_part(text)
}

/// Whether a text could be a label, or stand between the dots of a subdomain, but for its length.
fn is_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_whole = text.starts_with(plain) && text.ends_with(plain);
    is_whole && text.chars().all(|c| plain(c) || c == '-')
}

/// A name that can be put into the path of a request: it has no `/`, `?` or `%`, and is not `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsName<'a>(&'a str);

impl<'a> DnsName<'a> {
    /// Returns the name if it is one.
    pub fn parse(text: &'a str) -> Option<Self> {
        (text.len() <= CHARS_MAX && text.split('.').all(is_part)).then_some(Self(text))
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for DnsName<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.0)
    }
}

/// Names an object in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ObjectName {
    /// The object's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = PATTERN))]
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_letters_digits_and_inner_dashes() {
        for right in ["0001-x", "a", &"a".repeat(LABEL_CHARS_MAX)] {
            assert!(is_label(right), "{right}");
        }
        for wrong in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"a".repeat(LABEL_CHARS_MAX + 1)] {
            assert!(!is_label(wrong), "{wrong}");
        }
        assert!(LABEL_RULE.contains(&LABEL_CHARS_MAX.to_string()), "{LABEL_RULE}");
    }

    #[test]
    fn what_would_be_another_path_is_no_name() {
        for name in ["a", "0001-add-price", "a.b-c.d", &"x".repeat(253)] {
            assert_eq!(DnsName::parse(name).map(DnsName::as_str), Some(name));
        }
        let long = "x".repeat(254);
        for wrong in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "A",
            "my config",
            "../secrets/creds",
            "t?x=1",
            "t%2f",
            "a/b",
            "a,b",
            "a=b",
            "a#b",
            "ä",
            "a\n",
            &long,
        ] {
            assert_eq!(DnsName::parse(wrong), None, "{wrong}");
        }
    }
}
