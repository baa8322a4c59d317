//! The guard: an HTTP server over the engine, for a program on the same machine; and what is done
//! in a run's pod without a program, before it, after it, or in its place.

mod answer_room;
pub mod check;
pub mod clients;
mod completed;
mod connections;
mod control;
mod embedded;
pub mod flags;
mod guard;
pub mod ledger;
pub mod limits;
mod memory;
pub mod open_files;
mod outcome;
mod poll_again;
mod program_log;
pub mod record;
mod restart;
pub mod restore;
mod restoring;
mod run;
mod server;
pub mod termination;
#[cfg(test)]
mod testing;
pub mod token;
pub mod transform;
pub mod uploader;
mod wire;

pub use embedded::Embedded;
pub use guard::{Guard, JOURNAL_NOT_CLOSED, Options, StartError};
