//! Writes, which change only what the dry run knows.

pub mod calls;
pub mod item;
pub mod transaction;
