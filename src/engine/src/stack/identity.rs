//! Which database and tables the result is about, as far as the layers have asked.

use crate::limits;
use dm_contract::identity::DatabaseId;
use dm_contract::report::TableEffect;
use dm_dynamodb::schema::TableSchema;

use crate::identity;
use crate::stack::{Bottom, Engine};

impl Engine {
    /// Which database it is: asked, where the run has written nothing and so knows no table.
    pub async fn database(&self) -> Option<DatabaseId> {
        let known = self.identify(&mut []);
        let Bottom::Journal(journal) = &self.bottom else { return known };
        if known.as_ref().is_some_and(|database| database.account.is_some()) {
            return known;
        }
        let tables = self.tally.counts().tables.into_keys().collect();
        let look = identity::look(journal.images().reader(), &self.upstream, &tables);
        match tokio::time::timeout(limits::IDENTITY_AT_END_MAX, look).await {
            Ok(Ok(seen)) => Some(seen.database),
            Ok(Err(_)) | Err(_) => known,
        }
    }

    /// Gives the tables their ids; which database it is.
    pub(in crate::stack) fn identify(&self, tables: &mut [TableEffect]) -> Option<DatabaseId> {
        let mut database =
            DatabaseId::new(&self.upstream.region, self.upstream.endpoint.as_deref());
        let mut identify = |schema: &TableSchema| {
            if let Some(arn) = &schema.arn {
                database = std::mem::take(&mut database).with_arn(arn);
            }
            if let Some(table) = tables.iter_mut().find(|table| table.name == schema.name) {
                table.id.clone_from(&schema.id);
            }
        };
        match &self.bottom {
            Bottom::Overlay(overlay) => overlay.upstream_tables(&mut identify),
            Bottom::Journal(journal) => journal.images().for_each_table(&mut identify),
            // Nothing was asked, so nothing but the plan is known.
            Bottom::Apply(_) | Bottom::Closed(..) => return None,
        }
        Some(database)
    }
}
