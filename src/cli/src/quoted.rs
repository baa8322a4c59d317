//! Words of a command that is printed for a person to paste into a shell.

use std::borrow::Cow;

/// A word as a shell reads it: in single quotes, unless each of its characters stands for itself.
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@=,+%-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_word_that_was_meant() {
        for (text, expected) in [
            ("migrations/0001-add-price", "migrations/0001-add-price"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("/data/jane@corp.example", "/data/jane@corp.example"),
            ("my migrations/0001", "'my migrations/0001'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
            let echoed = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", word(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&echoed.stdout), text);
        }
    }
}
