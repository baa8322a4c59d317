//! What a check of a target found: the termination message of a check's containers.
//!
//! It crosses a process boundary, so it carries a version and has a golden file. Messages name the
//! failed action; they hold no credential and no item.

use serde::{Deserialize, Serialize};

use crate::limits::TERMINATION_MESSAGE_BYTES_MAX;

/// The version this build writes and the only one it reads.
pub const CHECK_VERSION: u32 = 1;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetCheck {
    /// Always [`CHECK_VERSION`].
    pub version: u32,
    /// What the database answered.
    pub database: Finding,
    /// What the archive answered; absent where the check was given none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Finding>,
}

/// What one part of a target answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    pub found: Found,
    /// What was asked and answered, in one or two sentences.
    pub message: String,
}

/// The outcomes of asking one part of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// It answered, and accepted the credentials.
    Reachable,
    /// The source that the target names has no credentials.
    NoCredentials,
    /// It answered, and rejected the credentials.
    Rejected,
    /// It did not answer, or answered with its own error.
    Unreachable,
    /// The archive can be reached, and an object cannot be written, read or listed.
    NotUsable,
    /// The archive's server ignores `If-None-Match`: two runs could write one journal.
    Overwrites,
}

impl TargetCheck {
    /// Returns the termination message: JSON that the kubelet does not cut. Long texts are
    /// shortened.
    pub fn to_message(&self) -> String {
        let mut short = self.clone();
        let mut chars_max = TERMINATION_MESSAGE_BYTES_MAX;
        loop {
            let json = serde_json::json!(short).to_string();
            if json.len() <= TERMINATION_MESSAGE_BYTES_MAX {
                return json;
            }
            chars_max /= 2;
            for finding in std::iter::once(&mut short.database).chain(&mut short.archive) {
                if finding.message.chars().count() > chars_max {
                    finding.message =
                        finding.message.chars().take(chars_max).chain(['…']).collect();
                }
            }
        }
    }

    /// Reads a termination message. One of another version is not understood.
    pub fn from_message(message: &str) -> Option<Self> {
        let read: Self = serde_json::from_str(message).ok()?;
        (read.version == CHECK_VERSION).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str) -> TargetCheck {
        let finding = || Finding { found: Found::Unreachable, message: message.to_owned() };
        TargetCheck { version: CHECK_VERSION, database: finding(), archive: Some(finding()) }
    }

    #[test]
    fn a_message_fits_and_keeps_its_beginning() {
        for text in ["", "no route to host", &"ü\"".repeat(5_000)] {
            let message = check(text).to_message();
            assert!(message.len() <= TERMINATION_MESSAGE_BYTES_MAX, "{}", message.len());
            let read = TargetCheck::from_message(&message).unwrap();
            let kept = read.database.message.trim_end_matches('…');
            assert!(text.starts_with(kept), "{kept}");
            assert!(kept.chars().count() >= text.chars().count().min(256));
        }
    }

    #[test]
    fn another_version_is_not_understood() {
        let message = check("x").to_message();
        assert!(TargetCheck::from_message(&message).is_some());
        let newer = message.replace("\"version\":1", "\"version\":2");
        assert_ne!(newer, message);
        assert_eq!(TargetCheck::from_message(&newer), None);
        assert_eq!(TargetCheck::from_message("out of memory"), None);
    }
}
