//! The status of targets: whether database and archive can be used, found out by a short Job with
//! the target's credentials. It is advice: no run waits for it.
//!
//! [`state`] reads the Job and its pod, [`findings`] makes conditions of results, [`decide`] says
//! what is next. They are pure. [`reconcile`] reads and writes, [`controller`] is the loop.

pub mod controller;
pub mod decide;
pub mod findings;
pub mod reconcile;
pub mod state;

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::Recorder;

use crate::metrics::Metrics;
use crate::objects::Settings;

/// What every reconcile of a target needs.
pub struct TargetContext {
    pub client: Client,
    pub recorder: Recorder,
    pub settings: Settings,
    pub metrics: Arc<Metrics>,
    /// The clock; the only one.
    pub clock: fn() -> Timestamp,
}
