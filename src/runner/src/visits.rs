//! Visits items again: those that failed in the run before, and those whose new key another item
//! had. That one may have moved, so the latter are visited when all others are done: first each of
//! them, then those whose place was left since. What is then still in their way stays, and they
//! fail, in a dry run as in an apply.

use dm_dynamodb::value::item_size;
use dm_engine::RetryPacing;
use serde_json::Value;
use tokio::time::sleep;

use crate::change::{Attempt, Change, Origin, Work};
use crate::limits::OCCUPIED_PAUSE;
use crate::request::RequestError;

impl Work {
    /// Visits the items that wait, until none can move any more; then the others fail.
    pub async fn visit_waiting(&self) {
        self.visit_all(self.occupied.all()).await;
        self.occupied.end();
        self.visit_all(self.occupied.all()).await;
    }

    async fn visit_all(&self, mut left: Vec<Value>) {
        while let Some(key) = left.pop() {
            if self.going.is_halted() {
                return;
            }
            match self.visit(&key).await {
                Ok(()) => left.extend(self.occupied.called_to(&key)),
                Err(error) => self.going.request_failed(&error),
            }
        }
    }

    async fn visit(&self, key: &Value) -> Result<(), RequestError> {
        let Some((change, _)) = self.look_again(key, true).await? else { return Ok(()) };
        let going = self.going.clone();
        let pacing = RetryPacing::new(move |_| {
            let going = going.clone();
            async move { going.unless_ended(sleep(OCCUPIED_PAUSE)).await.is_some() }
        });
        if self.change(change, Attempt::None, &pacing).await? {
            self.going.item_failed();
        }
        Ok(())
    }

    /// Reads and evaluates an item that is visited again; the change that it needs, if it needs
    /// one, and the item's size. `is_read` is whether its first visit is counted.
    pub async fn look_again(
        &self,
        key: &Value,
        is_read: bool,
    ) -> Result<Option<(Change, usize)>, RequestError> {
        let Some(item) = self.read_key(key).await? else {
            self.is_gone(key, is_read);
            return Ok(None);
        };
        if !is_read {
            self.tally.read(1);
        }
        let bytes = item_size(&item);
        let change = self.look(item, &Origin::Failed).unwrap_or_else(|()| {
            self.going.item_failed();
            None
        });
        Ok(change.map(|change| (change, bytes)))
    }
}
