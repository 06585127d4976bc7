//! How large a batch is: rows and bytes follow the measured commit time and round trip. Pure.
//!
//! A batch costs about seven round trips. They shall stay below 15 % of its time, and a batch below
//! two seconds, so that a lost one costs little. All lanes of an entity share a sizer.
//!
//! A server that is busy answers late, too, and larger batches would only take memory then: the way is as
//! long as the shortest of several round trips (as BBR has it, Cardwell et al. 2016, "RTprop").

use std::time::Duration;

const START_BYTES: usize = 8 << 20;
/// Two or three batches are in memory per lane.
const MAX_BYTES: usize = 16 << 20;
const MAX_ROWS: usize = 200_000;
const MIN_ROWS: usize = 100;
const ROUND_TRIPS: u32 = 7;
const LONGEST: Duration = Duration::from_secs(2);
/// Round trips to be seen before the way counts as known.
const ENOUGH: u32 = 3;

/// The present size of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSizer {
    rows: usize,
    bytes: usize,
    max_rows: usize,
    growth: u32,
    /// Round trips that were seen, and the shortest of them.
    seen: (u32, Duration),
}

impl BatchSizer {
    /// Starts at the plan's `batch_size`.
    pub fn new(batch_size: u32) -> Self {
        Self::capped(batch_size, u32::MAX)
    }

    /// As [`BatchSizer::new`], with so many rows at most.
    pub fn capped(batch_size: u32, max_rows: u32) -> Self {
        let size = |rows: u32| usize::try_from(rows).unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS);
        Self {
            rows: size(batch_size).min(size(max_rows)),
            bytes: START_BYTES,
            max_rows: size(max_rows),
            growth: 0,
            seen: (0, Duration::MAX),
        }
    }

    /// Grown as often as another entity's was, since the destination is as far.
    #[must_use]
    pub fn grown(mut self, growth: u32) -> Self {
        for _ in 0..growth {
            self.grow();
        }
        self
    }

    /// How often it grew.
    pub fn growth(&self) -> u32 {
        self.growth
    }

    /// Rows and bytes of a full batch.
    pub fn limits(&self) -> (usize, usize) {
        (self.rows, self.bytes)
    }

    /// Whether a batch of so many rows and bytes is full.
    pub fn is_full(&self, rows: usize, bytes: usize) -> bool {
        rows >= self.rows || bytes >= self.bytes
    }

    /// Learns from a batch that is full by the present size: how long it took and one round trip of it.
    pub fn observe(&mut self, rows: usize, bytes: usize, took: Duration, round_trip: Duration) {
        let (seen, shortest) = self.seen;
        self.seen = (seen.saturating_add(1), shortest.min(round_trip));
        // Batches of an earlier size, or of a partition's end, tell nothing of this one.
        if !self.is_full(rows, bytes) {
            return;
        }
        let waiting = (self.seen.1 * ROUND_TRIPS).min(took);
        let doubled = took + (took - waiting);
        if took > LONGEST {
            self.shrink();
        } else if self.seen.0 >= ENOUGH && waiting * 100 > took * 15 && doubled <= LONGEST {
            self.grow();
        }
    }

    /// Halves the size: a statement took too long.
    pub fn shrink(&mut self) {
        self.rows = (self.rows / 2).max(MIN_ROWS).min(self.max_rows);
        self.bytes = (self.bytes / 2).max(START_BYTES / 16);
        self.growth = self.growth.saturating_sub(1);
    }

    fn grow(&mut self) {
        let before = (self.rows, self.bytes);
        self.rows = (self.rows * 2).min(MAX_ROWS).min(self.max_rows);
        self.bytes = (self.bytes * 2).min(MAX_BYTES);
        self.growth += u32::from(before != (self.rows, self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_far_destination_gets_larger_batches() {
        let mut sizer = BatchSizer::new(20_000);
        for _ in 0..ENOUGH {
            assert_eq!(sizer.growth, 0);
            sizer.observe(20_000, 1 << 20, 250 * MS, 20 * MS);
        }
        let grown = (40_000, 16 << 20, 1);
        assert_eq!((sizer.rows, sizer.bytes, sizer.growth), grown);
        // Another lane's batch of before, in the same round.
        sizer.observe(20_000, 1 << 20, 250 * MS, 20 * MS);
        assert_eq!((sizer.rows, sizer.bytes, sizer.growth), grown);
    }

    #[test]
    fn a_near_destination_keeps_its_batches() {
        let mut sizer = BatchSizer::new(20_000);
        for _ in 0..10 {
            sizer.observe(20_000, 1 << 20, 100 * MS, MS / 5);
            // It is busy, not far.
            sizer.observe(20_000, 1 << 20, 300 * MS, 40 * MS);
        }
        assert_eq!((sizer.rows, sizer.growth), (20_000, 0));
    }

    #[test]
    fn a_slow_batch_halves_the_next_and_a_small_one_teaches_nothing() {
        let mut sizer = BatchSizer::new(20_000);
        sizer.observe(20_000, 1 << 20, 3000 * MS, 20 * MS);
        assert_eq!(sizer.rows, 10_000);
        sizer.observe(10, 100, 250 * MS, 100 * MS);
        assert_eq!(sizer.rows, 10_000);
    }

    #[test]
    fn a_cap_is_never_exceeded() {
        let mut sizer = BatchSizer::capped(20_000, 500).grown(9);
        assert!(sizer.is_full(500, 0) && !sizer.is_full(499, 0));
        sizer.shrink();
        assert!(sizer.is_full(250, 0));
        assert!(BatchSizer::capped(20_000, 1).is_full(1, 0));
    }

    #[test]
    fn round_trips_cost_a_seventh_of_the_time_at_most_as_far_as_the_limits_allow() {
        for round_trip in [MS / 5, MS, 5 * MS, 20 * MS, 80 * MS, 200 * MS] {
            for row_bytes in [60, 130, 1000, 100_000] {
                for row_time in [Duration::from_micros(2), Duration::from_micros(8)] {
                    let mut sizer = BatchSizer::new(20_000);
                    let work = |rows: usize| row_time * u32::try_from(rows).unwrap();
                    for _ in 0..20 {
                        let rows = sizer.rows.min(sizer.bytes / row_bytes);
                        let took = work(rows) + round_trip * ROUND_TRIPS;
                        sizer.observe(rows, sizer.bytes.max(rows * row_bytes), took, round_trip);
                    }
                    let rows = sizer.rows.min(sizer.bytes / row_bytes);
                    let waiting = round_trip * ROUND_TRIPS;
                    let took = work(rows) + waiting;
                    let is_cheap = waiting * 100 <= took * 15;
                    let is_at_limit = sizer.bytes == MAX_BYTES && rows < sizer.rows
                        || sizer.rows == MAX_ROWS
                        || took + work(rows) > LONGEST;
                    assert!(
                        is_cheap || is_at_limit,
                        "{round_trip:?} {row_bytes} {row_time:?}: {sizer:?}"
                    );
                    assert!(took <= LONGEST.max(waiting + work(20_000)), "{sizer:?}");
                }
            }
        }
    }
}
