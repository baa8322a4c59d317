//! BatchWriteItem as it is, in the cheap mode: its items are read, their entries made durable, and
//! the batch is sent. Nothing binds it to what was read, so its entries say that nobody checked.

use bytes::Bytes;
use dm_dynamodb::idempotency;
use dm_dynamodb::journal::Sequence;
use dm_dynamodb::request::BatchWrite;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::journal::batch::Part;
use crate::journal::images::Consistency;
use crate::journal::single::draft;
use crate::journal::{Draft, Journal, Known, Settlement};
use crate::operation::Operation;

impl Journal {
    /// BatchWriteItem, sent as a batch.
    pub(in crate::journal) async fn write_batch_unverified(
        &self,
        batch: BatchWrite,
        body: Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let parts = self.parts(batch, &body).await?;
        for part in &parts {
            self.hold(&part.prepared.table).await?;
        }
        let keys = parts
            .iter()
            .map(|part| (part.prepared.table.name.as_str(), part.prepared.write.key.bytes()));
        let _held = self.locks.lock(keys).await;
        let images = self.images_of(&parts, |_| true, Consistency::Eventual).await?;
        let (mut drafts, mut places, mut afters) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (part, known)) in parts.iter().zip(&images).enumerate() {
            let image = image_of(known);
            let after = part.prepared.evaluate(image)?.after;
            if let Some(draft) = draft(&part.prepared, image, after.as_ref()) {
                drafts.push(Draft { unverified: true, ..draft });
                places.push(at);
            }
            afters.push(after);
            // What was read before is not what is there afterwards.
            if let Some(found) =
                self.ahead.take(&part.prepared.table.name, &part.prepared.write.key)
            {
                self.ahead.give_up(found);
            }
        }
        let entries = self.writer().await?.append_all(drafts).await?;
        let result = self.send(Operation::BatchWriteItem, body.clone()).await;
        let not_done: Vec<bool> = match &result {
            Ok(answer) => unprocessed(&parts, answer),
            Err(fault) if fault.is_certain() => vec![true; parts.len()],
            // Nobody knows.
            Err(_) => return result,
        };
        for (at, sequence) in places.into_iter().zip(entries) {
            self.settle_part(sequence, not_done[at]);
        }
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| !not_done[*at]) {
            self.count(&part.prepared, image_of(&images[at]), afters[at].as_ref());
        }
        result
    }

    fn settle_part(&self, sequence: Sequence, not_done: bool) {
        let outcome = if not_done { Settlement::Refused } else { Settlement::Written };
        self.settle(Some(sequence), outcome);
    }
}

/// The image of an item. All are read before.
fn image_of(known: &Known) -> Option<&Item> {
    match known {
        Known::Read(image) => image.as_ref(),
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
