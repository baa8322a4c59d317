//! One line for an error and its causes.

/// Returns the error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let first = error.to_string();
    match error.source().map(chain) {
        // Transparent errors repeat their source.
        Some(source) if source == first => first,
        Some(source) => format!("{first}: {source}"),
        None => first,
    }
}
