//! Transactions of an earlier guard of the run, by their tokens: what its journal says of them. A
//! program that continues while its guard is started again sends them again, and they must happen
//! once.

use std::collections::HashMap;

use crate::limits;
use dm_dynamodb::journal::{Entry, Outcome, Outcomes, Record, RequestDigest, ValueDigest};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::journal::tokens::{Token, check};
use crate::journal::{JournalReader, ReadError};
use dm_dynamodb::error::ServiceError;

/// What is known, by the digests of tokens.
#[derive(Debug, Default)]
pub struct Recovered(HashMap<ValueDigest, Earlier>);

#[derive(Debug)]
pub struct Earlier {
    request: RequestDigest,
    /// Whether it is known to have been carried out.
    pub written: bool,
    /// Else its entries of which nobody knows.
    pub in_doubt: Vec<Entry>,
}

impl Recovered {
    /// Reads the end of a journal up to this segment, backwards: so that what became of a write is
    /// known before the write.
    pub async fn read(reader: &JournalReader, last: u32) -> Result<Self, ReadError> {
        let first = last.saturating_sub(limits::RECOVERED_SEGMENTS_MAX - 1).max(1);
        let mut segments = futures::stream::iter((first..=last).rev())
            .map(|segment| reader.segment(segment))
            .buffered(limits::RESTORE_READS_AHEAD);
        let (mut recovered, mut outcomes) = (Self::default(), Outcomes::default());
        while let Some(segment) = segments.try_next().await? {
            for record in &segment.records {
                if let Record::Settled(settled) = record {
                    outcomes.add(settled);
                }
            }
            for record in segment.records {
                if let Record::Entry(entry) = record {
                    recovered.take(entry, &outcomes);
                }
            }
        }
        Ok(recovered)
    }

    fn take(&mut self, entry: Entry, outcomes: &Outcomes) {
        let Some(mark) = entry.transaction else { return };
        let outcome = outcomes.of(entry.sequence);
        if outcome == Outcome::Refused {
            return;
        }
        let new = || Earlier { request: mark.request, written: false, in_doubt: Vec::new() };
        let earlier = self.0.entry(mark.token).or_insert_with(new);
        earlier.written |= outcome == Outcome::Written;
        if !earlier.written {
            earlier.in_doubt.push(entry);
        }
    }

    /// What is known of a token, or the error that another request under it gets.
    pub fn of(&self, token: &Token) -> Result<Option<&Earlier>, ServiceError> {
        let Some(earlier) = self.0.get(&token.mark().token) else { return Ok(None) };
        check(earlier.request, token)?;
        Ok(Some(earlier))
    }
}
