//! Visits items again whose new key another item had. That one may have moved, so this is done when
//! all others are: first each of them, then those whose place was left since. What is then still in
//! their way stays, and they fail, in a dry run as in an apply.

use dm_engine::Turns;
use serde_json::Value;
use tokio::time::sleep;

use crate::change::{Attempt, Origin, Work};
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
        let Some(item) = self.read_key(key).await? else {
            self.is_gone(key, true);
            return Ok(());
        };
        let going = self.going.clone();
        let turns = Turns::new(move |_| {
            let going = going.clone();
            async move { going.unless_ended(sleep(OCCUPIED_PAUSE)).await.is_some() }
        });
        let failed = match self.look(item, &Origin::Failed) {
            Ok(Some(change)) => self.change(change, Attempt::None, &turns).await?,
            Ok(None) => false,
            Err(()) => true,
        };
        if failed {
            self.going.item_failed();
        }
        Ok(())
    }
}
