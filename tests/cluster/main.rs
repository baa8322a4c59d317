//! Tests on a cluster: one file for each promise made to users.
//!
//! `cargo xtask test cluster` brings a cluster up and runs them. Each test has a namespace, a
//! target and its own database; it waits for what it expects, with a cap, and never sleeps.

// A test may panic, and so may its helpers; futures of tests live on the test's own stack.
#![allow(clippy::unwrap_used, clippy::large_futures)]

mod archive;
mod bucket;
mod deleting;
mod describe;
mod disrupted;
mod dry_run;
mod ends;
mod examples;
mod frozen;
mod missing;
mod once;
mod paused;
mod pods;
mod promoted;
mod restore;
mod roles;
mod split;
mod target_status;
mod transform;
mod uninstall;
mod waits;
mod wrong;
