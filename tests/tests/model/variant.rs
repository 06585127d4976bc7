//! The protocol as it is designed, and what it would be with one rule broken.
//!
//! Each rule is a line of `protocol`, or of a step where it is about what happens and not about what
//! is decided; a variant changes that line.

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// None.
    Sound,
    /// The lease is the only protection: a batch compares nothing at the destination.
    LeaseOnly,
    /// The batch compares seq and cursor, but neither token nor holder.
    PositionOnly,
    /// The batch compares token and holder, but neither seq nor cursor.
    TokenOnly,
    /// The batch compares at its beginning and commits without looking again.
    ComparedFirst,
    /// The position moves in a transaction of its own, after that of the rows.
    PositionApart,
    /// An equal token takes over too.
    EqualTokenTakesOver,
    /// Tokens are compared by their revision, without the era.
    EraNotCompared,
    /// The era stays as it is when the revision of the lease store fell.
    EraStays,
    /// The holder is the agent's name: after a restart it finds its claim and goes on under it.
    HolderIsAgent,
    /// The position is read before fencing, and stands after it.
    ReadBeforeFence,
    /// The position that the controller remembers stands after fencing.
    CachedPosition,
    /// A seal sets the mode and leaves the token.
    SealKeepsToken,
    /// PAUSED is shown although the seal met no row.
    SealUnchecked,
    /// Neither takeover nor batch looks at the mode.
    ModeIgnored,
    /// A lost answer counts as a commit.
    UnknownIsCommitted,
    /// A lost answer counts as a failure: the same rows are sent again, as if they began at the
    /// position read anew.
    UnknownIsAborted,
    /// After a lost answer turned out as a commit, what was read behind the last try is sent as if
    /// it began at the position found, even if another try was committed.
    QueueOutlivesAnswer,
    /// What an heir's claim says of batches that were never reported is not looked at.
    ClaimNotReplayed,

    // Without one of these nothing is lost: what they break is guarded twice.
    /// The batch does not compare the holder. A token that only a strictly higher one replaces has
    /// one holder already.
    HolderNotCompared,
    /// The batch does not compare seq: the cursor moves too. Only rounds that settle self references
    /// leave the cursor where it is, and there seq alone tells a doubled round.
    SeqNotCompared,
    /// The batch does not compare the cursor: seq moves too.
    CursorNotCompared,
    /// The batch compares the position that its sender last heard of, not where its rows begin: the
    /// same, as long as rows in memory are dropped when the position is not where they begin.
    LowerEndAssumed,
    /// Rows in memory are kept when the position is not where they begin: the batch compares that.
    QueueKept,
    /// The batch does not compare the mode: no takeover and a seal's token are enough.
    AdvanceIgnoresMode,
    /// A takeover does not compare the mode: its batches will.
    TakeOverIgnoresMode,
    /// The outcome is read without the row's lock: what is under way counts as not committed, and
    /// the try after it is refused.
    FateUnlocked,
}

impl Variant {
    /// Rules that another one covers, as far as the model goes: defence in depth.
    pub const COVERED: [Self; 8] = [
        Self::HolderNotCompared,
        Self::SeqNotCompared,
        Self::CursorNotCompared,
        Self::LowerEndAssumed,
        Self::QueueKept,
        Self::AdvanceIgnoresMode,
        Self::TakeOverIgnoresMode,
        Self::FateUnlocked,
    ];

    /// Whether this is one of the given variants.
    pub fn is_in(self, variants: &[Self]) -> bool {
        variants.contains(&self)
    }
}
