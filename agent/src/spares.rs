//! Written batches wait here for their buffers to be filled again: fresh memory costs page faults, and buffers that
//! grow leave holes that the allocator keeps. And permits, so that few batches of large rows are in memory.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::batch::Batch;

/// Batches that wait; more are freed.
const KEPT: usize = 16;
/// Room of a new batch for rows: a whole batch of usual size, so that it does not grow. Costs memory where it is used.
const ROOM: usize = 9 << 20;
/// Likewise for its id map.
const MAP_ROOM: usize = 2 << 20;
/// Larger buffers are freed: one batch of large rows must not weigh on all that follow.
const LARGEST: usize = 24 << 20;
/// More memory than this does not wait.
const MOST: usize = 48 << 20;

/// A batch with a row of this size is a large one.
pub const LARGE: usize = 4 << 20;
/// Large batches that are read or written at the same time, beside the first of every lane.
const LARGE_AT_ONCE: usize = 2;

/// The batches of a run that wait to be used again.
pub struct Spares {
    kept: Mutex<Vec<Batch>>,
    large: Arc<Semaphore>,
}

impl Default for Spares {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }
}

/// The right to be large; given back when the batch is written or dropped.
#[derive(Debug, Clone)]
pub struct LargePermit(#[expect(dead_code)] Arc<OwnedSemaphorePermit>);

impl PartialEq for LargePermit {
    /// It says nothing about the rows.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Spares {
    /// An empty batch.
    pub fn take(&self) -> Batch {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_else(|| {
            let mut batch = Batch::default();
            batch.rows.bytes.reserve_exact(ROOM);
            batch.map.bytes.reserve_exact(MAP_ROOM);
            batch
        })
    }

    /// Waits until another large batch may be read. Whoever writes batches waits for none, so every permit
    /// comes back.
    pub async fn large_permit(&self) -> Option<LargePermit> {
        // It is never closed.
        let permit = self.large.clone().acquire_owned().await.ok()?;
        Some(LargePermit(Arc::new(permit)))
    }

    /// Keeps a batch whose rows are written.
    pub fn give_back(&self, mut batch: Batch) {
        if batch.capacity() > LARGEST {
            return;
        }
        batch.restart(None);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: usize = kept.iter().map(Batch::capacity).sum();
        if kept.len() < KEPT && waiting + batch.capacity() <= MOST {
            kept.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize) -> Batch {
        let mut batch = Batch::default();
        batch.rows.bytes.resize(bytes, 7);
        batch.rows.finish_row();
        batch
    }

    #[test]
    fn a_batch_comes_back_empty_with_its_buffers() {
        let spares = Spares::default();
        spares.give_back(batch(1000));
        let again = spares.take();
        assert_eq!(again, Batch::default());
        assert_eq!(again.capacity(), 1000);
        assert!(spares.take().capacity() >= ROOM);
    }

    #[test]
    fn neither_many_nor_large_ones_are_kept() {
        let spares = Spares::default();
        spares.give_back(batch(LARGEST + 1));
        assert_eq!(spares.take().capacity(), ROOM + MAP_ROOM);
        (0..2 * KEPT).for_each(|_| spares.give_back(batch(10)));
        let kept = (0..2 * KEPT).filter(|_| spares.take().capacity() < ROOM);
        assert_eq!(kept.count(), KEPT);
        (0..KEPT).for_each(|_| spares.give_back(batch(LARGEST * 9 / 10)));
        let large = (0..KEPT).filter(|_| spares.take().capacity() > ROOM + MAP_ROOM);
        assert_eq!(large.count(), MOST / (LARGEST * 9 / 10));
    }
}
