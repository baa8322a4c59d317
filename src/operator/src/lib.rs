//! The controller: observe → validate → decide → write status → act.
//!
//! [`validate`], [`decide`], [`objects`], [`status`] and what [`read`] makes of objects are pure:
//! they take values and the time. `read::observe` reads, [`act`] writes, [`reconcile`] puts them in
//! order.

pub mod act;
pub mod cache;
pub mod changed;
pub mod cluster;
pub mod context;
pub mod controller;
pub mod decide;
pub mod failures;
pub mod guard_client;
pub mod health;
pub mod history;
pub mod identified;
pub mod limits;
pub mod loops;
pub mod metrics;
pub mod objects;
pub mod publish;
pub mod read;
pub mod reconcile;
pub mod reconnect;
pub mod runnable;
#[cfg(test)]
mod samples;
pub mod status;
pub mod sweep;
pub mod target;
pub mod validate;
mod watching;

/// The clock of a running controller.
pub fn system_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
