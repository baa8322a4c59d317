//! Helpers of the tests.

pub mod cluster;
