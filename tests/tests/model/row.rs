//! The destination's side of the state: the partition row, the ledger, the rows, and batches on
//! their way.
//!
//! Fields marked as ghosts exist for the properties alone; no step may decide by them.

use super::world::Process;

/// Rows of the partition; their keys are `1..=KEYS`, a cursor of 0 is its start.
pub const KEYS: u8 = 3;
/// Rows of a batch at most: one in three batches, or two at once.
pub const MOST: u8 = 2;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Committed batches.
    pub seq: u8,
    /// Last key that is accounted for.
    pub cursor: u8,
}

/// Whether a partition may be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Batches are admitted.
    Run,
    /// Sealed.
    Paused,
}

/// The partition's row at the destination: fence and checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Fencing token.
    pub token: i64,
    /// Who holds it.
    pub holder: Option<Process>,
    /// Sealed or not.
    pub mode: Mode,
    /// Checkpoint.
    pub position: Position,
    /// No row is left.
    pub is_done: bool,
}

/// What a batch asks for: the arguments of `drover.advance`, and the keys of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// Fencing token.
    pub token: i64,
    /// Who sends it.
    pub holder: Process,
    /// Position before it.
    pub seq: u8,
    /// Position before it.
    pub lo: u8,
    /// Its rows are those behind this key. What it carries, whatever `lo` says.
    pub rows_after: u8,
    /// Its last row.
    pub hi: u8,
    /// Ghost: the process that sends it, whatever it calls itself.
    pub process: Process,
}

/// How far a transaction got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Sent; in a pooler or a socket's buffer, where no takeover finds it.
    Buffered,
    /// A backend works on it under its marker; its rows are there, uncommitted.
    Open,
    /// It was admitted and holds the partition row until it commits.
    Locked,
}

/// What a transaction writes; always everything, unless the variant keeps the position apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Rows, ledger and position.
    Whole,
    /// Rows only.
    Rows,
    /// Ledger and position only.
    Position,
}

/// A batch on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transaction {
    /// What it asks for.
    pub request: Request,
    /// How far it is.
    pub stage: Stage,
    /// What it writes.
    pub part: Part,
    /// Its sender still waits for the answer.
    pub is_awaited: bool,
}

/// A row of the ledger, in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Position after the batch.
    pub seq: u8,
    /// Token of the batch.
    pub token: i64,
    /// Position before it.
    pub lo: u8,
    /// Its last key.
    pub hi: u8,
    /// Ghost: who committed it.
    pub process: Process,
    /// Ghost: the row's token at that moment.
    pub fence: i64,
    /// Ghost: PAUSED was shown at that moment, or its token is from before the seal.
    pub was_sealed: bool,
}

impl Entry {
    /// The position after the batch.
    pub fn end(&self) -> Position {
        Position {
            seq: self.seq,
            cursor: self.hi,
        }
    }
}

/// The destination. Its tables have no key while they are loaded, and the ledger has none in here,
/// so that nothing but the compare-and-set stops a doubled batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Fence and checkpoint.
    pub row: Row,
    /// Committed batches.
    pub ledger: Vec<Entry>,
    /// How often each row is there.
    pub copies: [u8; KEYS as usize],
    /// Batches on their way, sorted.
    pub transactions: Vec<Transaction>,
}
