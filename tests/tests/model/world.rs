//! The state of the model: two agents, a lease store, a controller, a destination with one partition,
//! and the faults that may still happen. Small and plain, since the checker keeps very many of them.
//!
//! Fields marked as ghosts exist for the properties alone; no step may decide by them.

use super::row::{Destination, KEYS, Mode, Position, Row};

/// One start of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Which agent.
    pub agent: u8,
    /// Number of its start.
    pub start: u8,
}

/// A claim in the lease store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Who made it.
    pub holder: Process,
    /// Revision that made it.
    pub revision: u64,
    /// Token minted with it.
    pub token: i64,
}

/// The lease store: who should be working.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseStore {
    /// Era, as the controller set it.
    pub era: u32,
    /// Revision; it should rise.
    pub revision: u64,
    /// The revision fell, and the controller has not seen it yet.
    pub has_regressed: bool,
    /// Who is to work on the partition.
    pub assigned: Option<Process>,
    /// Who claimed it.
    pub owner: Option<Owner>,
    /// Ghost: the highest token so far.
    pub highest: i64,
    /// Ghost: a token was not the highest, though no regress was waiting to be seen.
    pub has_fallen: bool,
}

/// How far a pause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pause {
    /// None, or given up.
    Never,
    /// The seal's token is minted.
    Minted(i64),
    /// PAUSED is shown.
    Shown(i64),
    /// Resumed.
    Over(i64),
}

/// The controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Batches that the metadata knows.
    pub known: Position,
    /// The partition counts as done.
    pub is_complete: bool,
    /// Seal.
    pub pause: Pause,
}

/// A holder's view of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Its token.
    pub token: i64,
    /// Where it believes the partition stands.
    pub position: Position,
    /// The rows it has in memory are those behind this key.
    pub rows_after: u8,
    /// Rows of its next batch at most: a second try is no larger than the first, and may be cut.
    pub most: u8,
}

/// What an agent is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It is not running.
    Down,
    /// It waits for an assignment.
    Idle,
    /// It has a token; what it read before fencing is nothing, unless the variant says so.
    Claimed(i64, Option<Position>),
    /// It took the partition over.
    Ready(Work),
    /// It sent a batch up to this key and waits for the answer.
    Sent(Work, u8),
    /// The answer was lost.
    Unknown(Work, u8),
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    /// Its present or last process.
    pub process: Process,
    /// What that is doing.
    pub phase: Phase,
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Processes that die at any point.
    pub crashes: u8,
    /// Answers that get lost.
    pub losses: u8,
    /// Leases of living processes that expire: frozen, or cut off.
    pub expiries: u8,
    /// Times that the lease store's revision falls.
    pub regresses: u8,
    /// Seals.
    pub seals: u8,
    /// Claims; bounds the whole.
    pub claims: u8,
}

impl Faults {
    /// Lost answers and late messages.
    pub const LOSS: Self = Self::of([1, 2, 0, 0, 0, 2]);
    /// Zombies: expired leases and crashes.
    pub const ZOMBIE: Self = Self::of([1, 1, 1, 0, 0, 3]);
    /// A lease store that goes back.
    pub const REGRESS: Self = Self::of([0, 1, 1, 1, 0, 3]);
    /// A pause.
    pub const SEAL: Self = Self::of([0, 1, 1, 0, 1, 3]);

    /// Zombies and a pause, too many states for every day.
    pub const ZOMBIE_AND_SEAL: Self = Self::of([1, 1, 1, 0, 1, 3]);
    /// Zombies and a lease store that goes back, likewise.
    pub const ZOMBIE_AND_REGRESS: Self = Self::of([1, 1, 1, 1, 0, 3]);

    /// Whether any fault may still happen; claims are none.
    pub fn are_left(&self) -> bool {
        let left = [
            self.crashes,
            self.losses,
            self.expiries,
            self.regresses,
            self.seals,
        ];
        left != [0; 5]
    }

    /// In the order of the fields.
    const fn of([crashes, losses, expiries, regresses, seals, claims]: [u8; 6]) -> Self {
        Self {
            crashes,
            losses,
            expiries,
            regresses,
            seals,
            claims,
        }
    }
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The lease store.
    pub lease: LeaseStore,
    /// The controller.
    pub controller: Controller,
    /// The agents.
    pub agents: [Agent; 2],
    /// The destination.
    pub destination: Destination,
    /// Faults left.
    pub faults: Faults,
}

impl World {
    /// Nothing has happened.
    pub fn new(faults: Faults) -> Self {
        let agent = |agent| Agent {
            process: Process { agent, start: 0 },
            phase: Phase::Idle,
        };
        Self {
            lease: LeaseStore {
                era: 0,
                // Not the lowest, so that it can fall before the first claim.
                revision: 1,
                has_regressed: false,
                assigned: None,
                owner: None,
                highest: 0,
                has_fallen: false,
            },
            controller: Controller {
                known: Position::default(),
                is_complete: false,
                pause: Pause::Never,
            },
            agents: [agent(0), agent(1)],
            destination: Destination {
                row: Row {
                    token: 0,
                    holder: None,
                    mode: Mode::Run,
                    position: Position::default(),
                    is_done: false,
                },
                ledger: Vec::new(),
                copies: [0; KEYS as usize],
                transactions: Vec::new(),
            },
            faults,
        }
    }
}
