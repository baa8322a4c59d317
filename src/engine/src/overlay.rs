//! A dry run: writes stay here, reads are merged with them. Nothing but reads reaches the database.

use std::sync::Arc;

use bytes::Bytes;
use dm_core::report::TableEffect;
use serde_json::Value;

use crate::call::Call;
use crate::fault::Fault;
use crate::operation::{Class, Operation, ReadOperation};
use crate::tally::Tally;
use crate::upstream::{ReadOnly, UpstreamCalls};

/// The layer of a dry run.
#[derive(Debug)]
pub struct Overlay {
    upstream: ReadOnly,
    #[allow(dead_code)] // Used by the reads and writes to come.
    tally: Arc<Tally>,
}

impl Overlay {
    /// Over a connection that cannot write.
    pub fn new(upstream: ReadOnly, tally: Arc<Tally>) -> Self {
        Self { upstream, tally }
    }

    /// What was sent so far.
    pub fn calls(&self) -> UpstreamCalls {
        self.upstream.calls()
    }

    /// What would change, per table.
    pub fn effects(&self) -> Vec<TableEffect> {
        Vec::new()
    }

    /// Answers one call.
    pub async fn handle(&self, call: Call) -> Result<Bytes, Fault> {
        match (call.operation.class(), ReadOperation::of(call.operation)) {
            (Class::MetadataRead, Some(read)) => {
                self.upstream.read(read, &Value::Object(call.body)).await
            }
            _ => Err(not_simulated(call.operation)),
        }
    }
}

/// The refusal of an operation that cannot be simulated exactly.
fn not_simulated(operation: Operation) -> Fault {
    let name = operation.name();
    Fault::refused(
        format!(
            "The guard's dry run does not simulate {name} yet, and lets nothing through that it \
             cannot simulate. The same call passes in an applied run."
        ),
        "a dry run does not simulate it yet",
    )
}
