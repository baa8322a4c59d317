//! Custom resource types, conditions and reasons.
