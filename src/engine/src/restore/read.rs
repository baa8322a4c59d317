//! The items of a page of entries as they are now.

use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::Item;

use crate::fault::Fault;
use crate::limits;
use crate::restore::Restore;

impl Restore {
    /// The entries of a page with their keys and items.
    pub(in crate::restore) async fn with_images<'e>(
        &self,
        table: &TableSchema,
        entries: Vec<(&'e MergedEntry, ItemKey)>,
    ) -> Result<Vec<(&'e MergedEntry, ItemKey, Option<Item>)>, Fault> {
        let asked: Vec<&ItemKey> = entries.iter().map(|(_, key)| key).collect();
        let images = self.read_patiently(table, &asked).await?;
        Ok(entries.into_iter().zip(images).map(|((entry, key), now)| (entry, key, now)).collect())
    }

    /// A restore has time: it waits where a program would get a throttling error.
    async fn read_patiently(
        &self,
        table: &TableSchema,
        keys: &[&ItemKey],
    ) -> Result<Vec<Option<Item>>, Fault> {
        let mut patience = limits::RESTORE_THROTTLES_MAX;
        loop {
            match self.images().read_all(table, keys).await {
                Err(Fault::Throttled) if patience > 0 && !self.speed.is_stopping() => {}
                result => return result,
            }
            patience -= 1;
            // The rate is lowered by what was throttled.
            self.observe();
            let pause = tokio::time::sleep(limits::UPSTREAM_BACKOFF_MAX);
            if self.speed.unless_failed(pause).await.is_none() {
                return Err(Fault::Throttled);
            }
        }
    }
}
