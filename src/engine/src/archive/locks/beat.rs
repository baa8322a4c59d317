//! The heartbeat of a run's locks, for as long as the run keeps them. A beat that fails leaves a
//! lock to run out; the next one takes it again, if nobody came in between.

use std::sync::{Arc, Weak};

use crate::limits;
use futures::future::join_all;

use crate::archive::locks::clock::Moment;
use crate::archive::locks::{Shared, State, Table};

/// Beats until nobody holds the locks any more.
pub async fn run(shared: Weak<Shared>) {
    loop {
        let Some(pause) = shared.upgrade().map(|shared| shared.times.lease) else { return };
        tokio::time::sleep(pause / limits::LOCK_BEATS_PER_LEASE).await;
        let Some(shared) = shared.upgrade() else { return };
        join_all(shared.all_tables().iter().map(|table| beat(&shared, table))).await;
    }
}

async fn beat(shared: &Arc<Shared>, table: &Table) {
    // Who has the gate is about to have the lock, or to lose it.
    let Ok(_gate) = table.gate.try_lock() else { return };
    let state = table.state.lock().clone();
    let State::Held { place, fence, record, until } = state else { return };
    let beaten = async {
        if until > Moment::now() {
            return shared.heartbeat(table, &place, fence, record).await.map(|_| ());
        }
        // Only its own number shows whether somebody came in between. A write would take it
        // for its own table only, and waits for all of them.
        shared.renew(table, &place, fence, record).await.map(|_| ())
    };
    match tokio::time::timeout(shared.times.lease, beaten).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a lock's heartbeat");
        }
        Err(_) => tracing::warn!(table = table.name, "a lock's heartbeat takes too long"),
    }
}
