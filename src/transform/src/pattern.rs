//! The regular expressions of one transform. All of them together have a bound, because the
//! operator, which many authors share, compiles them as well.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use crate::limits::{PATTERN_BYTES_LEAST, PATTERN_BYTES_MAX, PATTERNS_MAX};

/// The compiled patterns by their text. An equal one is compiled once.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    compiled: BTreeMap<String, Regex>,
    bytes: usize,
}

impl Patterns {
    /// Returns the pattern compiled, or why it is none.
    pub fn compiled(&mut self, text: &str) -> Result<Regex, String> {
        if let Some(known) = self.compiled.get(text) {
            return Ok(known.clone());
        }
        if self.compiled.len() >= PATTERNS_MAX {
            return Err(format!("a transform has at most {PATTERNS_MAX} regular expressions"));
        }
        // The crate compiles within a limit and does not say how much was needed, so the limit
        // that sufficed counts.
        let left = PATTERN_BYTES_MAX - self.bytes;
        let mut limit = PATTERN_BYTES_LEAST.min(left);
        loop {
            match RegexBuilder::new(text).size_limit(limit).build() {
                Ok(pattern) => {
                    self.bytes += limit;
                    self.compiled.insert(text.to_owned(), pattern.clone());
                    return Ok(pattern);
                }
                Err(regex::Error::CompiledTooBig(_)) if limit < left => {
                    limit = (2 * limit).min(left);
                }
                Err(error) => return Err(reason(&error)),
            }
        }
    }
}

fn reason(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        return format!(
            "the regular expressions of this transform need more than {PATTERN_BYTES_MAX} bytes; \
             repeat less, and write [0-9] for \\d and [0-9A-Za-z_] for \\w, which have the \
             characters of all scripts"
        );
    }
    let error = error.to_string();
    // The last line is the reason; those before it show the pattern.
    let reason = error.lines().last().unwrap_or_default();
    format!("this is not a regular expression: {}", reason.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_together_have_a_bound() {
        let mut patterns = Patterns::default();
        let large =
            |patterns: &mut Patterns, at: usize| patterns.compiled(&format!(r"{at}\w{{10}}"));
        let fit = (0..100).take_while(|at| large(&mut patterns, *at).is_ok()).count();
        assert!((2..5).contains(&fit), "{fit}");
        assert!(patterns.bytes <= PATTERN_BYTES_MAX, "{}", patterns.bytes);
        let error = large(&mut patterns, fit).unwrap_err();
        assert!(
            error.starts_with("the regular expressions of this transform need more"),
            "{error}"
        );
        assert!(large(&mut patterns, 0).is_ok(), "an equal one costs nothing");
    }

    #[test]
    fn a_transform_has_a_bounded_number_of_patterns() {
        let mut patterns = Patterns::default();
        let fit = (0..100).take_while(|at| patterns.compiled(&at.to_string()).is_ok()).count();
        assert_eq!(fit, PATTERNS_MAX);
        assert!(patterns.compiled("(").is_err());
        assert!(patterns.compiled("0").is_ok());
    }
}
