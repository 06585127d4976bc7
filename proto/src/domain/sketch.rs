//! A sketch of a set of rows: of fixed size, summed up in any order and by anybody, and from the difference
//! of two of them the rows can be read that are in one of the sets only.
//!
//! It is an invertible Bloom lookup table (Goodrich and Mitzenmacher, 2011): every row is added to three of
//! its cells; what both sets have in common cancels out. A cell with a single row left shows it; taking that
//! row out of its other cells uncovers the next.

use super::fingerprint::{fingerprint, mix};

/// Thirds of the table; a row is in one cell of each.
const PARTS: usize = 3;
/// Cells of a third.
const PART: usize = 1536;
/// Bytes of a key that is told; longer keys are told by their fingerprint.
pub const KEY: usize = 40;
/// First byte of a key that is too long to be told.
const HASHED: u8 = 0xff;
/// Bytes of a cell: number, key, hash, check.
const CELL: usize = 8 + KEY + 16 + 8;

/// A row as it is compared: what it is known by, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// Its key at the destination.
    pub key: RowKey,
    /// The fingerprint of its values.
    pub hash: u128,
}

/// A key of the destination: the binary values of its columns behind each other, each behind its length; or
/// their fingerprint where they are longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub [u8; KEY]);

impl RowKey {
    /// The key with these values.
    pub fn of<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut key = [0; KEY];
        let mut at = 0;
        let length: usize = values.clone().map(|value| value.len() + 1).sum();
        if length > KEY {
            let mut all = Vec::with_capacity(length + 7);
            for value in values {
                all.extend_from_slice(&(value.len() as u64).to_be_bytes());
                all.extend_from_slice(value);
            }
            key[0] = HASHED;
            key[1..17].copy_from_slice(&fingerprint(&all).to_be_bytes());
            return Self(key);
        }
        for value in values {
            key[at] = u8::try_from(value.len()).unwrap_or(HASHED);
            key[at + 1..at + 1 + value.len()].copy_from_slice(value);
            at += 1 + value.len();
        }
        Self(key)
    }

    /// Only its fingerprint is known.
    pub fn is_hashed(&self) -> bool {
        self.0[0] == HASHED
    }

    /// Its values; none where only the fingerprint is known.
    pub fn values(&self, width: usize) -> Option<Vec<&[u8]>> {
        let mut rest = self.0.as_slice();
        let mut values = Vec::with_capacity(width);
        for _ in 0..width {
            let (length, behind) = rest.split_first()?;
            if *length == HASHED || usize::from(*length) > behind.len() {
                return None;
            }
            let (value, behind) = behind.split_at(usize::from(*length));
            values.push(value);
            rest = behind;
        }
        Some(values)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    count: i64,
    key: [u8; KEY],
    hash: u128,
    check: u64,
}

const EMPTY: Cell = Cell {
    count: 0,
    key: [0; KEY],
    hash: 0,
    check: 0,
};

/// The sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    cells: Vec<Cell>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            cells: vec![EMPTY; PARTS * PART],
        }
    }
}

/// Rows that are in one of two sets only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the first set.
    pub first: Vec<Element>,
    /// In the second set.
    pub second: Vec<Element>,
}

impl Sketch {
    /// Adds a row.
    pub fn add(&mut self, row: &Element) {
        self.put(row, 1);
    }

    /// The union of two sets that have no row in common.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            mine.count = mine.count.wrapping_add(theirs.count);
            mine.mix_in(theirs);
        }
    }

    /// The rows that are in one of the two only; none where there are too many to be told apart.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let mut left = self.clone();
        for (mine, theirs) in left.cells.iter_mut().zip(&other.cells) {
            mine.count = mine.count.wrapping_sub(theirs.count);
            mine.mix_in(theirs);
        }
        left.peel()
    }

    /// As text: its cells in hexadecimal digits.
    pub fn to_hex(&self) -> String {
        let mut bytes = Vec::with_capacity(self.cells.len() * CELL);
        for cell in &self.cells {
            bytes.extend_from_slice(&cell.count.to_be_bytes());
            bytes.extend_from_slice(&cell.key);
            bytes.extend_from_slice(&cell.hash.to_be_bytes());
            bytes.extend_from_slice(&cell.check.to_be_bytes());
        }
        hex::encode(bytes)
    }

    /// Reads what [`Self::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        if bytes.len() != PARTS * PART * CELL {
            return None;
        }
        let cell = |bytes: &[u8]| {
            Some(Cell {
                count: i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
                key: bytes.get(8..8 + KEY)?.try_into().ok()?,
                hash: u128::from_be_bytes(bytes.get(8 + KEY..24 + KEY)?.try_into().ok()?),
                check: u64::from_be_bytes(bytes.get(24 + KEY..)?.try_into().ok()?),
            })
        };
        let cells: Option<Vec<Cell>> = bytes.chunks(CELL).map(cell).collect();
        Some(Self { cells: cells? })
    }

    fn put(&mut self, row: &Element, count: i64) {
        let check = check(row);
        let single = Cell {
            count,
            key: row.key.0,
            hash: row.hash,
            check,
        };
        for at in places(check) {
            let cell = &mut self.cells[at];
            cell.count = cell.count.wrapping_add(count);
            cell.mix_in(&single);
        }
    }

    fn peel(mut self) -> Option<Difference> {
        let mut found = Difference::default();
        let mut pending: Vec<usize> = (0..self.cells.len()).collect();
        // Every row is taken out once; more only where something else than rows is in there.
        let mut left = self.cells.len() * 4;
        while let Some(at) = pending.pop() {
            let cell = self.cells[at];
            let row = Element {
                key: RowKey(cell.key),
                hash: cell.hash,
            };
            if cell.count.abs() != 1 || check(&row) != cell.check {
                continue;
            }
            left = left.checked_sub(1)?;
            self.put(&row, -cell.count);
            pending.extend(places(cell.check));
            match cell.count {
                1 => found.first.push(row),
                _ => found.second.push(row),
            }
        }
        self.cells.iter().all(|cell| *cell == EMPTY).then(|| {
            found.first.sort_unstable();
            found.second.sort_unstable();
            found
        })
    }
}

impl Cell {
    fn mix_in(&mut self, other: &Self) {
        for (mine, theirs) in self.key.iter_mut().zip(&other.key) {
            *mine ^= theirs;
        }
        self.hash ^= other.hash;
        self.check ^= other.check;
    }
}

/// Tells a single row from the mixture of several.
fn check(row: &Element) -> u64 {
    let mut bytes = [0; KEY + 16];
    bytes[..KEY].copy_from_slice(&row.key.0);
    bytes[KEY..].copy_from_slice(&row.hash.to_be_bytes());
    let print = fingerprint(&bytes);
    u64::try_from(print >> 64).unwrap_or_default()
}

/// The row's cells, one in each third.
fn places(check: u64) -> [usize; PARTS] {
    let mut word = check;
    let mut at = [0; PARTS];
    for (part, place) in at.iter_mut().enumerate() {
        word = mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15));
        *place = part * PART + usize::try_from(word % PART as u64).unwrap_or_default();
    }
    at
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
mod tests;
