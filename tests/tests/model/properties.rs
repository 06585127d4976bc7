//! What must always hold, and what must be seen at least once for that to mean anything.
//!
//! Numbers such as I3 are those of the reliability study's list of invariants.

use stateright::Property;

use super::FenceModel;
use super::row::{Entry, KEYS, Position, Stage};
use super::world::{Faults, Pause, Phase, World};

/// I1: a row is there at most once.
pub const ROWS_ONCE: &str = "no row is there twice";
/// I2: the token of a commit is the row's.
pub const FRESH_TOKEN: &str = "no batch commits under a stale token";
/// I2: later commits have no lower tokens.
pub const TOKENS_RISE: &str = "the tokens of commits never fall";
/// I3: the ledger counts from one and its ranges tile.
pub const LEDGER: &str = "the ledger has no gap and no seq twice";
/// I3: fence and checkpoint say what the ledger says.
pub const POSITION: &str = "the row stands where the ledger ends";
/// I4: a token is one process's.
pub const ONE_PROCESS: &str = "no two processes commit under one token";
/// I4: the lease store mints tokens that rise, but for a regress that nobody has seen yet.
pub const CLAIMS_RISE: &str = "a token is higher than any before it";
/// I6: the metadata catches up.
pub const REPORTED: &str = "complete means that every batch was reported";
/// I8: a seal is real.
pub const SEALED: &str = "nothing from before a seal commits after it, and nothing while it lasts";
/// I1: done is done.
pub const DONE: &str = "done means that every row is there once";
/// The controller believes no more than the destination says.
pub const COMPLETE: &str = "complete means done at the destination";

type Condition = fn(&FenceModel, &World) -> bool;

const ALWAYS: [(&str, Condition); 11] = [
    (ROWS_ONCE, |_, world| {
        let mut copies = world.destination.copies.iter();
        copies.all(|copies| *copies <= 1)
    }),
    (FRESH_TOKEN, |_, world| {
        let mut ledger = world.destination.ledger.iter();
        ledger.all(|entry| entry.token == entry.fence)
    }),
    (TOKENS_RISE, |_, world| {
        pairs(world).all(|(before, after)| before.token <= after.token)
    }),
    (LEDGER, |_, world| is_gapless(&world.destination.ledger)),
    (POSITION, |_, world| {
        world.destination.row.position == end_of(&world.destination.ledger)
    }),
    (ONE_PROCESS, |_, world| {
        pairs(world).all(|(a, b)| a.token != b.token || a.process == b.process)
    }),
    (CLAIMS_RISE, |_, world| !world.lease.has_fallen),
    (REPORTED, |_, world| {
        let controller = &world.controller;
        !controller.is_complete || controller.known == world.destination.row.position
    }),
    (SEALED, |_, world| {
        let mut ledger = world.destination.ledger.iter();
        ledger.all(|entry| !entry.was_sealed)
    }),
    (DONE, |_, world| {
        !world.destination.row.is_done || world.destination.copies == [1; KEYS as usize]
    }),
    (COMPLETE, |_, world| {
        !world.controller.is_complete || world.destination.row.is_done
    }),
];

type Relevance = fn(&Faults) -> bool;

const SOMETIMES: [(&str, Relevance, Condition); 8] = [
    (
        "complete",
        |_| true,
        |_, world| world.controller.is_complete,
    ),
    (
        "complete in spite of every fault",
        |_| true,
        |_, world| world.controller.is_complete && !world.faults.are_left(),
    ),
    (
        "a lost answer was a commit",
        |faults| faults.losses > 0,
        |_, world| unknown(world).any(|seq| seq < world.destination.row.position.seq),
    ),
    (
        "a lost answer was none, or none yet",
        |faults| faults.losses > 0,
        |_, world| unknown(world).any(|seq| seq == world.destination.row.position.seq),
    ),
    (
        "a batch comes behind its own second try",
        |faults| faults.losses > 0,
        |_, world| {
            let row = &world.destination.row;
            let mut late = world.destination.transactions.iter();
            late.any(|t| t.request.token == row.token && t.request.seq < row.position.seq)
        },
    ),
    (
        "a batch comes behind its sender's heir",
        |faults| faults.expiries > 0,
        |_, world| {
            let mut late = world.destination.transactions.iter();
            late.any(|t| t.request.token < world.destination.row.token)
        },
    ),
    (
        "a seal finds a batch that works",
        |faults| faults.seals > 0,
        |_, world| {
            let mut transactions = world.destination.transactions.iter();
            matches!(world.controller.pause, Pause::Minted(_))
                && transactions.any(|t| t.stage != Stage::Buffered)
        },
    ),
    (
        "two processes have one token",
        |faults| faults.regresses > 0,
        |_, world| {
            let row = &world.destination.row;
            let is_same = |phase| matches!(phase, &Phase::Claimed(token, _) if token == row.token);
            let mut agents = world.agents.iter();
            agents.any(|agent| is_same(&agent.phase) && row.holder != Some(agent.process))
        },
    ),
];

/// All properties; of what must be seen, that which these faults can show.
pub fn properties(faults: &Faults) -> Vec<Property<FenceModel>> {
    let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
    let sometimes = SOMETIMES
        .iter()
        .filter(|(_, is_relevant, _)| is_relevant(faults));
    let sometimes = sometimes.map(|(name, _, is_seen)| Property::sometimes(name, *is_seen));
    always.into_iter().chain(sometimes).collect()
}

fn pairs(world: &World) -> impl Iterator<Item = (&Entry, &Entry)> {
    let ledger = &world.destination.ledger;
    ledger.iter().zip(ledger.iter().skip(1))
}

fn is_gapless(ledger: &[Entry]) -> bool {
    let mut end = Position::default();
    ledger.iter().all(|entry| {
        let is_next = entry.seq == end.seq + 1 && entry.lo == end.cursor;
        end = entry.end();
        is_next
    })
}

fn end_of(ledger: &[Entry]) -> Position {
    ledger.last().map(Entry::end).unwrap_or_default()
}

/// The seqs of holders who lost an answer and were not overtaken.
fn unknown(world: &World) -> impl Iterator<Item = u8> {
    let row = &world.destination.row;
    world.agents.iter().filter_map(|agent| match agent.phase {
        Phase::Unknown(work, _) if work.token == row.token => Some(work.position.seq),
        _ => None,
    })
}
