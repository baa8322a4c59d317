//! Rules of the source tree that no compiler checks: who depends on whom, and how files are
//! written. They need no service and read tracked files only.

// A rule's test says by its panic what is broken.
#![allow(clippy::unwrap_used)]

mod alerts;
mod circles;
mod commands;
mod commits;
mod corpus;
mod docs;
mod layering;
mod literals;
mod manifests;
mod markdown;
mod reference;
mod roles;
mod tidy;

use std::path::PathBuf;

/// The repository's root folder.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
