//! TransactWriteItems, and ExecuteTransaction with statements that write: the images of all items are
//! read, all entries made durable, and then the transaction is sent with every action bound to its
//! image.

use std::collections::BTreeMap;

use bytes::Bytes;
use dm_core::error::{CancellationReason, ServiceError};
use dm_core::idempotency;
use dm_core::journal::{After, Sequence};
use dm_core::limits;
use dm_core::schema::ItemKey;
use dm_core::value::{Item, item_from_json};
use serde_json::{Map, Value, json};

use super::prepared::Prepared;
use super::series::Fate;
use super::single::draft;
use super::tokens::{Doubt, Token};
use super::{Draft, Journal, Settlement, tokens};
use crate::fault::Fault;
use crate::operation::Operation;

/// Actions of one transaction (DynamoDB API Reference).
const ACTIONS_MAX: usize = 100;

/// The error of a transaction that was not carried out.
pub const CANCELED: &str = "TransactionCanceledException";

/// The parameter that says what TransactWriteItems does.
const ACTIONS: &str = "TransactItems";

/// The parameter that says what ExecuteTransaction does.
const STATEMENTS: &str = "TransactStatements";

/// One action, or one statement.
pub enum Action<'a> {
    /// A ConditionCheck, which changes nothing, as the program sent it.
    Check(&'a Map<String, Value>),
    /// A Put, Update or Delete, sent as the program's with a condition of ours. One that fails is
    /// sent as one that must, for the database's words.
    Item(Prepared),
    /// A statement, sent as the action that it comes to. What it fails with is no action's error, so
    /// it is not sent.
    Statement(Prepared),
}

impl Action<'_> {
    /// The write of an item, if it is one.
    pub fn prepared(&self) -> Option<&Prepared> {
        match self {
            Self::Check(_) => None,
            Self::Item(prepared) | Self::Statement(prepared) => Some(prepared),
        }
    }
}

/// A transaction ready to be sent.
pub struct Round {
    /// Its request, under a token of ours.
    pub body: Map<String, Value>,
    /// The images that it was made of.
    pub images: Vec<Option<Item>>,
    /// What it leaves, of each action that changes something.
    pub left: Vec<Option<After>>,
    /// Its entries.
    pub entries: Vec<Sequence>,
}

/// What is sent of a program's transaction.
pub struct Asked<'a> {
    /// The request without its actions and its token.
    pub rest: Map<String, Value>,
    /// Its actions.
    pub actions: &'a [Action<'a>],
    /// The program's token.
    pub token: Option<Token>,
}

impl Journal {
    /// TransactWriteItems.
    pub(super) async fn write_transaction(
        &self,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let token = Token::of(body, ACTIONS)?;
        let actions = self.actions(body).await?;
        let mut rest = body.clone();
        rest.remove(ACTIONS);
        rest.remove(idempotency::TOKEN);
        self.write_together(Asked { rest, actions: &actions, token }).await
    }

    /// ExecuteTransaction, of statements that write. A statement that is wrong cancels it.
    pub(super) async fn write_statements(
        &self,
        body: &Map<String, Value>,
        statements: Vec<Result<Prepared, ServiceError>>,
    ) -> Result<Bytes, Fault> {
        let token = Token::of(body, STATEMENTS)?;
        if statements.iter().any(Result::is_err) {
            return Err(canceled(statements.into_iter().map(Result::err)));
        }
        let mut actions: Vec<Action<'_>> = Vec::new();
        for prepared in statements.into_iter().flatten() {
            refuse_twice(&actions, &prepared)?;
            actions.push(Action::Statement(prepared));
        }
        let level = "ReturnConsumedCapacity";
        let rest = body.get_key_value(level).map(|(name, level)| (name.clone(), level.clone()));
        let rest = rest.into_iter().collect();
        let answer = self.write_together(Asked { rest, actions: &actions, token }).await?;
        let mut answer: Map<String, Value> =
            serde_json::from_slice(&answer).map_err(|_| crate::metering::not_an_object())?;
        answer.insert("Responses".into(), json!([]));
        Ok(Bytes::from(Value::Object(answer).to_string()))
    }

    async fn write_together(&self, asked: Asked<'_>) -> Result<Bytes, Fault> {
        let actions = asked.actions;
        let writes = actions.iter().filter_map(Action::prepared).filter(|one| one.changes());
        for prepared in writes {
            self.hold(&prepared.table).await?;
        }
        let keys = actions.iter().filter_map(|action| {
            let prepared = action.prepared()?;
            Some((prepared.table.name.as_str(), prepared.key.bytes()))
        });
        let _held = self.locks.lock(keys).await;
        // Under the locks: a second try waits for the first, and finds its answer.
        if let Some(token) = &asked.token
            && let Some(answer) = Box::pin(self.done_before(&asked, token)).await?
        {
            return Ok(answer);
        }
        for _ in 0..limits::JOURNAL_TRIES_MAX {
            let images = self.images_of_actions(actions).await?;
            let round = self.round(&asked, images, None).await?;
            let fault = match self.send_transaction(&round, actions, None).await {
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
                    fault
                }
                Fate::RefusedAfterDoubt(fault) => fault,
            };
            if !fault.is_upstream(CANCELED) || !has_changed(&fault, actions, &round.images) {
                return Err(as_asked(fault, actions));
            }
        }
        Err(Fault::Throttled)
    }

    /// A transaction was carried out: notes it, and returns its answer.
    pub(super) fn transacted(&self, round: &Round, asked: &Asked<'_>, answer: Bytes) -> Bytes {
        for entry in &round.entries {
            self.settle(Some(*entry), Settlement::Written);
        }
        if let Some(token) = &asked.token {
            self.tokens.remember(token, answer.clone());
        }
        answer
    }

    /// Nobody knows whether a transaction was carried out: under its token it is sent again as it is.
    pub(super) fn keep_in_doubt(&self, asked: &Asked<'_>, round: Round, fault: Fault) -> Fault {
        if let Some(token) = &asked.token {
            let Round { images, entries, .. } = round;
            self.tokens.doubt(token, Doubt { images, entries, fault: fault.clone() });
        }
        fault
    }

    async fn actions<'a>(&self, body: &'a Map<String, Value>) -> Result<Vec<Action<'a>>, Fault> {
        let wrong =
            || ServiceError::validation("The transaction has no actions that could be read");
        let asked = body.get(ACTIONS).and_then(Value::as_array).ok_or_else(wrong)?;
        if asked.is_empty() || asked.len() > ACTIONS_MAX {
            return Err(Fault::validation(
                "1 validation error detected: Value at 'transactItems' failed to satisfy \
                 constraint: Member must have length less than or equal to 100 and greater than \
                 or equal to 1",
            ));
        }
        let mut actions: Vec<Action<'a>> = Vec::new();
        for action in asked {
            let mut members = action.as_object().ok_or_else(wrong)?.iter();
            let (Some((name, parameters)), None) = (members.next(), members.next()) else {
                return Err(Fault::validation(
                    "TransactItems can only contain one of Check, Put, Update or Delete",
                ));
            };
            let parameters = parameters.as_object().ok_or_else(wrong)?;
            let operation = match name.as_str() {
                "Put" => Some(Operation::PutItem),
                "Update" => Some(Operation::UpdateItem),
                "Delete" => Some(Operation::DeleteItem),
                "ConditionCheck" => None,
                _ => return Err(wrong().into()),
            };
            let Some(operation) = operation else {
                actions.push(Action::Check(parameters));
                continue;
            };
            let table = parameters.get("TableName").and_then(Value::as_str);
            let table = self.images.table(table.unwrap_or_default()).await?;
            let prepared = Prepared::read(operation, table, parameters)?;
            refuse_twice(&actions, &prepared)?;
            actions.push(Action::Item(prepared));
        }
        Ok(actions)
    }

    /// The items of a transaction as they are now.
    pub(super) async fn images_of_actions(
        &self,
        actions: &[Action<'_>],
    ) -> Result<Vec<Option<Item>>, Fault> {
        let mut tables: BTreeMap<&str, Vec<(usize, &Prepared)>> = BTreeMap::new();
        for (at, action) in actions.iter().enumerate() {
            if let Some(prepared) = action.prepared() {
                tables.entry(&prepared.table.name).or_default().push((at, prepared));
            }
        }
        let mut images = vec![None; actions.len()];
        for places in tables.values() {
            let keys: Vec<&ItemKey> = places.iter().map(|(_, prepared)| &prepared.key).collect();
            let table = &places[0].1.table;
            for ((at, _), image) in places.iter().zip(self.images.read_all(table, &keys).await?) {
                images[*at] = image;
            }
        }
        Ok(images)
    }

    /// Puts the request together and makes the entries durable, if they are not.
    pub(super) async fn round(
        &self,
        asked: &Asked<'_>,
        images: Vec<Option<Item>>,
        entries: Option<Vec<Sequence>>,
    ) -> Result<Round, Fault> {
        let (mut drafts, mut sent, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let mut left = Vec::new();
        let transaction = asked.token.as_ref().map(Token::mark);
        for (action, image) in asked.actions.iter().zip(&images) {
            left.push(None);
            let prepared = match action {
                Action::Check(parameters) => {
                    errors.push(None);
                    sent.push(json!({"ConditionCheck": parameters}));
                    continue;
                }
                Action::Item(prepared) | Action::Statement(prepared) => prepared,
            };
            let mut request = match prepared.evaluate(image.as_ref()) {
                Ok(made) => {
                    errors.push(None);
                    if let Some(draft) = draft(prepared, image.as_ref(), made.after.as_ref()) {
                        left.pop();
                        left.push(Some(draft.after.clone()));
                        drafts.push(Draft { transaction, ..draft });
                    }
                    prepared.request(image.as_ref(), &made).body
                }
                // It fails, and the whole transaction with it.
                Err(error) => {
                    errors.push(Some(error));
                    prepared.impossible_request()
                }
            };
            // Actions have no return values but those of a failed condition.
            request.remove("ReturnValues");
            sent.push(json!({ prepared.action(): request }));
        }
        let of_statements = asked.actions.iter().any(|one| matches!(one, Action::Statement(_)));
        if of_statements && errors.iter().any(Option::is_some) {
            return Err(canceled(errors.into_iter()));
        }
        let entries = match entries {
            Some(entries) => entries,
            None if drafts.is_empty() => Vec::new(),
            None => self.writer().await?.append_all(drafts).await?,
        };
        let mut body = asked.rest.clone();
        body.insert(ACTIONS.into(), Value::Array(sent));
        let token = asked.token.as_ref().map(|token| token.sent(&self.run.name, &body));
        body.insert(idempotency::TOKEN.into(), token.unwrap_or_else(tokens::fresh).into());
        Ok(Round { body, images, left, entries })
    }
}

fn refuse_twice(actions: &[Action<'_>], prepared: &Prepared) -> Result<(), Fault> {
    let mut others = actions.iter().filter_map(Action::prepared);
    if others.any(|other| other.table.name == prepared.table.name && other.key == prepared.key) {
        return Err(Fault::validation(
            "Transaction request cannot include multiple operations on one item",
        ));
    }
    Ok(())
}

/// The error of a transaction whose statements come to these errors.
fn canceled(errors: impl Iterator<Item = Option<ServiceError>>) -> Fault {
    let reason = |error: Option<ServiceError>| {
        error.map_or_else(CancellationReason::none, CancellationReason::of)
    };
    ServiceError::transaction_canceled(errors.map(reason).collect()).into()
}

/// Whether a condition failed on another image than was read, so that the condition may be ours.
fn has_changed(fault: &Fault, actions: &[Action<'_>], images: &[Option<Item>]) -> bool {
    let reasons = reasons(fault);
    actions.iter().zip(images).zip(&reasons).any(|((action, image), reason)| {
        let failed = reason.get("Code").and_then(Value::as_str) == Some("ConditionalCheckFailed");
        let now = reason.get("Item").and_then(|item| item_from_json(item).ok());
        action.prepared().is_some() && failed && now != *image
    })
}

fn reasons(fault: &Fault) -> Vec<Value> {
    let Fault::Upstream { body, .. } = fault else { return Vec::new() };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let reasons = body.get("CancellationReasons").and_then(Value::as_array);
    reasons.cloned().unwrap_or_default()
}

/// The error without the items that the program did not ask for.
fn as_asked(fault: Fault, actions: &[Action<'_>]) -> Fault {
    let Fault::Upstream { status, body } = fault else { return fault };
    let Ok(mut error) = serde_json::from_slice::<Value>(&body) else {
        return Fault::Upstream { status, body };
    };
    if let Some(reasons) = error.get_mut("CancellationReasons").and_then(Value::as_array_mut) {
        for (action, reason) in actions.iter().zip(reasons) {
            let shows = action.prepared().is_none_or(Prepared::shows_on_failure);
            if let (false, Some(reason)) = (shows, reason.as_object_mut()) {
                reason.remove("Item");
            }
        }
    }
    Fault::Upstream { status, body: Bytes::from(error.to_string()) }
}
