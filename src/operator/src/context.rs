//! What every reconciliation needs.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::Recorder;
use tokio::sync::Mutex;

use crate::act::adopt::Created;
use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::objects::Settings;

/// What every reconciliation needs.
pub struct Context {
    pub client: Client,
    /// What the watches hold.
    pub cache: Arc<Cache>,
    pub recorder: Recorder,
    pub settings: Settings,
    pub metrics: Arc<Metrics>,
    /// Jobs that this process has created.
    pub created: Arc<Created>,
    /// Held by the reconcile whose run begins or is launched.
    pub starting: Mutex<()>,
    /// The clock; the only one.
    pub clock: fn() -> Timestamp,
}

impl Context {
    /// Returns a namespace of the API server, and what the watches hold of it.
    pub fn cluster<'a>(&'a self, namespace: &'a str) -> Cluster<'a> {
        Cluster { client: &self.client, cache: &self.cache, namespace }
    }
}
