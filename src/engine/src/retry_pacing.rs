//! When a throttled attempt is sent again, as decided by a caller that paces its own calls. It
//! belongs to the whole call, so no layer in between passes it on, and what a layer has prepared
//! for an attempt (a journal's entry) is valid for the next one.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;

use crate::answer_members::Members;
use crate::operation::{Class, Operation};

tokio::task_local! {
    /// The pacing of the call that is under way, and the class of the call.
    static CURRENT: Option<(Class, RetryPacing)>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The capacity of the item's partition, or the answer does not say what.
    KeyRange,
    /// Something that writes to other partitions use as well: the table's or the account's
    /// capacity, or that of an index.
    Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// When it was sent.
    pub sent_at: Instant,
    pub reach: Reach,
}

type Wait = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Decides when the throttled attempts of one call are sent again.
#[derive(Clone)]
pub struct RetryPacing(Arc<dyn Fn(Throttle) -> Wait + Send + Sync>);

impl RetryPacing {
    /// `wait` returns true when the attempt is to be sent again, and false if it is not. It is
    /// dropped after the time that throttled calls have.
    pub fn new<F>(wait: impl Fn(Throttle) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self(Arc::new(move |throttle| Box::pin(wait(throttle))))
    }

    /// Waits until the attempt is to be sent again; false if it is not.
    pub async fn wait(&self, throttle: Throttle) -> bool {
        (self.0)(throttle).await
    }

    /// Returns the pacing of the call that is under way, for attempts of that call's class. The
    /// reads that a write makes itself are retried without pacing.
    pub fn current(operation: Operation) -> Option<Self> {
        let of_class = CURRENT.try_with(|call| {
            let (class, pacing) = call.as_ref()?;
            (*class == operation.class()).then(|| pacing.clone())
        });
        of_class.ok().flatten()
    }

    /// Carries out a call with this pacing.
    pub async fn within<T>(pacing: Option<(Class, Self)>, call: impl Future<Output = T>) -> T {
        CURRENT.scope(pacing, call).await
    }
}

impl fmt::Debug for RetryPacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryPacing")
    }
}

impl Reach {
    /// What the reasons in an answer say (DynamoDB API Reference, `ThrottlingReason`: resource,
    /// operation and limit in one word). A range of an index is none of the table's.
    pub fn of(answer: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Reason {
            #[serde(default)]
            reason: String,
        }
        let reasons = Members::of(answer).and_then(|m| m.get::<Vec<Reason>>("ThrottlingReasons"));
        let of_range = |reason: &Reason| {
            reason.reason.starts_with("Table") && reason.reason.contains("KeyRange")
        };
        let all = reasons.iter().flatten().all(of_range);
        if all { Self::KeyRange } else { Self::Table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_range_of_the_table_leaves_other_writes_alone() {
        let check = |reasons: &[&str], expected| {
            let reasons: Vec<_> = reasons.iter().map(|reason| json!({"reason": reason})).collect();
            let body = json!({"__type": "a#ThrottlingException", "ThrottlingReasons": reasons});
            assert_eq!(Reach::of(body.to_string().as_bytes()), expected, "{body}");
        };
        check(&[], Reach::KeyRange);
        check(&["TableWriteKeyRangeThroughputExceeded"], Reach::KeyRange);
        check(&["TableWriteProvisionedThroughputExceeded"], Reach::Table);
        check(&["TableReadAccountLimitExceeded"], Reach::Table);
        check(&["IndexWriteKeyRangeThroughputExceeded"], Reach::Table);
        let both =
            ["TableWriteKeyRangeThroughputExceeded", "IndexWriteMaxOnDemandThroughputExceeded"];
        check(&both, Reach::Table);
        assert_eq!(Reach::of(b"{}"), Reach::KeyRange);
        assert_eq!(Reach::of(b"<html>"), Reach::KeyRange);
    }
}
