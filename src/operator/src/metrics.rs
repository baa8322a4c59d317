//! Metrics of the controller, for Prometheus.

mod states;

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::cache::Cache;

/// Labels of a finished run. No names of objects: their number has no bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RunLabels {
    /// `DryRun`, `Apply`, `RestorePreview` or `Restore`.
    pub kind: String,
    /// `Succeeded`, `Failed`, `Unknown` or `Canceled`.
    pub result: String,
    /// The reason, as in status.
    pub reason: String,
}

/// Labels of a target. A platform team has few of them, and a series goes with its target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TargetLabels {
    pub namespace: String,
    pub target: String,
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub reconciles: Counter,
    /// Reconciliations that failed and are tried again.
    pub errors: Counter,
    /// Seconds one reconciliation took.
    pub seconds: Histogram,
    pub runs: Family<RunLabels, Counter>,
    /// 1 for each target that is `Ready`, 0 for each other one.
    pub target_ready: Family<TargetLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("datamigration"),
            reconciles: Counter::default(),
            errors: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.005, 2.0, 12)),
            runs: Family::default(),
            target_ready: Family::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    /// Metrics that also tell what the migrations in these caches do.
    pub fn of(caches: Vec<Arc<Cache>>) -> Self {
        let mut metrics = Self::default();
        metrics.registry.register_collector(Box::new(states::OfCaches(caches)));
        metrics
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("reconciles", "Reconciliations begun", self.reconciles.clone());
        registry.register("reconcile_errors", "Reconciliations that failed", self.errors.clone());
        registry.register(
            "reconcile_duration_seconds",
            "Seconds one reconciliation took",
            self.seconds.clone(),
        );
        registry.register("runs", "Runs that ended", self.runs.clone());
        registry.register(
            "target_ready",
            "1 for each target that is Ready, 0 for each other one",
            self.target_ready.clone(),
        );
        self
    }

    /// Notes whether a target is `Ready`.
    pub fn note_target(&self, namespace: &str, target: &str, is_ready: bool) {
        let labels = TargetLabels { namespace: namespace.into(), target: target.into() };
        self.target_ready.get_or_create(&labels).set(i64::from(is_ready));
    }

    /// Ends the series of a target that is gone.
    pub fn forget_target(&self, namespace: &str, target: &str) {
        let labels = TargetLabels { namespace: namespace.into(), target: target.into() };
        self.target_ready.remove(&labels);
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
