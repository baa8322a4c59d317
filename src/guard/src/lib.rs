//! The guard: an HTTP server over the engine, for a program on the same machine; and what is done in a
//! run's pod without a program, before it, after it, or in its place.

mod connections;
mod control;
pub mod flags;
mod guard;
pub mod keep;
pub mod ledger;
pub mod open_files;
mod own_wakes;
mod program_log;
pub mod record;
mod restart;
pub mod restore;
mod server;
mod status_server;
pub mod termination;
#[cfg(test)]
mod testing;
pub mod token;
mod wire;

pub use guard::{Guard, Options, StartError, empty_result};

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let first = error.to_string();
    match error.source().map(chain) {
        // Transparent errors repeat their source.
        Some(source) if source == first => first,
        Some(source) => format!("{first}: {source}"),
        None => first,
    }
}
