//! Changes on their way from the scanners to the writers, bounded by their number and by the bytes
//! of their items. A scan that is ahead of its writes waits here, so memory does not grow with the
//! table.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::limits::{QUEUE_BYTES_MAX, QUEUE_ITEMS_MAX};

/// The end of the scanners.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    sender: mpsc::Sender<Queued<T>>,
    room: Arc<Semaphore>,
}

/// The end of the writers.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Mutex<mpsc::Receiver<Queued<T>>>>);

/// Something that was queued. Its bytes count until it is dropped, so also while it is being
/// written.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    pub what: T,
    pub _room: Option<OwnedSemaphorePermit>,
}

/// The queue is closed: there are no writers any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// Returns both ends of an empty queue.
pub(crate) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(QUEUE_ITEMS_MAX);
    let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
    (Sender { sender, room }, Receiver(Arc::new(Mutex::new(receiver))))
}

impl<T> Sender<T> {
    /// Waits until there is room for an item of this many bytes, and queues it. A larger one than
    /// the whole queue waits until it is alone.
    pub async fn send(&self, what: T, bytes: usize) -> Result<(), Closed> {
        let bytes = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok();
        self.sender.send(Queued { what, _room: room }).await.map_err(|_| Closed)
    }
}

impl<T> Receiver<T> {
    /// Returns the next one; none once all senders are gone and the queue is empty.
    pub async fn next(&self) -> Option<Queued<T>> {
        self.0.lock().await.recv().await
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), room: Arc::clone(&self.room) }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Whether an item is queued without waiting for a writer.
    async fn is_taken(sender: &Sender<u32>, bytes: usize) -> bool {
        let send = tokio::task::coop::unconstrained(sender.send(0, bytes));
        tokio::time::timeout(Duration::ZERO, send).await.is_ok()
    }

    async fn taken(sender: &Sender<u32>, bytes: usize) -> usize {
        let mut count = 0;
        while count <= 2 * QUEUE_ITEMS_MAX && is_taken(sender, bytes).await {
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn a_scan_ahead_of_its_writers_waits() {
        for (bytes, expected) in [
            (1, QUEUE_ITEMS_MAX),
            (QUEUE_BYTES_MAX / QUEUE_ITEMS_MAX, QUEUE_ITEMS_MAX),
            (400_000, QUEUE_BYTES_MAX / 400_000),
            (QUEUE_BYTES_MAX, 1),
            (usize::MAX, 1),
        ] {
            let (sender, _receiver) = queue();
            assert_eq!(taken(&sender, bytes).await, expected, "{bytes}");
        }
    }

    #[tokio::test]
    async fn an_item_has_its_room_until_it_is_written() {
        let (sender, receiver) = queue();
        let half = QUEUE_BYTES_MAX / 2;
        assert_eq!(taken(&sender, half).await, 2);
        let first = receiver.next().await;
        assert!(!is_taken(&sender, half).await, "the first one is being written");
        drop(first);
        assert!(is_taken(&sender, half).await);
    }

    #[tokio::test]
    async fn a_queue_ends_with_its_senders() {
        let (sender, receiver) = queue();
        let other = sender.clone();
        assert_eq!(sender.send(7, 1).await, Ok(()));
        drop((sender, other));
        assert_eq!(receiver.next().await.map(|queued| queued.what), Some(7));
        assert!(receiver.next().await.is_none());
        let (sender, receiver) = queue();
        drop(receiver);
        assert_eq!(sender.send(7, 1).await, Err(Closed));
    }
}
