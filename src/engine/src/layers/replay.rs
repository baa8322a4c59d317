//! Answers one call once: SDKs send a call again when its connection was cut, under the same id,
//! and an ADD must not be applied twice. Bounded in number, bytes and age.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;

use crate::limits;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::call::{Answer, Invocation};

/// Recent answers by their call's id.
#[derive(Debug, Default)]
pub struct Replay(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    slots: HashMap<Invocation, Slot>,
    answered: VecDeque<(Invocation, Instant)>,
    bytes: usize,
}

#[derive(Debug, Clone)]
enum Slot {
    /// Being worked on; a second try waits for the first's answer.
    Working(watch::Receiver<Option<Answer>>),
    Answered(Answer),
}

impl Replay {
    /// Does the work of a call, unless an earlier try of the same call does it or has done it. The
    /// future must be polled to completion even if the client disconnects. It is pinned where it
    /// is, as there is no need to have room for it here once more.
    pub async fn once(
        &self,
        invocation: Option<Invocation>,
        work: Pin<&mut impl Future<Output = Answer>>,
    ) -> Answer {
        let Some(invocation) = invocation else { return work.await };
        let sender = loop {
            let mut receiver = match self.claim(&invocation) {
                Claim::Ours(sender) => break sender,
                Claim::Answered(answer) => return answer,
                Claim::Working(receiver) => receiver,
            };
            // Either its answer comes, or the first try ended without one that is final, and its
            // slot is free again.
            if let Ok(answer) = receiver.wait_for(Option::is_some).await
                && let Some(answer) = answer.clone()
            {
                return answer;
            }
        };
        let claimed = Claimed { replay: self, invocation, done: false };
        let answer = work.await;
        claimed.finish(&answer);
        if answer.is_final() {
            sender.send_replace(Some(answer.clone()));
        }
        answer
    }

    fn claim(&self, invocation: &Invocation) -> Claim {
        let mut recent = self.0.lock();
        recent.forget_old();
        match recent.slots.get(invocation) {
            Some(Slot::Working(receiver)) => Claim::Working(receiver.clone()),
            Some(Slot::Answered(answer)) => Claim::Answered(answer.clone()),
            None => {
                let (sender, receiver) = watch::channel(None);
                recent.slots.insert(invocation.clone(), Slot::Working(receiver));
                Claim::Ours(sender)
            }
        }
    }
}

enum Claim {
    Ours(watch::Sender<Option<Answer>>),
    Working(watch::Receiver<Option<Answer>>),
    Answered(Answer),
}

/// Frees the slot if the work was dropped before it ended.
struct Claimed<'a> {
    replay: &'a Replay,
    invocation: Invocation,
    done: bool,
}

impl Claimed<'_> {
    fn finish(mut self, answer: &Answer) {
        self.done = true;
        let mut recent = self.replay.0.lock();
        if answer.is_final() {
            recent.remember(self.invocation.clone(), answer.clone());
        } else {
            recent.slots.remove(&self.invocation);
        }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.replay.0.lock().slots.remove(&self.invocation);
        }
    }
}

impl Recent {
    fn remember(&mut self, invocation: Invocation, answer: Answer) {
        self.bytes += answer.body.len();
        self.answered.push_back((invocation.clone(), Instant::now()));
        self.slots.insert(invocation, Slot::Answered(answer));
        self.forget_old();
    }

    fn forget_old(&mut self) {
        while let Some((invocation, at)) = self.answered.front() {
            let fits = self.answered.len() <= limits::REMEMBERED_ANSWERS_MAX
                && self.bytes <= limits::REMEMBERED_ANSWER_BYTES_MAX
                && at.elapsed() <= limits::REMEMBERED_ANSWER_AGE_MAX;
            if fits {
                return;
            }
            if let Some(Slot::Answered(answer)) = self.slots.remove(invocation) {
                self.bytes -= answer.body.len();
            }
            self.answered.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use bytes::Bytes;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[allow(clippy::unnecessary_wraps)] // As a call has it.
    fn id(id: &str) -> Option<Invocation> {
        Some(Invocation { id: id.into(), digest: [0; 32] })
    }

    fn numbered(count: &AtomicU32) -> Answer {
        Answer::ok(Bytes::from(count.fetch_add(1, Ordering::SeqCst).to_string()))
    }

    #[tokio::test]
    async fn a_call_sent_again_is_answered_from_memory() {
        let (replay, count) = (Replay::default(), AtomicU32::new(0));
        for _ in 0..3 {
            let answer = replay.once(id("a"), pin!(async { numbered(&count) })).await;
            assert_eq!(answer.body, "0");
        }
        assert_eq!(replay.once(id("b"), pin!(async { numbered(&count) })).await.body, "1");
        assert_eq!(replay.once(None, pin!(async { numbered(&count) })).await.body, "2");
        let other = Some(Invocation { id: "a".into(), digest: [1; 32] });
        assert_eq!(replay.once(other, pin!(async { numbered(&count) })).await.body, "3");
    }

    #[tokio::test]
    async fn a_second_try_waits_for_the_first() {
        let (replay, count) = (Arc::new(Replay::default()), Arc::new(AtomicU32::new(0)));
        let mut slow = pin!(async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            numbered(&count)
        });
        let again = pin!(async { numbered(&count) });
        let (first, second) =
            tokio::join!(replay.once(id("a"), slow.as_mut()), replay.once(id("a"), again));
        assert_eq!((first.body.as_ref(), second.body.as_ref()), (&b"0"[..], &b"0"[..]));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_final_is_not_remembered() {
        let (replay, count) = (Replay::default(), AtomicU32::new(0));
        let failed = replay.once(id("a"), pin!(async { Fault::Throttled.into() })).await;
        assert_eq!(failed.status, 400);
        assert_eq!(replay.once(id("a"), pin!(async { numbered(&count) })).await.body, "0");
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let replay = Replay::default();
        for i in 0..limits::REMEMBERED_ANSWERS_MAX + 10 {
            replay
                .once(id(&i.to_string()), pin!(async { Answer::ok(Bytes::from_static(b"{}")) }))
                .await;
        }
        let recent = replay.0.lock();
        assert_eq!(recent.slots.len(), limits::REMEMBERED_ANSWERS_MAX);
        assert_eq!(recent.bytes, 2 * limits::REMEMBERED_ANSWERS_MAX);
    }
}
