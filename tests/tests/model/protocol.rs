//! The decisions of the protocol: pure functions, nothing else. They say in Rust what
//! `migrations/destination/0003_fence.sql` says in SQL and `agent/src/sink/` does around it.
//!
//! A variant of the protocol differs in one of these lines.

use proto::domain::token::era_of;

use super::row::{KEYS, MOST, Mode, Part, Position, Request, Row, Stage};
use super::variant::Variant;
use super::world::{Process, Work};

/// The answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The row is as the sender believes.
    Admitted,
    /// It is not: the transaction dies (DR001).
    Fenced,
}

/// The compare-and-set of `drover.advance`. The ledger's primary key would stop a seq that comes
/// twice as well; the model leaves it out, so that this stands alone.
pub fn admit(variant: Variant, row: &Row, request: &Request) -> Verdict {
    use Variant as V;
    let leaves_out = |variants: &[V]| variant.is_in(variants);
    let is_as_believed = (row.token == request.token || leaves_out(&[V::PositionOnly]))
        && (row.holder == Some(request.holder)
            || leaves_out(&[V::PositionOnly, V::HolderNotCompared]))
        && (row.mode == Mode::Run || leaves_out(&[V::ModeIgnored, V::AdvanceIgnoresMode]))
        && (row.position.seq == request.seq || leaves_out(&[V::TokenOnly, V::SeqNotCompared]))
        && (row.position.cursor == request.lo || leaves_out(&[V::TokenOnly, V::CursorNotCompared]))
        && !row.is_done;
    if is_as_believed || variant == V::LeaseOnly {
        Verdict::Admitted
    } else {
        Verdict::Fenced
    }
}

/// The stage in which a batch is compared with the row: the last, under the row's lock.
pub fn compared_in(variant: Variant) -> Stage {
    match variant {
        Variant::ComparedFirst => Stage::Open,
        _ => Stage::Locked,
    }
}

/// What a batch's first transaction writes.
pub fn first_part(variant: Variant) -> Part {
    match variant {
        Variant::PositionApart => Part::Rows,
        _ => Part::Whole,
    }
}

/// Where a batch says that its rows begin: where they do.
pub fn lower_end(variant: Variant, work: &Work) -> u8 {
    match variant {
        Variant::UnknownIsAborted | Variant::QueueOutlivesAnswer | Variant::LowerEndAssumed => {
            work.position.cursor
        }
        _ => work.rows_after,
    }
}

/// `drover.take_over`: the row afterwards, or none where it is refused. Its position is the one
/// to go on from: fence, then read.
pub fn take_over(
    variant: Variant,
    row: &Row,
    (token, holder): (i64, Process),
    read_before: Option<Position>,
) -> Option<Row> {
    let is_higher = match variant {
        Variant::EqualTokenTakesOver => row.token <= token,
        Variant::EraNotCompared => revision_of(row.token) < revision_of(token),
        Variant::HolderIsAgent => {
            row.token < token || (row.token, row.holder) == (token, Some(holder))
        }
        _ => row.token < token,
    };
    let is_open = row.mode == Mode::Run
        || variant.is_in(&[Variant::ModeIgnored, Variant::TakeOverIgnoresMode]);
    (is_higher && is_open).then(|| Row {
        token,
        holder: Some(holder),
        position: read_before.unwrap_or(row.position),
        ..row.clone()
    })
}

/// What is read before fencing and stands after it: nothing.
pub fn read_before_fence(variant: Variant, row: Position, known: Position) -> Option<Position> {
    match variant {
        Variant::ReadBeforeFence => Some(row),
        Variant::CachedPosition => Some(known),
        _ => None,
    }
}

/// Seals the partition: the row afterwards, or none where the seal meets no row.
pub fn seal(variant: Variant, row: &Row, token: i64) -> Option<Row> {
    (row.token < token).then(|| Row {
        token: if variant == Variant::SealKeepsToken {
            row.token
        } else {
            token
        },
        mode: Mode::Paused,
        ..row.clone()
    })
}

/// The era once a regress was seen.
pub fn raise_era(variant: Variant, era: u32) -> u32 {
    if variant == Variant::EraStays {
        era
    } else {
        era + 1
    }
}

/// What a process calls itself: unlike every other process, and every start of it.
pub fn holder_of(variant: Variant, process: Process) -> Process {
    match variant {
        Variant::HolderIsAgent => Process {
            start: 0,
            ..process
        },
        _ => process,
    }
}

/// What the holder does next about a batch whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Goes on from here.
    GoOn(Work),
    /// Counts the partition as done.
    Done,
    /// Lets go.
    Fenced,
}

/// Learns the outcome of a batch up to `hi` from the row, read under its lock.
pub fn learn(variant: Variant, row: &Row, holder: Process, (work, hi): (Work, u8)) -> Fate {
    if variant == Variant::UnknownIsCommitted {
        return if hi == KEYS {
            Fate::Done
        } else {
            Fate::GoOn(behind(work, hi))
        };
    }
    if row.token != work.token || row.holder != Some(holder) {
        return Fate::Fenced;
    }
    if row.is_done {
        return Fate::Done;
    }
    let is_committed = row.position.seq > work.position.seq;
    // Whichever try was committed, its rows end at the row's cursor: what was read beyond that
    // under another assumption is dropped and read again.
    let rows_after = match variant {
        Variant::UnknownIsAborted => work.rows_after,
        Variant::QueueOutlivesAnswer | Variant::QueueKept if is_committed => hi,
        _ => row.position.cursor,
    };
    Fate::GoOn(Work {
        position: row.position,
        rows_after,
        most: if is_committed {
            MOST
        } else {
            hi - work.rows_after
        },
        ..work
    })
}

/// The holder's view once its batch up to `hi` is committed.
pub fn behind(work: Work, hi: u8) -> Work {
    Work {
        position: Position {
            seq: work.position.seq + 1,
            cursor: hi,
        },
        rows_after: hi,
        most: MOST,
        ..work
    }
}

/// The revision of a token: what is left without the era.
fn revision_of(token: i64) -> i64 {
    token - (i64::from(era_of(token)) << 43)
}
