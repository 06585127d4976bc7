//! How large a batch is: rows and bytes follow the measured commit time and round trip. Pure.
//!
//! A batch costs about seven round trips. They shall stay below 15 % of its time, and a batch below
//! two seconds, so that a lost one costs little.

use std::time::Duration;

const START_BYTES: usize = 8 << 20;
const MAX_BYTES: usize = 32 << 20;
const MAX_ROWS: usize = 200_000;
const MIN_ROWS: usize = 100;
const ROUND_TRIPS: u32 = 7;

/// The present size of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSizer {
    rows: usize,
    bytes: usize,
}

impl BatchSizer {
    /// Starts at the plan's `batch_size`.
    pub fn new(batch_size: u32) -> Self {
        let rows = usize::try_from(batch_size)
            .unwrap_or(MAX_ROWS)
            .clamp(1, MAX_ROWS);
        Self {
            rows,
            bytes: START_BYTES,
        }
    }

    /// Rows and bytes of a full batch.
    pub fn limits(&self) -> (usize, usize) {
        (self.rows, self.bytes)
    }

    /// Whether a batch of so many rows and bytes is full.
    pub fn is_full(&self, rows: usize, bytes: usize) -> bool {
        rows >= self.rows || bytes >= self.bytes
    }

    /// Learns from a full batch: how long it took and one round trip of it.
    pub fn observe(&mut self, rows: usize, bytes: usize, took: Duration, round_trip: Duration) {
        if took > Duration::from_secs(2) {
            self.shrink();
        } else if self.is_full(rows, bytes)
            && round_trip * ROUND_TRIPS * 100 > took * 15
            && took < Duration::from_secs(1)
        {
            self.rows = (self.rows * 2).min(MAX_ROWS);
            self.bytes = (self.bytes * 2).min(MAX_BYTES);
        }
    }

    /// Halves the size: a statement took too long.
    pub fn shrink(&mut self) {
        self.rows = (self.rows / 2).max(MIN_ROWS);
        self.bytes = (self.bytes / 2).max(START_BYTES / 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_far_destination_gets_larger_batches() {
        let mut sizer = BatchSizer::new(20_000);
        sizer.observe(20_000, 1 << 20, 250 * MS, 20 * MS);
        assert_eq!(
            sizer,
            BatchSizer {
                rows: 40_000,
                bytes: 16 << 20
            }
        );
    }

    #[test]
    fn a_near_destination_keeps_its_batches() {
        let mut sizer = BatchSizer::new(20_000);
        sizer.observe(20_000, 1 << 20, 100 * MS, MS / 5);
        assert_eq!(sizer, BatchSizer::new(20_000));
    }

    #[test]
    fn a_slow_batch_halves_the_next_and_a_small_one_teaches_nothing() {
        let mut sizer = BatchSizer::new(20_000);
        sizer.observe(20_000, 1 << 20, 3000 * MS, 20 * MS);
        assert_eq!(sizer.rows, 10_000);
        sizer.observe(10, 100, 250 * MS, 100 * MS);
        assert_eq!(sizer.rows, 10_000);
    }
}
