//! One write: read, journal, write. When the item changed in between, again with what it is now.

use std::sync::Arc;

use crate::limits;
use bytes::Bytes;
use dm_contract::plan::JournalMode;
use dm_dynamodb::expression::SUBSTITUTED_BYTES_MAX;
use dm_dynamodb::item_write::{ChangeKind, Made};
use dm_dynamodb::journal::{After, Sequence};
use dm_dynamodb::request::SingleWrite;
use dm_dynamodb::value::{Item, item_to_folded_json, write_json};
use serde_json::{Map, Value};

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::item_reads::Consistency;
use crate::journal::done::Done;
use crate::journal::prepared::{CONDITION_FAILED, Prepared, Scope, Sent};
use crate::journal::series::{Answered, Fate};
use crate::journal::{Draft, Journal, Settlement};
use crate::layers::metering::{self, not_an_object};

/// The member of an answer with the item as it was, or is.
const ATTRIBUTES: &str = "Attributes";

/// What is believed of an item before a write.
#[derive(Clone, Debug)]
pub enum Known {
    /// Nothing: it is read.
    Nothing,
    /// It was read, or there was none.
    Read(Option<Item>),
    /// It was read a while ago: the write is bound to all of it.
    Earlier(Item),
}

/// A write that is ready to be sent.
struct Writing {
    entry: Option<Sequence>,
    before: Option<Item>,
    made: Made,
    sent: Sent,
    /// Whether further writes may be foreseen by it.
    is_example: bool,
}

impl Journal {
    /// A write of an item that was read already: its answer, and whether the database's own was
    /// lost.
    pub async fn write_known(
        &self,
        kind: ChangeKind,
        body: &Map<String, Value>,
        known: Known,
    ) -> Result<(Bytes, bool), Fault> {
        let request = SingleWrite::decode(kind, body)?;
        self.write_decoded(request, body.clone(), known).await
    }

    pub(in crate::journal) async fn write_one(
        &self,
        request: SingleWrite,
        body: Map<String, Value>,
        known: Known,
    ) -> Result<Bytes, Fault> {
        Ok(self.write_decoded(request, body, known).await?.0)
    }

    async fn write_decoded(
        &self,
        request: SingleWrite,
        body: Map<String, Value>,
        known: Known,
    ) -> Result<(Bytes, bool), Fault> {
        let table = self.images.table(&request.table).await?;
        let prepared = Arc::new(Prepared::of_request(request, table, body)?);
        let done = self.write(&prepared, known).await?;
        let is_found = done.is_found;
        Ok((answer(&prepared, done), is_found))
    }

    /// Carries out a write.
    pub(in crate::journal) async fn write(
        &self,
        prepared: &Arc<Prepared>,
        known: Known,
    ) -> Result<Done, Fault> {
        let (table, key) = (&prepared.table, &prepared.write.key);
        self.hold(table).await?;
        let lock = std::iter::once((table.name.as_str(), key.bytes()));
        let _held = self.locks.lock(lock).await;
        // An image that may be an old one is only good for a write that is bound to all of it.
        let (mut old, mut is_example) = (false, true);
        let mut before = match known {
            Known::Read(image) => image,
            Known::Earlier(image) => {
                (old, is_example) = (true, false);
                Some(image)
            }
            Known::Nothing => {
                if let Some(done) = Box::pin(self.write_foreseen(prepared)).await? {
                    return Ok(done);
                }
                old = self.run.mode == JournalMode::Cheap;
                let consistency = if old { Consistency::Eventual } else { Consistency::Strong };
                self.images.read_as(table, key, consistency).await?
            }
        };
        let mut own_only = false;
        for _ in 0..limits::JOURNAL_TRIES_MAX {
            let made = prepared.evaluate(before.as_ref());
            let sent = made.as_ref().ok();
            let sent = sent.map(|made| to_send(prepared, before.as_ref(), made, old, own_only));
            if old && sent.as_ref().is_none_or(|sent| !sent.bound) {
                old = false;
                before = self.images.read(table, key).await?;
                continue;
            }
            let (made, Some(sent)) = (made?, sent) else { continue };
            let entry = self.enter(prepared, before.as_ref(), &made, sent.is_unverified()).await?;
            let writing = Writing { entry, before, made, sent, is_example };
            let failure;
            (failure, before) = match self.carry_out(prepared, writing).await? {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            if failure.is_refusal() && !own_only {
                // Perhaps for what was added to it: the program's own request shows.
                own_only = true;
                if std::mem::take(&mut old) {
                    before = self.images.read(table, key).await?;
                }
                continue;
            }
            old = false;
            if !failure.is_upstream(CONDITION_FAILED) {
                return Err(failure);
            }
            let now = self.image_after_failure(prepared, &failure).await?;
            if now == before {
                return Err(hidden(failure, prepared.write.shows_on_failure));
            }
            before = now;
        }
        tracing::warn!("an item changed under every attempt to journal its write");
        Err(Fault::Throttled)
    }

    /// Sends a write that has its entry; the inner error is that of a write that was not carried
    /// out, with the image of the item.
    async fn carry_out(
        &self,
        prepared: &Arc<Prepared>,
        writing: Writing,
    ) -> Result<Result<Done, (Fault, Option<Item>)>, Fault> {
        let Writing { entry, before, made, sent, is_example } = writing;
        let done = match self.send_bound(prepared, before.as_ref(), &made, &sent).await {
            Fate::Answered(answered) => {
                self.written(prepared, entry, before, made, answered).await?
            }
            Fate::Found => {
                self.settle(entry, Settlement::Written);
                self.found(prepared, before, made, &sent)
            }
            Fate::Refused(failure) => {
                self.settle(entry, Settlement::Refused);
                return Ok(Err((failure, before)));
            }
            Fate::RefusedAfterDoubt(failure) | Fate::InDoubt(failure) => return Err(failure),
        };
        if let Some(before) = done.before.as_ref().filter(|_| is_example) {
            self.ahead.learn(prepared, before, done.made.after.as_ref());
        }
        Ok(Ok(done))
    }

    /// Makes the entry of a write durable; `None` for a write that is known to change nothing.
    async fn enter(
        &self,
        prepared: &Prepared,
        before: Option<&Item>,
        made: &Made,
        unverified: bool,
    ) -> Result<Option<Sequence>, Fault> {
        let after = made.after.as_ref();
        let draft = if unverified {
            Some(unverified_draft(prepared, before, after))
        } else {
            draft(prepared, before, after)
        };
        let Some(draft) = draft else { return Ok(None) };
        let entry = self.writer().await?.append(draft).await?;
        self.ahead.forget(prepared);
        Ok(Some(entry))
    }

    /// Counts a write that was carried out among the run's effects.
    pub(in crate::journal) fn count(
        &self,
        prepared: &Prepared,
        before: Option<&Item>,
        after: Option<&Item>,
    ) {
        self.effects.wrote(&prepared.table, &prepared.write.key, before, after);
    }

    pub(in crate::journal) fn settle(&self, entry: Option<Sequence>, settlement: Settlement) {
        if let (Some(sequence), Some(writer)) = (entry, self.writer.get()) {
            writer.settle(sequence, settlement);
        }
    }

    /// After a write was carried out: whether it met the image that the entry tells of. Attributes
    /// that somebody added in between cannot be seen by its condition.
    pub(in crate::journal) async fn written(
        &self,
        prepared: &Prepared,
        entry: Option<Sequence>,
        before: Option<Item>,
        made: Made,
        answered: Answered,
    ) -> Result<Done, Fault> {
        let Answered { answer, returns_old, in_doubt } = answered;
        let (other, answer) = if returns_old {
            let members = Members::of(&answer).ok_or_else(not_an_object)?;
            let met = members.item(ATTRIBUTES)?;
            ((met != before).then_some(met), metering::members(&members.without(ATTRIBUTES))?)
        } else {
            (None, metering::members(&answer)?)
        };
        let Some(met) = other else {
            self.settle(entry, Settlement::Written);
            self.count(prepared, before.as_ref(), made.after.as_ref());
            return Ok(Done { answer, before, made, returns_old, is_found: false });
        };
        tracing::warn!("an item changed while it was being written; its entry is corrected");
        let made = prepared.evaluate(met.as_ref()).unwrap_or(made);
        // Where an earlier sending may have met the image, the entry stays.
        let replaced = entry.filter(|_| !in_doubt);
        let draft = draft(prepared, met.as_ref(), made.after.as_ref());
        self.correct(prepared, replaced, draft).await?;
        self.count(prepared, met.as_ref(), made.after.as_ref());
        Ok(Done { answer, before: met, made, returns_old, is_found: false })
    }

    /// Makes the entry of a write durable that was carried out, and takes another back. The write
    /// is there, so this continues for as long as the archive needs.
    async fn correct(
        &self,
        prepared: &Prepared,
        replaced: Option<Sequence>,
        draft: Option<Draft>,
    ) -> Result<(), Fault> {
        let Some(draft) = draft else {
            self.settle(replaced, Settlement::Refused);
            return Ok(());
        };
        let not_journaled = |fault: Fault| {
            Fault::Unavailable(format!("the write was carried out, and its entry was not: {fault}"))
        };
        let writer = self.writer().await.map_err(not_journaled)?;
        let mut own = writer.enqueue(draft).map_err(not_journaled)?;
        self.ahead.forget(prepared);
        let written = Some(Settlement::Written);
        match tokio::time::timeout(limits::JOURNAL_HOLD_MAX, &mut own).await {
            Ok(Ok(own)) => {
                self.settle(Some(own), Settlement::Written);
                self.settle(replaced, Settlement::Refused);
            }
            Ok(Err(_)) => return Err(not_journaled(Fault::NotJournaled("it is closed".into()))),
            Err(_) => self.followers.add(writer.clone(), replaced, own, written),
        }
        Ok(())
    }

    /// The item after a condition of ours was not met. The error tells it; where it does not, the
    /// item is gone, or the database does not know that parameter: it is read again.
    async fn image_after_failure(
        &self,
        prepared: &Prepared,
        failure: &Fault,
    ) -> Result<Option<Item>, Fault> {
        let told = match failure {
            Fault::Upstream { body, .. } => {
                Members::of(body).map_or(Ok(None), |members| members.item("Item"))?
            }
            _ => None,
        };
        match told {
            Some(image) => Ok(Some(image)),
            None => self.images.read(&prepared.table, &prepared.write.key).await,
        }
    }
}

/// The request for a write of this image, which may be an old one. The program's own where what was
/// added has no room, or was refused.
fn to_send(
    prepared: &Prepared,
    before: Option<&Item>,
    made: &Made,
    old: bool,
    own_only: bool,
) -> Sent {
    let scope = if old { Scope::Whole } else { Scope::Concerned };
    let bound = || prepared.request(before, made, scope, SUBSTITUTED_BYTES_MAX);
    let bound = if own_only { None } else { bound() };
    bound.unwrap_or_else(|| prepared.as_it_is())
}

/// The entry of a write; `None` if it changes nothing.
pub fn draft(prepared: &Prepared, before: Option<&Item>, after: Option<&Item>) -> Option<Draft> {
    let draft = unverified_draft(prepared, before, after);
    (!draft.after.is_unchanged(before)).then_some(Draft { unverified: false, ..draft })
}

/// The entry of a write that nothing binds to its image: it may change another one, also where it
/// leaves this one as it is.
pub fn unverified_draft(prepared: &Prepared, before: Option<&Item>, after: Option<&Item>) -> Draft {
    Draft {
        table: prepared.table.name.clone(),
        key: prepared.write.key.to_item(),
        before: before.cloned(),
        after: After::of(before, after),
        unverified: true,
        transaction: None,
    }
}

/// The error without the item, unless the program asked for it.
pub fn hidden(failure: Fault, shows: bool) -> Fault {
    match failure {
        Fault::Upstream { status, body } if !shows => {
            let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(&body) else {
                return Fault::Upstream { status, body };
            };
            members.remove("Item");
            let body = Bytes::from(write_json(&Value::Object(members)));
            Fault::Upstream { status, body }
        }
        other => other,
    }
}

/// The answer as the program's own request would have had it.
fn answer(prepared: &Prepared, done: Done) -> Bytes {
    let mut answer = done.answer;
    if done.returns_old
        && let Some(image) = prepared.write.image(done.before.as_ref(), &done.made)
    {
        answer.insert(ATTRIBUTES.into(), item_to_folded_json(&image));
    }
    Bytes::from(write_json(&Value::Object(answer)))
}
