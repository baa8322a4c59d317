//! Helpers of the tests.

// A helper fails as an assertion does; its callers are tests.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::return_self_not_must_use)]

pub mod cluster;
pub mod python;
pub mod tls;
