//! The guard: an HTTP server over the engine, for a program on the same machine.

mod control;
pub mod flags;
mod guard;
mod restart;
mod server;
pub mod termination;
mod wire;

pub use guard::{Guard, Options, StartError};
