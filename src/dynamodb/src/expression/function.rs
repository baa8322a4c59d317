//! The functions that conditions and updates have.

/// Those of updates.
pub(super) const UPDATE_FUNCTIONS: [&str; 2] = ["if_not_exists", "list_append"];

/// How many operands a function of conditions takes; none for other functions.
pub(super) fn operands_of(name: &str) -> Option<usize> {
    match name {
        "attribute_exists" | "attribute_not_exists" | "size" => Some(1),
        "attribute_type" | "begins_with" | "contains" => Some(2),
        _ => None,
    }
}
