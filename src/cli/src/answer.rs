//! Prints answers in the requested format: text for people, or typed data for programs. Each verb
//! defines its answer.

use std::io;

use clap::Args;
use serde::Serialize;

use crate::output::Format;
use crate::print;

/// The format of an answer.
#[derive(Clone, Copy, Debug, Default, Args)]
#[group(id = "answering")]
pub struct Flags {
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

/// Why an answer was not printed.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("writing the answer as JSON")]
    Json(#[from] serde_json::Error),
    #[error("writing the answer as YAML")]
    Yaml(#[source] Box<serde_saphyr::ser::Error>),
    #[error("writing the answer")]
    Write(#[from] io::Error),
}

impl Flags {
    /// Prints an answer: its data, or its text if that format is requested.
    pub fn print<T: Serialize>(
        self,
        data: &T,
        words: impl FnOnce(Words) -> String,
    ) -> Result<(), AnswerError> {
        Ok(print::answer(&formatted(self.output, data, words)?)?)
    }

    /// Whether people read the answer on a terminal.
    pub fn is_text(self) -> bool {
        self.output == Format::Text
    }
}

/// Where text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    Terminal,
    /// In a comment, as Markdown.
    Markdown,
}

/// An answer as text.
pub fn formatted<T: Serialize>(
    format: Format,
    data: &T,
    words: impl FnOnce(Words) -> String,
) -> Result<String, AnswerError> {
    Ok(match format {
        Format::Text => words(Words::Terminal),
        Format::Markdown => words(Words::Markdown),
        Format::Json => serde_json::to_string_pretty(data)? + "\n",
        Format::Yaml => {
            serde_saphyr::to_string(data).map_err(|error| AnswerError::Yaml(Box::new(error)))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn data_is_the_same_in_both_formats_and_words_are_asked_for_only_where_needed() {
        let data = json!({"name": "a: b", "items": [1, null]});
        let unasked = |_| panic!("no words are needed");
        let read = formatted(Format::Json, &data, unasked).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), data);
        let read = formatted(Format::Yaml, &data, unasked).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&read).unwrap(), data);
        let words = |words| format!("{words:?}");
        assert_eq!(formatted(Format::Text, &data, words).unwrap(), "Terminal");
        assert_eq!(formatted(Format::Markdown, &data, words).unwrap(), "Markdown");
    }
}
