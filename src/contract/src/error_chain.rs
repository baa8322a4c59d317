//! One line for an error and its causes.

/// Returns the error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let first = error.to_string();
    match error.source().map(chain) {
        // Transparent errors repeat their source, and some libraries' write it into their text.
        Some(source) if first.ends_with(&source) => first,
        Some(source) => format!("{first}: {source}"),
        None => first,
    }
}
