//! Polls work again immediately if it wakes itself while it is polled.
//!
//! hyper wakes a connection's task whenever a piece of a body was taken, and the task that takes it
//! is that one. Tokio runs a task that was woken while it ran again later, and calls another thread
//! for it: two threads per request, awake for nothing (decision 012).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// It waits; who wakes it wakes the task.
const WAITING: u8 = 0;
/// It is being looked at.
const RUNNING: u8 = 1;
/// It was woken in the meantime.
const WOKEN: u8 = 2;

/// So often at once. What wakes itself more often wants others to run first, as Tokio's own sockets
/// do when a task has had its share.
const AT_ONCE_MAX: usize = 4;

/// Polls `work` again in place, without the scheduler.
pub struct PollAgain<F> {
    work: Pin<Box<F>>,
    waker: Waker,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    now: AtomicU8,
    task: Mutex<Waker>,
}

impl<F: Future> PollAgain<F> {
    pub fn new(work: F) -> Self {
        let task = Mutex::new(Waker::noop().clone());
        let state = Arc::new(State { now: AtomicU8::new(WAITING), task });
        Self { work: Box::pin(work), waker: Waker::from(Arc::clone(&state)), state }
    }
}

impl<F: Future> Future for PollAgain<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.state.belongs_to(context.waker());
        for _ in 0..AT_ONCE_MAX {
            this.state.now.store(RUNNING, Ordering::Release);
            if let Poll::Ready(done) =
                this.work.as_mut().poll(&mut Context::from_waker(&this.waker))
            {
                return Poll::Ready(done);
            }
            if this.state.change(RUNNING, WAITING) {
                return Poll::Pending;
            }
        }
        this.state.now.store(WAITING, Ordering::Release);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl State {
    fn belongs_to(&self, task: &Waker) {
        self.task.lock().clone_from(task);
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.now.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        while self.now.load(Ordering::Acquire) != WAITING {
            // It ends to run, or was woken by another, in between.
            if self.change(RUNNING, WOKEN) || self.change(WOKEN, WOKEN) {
                return;
            }
        }
        let task = self.task.lock().clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wakes(count: &Arc<Count>) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn what_wakes_itself_is_looked_at_again_and_its_task_is_left_alone() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let (mut looks, mut kept) = (0, None);
        let mut work = Box::pin(PollAgain::new(poll_fn(|context| {
            looks += 1;
            kept = Some(context.waker().clone());
            if looks == 1 {
                context.waker().wake_by_ref();
            }
            if looks == 3 { Poll::Ready(looks) } else { Poll::Pending }
        })));
        let look =
            |at: &mut Pin<Box<PollAgain<_>>>| at.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(look(&mut work), Poll::Pending);
        assert_eq!(wakes(&count), 0, "woken by itself");
        // From outside, as a socket wakes it.
        work.waker.wake_by_ref();
        assert_eq!(wakes(&count), 1);
        assert_eq!(look(&mut work), Poll::Ready(3));
    }

    #[test]
    fn what_never_stops_waking_itself_lets_others_run() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let looks = AtomicUsize::new(0);
        let mut work = Box::pin(PollAgain::new(poll_fn(|context| {
            looks.fetch_add(1, Ordering::Relaxed);
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        })));
        for turn in 1..3 {
            assert!(work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(looks.load(Ordering::Relaxed), turn * AT_ONCE_MAX);
            assert_eq!(wakes(&count), turn);
        }
    }

    #[test]
    fn no_wake_of_another_thread_is_lost() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            for _ in 0..20_000 {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                let work = tokio::spawn(PollAgain::new(receiver));
                tokio::spawn(async move { sender.send(7).unwrap() });
                assert_eq!(work.await.unwrap().unwrap(), 7);
            }
        });
    }
}
