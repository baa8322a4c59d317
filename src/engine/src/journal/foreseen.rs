//! One write of an item that the program has just read: bound to every attribute of that image,
//! with an entry that was durable before the write came, where it was foreseen.
//!
//! In modes other than strict the entry ahead needs to tell the image and the attributes only. The
//! entry that tells what the write really leaves is then on its way while the write is; the one
//! ahead is not restored before the other is durable. So a crash in between leaves an entry after
//! which a restore lists what was changed as a conflict, and does not overwrite it.

use std::sync::Arc;

use crate::limits;
use dm_contract::plan::JournalMode;
use dm_dynamodb::expression::SUBSTITUTED_BYTES_MAX;
use dm_dynamodb::journal::{After, Sequence};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::fault::Fault;
use crate::journal::done::Done;
use crate::journal::prepared::{CONDITION_FAILED, Prepared, Scope};
use crate::journal::series::Fate;
use crate::journal::single::draft;
use crate::journal::{Journal, Settlement, Writer};

/// The entry of a write.
enum Entry {
    /// Durable, and just right.
    Whole(Sequence),
    /// Ahead of it there is one with this number; its own is on its way.
    OnItsWay(Sequence, oneshot::Receiver<Sequence>),
}

/// Entries that follow their writes: each restores the one that was ahead.
#[derive(Debug, Default)]
pub struct Followers(Mutex<JoinSet<()>>);

impl Journal {
    /// Carries out a write of an item that was read; `None` if nothing is known of the item, or it
    /// has changed since: then it has to be read.
    pub(in crate::journal) async fn write_foreseen(
        &self,
        prepared: &Arc<Prepared>,
    ) -> Result<Option<Done>, Fault> {
        let Some(found) = self.ahead.take(&prepared.table.name, &prepared.write.key) else {
            return Ok(None);
        };
        let before = Some(found.image.clone());
        let bound = prepared.evaluate(before.as_ref()).ok().and_then(|made| {
            let image = before.as_ref();
            let sent = prepared.request(image, &made, Scope::Whole, SUBSTITUTED_BYTES_MAX)?;
            let draft = draft(prepared, before.as_ref(), made.after.as_ref())?;
            sent.bound.then_some((made, sent, draft))
        });
        let Some((made, sent, draft)) = bound else {
            self.ahead.give_up(found);
            return Ok(None);
        };
        let strict = self.run.mode == JournalMode::Strict;
        let enough = |ahead: &After| {
            *ahead == draft.after || (!strict && tells_attributes(ahead, &draft.after))
        };
        let entry = match self.ahead.entry(found, enough).await {
            Some((ahead, after)) if after == draft.after => Entry::Whole(ahead?),
            Some((ahead, _)) => {
                let ahead = ahead?;
                Entry::OnItsWay(ahead, self.writer().await?.enqueue(draft)?)
            }
            None => Entry::Whole(self.writer().await?.append(draft).await?),
        };
        self.ahead.forget(prepared);
        match self.send_bound(prepared, before.as_ref(), &made, &sent).await {
            Fate::Answered(answered) => {
                let whole = match &entry {
                    Entry::Whole(sequence) => Some(*sequence),
                    Entry::OnItsWay(..) => None,
                };
                let in_doubt = answered.in_doubt;
                let done = self.written(prepared, whole, before.clone(), made, answered).await?;
                let outcome = match (done.before == before, in_doubt) {
                    (true, _) => Some(Settlement::Written),
                    (false, false) => Some(Settlement::Refused),
                    (false, true) => None,
                };
                self.follow(entry, outcome);
                self.learn(prepared, &done);
                Ok(Some(done))
            }
            Fate::Found => {
                self.end(entry, Some(Settlement::Written));
                let done = self.found(prepared, before, made, &sent);
                self.learn(prepared, &done);
                Ok(Some(done))
            }
            Fate::Refused(failure) => {
                self.end(entry, Some(Settlement::Refused));
                let again = failure.is_upstream(CONDITION_FAILED) || failure.is_refusal();
                if again { Ok(None) } else { Err(failure) }
            }
            Fate::RefusedAfterDoubt(failure) | Fate::InDoubt(failure) => {
                self.end(entry, None);
                Err(failure)
            }
        }
    }

    fn learn(&self, prepared: &Arc<Prepared>, done: &Done) {
        if let Some(before) = &done.before {
            self.ahead.learn(prepared, before, done.made.after.as_ref());
        }
    }

    /// Notes what became of a write.
    fn end(&self, entry: Entry, outcome: Option<Settlement>) {
        if let (Entry::Whole(sequence), Some(outcome)) = (&entry, outcome) {
            self.settle(Some(*sequence), outcome);
        }
        self.follow(entry, outcome);
    }

    /// Notes what became of a write when its own entry is durable.
    fn follow(&self, entry: Entry, outcome: Option<Settlement>) {
        let (Entry::OnItsWay(ahead, own), Some(writer)) = (entry, self.writer.get()) else {
            return;
        };
        self.followers.add(writer.clone(), Some(ahead), own, outcome);
    }
}

/// Whether an entry ahead names all attributes that are changed, and whether there is an item
/// after.
fn tells_attributes(ahead: &After, own: &After) -> bool {
    ahead.item.is_some() == own.item.is_some()
        && own.attributes.keys().all(|name| ahead.attributes.contains_key(name))
}

impl Followers {
    /// Waits for an entry in the background: then the one that it replaces is restored.
    pub fn add(
        &self,
        writer: Writer,
        replaced: Option<Sequence>,
        own: oneshot::Receiver<Sequence>,
        outcome: Option<Settlement>,
    ) {
        let mut tasks = self.0.lock();
        // Those that have ended.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            // A journal that is over leaves the one ahead as it is: in doubt.
            let Ok(own) = own.await else { return };
            if let Some(replaced) = replaced {
                writer.settle(replaced, Settlement::Refused);
            }
            if let Some(outcome) = outcome {
                writer.settle(own, outcome);
            }
        });
    }

    /// Waits until all have ended.
    pub async fn end(&self) {
        let tasks = std::mem::take(&mut *self.0.lock());
        // What has not ended by then stays in doubt.
        let _ = tokio::time::timeout(limits::JOURNAL_CLOSE_MAX, tasks.join_all()).await;
    }
}
