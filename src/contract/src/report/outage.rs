//! Something behind the guard that did not answer: the archive, or the database.

use serde::{Deserialize, Serialize};

/// A time in which calls of the program were not carried out because of something behind the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    /// What does not answer.
    pub of: Behind,
    /// When the first such call failed, RFC 3339 in UTC.
    pub since: String,
    /// Calls of the program that failed because of it. No write among those that the archive kept
    /// from being journaled was sent; of those to the database it is not always known.
    pub calls: u64,
    /// What it said, or what happened, at the last of them.
    pub message: String,
    /// Whether it lasts: no such call has succeeded since.
    pub lasts: bool,
}

/// What is behind the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behind {
    /// The archive, without which no write is sent.
    Archive,
    Database,
}
