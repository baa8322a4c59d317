//! The sendings of one bound write, judged together. Once the outcome of one is unknown, no error
//! of a later one says that the write was not carried out: not a throttle, and not a failed
//! condition, which is what a write meets that was carried out before. The item itself says it: it
//! is read, and shows what the write leaves, or does not.
//!
//! A bound write can be sent again, because it only changes the image that it was made of.

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::item_write::Made;
use dm_dynamodb::journal::{After, digest_of};
use dm_dynamodb::value::{Item, item_size};
use serde_json::{Map, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::journal::Journal;
use crate::journal::done::Done;
use crate::journal::prepared::{CONDITION_FAILED, Prepared, Sent};

/// Bytes of an item that a write unit pays for (DynamoDB Developer Guide, "Read and write units").
const WRITE_UNIT_BYTES: usize = 1024;

/// What is known of a write, or of a transaction, after all its sendings.
pub enum Fate {
    /// It was carried out, and this is the database's answer.
    Answered(Answered),
    /// It was carried out by a sending whose answer was lost.
    Found,
    /// It was not carried out.
    Refused(Fault),
    /// An error answered a later sending than one whose outcome is unknown, and says that it was
    /// not carried out before; it may still be.
    RefusedAfterDoubt(Fault),
    /// Nobody knows. The error is the first one's that said so.
    InDoubt(Fault),
}

/// The answer to a write.
pub struct Answered {
    pub answer: Bytes,
    /// Whether it tells the whole item as it was, to be compared with the image.
    pub returns_old: bool,
    /// Whether an earlier sending may have been carried out as well.
    pub in_doubt: bool,
}

impl Journal {
    /// Sends a write until its fate is known, or as long as a call may take.
    pub(in crate::journal) async fn send_bound(
        &self,
        prepared: &Prepared,
        before: Option<&Item>,
        made: &Made,
        sent: &Sent,
    ) -> Fate {
        let until = Instant::now() + self.apply.times().call;
        match self.send(&sent.call).await {
            Ok(answer) => {
                let returns_old = sent.returns_old;
                Fate::Answered(Answered { answer, returns_old, in_doubt: false })
            }
            Err(fault) if fault.is_certain() => Fate::Refused(fault),
            // Seldom, and large: it must not make every write's future as large.
            Err(fault) => {
                let fate = Box::pin(self.resolve(prepared, (before, made), sent, until)).await;
                fate.unwrap_or(Fate::InDoubt(fault))
            }
        }
    }

    /// After a sending of unknown outcome; `None` if it stays unknown.
    async fn resolve(
        &self,
        prepared: &Prepared,
        (before, made): (Option<&Item>, &Made),
        sent: &Sent,
        until: Instant,
    ) -> Option<Fate> {
        let sendings = if sent.repeatable { limits::SENDINGS_MAX } else { 1 };
        for _ in 1..sendings {
            tokio::time::sleep(limits::UPSTREAM_BACKOFF_FIRST).await;
            let sending = self.send(&sent.call);
            match timeout_at(until, sending).await {
                Ok(Ok(answer)) => return Some(answered_again(answer, before, made, sent)),
                Ok(Err(fault)) if !fault.is_certain() => {}
                // It fails now, which says nothing of the first one. Nor is there time for another.
                Ok(Err(fault)) => {
                    let condition = fault.is_upstream(CONDITION_FAILED);
                    tracing::debug!(condition, "a write of unknown outcome fails when sent again");
                    break;
                }
                Err(_) => break,
            }
        }
        let left = After::of(before, made.after.as_ref());
        let reading = self.images.read(&prepared.table, &prepared.write.key);
        let now = timeout(limits::SETTLING_READ_MAX, reading).await.ok()?.ok()?;
        shows(now.as_ref(), &left).then_some(Fate::Found)
    }

    /// What a write came to that was carried out without an answer.
    pub(in crate::journal) fn found(
        &self,
        prepared: &Prepared,
        before: Option<Item>,
        made: Made,
        sent: &Sent,
    ) -> Done {
        self.apply.found(&sent.call);
        self.count(prepared, before.as_ref(), made.after.as_ref());
        let mut answer = Map::new();
        if sent.call.outline().asks_for_capacity() {
            let units = write_units(before.as_ref(), made.after.as_ref());
            let capacity = json!({"TableName": prepared.table.name, "CapacityUnits": units});
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        Done { answer, before, made, returns_old: true, is_found: true }
    }
}

/// The answer to a later sending. Where it tells the item as it was, and that is what the write
/// itself leaves, an earlier one was carried out: a condition cannot see an attribute that was
/// added.
fn answered_again(answer: Bytes, before: Option<&Item>, made: &Made, sent: &Sent) -> Fate {
    let returns_old = sent.returns_old;
    if returns_old {
        let old = Members::of(&answer).and_then(|members| members.item("Attributes").ok()?);
        if old == made.after && old.as_ref() != before {
            return Fate::Found;
        }
    }
    Fate::Answered(Answered { answer, returns_old, in_doubt: true })
}

/// Whether an item is what a write leaves, as far as the write changes it.
pub fn shows(now: Option<&Item>, left: &After) -> bool {
    now.is_some() == left.item.is_some()
        && left
            .attributes
            .iter()
            .all(|(name, digest)| digest_of(now.and_then(|item| item.get(name))) == *digest)
}

/// Units of a write of a table without indexes.
pub fn write_units(before: Option<&Item>, after: Option<&Item>) -> usize {
    let size = |item: Option<&Item>| item.map_or(0, item_size);
    size(before).max(size(after)).div_ceil(WRITE_UNIT_BYTES).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(attributes: &[(&str, i64)]) -> Item {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    }

    #[test]
    fn an_item_shows_a_write_by_what_the_write_changes() {
        let (before, after) = (item(&[("id", 1), ("n", 1)]), item(&[("id", 1), ("n", 2)]));
        let left = After::of(Some(&before), Some(&after));
        assert!(shows(Some(&after), &left));
        assert!(shows(Some(&item(&[("id", 1), ("n", 2), ("others", 7)])), &left));
        assert!(!shows(Some(&before), &left));
        assert!(!shows(Some(&item(&[("id", 1), ("n", 3)])), &left));
        assert!(!shows(None, &left));
        let deleted = After::of(Some(&before), None);
        assert!(shows(None, &deleted) && !shows(Some(&before), &deleted));
    }

    #[test]
    fn a_write_costs_its_larger_image() {
        let large = Item::from([("id".to_owned(), "x".repeat(1500).as_str().into())]);
        assert_eq!(write_units(Some(&large), None), 2);
        assert_eq!(write_units(None, None), 1);
    }
}
