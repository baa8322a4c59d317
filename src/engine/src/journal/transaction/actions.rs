//! The actions of a transaction: read from a request, checked against their tables, and evaluated.
//! Nothing is written here.

use std::collections::BTreeMap;

use dm_dynamodb::error::{CancellationReason, ServiceError};
use dm_dynamodb::item_write::Made;
use dm_dynamodb::request::{ACTIONS, SingleWrite, one_action};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::journal::Journal;
use crate::journal::prepared::Prepared;
use crate::journal::transaction::Images;

/// One action, or one statement.
pub enum Action {
    /// Of a TransactWriteItems: sent as the program's with a condition of ours. A ConditionCheck is
    /// sent as it is.
    Item(Prepared),
    /// A statement, sent as the action that it comes to.
    Statement(Prepared),
}

impl Action {
    /// The write of an item, or its check.
    pub fn prepared(&self) -> &Prepared {
        match self {
            Self::Item(prepared) | Self::Statement(prepared) => prepared,
        }
    }
}

impl Journal {
    /// The actions of a TransactWriteItems.
    pub(in crate::journal::transaction) async fn actions(
        &self,
        asked: Vec<SingleWrite>,
        body: &Map<String, Value>,
    ) -> Result<Vec<Action>, Fault> {
        let bodies = body.get(ACTIONS).and_then(Value::as_array).into_iter().flatten();
        let bodies = bodies.filter_map(|action| Some(one_action(action.as_object()?).ok()?.1));
        let mut prepared = Vec::new();
        // The decoded transaction has the order of its body.
        for (action, parameters) in asked.into_iter().zip(bodies) {
            let table = self.images.table(&action.table).await?;
            action.check_no_empty_keys(&table)?;
            prepared.push(Prepared::of_action(action, table, parameters));
        }
        // What does not fit its table cancels the transaction.
        if prepared.iter().any(Result::is_err) {
            return Err(canceled(prepared.into_iter().map(Result::err)));
        }
        let mut actions: Vec<Action> = Vec::new();
        for prepared in prepared.into_iter().flatten() {
            refuse_twice(&actions, &prepared)?;
            actions.push(Action::Item(prepared));
        }
        Ok(actions)
    }

    /// The images of all items, and what is made of them. Where an action fails, as they are at one
    /// moment, because that is how DynamoDB would have judged them.
    pub(in crate::journal::transaction) async fn made_of_images(
        &self,
        actions: &[Action],
    ) -> Result<Images, Fault> {
        let images = self.images_of_actions(actions).await?;
        if let Ok(made) = evaluate(actions, &images) {
            return Ok(Images { images, made });
        }
        let items: Vec<_> = actions.iter().map(Action::prepared).collect();
        let keys: Vec<_> = items.iter().map(|item| (&*item.table, &item.write.key)).collect();
        let images = self.images.read_together(&keys).await?;
        let made = evaluate(actions, &images)?;
        Ok(Images { images, made })
    }

    /// The items of a transaction as they are now.
    pub(crate) async fn images_of_actions(
        &self,
        actions: &[Action],
    ) -> Result<Vec<Option<Item>>, Fault> {
        let mut tables: BTreeMap<&str, Vec<(usize, &Prepared)>> = BTreeMap::new();
        for (at, prepared) in actions.iter().map(Action::prepared).enumerate() {
            tables.entry(&prepared.table.name).or_default().push((at, prepared));
        }
        let mut images = vec![None; actions.len()];
        for places in tables.values() {
            let keys: Vec<&ItemKey> =
                places.iter().map(|(_, prepared)| &prepared.write.key).collect();
            let table = &places[0].1.table;
            for ((at, _), image) in places.iter().zip(self.images.read_all(table, &keys).await?) {
                images[*at] = image;
            }
        }
        Ok(images)
    }
}

/// What is made of the images, or the error of a transaction of which an action fails.
pub fn evaluate(actions: &[Action], images: &[Option<Item>]) -> Result<Vec<Made>, Fault> {
    let each = actions.iter().zip(images);
    let made: Vec<_> =
        each.map(|(action, image)| action.prepared().evaluate(image.as_ref())).collect();
    if made.iter().any(Result::is_err) {
        return Err(canceled(made.into_iter().map(Result::err)));
    }
    Ok(made.into_iter().flatten().collect())
}

/// Refuses a second action on one item.
pub fn refuse_twice(actions: &[Action], prepared: &Prepared) -> Result<(), Fault> {
    let mut others = actions.iter().map(Action::prepared);
    if others.any(|other| {
        other.table.name == prepared.table.name && other.write.key == prepared.write.key
    }) {
        return Err(Fault::validation(
            "Transaction request cannot include multiple operations on one item",
        ));
    }
    Ok(())
}

/// The error of a transaction whose statements come to these errors.
pub fn canceled(errors: impl Iterator<Item = Option<ServiceError>>) -> Fault {
    let reason = |error: Option<ServiceError>| {
        error.map_or_else(CancellationReason::none, CancellationReason::of)
    };
    ServiceError::transaction_canceled(errors.map(reason).collect()).into()
}
