//! BatchWriteItem as it is, in the cheap mode: its items are read, their entries made durable, and
//! the batch is sent. Nothing binds it to what was read, so its entries say that nobody checked.

use bytes::Bytes;
use dm_dynamodb::idempotency;
use dm_dynamodb::request::BatchWrite;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::fault::Fault;
use crate::item_reads::Consistency;
use crate::journal::batch::Part;
use crate::journal::single::unverified_draft;
use crate::journal::{Journal, Known, Settlement};
use crate::operation::Operation;

impl Journal {
    /// BatchWriteItem, sent as a batch.
    pub(in crate::journal) async fn write_batch_unverified(
        &self,
        batch: BatchWrite,
        body: Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let call = Call::new(Operation::BatchWriteItem, body);
        let parts = self.parts(batch, call.body()).await?;
        for part in &parts {
            self.hold(&part.prepared.table).await?;
        }
        let keys = parts
            .iter()
            .map(|part| (part.prepared.table.name.as_str(), part.prepared.write.key.bytes()));
        let _held = self.locks.lock(keys).await;
        let images = self.images_of(&parts, |_| true, Consistency::Eventual).await?;
        let (mut drafts, mut afters) = (Vec::new(), Vec::new());
        for (part, known) in parts.iter().zip(&images) {
            let image = image_of(known);
            let after = part.prepared.evaluate(image)?.after;
            drafts.push(unverified_draft(&part.prepared, image, after.as_ref()));
            afters.push(after);
        }
        let entries = self.writer().await?.append_all(drafts).await?;
        for part in &parts {
            self.ahead.forget(&part.prepared);
        }
        let result = self.send(&call).await;
        let not_done: Vec<bool> = match &result {
            Ok(answer) => unprocessed(&parts, answer),
            Err(fault) if fault.is_certain() => vec![true; parts.len()],
            // Nobody knows.
            Err(_) => return result,
        };
        for (sequence, not_done) in entries.into_iter().zip(&not_done) {
            let outcome = if *not_done { Settlement::Refused } else { Settlement::Written };
            self.settle(Some(sequence), outcome);
        }
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| !not_done[*at]) {
            self.count(&part.prepared, image_of(&images[at]), afters[at].as_ref());
        }
        result
    }
}

/// The image of an item. All are read before.
fn image_of(known: &Known) -> Option<&Item> {
    match known {
        Known::Read(image) => image.as_ref(),
        Known::Earlier(image) => Some(image),
        Known::Nothing => None,
    }
}

/// Which parts were not carried out.
fn unprocessed(parts: &[Part<'_>], answer: &Bytes) -> Vec<bool> {
    let answer = crate::layers::metering::members(answer).unwrap_or_default();
    let left = answer.get("UnprocessedItems");
    let of_table = |table: &str| left.and_then(|left| left.get(table)).and_then(Value::as_array);
    parts
        .iter()
        .map(|part| {
            let mut left = of_table(part.table).into_iter().flatten();
            left.any(|left| idempotency::are_equal(left, part.request))
        })
        .collect()
}
