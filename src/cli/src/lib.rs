//! The command line: a guard for any program on a laptop, and the plugin of kubectl. One file per
//! verb; what several of them share has files of its own.

pub mod completion;
pub mod exec;
pub mod flags;
pub mod guard;
pub mod run;
pub mod session;

mod database;
mod environment;
mod folder;
mod layout;
mod print;
mod report;
mod signals;
mod summary;
