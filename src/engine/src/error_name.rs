//! The name of an error in the body of an answer.

/// A token's first transaction still runs: its outcome is open.
pub const TRANSACTION_IN_PROGRESS: &str = "TransactionInProgressException";

/// The name of an error body's type, without its namespace.
pub fn error_name(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Typed {
        #[serde(rename = "__type")]
        kind: String,
    }
    let typed: Typed = serde_json::from_slice(body).ok()?;
    typed.kind.rsplit('#').next().map(str::to_owned)
}
