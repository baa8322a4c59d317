//! TransactWriteItems, and ExecuteTransaction with statements that write: the images of all items
//! are read, all entries made durable, and then the transaction is sent with every action bound to
//! its image.
//!
//! A transaction returns no old images. An action that its limits leave no room to bind is sent as
//! the program's, and its entry says that nobody checked.

mod actions;
mod round;

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::idempotency::{self, ClientToken};
use dm_dynamodb::request::{ACTIONS, TransactWrite};
use dm_dynamodb::value::{Item, item_from_json, write_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::journal::prepared::Prepared;
use crate::journal::series::Fate;
use crate::journal::tokens::{Doubt, Token};
use crate::journal::transaction::actions::{canceled, refuse_twice};
use crate::journal::{Journal, Settlement};

pub use crate::journal::transaction::actions::{Action, evaluate};
pub use crate::journal::transaction::round::{Asked, Images, Round};

/// The error of a transaction that was not carried out.
pub const CANCELED: &str = "TransactionCanceledException";

impl Journal {
    pub(in crate::journal) async fn write_transaction(
        &self,
        transaction: TransactWrite,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let token = transaction.token.map(Token::from);
        let actions = self.actions(transaction.actions, body).await?;
        let mut rest = body.clone();
        rest.remove(ACTIONS);
        rest.remove(idempotency::TOKEN);
        self.write_together(Asked { body, rest, actions: &actions, token }).await
    }

    /// ExecuteTransaction, of statements that write. A statement that is wrong cancels it.
    pub(in crate::journal) async fn write_statements(
        &self,
        body: &Map<String, Value>,
        token: Option<ClientToken>,
        statements: Vec<Result<Prepared, ServiceError>>,
    ) -> Result<Bytes, Fault> {
        let token = token.map(Token::from);
        if statements.iter().any(Result::is_err) {
            return Err(canceled(statements.into_iter().map(Result::err)));
        }
        let mut actions: Vec<Action> = Vec::new();
        for prepared in statements.into_iter().flatten() {
            refuse_twice(&actions, &prepared)?;
            actions.push(Action::Statement(prepared));
        }
        let level = "ReturnConsumedCapacity";
        let rest = body.get_key_value(level).map(|(name, level)| (name.clone(), level.clone()));
        let rest = rest.into_iter().collect();
        let answer = self.write_together(Asked { body, rest, actions: &actions, token }).await?;
        let mut answer: Map<String, Value> = serde_json::from_slice(&answer)
            .map_err(|_| crate::layers::metering::not_an_object())?;
        answer.insert("Responses".into(), json!([]));
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    async fn write_together(&self, asked: Asked<'_>) -> Result<Bytes, Fault> {
        let actions = asked.actions;
        let writes = actions.iter().map(Action::prepared).filter(|one| one.write.changes());
        for prepared in writes {
            self.hold(&prepared.table).await?;
        }
        let keys = actions.iter().map(|action| {
            let prepared = action.prepared();
            (prepared.table.name.as_str(), prepared.write.key.bytes())
        });
        let _held = self.locks.lock(keys).await;
        // Under the locks: a second try waits for the first, and finds its answer.
        if let Some(token) = &asked.token
            && let Some(answer) = Box::pin(self.done_before(&asked, token)).await?
        {
            return Ok(answer);
        }
        let mut own_only = false;
        for _ in 0..limits::JOURNAL_TRIES_MAX {
            let images = self.made_of_images(actions).await?;
            let round = self.round(&asked, images, own_only, None).await?;
            let (fault, certain) = match self.send_transaction(&round, actions, None).await {
                Fate::Answered(answered) => {
                    return Ok(self.transacted(&round, &asked, answered.answer));
                }
                Fate::Found => {
                    let answer = self.transacted_without_answer(&round, actions);
                    return Ok(self.transacted(&round, &asked, answer));
                }
                Fate::InDoubt(fault) => return Err(self.keep_in_doubt(&asked, round, fault)),
                Fate::Refused(fault) => {
                    for entry in &round.entries {
                        self.settle(Some(*entry), Settlement::Refused);
                    }
                    (fault, true)
                }
                Fate::RefusedAfterDoubt(fault) => (fault, false),
            };
            let changed =
                fault.is_upstream(CANCELED) && has_changed(&fault, actions, &round.images);
            // Perhaps for what was added to it: the program's own transaction shows.
            let refused = certain && !changed && !own_only && fault.is_refusal();
            if !changed && !refused {
                return Err(as_asked(fault, actions));
            }
            own_only |= refused;
        }
        Err(Fault::Throttled)
    }

    /// A transaction was carried out: notes it, and returns its answer.
    pub(in crate::journal) fn transacted(
        &self,
        round: &Round,
        asked: &Asked<'_>,
        answer: Bytes,
    ) -> Bytes {
        for entry in &round.entries {
            self.settle(Some(*entry), Settlement::Written);
        }
        for ((action, image), made) in asked.actions.iter().zip(&round.images).zip(&round.made) {
            let prepared = action.prepared();
            if prepared.write.changes() {
                self.count(prepared, image.as_ref(), made.after.as_ref());
            }
        }
        if let Some(token) = &asked.token {
            self.tokens.remember(token);
        }
        answer
    }

    /// Nobody knows whether a transaction was carried out: under its token it is sent again as it
    /// is.
    pub(in crate::journal) fn keep_in_doubt(
        &self,
        asked: &Asked<'_>,
        round: Round,
        fault: Fault,
    ) -> Fault {
        if let Some(token) = &asked.token {
            let Round { images, own_only, entries, .. } = round;
            self.tokens.doubt(token, Doubt { images, own_only, entries, fault: fault.clone() });
        }
        fault
    }
}

/// Whether a condition failed on another image than was read, so that the condition may be ours.
fn has_changed(fault: &Fault, actions: &[Action], images: &[Option<Item>]) -> bool {
    let reasons = reasons(fault);
    actions.iter().zip(images).zip(&reasons).any(|((action, image), reason)| {
        let failed = reason.get("Code").and_then(Value::as_str) == Some("ConditionalCheckFailed");
        let now = reason.get("Item").and_then(|item| item_from_json(item).ok());
        action.prepared().write.changes() && failed && now != *image
    })
}

fn reasons(fault: &Fault) -> Vec<Value> {
    let Fault::Upstream { body, .. } = fault else { return Vec::new() };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let reasons = body.get("CancellationReasons").and_then(Value::as_array);
    reasons.cloned().unwrap_or_default()
}

/// The error without the items that the program did not ask for.
fn as_asked(fault: Fault, actions: &[Action]) -> Fault {
    let Fault::Upstream { status, body } = fault else { return fault };
    let Ok(mut error) = serde_json::from_slice::<Value>(&body) else {
        return Fault::Upstream { status, body };
    };
    if let Some(reasons) = error.get_mut("CancellationReasons").and_then(Value::as_array_mut) {
        for (action, reason) in actions.iter().zip(reasons) {
            let shows = action.prepared().write.shows_on_failure;
            if let (false, Some(reason)) = (shows, reason.as_object_mut()) {
                reason.remove("Item");
            }
        }
    }
    Fault::Upstream { status, body: Bytes::from(error.to_string()) }
}
