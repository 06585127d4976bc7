//! A batch in memory: the rows as binary COPY, their id map entries beside them, the rows that
//! failed, and the keys it covers. It can be cut into smaller batches of the same rows.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::Counts;
use proto::domain::key::KeyValue;

use crate::spares::LargePermit;

/// A row that did not become a destination row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowFailure {
    /// Number of good rows that stand before it in the batch.
    pub at: usize,
    /// Its key.
    pub key: KeyValue,
    /// SQLSTATE or `DROVER_*`.
    pub code: String,
    /// Words without row values.
    pub message: String,
    /// Path of the rule, or column and constraint.
    pub context: serde_json::Value,
    /// Failed because a parent failed.
    pub is_held: bool,
}

/// Encoded rows with their ends, so that a range of rows is a range of bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// Tuples without header and trailer.
    pub bytes: Vec<u8>,
    /// End of each tuple in `bytes`.
    pub ends: Vec<usize>,
}

impl Encoded {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Marks the end of the row that was appended to `bytes`.
    pub fn finish_row(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Bytes of the rows `from..to`.
    pub fn rows(&self, from: usize, to: usize) -> &[u8] {
        let start = if from == 0 { 0 } else { self.ends[from - 1] };
        let end = if to == 0 { 0 } else { self.ends[to - 1] };
        &self.bytes[start..end]
    }

    fn part(&self, from: usize, to: usize) -> Self {
        let start = if from == 0 { 0 } else { self.ends[from - 1] };
        Self {
            bytes: self.rows(from, to).to_vec(),
            ends: self.ends[from..to].iter().map(|end| end - start).collect(),
        }
    }

    /// The rows without those at the given places (ascending).
    pub fn without(&self, places: &[usize]) -> Self {
        let mut left = Self::default();
        let mut from = 0;
        for place in places.iter().copied().chain([self.len()]) {
            let base = left.bytes.len();
            let part = self.part(from, place);
            left.bytes.extend_from_slice(&part.bytes);
            left.ends.extend(part.ends.iter().map(|end| end + base));
            from = place + 1;
        }
        left
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Rows on their way to the destination, and the keys `(lo, hi]` they come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Rows for the target table.
    pub rows: Encoded,
    /// Their id map entries, one per row.
    pub map: Encoded,
    /// Keys of the good rows, in order.
    pub keys: KeyList,
    /// Rows that failed, in key order.
    pub failures: Vec<RowFailure>,
    /// Key before the first row; none at the start of a table.
    pub lo: Option<KeyValue>,
    /// Key of the last row; none while no row was read.
    pub hi: Option<KeyValue>,
    /// Rows that the filter left out, known at the end of a partition.
    pub filtered: i64,
    /// Elements of arrays that were left out, since the rows they refer to are not there.
    pub dropped: i64,
    /// No row of the partition is left behind this batch.
    pub is_last: bool,
    /// Its right to be large, once rows of its partition are.
    pub large: Option<LargePermit>,
}

impl Batch {
    /// Rows that were read for it.
    pub fn read(&self) -> usize {
        self.rows.len() + self.failures.len()
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.rows.bytes.len() + self.map.bytes.len() + self.keys.bytes()
    }

    /// Bytes of its buffers, in use or not.
    pub fn capacity(&self) -> usize {
        self.rows.bytes.capacity() + self.map.bytes.capacity() + self.keys.text.capacity()
    }

    /// Its counters.
    pub fn counts(&self) -> Counts {
        let failed = count(self.failures.len());
        let held = count(
            self.failures
                .iter()
                .filter(|failure| failure.is_held)
                .count(),
        );
        let written = count(self.rows.len());
        Counts {
            read: written + failed,
            written,
            failed,
            held,
            filtered: self.filtered,
            skipped: 0,
        }
    }

    /// Empties it for the rows behind `hi`, keeping its buffers.
    pub fn restart(&mut self, lo: Option<KeyValue>) {
        self.rows.clear();
        self.map.clear();
        self.keys.clear();
        self.failures.clear();
        self.lo = lo;
        self.hi = None;
        self.filtered = 0;
        self.dropped = 0;
        self.is_last = false;
        self.large = None;
    }

    /// The batch in two, in order.
    ///
    /// # Errors
    /// `Timeout` when it holds a single row and cannot be cut.
    pub fn split(self) -> Result<(Self, Self), Failure> {
        let middle = self.rows.len() / 2;
        if middle == 0 {
            return Err(Failure::new(
                FailureKind::Timeout,
                "one row alone takes too long",
            ));
        }
        let key = self.keys.get(middle - 1);
        let (before, after): (Vec<_>, Vec<_>) = self
            .failures
            .into_iter()
            .partition(|failure| failure.at < middle);
        let after = after
            .into_iter()
            .map(|failure| RowFailure {
                at: failure.at - middle,
                ..failure
            })
            .collect();
        let all = self.rows.len();
        let first = Self {
            rows: self.rows.part(0, middle),
            map: self.map.part(0, middle),
            keys: self.keys.part(0, middle),
            failures: before,
            lo: self.lo,
            hi: Some(key.clone()),
            filtered: 0,
            dropped: 0,
            is_last: false,
            large: self.large.clone(),
        };
        let second = Self {
            rows: self.rows.part(middle, all),
            map: self.map.part(middle, all),
            keys: self.keys.part(middle, all),
            failures: after,
            lo: Some(key),
            hi: self.hi,
            filtered: self.filtered,
            dropped: self.dropped,
            is_last: self.is_last,
            large: self.large,
        };
        Ok((first, second))
    }

    /// Moves good rows among the failures: `bad` holds places (ascending) and what is wrong.
    pub fn reject(&mut self, bad: Vec<(usize, String, String, serde_json::Value)>) {
        let places: Vec<usize> = bad.iter().map(|(place, ..)| *place).collect();
        for (place, code, message, context) in bad {
            let key = self.keys.get(place);
            self.failures.push(RowFailure {
                at: place,
                key,
                code,
                message,
                context,
                is_held: false,
            });
        }
        self.failures.sort_by_key(|failure| failure.at);
        for failure in &mut self.failures {
            failure.at -= places.partition_point(|place| *place < failure.at);
        }
        self.rows = self.rows.without(&places);
        self.map = self.map.without(&places);
        self.keys = self.keys.without(&places);
    }
}

/// Keys in one buffer: texts behind each other, `width` per row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyList {
    text: String,
    ends: Vec<usize>,
    width: usize,
}

impl KeyList {
    /// Appends a key.
    pub fn push<'a>(&mut self, parts: impl Iterator<Item = &'a str>) {
        let before = self.ends.len();
        for part in parts {
            self.text.push_str(part);
            self.ends.push(self.text.len());
        }
        self.width = self.ends.len() - before;
    }

    /// The key of a row.
    pub fn get(&self, row: usize) -> KeyValue {
        let first = row * self.width;
        let start = |at: usize| if at == 0 { 0 } else { self.ends[at - 1] };
        KeyValue(
            (first..first + self.width)
                .map(|at| self.text[start(at)..self.ends[at]].to_owned())
                .collect(),
        )
    }

    fn len(&self) -> usize {
        self.ends.len().checked_div(self.width).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        self.text.len()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn part(&self, from: usize, to: usize) -> Self {
        let mut part = Self::default();
        for row in from..to {
            part.push(self.get(row).0.iter().map(String::as_str));
        }
        part
    }

    fn without(&self, places: &[usize]) -> Self {
        let mut left = Self::default();
        for row in (0..self.len()).filter(|row| places.binary_search(row).is_err()) {
            left.push(self.get(row).0.iter().map(String::as_str));
        }
        left
    }
}

/// A number of rows as the counters have it.
pub fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
