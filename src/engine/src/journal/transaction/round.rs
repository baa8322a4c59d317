//! A transaction as it is sent: every action bound to its image as far as the limits allow, and the
//! entries before it.

use dm_dynamodb::idempotency;
use dm_dynamodb::item_write::Made;
use dm_dynamodb::journal::{After, RequestDigest, Sequence, TransactionMark};
use dm_dynamodb::request::ACTIONS;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::fault::Fault;
use crate::fresh_name::fresh_name;
use crate::journal::prepared::Scope;
use crate::journal::single::{draft, unverified_draft};
use crate::journal::tokens::Token;
use crate::journal::transaction::actions::Action;
use crate::journal::{Draft, Journal};
use crate::operation::Operation;

/// Bytes of all items of one transaction (DynamoDB API Reference: 4 MB). Whether the values of
/// conditions count is not said; here they do.
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A transaction ready to be sent.
pub struct Round {
    /// Its request, under a token of ours.
    pub call: Call,
    /// The images that it was made of.
    pub images: Vec<Option<Item>>,
    /// What it makes of each.
    pub made: Vec<Made>,
    /// Whether it is the program's, with nothing added.
    pub own_only: bool,
    /// What it leaves, of each action that changes something.
    pub left: Vec<Option<After>>,
    pub entries: Vec<Sequence>,
}

/// What is sent of a program's transaction.
pub struct Asked<'a> {
    pub body: &'a Map<String, Value>,
    /// The request without its actions and its token.
    pub rest: Map<String, Value>,
    pub actions: &'a [Action],
    pub token: Option<Token>,
}

/// The items of a transaction, and what is made of them.
pub struct Images {
    /// As they were read.
    pub images: Vec<Option<Item>>,
    /// What belongs to each action alone.
    pub made: Vec<Made>,
}

impl Journal {
    /// Puts the request together and makes the entries durable, if they are not. `own_only` sends
    /// the program's.
    pub(crate) async fn round(
        &self,
        asked: &Asked<'_>,
        Images { images, made }: Images,
        own_only: bool,
        entries: Option<Vec<Sequence>>,
    ) -> Result<Round, Fault> {
        let bound = if own_only { None } else { bound(asked.actions, &images, &made) };
        let transaction = Some(asked.token.as_ref().map_or_else(own_mark, Token::mark));
        let (mut drafts, mut left) = (Vec::new(), Vec::new());
        for (at, ((action, image), made)) in
            asked.actions.iter().zip(&images).zip(&made).enumerate()
        {
            let (prepared, after) = (action.prepared(), made.after.as_ref());
            let verified = draft(prepared, image.as_ref(), after);
            left.push(verified.as_ref().map(|draft| draft.after.clone()));
            let unverified = bound.as_ref().is_none_or(|bound| bound[at].unverified);
            let draft = if unverified && prepared.write.changes() {
                Some(unverified_draft(prepared, image.as_ref(), after))
            } else {
                verified
            };
            drafts.extend(draft.map(|draft| Draft { transaction, ..draft }));
        }
        if drafts.iter().any(|draft| draft.unverified) {
            tracing::warn!("a transaction is too large to be bound to the items as they were read");
        }
        let entries = match entries {
            Some(entries) => entries,
            None if drafts.is_empty() => Vec::new(),
            None => {
                let entries = self.writer().await?.append_all(drafts).await?;
                asked.actions.iter().for_each(|action| self.ahead.forget(action.prepared()));
                entries
            }
        };
        let (operation, mut body) = request(asked, bound);
        let token = asked.token.as_ref().map(|token| token.sent(&self.run.own_name(), &body));
        body.insert(idempotency::TOKEN.into(), token.unwrap_or_else(fresh_name).into());
        let call = Call::new(operation, body);
        Ok(Round { call, images, made, own_only, left, entries })
    }
}

/// The mark of a transaction without a token. No other has it.
fn own_mark() -> TransactionMark {
    TransactionMark::of(&fresh_name(), RequestDigest::from_bytes([0; 32]))
}

/// The request without a token: of bound actions, or the program's.
fn request(asked: &Asked<'_>, bound: Option<Vec<Bound>>) -> (Operation, Map<String, Value>) {
    if let Some(bound) = bound {
        let mut body = asked.rest.clone();
        let actions = bound.into_iter().map(|bound| bound.action).collect();
        body.insert(ACTIONS.into(), Value::Array(actions));
        return (Operation::TransactWriteItems, body);
    }
    let mut body = asked.body.clone();
    body.remove(idempotency::TOKEN);
    let of_statements = matches!(asked.actions.first(), Some(Action::Statement(_)));
    let operation =
        if of_statements { Operation::ExecuteTransaction } else { Operation::TransactWriteItems };
    (operation, body)
}

/// One action as it is sent.
struct Bound {
    action: Value,
    unverified: bool,
}

/// All actions, bound to their images as far as the limits allow. `None` where one can only be sent
/// as the program's.
fn bound(actions: &[Action], images: &[Option<Item>], made: &[Made]) -> Option<Vec<Bound>> {
    let own: usize = actions.iter().map(|action| action.prepared().bytes()).sum();
    let mut left = TRANSACTION_BYTES_MAX.saturating_sub(own);
    let mut all = Vec::new();
    for ((action, image), made) in actions.iter().zip(images).zip(made) {
        let prepared = action.prepared();
        let sent = prepared.request(image.as_ref(), made, Scope::Concerned, left)?;
        left = left.saturating_sub(sent.added);
        let mut request = sent.call.into_body();
        // Actions have no return values but those of a failed condition.
        request.remove("ReturnValues");
        let action = json!({ prepared.action(): request });
        all.push(Bound { action, unverified: !sent.complete });
    }
    Some(all)
}
