//! The test bed: a cluster built from the sources of Kubernetes, the images that run on it,
//! DynamoDB Local and clients of each AWS SDK. Everything is built once for a machine and kept in a
//! cache.
//!
//! `xtask` shows and tests with it; `cluster::release` tries a release on its own cluster.

pub mod checkout;
pub mod cluster;
pub mod command;
pub mod console;
pub mod fingerprint;
pub mod images;
pub mod machine;
pub mod parts;
