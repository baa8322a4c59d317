//! The controller against a scripted API server: a mock that holds objects in memory, and a fake
//! of the Job controller and the kubelet that counts how often a program was started.
//!
//! What is shown here: which calls are made and which are not, and that neither a crash at any
//! write, nor stale reads, nor a second controller, nor anybody's deletions run a program twice.
#![allow(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod api_server;
mod archive;
mod by_hand;
mod checked_target;
mod cluster;
mod connection;
mod copied;
mod crash;
mod edited;
mod forged;
mod hangs;
mod happy;
mod invariants;
mod job_controller;
mod ledger;
mod merge;
mod moves;
mod namespace;
mod orphans;
mod refused;
mod requests;
mod restored;
mod results;
mod schedule;
mod split;
mod stale;
mod target;
mod two_operators;
mod watches;
mod world;
