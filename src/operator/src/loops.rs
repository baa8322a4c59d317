//! Everything that runs in one namespace, or in all: the loop of migrations and the loop of
//! targets.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cache::Writers;
use crate::context::Context;
use crate::controller;
use crate::target::{self, TargetContext};

/// Runs both until the process is asked to stop.
pub async fn run(
    context: Context,
    writers: Writers,
    namespace: Option<&str>,
    ready: Arc<AtomicBool>,
) {
    let targets = TargetContext {
        client: context.client.clone(),
        recorder: context.recorder.clone(),
        settings: context.settings.clone(),
        metrics: Arc::clone(&context.metrics),
        clock: context.clock,
    };
    tokio::join!(
        controller::run(context, writers, namespace, ready),
        target::controller::run(targets, namespace)
    );
}
