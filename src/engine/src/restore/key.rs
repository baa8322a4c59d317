//! One key restored: decided on what it is now, written only if it still is that, and decided again
//! when it is not.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use dm_contract::restored::Conflict;
use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::restore::{ConditionalWrite, Decision, Step, decide, writes_to_restore};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::Item;

use crate::fault::Fault;
use crate::limits;
use crate::restore::earlier::EarlierPart;
use crate::restore::write::{Ended, Pace, Written};
use crate::restore::{Restore, Target};

impl Restore {
    pub(in crate::restore) async fn restore_key(
        &self,
        table: &TableSchema,
        (entry, earlier): (&MergedEntry, &EarlierPart),
        key: &ItemKey,
        mut now: Option<Item>,
    ) -> Result<(), Fault> {
        if let Some(lost) = earlier.lost(entry)
            && (now.is_none() || !lost.may_be_back)
        {
            let rejected = self.write_image(table, (entry, key), &lost.image, now).await?;
            self.leave(entry, earlier, rejected);
            return Ok(());
        }
        if now.is_none() && entry.first().is_none() && earlier.is_unconfirmed(entry) {
            self.count_unconfirmed();
        }
        let left = earlier.restored(entry);
        let mut earlier_step = Step::Nothing;
        for _ in 0..limits::RESTORE_TRIES_MAX {
            let decision = self.decision((entry, &left), now.as_ref());
            let written = match &self.target {
                Target::Database(journal) => {
                    self.write_all(journal, &decision.writes, Pace::Limited).await?
                }
                Target::Preview(_) => foresee(table, &decision.writes),
            };
            match written.ended {
                Ended::Done | Ended::Rejected => {
                    let is_left = written.done == 0 && !written.rejected.is_empty();
                    let step = if is_left { Step::Nothing } else { decision.step };
                    self.count(entry, if step == Step::Nothing { earlier_step } else { step });
                    let conflicts = [decision.conflicts, written.rejected].concat();
                    self.note(entry, earlier.with(entry, conflicts));
                    return Ok(());
                }
                Ended::DeletedMore(image) => {
                    let rejected = self.write_image(table, (entry, key), &image, None).await?;
                    self.leave(entry, earlier, rejected);
                    return Ok(());
                }
                Ended::Stopped => return Ok(()),
                Ended::Changed => {
                    now = self.images().read(table, key).await?;
                    let next = self.decision((entry, &left), now.as_ref());
                    let is_found = written.in_doubt
                        && next.writes.is_empty()
                        && next.conflicts == decision.conflicts;
                    if written.done > 0 || is_found {
                        earlier_step = decision.step;
                    }
                    if is_found && decision.step == Step::Delete {
                        self.count_unconfirmed();
                    }
                }
            }
        }
        // Somebody writes this item all the time: what is decided is a conflict in any case.
        self.leave(entry, earlier, Vec::new());
        Ok(())
    }

    /// Counts an item that was deleted and of which no answer says what it was then.
    pub(in crate::restore) fn count_unconfirmed(&self) {
        self.counts.unconfirmed.fetch_add(1, Ordering::Relaxed);
    }

    /// What becomes of a key, of which earlier restores have left this much.
    fn decision(
        &self,
        (entry, left): (&MergedEntry, &MergedEntry),
        now: Option<&Item>,
    ) -> Decision {
        self.moves.checked(entry, now, decide(left, now, self.on_conflict))
    }

    /// Lists an item as changed by others, with what the database rejected of it.
    fn leave(&self, entry: &MergedEntry, earlier: &EarlierPart, rejected: Vec<Conflict>) {
        self.count(entry, Step::Nothing);
        let conflicts = [vec![Conflict::ItemChanged], rejected].concat();
        self.note(entry, earlier.with(entry, conflicts));
    }

    /// Returns an item that was deleted with what others had put into it, and returns what the
    /// database rejects of it. An item that others have put in its place since gets the attributes
    /// that it lacks: an update by them has met no item.
    async fn write_image(
        &self,
        table: &TableSchema,
        (entry, key): (&MergedEntry, &ItemKey),
        image: &Item,
        mut now: Option<Item>,
    ) -> Result<Vec<Conflict>, Fault> {
        let Target::Database(journal) = &self.target else { return Ok(Vec::new()) };
        for _ in 0..limits::RESTORE_TRIES_MAX {
            let writes = writes_to_restore(entry, image, now.as_ref());
            let written = self.write_all(journal, &writes, Pace::Immediate).await?;
            match written.ended {
                Ended::Changed => now = self.images().read(table, key).await?,
                Ended::Done | Ended::Rejected | Ended::DeletedMore(_) | Ended::Stopped => {
                    return Ok(written.rejected);
                }
            }
        }
        tracing::warn!(
            table = entry.table,
            "an item changed under every attempt to return what others had put into it"
        );
        Ok(Vec::new())
    }
}

/// What would become of writes, as far as the table's schema says.
fn foresee(table: &TableSchema, writes: &[ConditionalWrite]) -> Written {
    let mut written = Written::nothing();
    let mut rest: VecDeque<ConditionalWrite> = writes.to_vec().into();
    while let Some(write) = rest.pop_front() {
        if write.fits(table) {
            written.done += 1;
        } else {
            written.reject(&write, &mut rest);
        }
    }
    written
}
