//! The sendings of one transaction, judged together, and what is known of the program's token
//! before the first of them.
//!
//! After a sending of unknown outcome only the same request under the same token is sent: that is
//! carried out once. A throttle, or that the token's transaction still runs, says nothing of it.

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::journal::digest_of;
use dm_dynamodb::value::Item;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::error_name::TRANSACTION_IN_PROGRESS;
use crate::fault::Fault;
use crate::journal::recovered::{Earlier, Recovered};
use crate::journal::repeated;
use crate::journal::series::{Answered, Fate, shows, write_units};
use crate::journal::tokens::{Known, Token};
use crate::journal::transaction::{Action, Asked, CANCELED, Images, Round, evaluate};
use crate::journal::{Journal, JournalReader, Settlement};

impl Journal {
    /// Sends a transaction until its fate is known, or as long as a call may take. `doubt` is why
    /// it is unknown whether it was carried out before.
    pub(in crate::journal) async fn send_transaction(
        &self,
        round: &Round,
        actions: &[Action],
        mut doubt: Option<Fault>,
    ) -> Fate {
        let until = Instant::now() + self.apply.times().call;
        let mut pause = limits::UPSTREAM_BACKOFF_FIRST;
        for sending in 1.. {
            let sent = self.send(&round.call);
            let result = if sending == 1 {
                sent.await
            } else {
                let late = || Err(Fault::Unavailable("no answer in time".into()));
                timeout_at(until, sent).await.unwrap_or_else(|_| late())
            };
            let fault = match result {
                Ok(answer) => {
                    return Fate::Answered(Answered {
                        answer,
                        returns_old: false,
                        in_doubt: false,
                    });
                }
                Err(fault) if doubt.is_none() && fault.is_certain() => return Fate::Refused(fault),
                Err(fault) => fault,
            };
            // Under its token it would have been answered as carried out, by a database that knows
            // tokens.
            if fault.is_upstream(CANCELED) {
                let found = self.is_shown(round, actions).await;
                return if found { Fate::Found } else { Fate::RefusedAfterDoubt(fault) };
            }
            let again = if fault.is_upstream(TRANSACTION_IN_PROGRESS) {
                true
            } else {
                !fault.is_certain() && sending < limits::SENDINGS_MAX
            };
            doubt.get_or_insert(fault);
            if !again || Instant::now() + pause > until {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(limits::UPSTREAM_BACKOFF_MAX);
        }
        if self.is_shown(round, actions).await {
            return Fate::Found;
        }
        let unknown = || Fault::Unavailable("nobody knows what became of the transaction".into());
        Fate::InDoubt(doubt.unwrap_or_else(unknown))
    }

    /// Whether all items are what the transaction leaves.
    async fn is_shown(&self, round: &Round, actions: &[Action]) -> bool {
        if round.left.iter().all(Option::is_none) {
            return false;
        }
        let reading = self.images_of_actions(actions);
        let Ok(Ok(now)) = timeout(limits::SETTLING_READ_MAX, reading).await else { return false };
        let mut all = round.left.iter().zip(&now);
        all.all(|(left, now)| left.as_ref().is_none_or(|left| shows(now.as_ref(), left)))
    }

    /// The answer to a transaction that was carried out without one.
    pub(in crate::journal) fn transacted_without_answer(
        &self,
        round: &Round,
        actions: &[Action],
    ) -> Bytes {
        self.apply.found(&round.call);
        if !round.call.outline().asks_for_capacity() {
            return Bytes::from_static(b"{}");
        }
        let mut units: BTreeMap<&str, usize> = BTreeMap::new();
        for ((action, image), made) in actions.iter().zip(&round.images).zip(&round.made) {
            let prepared = action.prepared();
            if !prepared.write.changes() {
                continue;
            }
            let after = made.after.as_ref();
            // A transaction's writes cost twice.
            *units.entry(&prepared.table.name).or_default() +=
                2 * write_units(image.as_ref(), after);
        }
        let capacity: Vec<Value> = units
            .into_iter()
            .map(|(table, units)| json!({"TableName": table, "CapacityUnits": units}))
            .collect();
        Bytes::from(json!({"ConsumedCapacity": capacity}).to_string())
    }

    /// The answer of a transaction that was carried out under this token; `None` if none was.
    pub(in crate::journal) async fn done_before(
        &self,
        asked: &Asked<'_>,
        token: &Token,
    ) -> Result<Option<Bytes>, Fault> {
        let doubt = match self.tokens.known(token)? {
            Known::Done => return self.done_again(asked).await.map(Some),
            Known::InDoubt(doubt) => doubt,
            Known::Nothing => {
                let earlier = Box::pin(self.earlier_guards()).await?;
                return match earlier.of(token)? {
                    Some(earlier) => self.done_by_earlier_guard(asked, earlier).await,
                    None => Ok(None),
                };
            }
        };
        let made = evaluate(asked.actions, &doubt.images)?;
        let images = Images { images: doubt.images, made };
        let round = self.round(asked, images, doubt.own_only, Some(doubt.entries)).await?;
        match self.send_transaction(&round, asked.actions, Some(doubt.fault)).await {
            Fate::Answered(answered) => Ok(Some(self.transacted(&round, asked, answered.answer))),
            Fate::Found => {
                let answer = self.transacted_without_answer(&round, asked.actions);
                Ok(Some(self.transacted(&round, asked, answer)))
            }
            // Carried out it was not: it is prepared again.
            Fate::RefusedAfterDoubt(_) | Fate::Refused(_) => Ok(None),
            Fate::InDoubt(fault) => Err(self.keep_in_doubt(asked, round, fault)),
        }
    }

    /// What the journal says of the transactions of the run's earlier guards.
    async fn earlier_guards(&self) -> Result<&Recovered, Fault> {
        let read = async {
            if self.writer.get().is_some_and(|writer| writer.earlier() == 0) {
                return Ok(Recovered::default());
            }
            let reader = JournalReader::open(&self.archive, &self.run.own_name()).await?;
            let last = self.writer.get().map_or(reader.segments(), crate::journal::Writer::earlier);
            Recovered::read(&reader, last).await
        };
        let read = async {
            read.await.map_err(|error: crate::journal::ReadError| {
                tracing::warn!(error = &error as &dyn std::error::Error, "looking for a token");
                Fault::NotJournaled(
                    "the journal of the guard before this one cannot be read".into(),
                )
            })
        };
        Box::pin(self.recovered.get_or_try_init(|| read)).await
    }

    /// A transaction that a guard has sent that ended before it could tell the outcome, as far as
    /// it knew. The items say it; where others have changed them since, nobody can.
    async fn done_by_earlier_guard(
        &self,
        asked: &Asked<'_>,
        earlier: &Earlier,
    ) -> Result<Option<Bytes>, Fault> {
        if earlier.written {
            return self.done_again(asked).await.map(Some);
        }
        let now = self.images_of_actions(asked.actions).await?;
        let (mut done, mut open) = (true, true);
        for entry in &earlier.in_doubt {
            let image = asked.actions.iter().zip(&now).find_map(|(action, image)| {
                let prepared = action.prepared();
                let same =
                    prepared.table.name == entry.table && prepared.write.key.to_item() == entry.key;
                same.then_some(image.as_ref())
            });
            let image: Option<&Item> = image.flatten();
            done &= shows(image, &entry.after);
            open &= image.is_some() == entry.before.is_some()
                && entry.after.attributes.keys().all(|name| {
                    let before = entry.before.as_ref().and_then(|before| before.get(name));
                    digest_of(image.and_then(|image| image.get(name))) == digest_of(before)
                });
        }
        match (done, open) {
            (true, _) => {
                for entry in &earlier.in_doubt {
                    self.writer().await?.settle(entry.sequence, Settlement::Written);
                }
                Ok(Some(repeated::answer(asked, &now)))
            }
            (false, true) => Ok(None),
            (false, false) => Err(Fault::refused(
                "The guard was restarted while a transaction with this token was under way, and \
                 its items have changed since, so its outcome is unknown. Nothing was sent. Look \
                 at the items, and send the transaction with another token if it is still needed.",
                "the outcome of a transaction from before the guard's restart is unknown",
            )),
        }
    }
}
