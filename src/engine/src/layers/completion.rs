//! Work that continues to its end, even if who waits for it goes away: then it becomes a task of
//! its own. As long as somebody waits it is none, which costs a request less.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Who waits for a call's answer.
#[derive(Clone, Debug, Default)]
pub struct Client(Option<watch::Receiver<()>>);

impl Client {
    /// Waits until nobody waits for the answer. Never ends where the work ends with its client.
    pub async fn gone(&self) {
        match &self.0 {
            // Nothing is ever sent: it changes when the sender is dropped.
            Some(waits) => drop(waits.clone().changed().await),
            None => std::future::pending().await,
        }
    }
}

pub struct RunToCompletion<T: Send + 'static> {
    /// Nothing once it has ended.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// Dropped with this, which is how the work's [`Client`] is seen to be gone.
    _waits: watch::Sender<()>,
}

impl<T: Send + 'static> RunToCompletion<T> {
    /// Nothing is done before it is polled for the first time; what never was need not end.
    pub fn new<W>(work: impl FnOnce(Client) -> W) -> Self
    where
        W: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = watch::channel(());
        Self { work: Some(Box::pin(work(Client(Some(receiver))))), _waits: sender }
    }
}

impl<T: Send + 'static> Future for RunToCompletion<T> {
    /// An error is a panic in the work, as where a task is waited for.
    type Output = Result<T, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = self.work.as_mut() else {
            return Poll::Ready(Err(Box::new("polled after its end")));
        };
        // After a panic the work is dropped and never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(ended)) => Ok(ended),
            Err(panic) => Err(panic),
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for RunToCompletion<T> {
    fn drop(&mut self) {
        // Without a runtime the whole program is at its end.
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    async fn slow(done: oneshot::Sender<()>) -> u8 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        done.send(()).unwrap();
        7
    }

    #[tokio::test]
    async fn who_waits_gets_the_result() {
        let (done, _is_done) = oneshot::channel();
        assert_eq!(RunToCompletion::new(|_| slow(done)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn it_goes_on_when_nobody_waits_any_more() {
        let (done, is_done) = oneshot::channel();
        let work = RunToCompletion::new(|_| slow(done));
        assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn the_work_learns_that_its_client_is_gone_and_not_before() {
        let (done, is_done) = oneshot::channel();
        let work = RunToCompletion::new(|client| async move {
            let early = tokio::time::timeout(Duration::from_millis(5), client.gone()).await;
            assert!(early.is_err(), "it waits still");
            client.gone().await;
            done.send(()).unwrap();
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_told_and_the_work_is_not_begun_again() {
        let work = RunToCompletion::new(|_| async {
            tokio::task::yield_now().await;
            assert!(Handle::try_current().is_err(), "a panic, as the test wants it");
        });
        assert!(work.await.is_err());
    }
}
