//! What can happen next: the actions of the model, and where each is carried out.

use super::row::{KEYS, Stage};
use super::variant::Variant;
use super::world::{Pause, Phase, World};

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The controller assigns the partition to this agent.
    Assign(u8),
    /// A lease ends, or the controller deletes the claim; its holder does not notice.
    Expire,
    /// The lease store's revision falls to this one.
    Regress(u64),
    /// The controller sees that, and acts.
    RaiseEra,
    /// The controller mints a token to seal with.
    MintSeal,
    /// The seal reaches the destination.
    Seal {
        /// Backends found by their marker are ended.
        ends: bool,
    },
    /// The pause is over.
    Resume,
    /// The agent claims the partition.
    Claim(u8),
    /// The agent's takeover reaches the destination.
    TakeOver {
        /// The agent.
        agent: u8,
        /// Backends found by their marker are ended.
        ends: bool,
    },
    /// The agent sends a batch.
    Send {
        /// The agent.
        agent: u8,
        /// Its rows.
        rows: u8,
    },
    /// The agent loses its connection, the answer with it.
    Lose(u8),
    /// The agent reads what came of its batch.
    Learn(u8),
    /// The agent cannot, and lets go.
    GiveUp(u8),
    /// The agent's process dies.
    Crash(u8),
    /// The agent is started again.
    Restart(u8),
    /// A transaction gets one stage further: a backend takes it up, it is compared, it commits.
    Move(usize),
}

/// Everything that can happen in this state.
pub fn possible(world: &World, actions: &mut Vec<Action>) {
    coordination(world, actions);
    for agent in 0..2 {
        of_agent(world, agent, actions);
    }
    let transactions = &world.destination.transactions;
    let is_locked = transactions.iter().any(|t| t.stage == Stage::Locked);
    for (place, transaction) in transactions.iter().enumerate() {
        // The row's lock: who wants it waits.
        if transaction.stage != Stage::Open || !is_locked {
            actions.push(Action::Move(place));
        }
    }
}

fn coordination(world: &World, actions: &mut Vec<Action>) {
    let (lease, controller, faults) = (&world.lease, &world.controller, &world.faults);
    if !controller.is_complete && lease.owner.is_none() {
        // The agents are alike: the first assignment is the first's.
        let last = if lease.assigned.is_none() { 1 } else { 2 };
        actions.extend((0..last).map(Action::Assign));
    }
    if lease.owner.is_some() {
        actions.push(Action::Expire);
    }
    if faults.regresses > 0 {
        actions.extend((0..lease.revision).map(Action::Regress));
    }
    if lease.has_regressed {
        actions.push(Action::RaiseEra);
    }
    match controller.pause {
        Pause::Never if faults.seals > 0 => actions.push(Action::MintSeal),
        Pause::Minted(_) => actions.extend([true, false].map(|ends| Action::Seal { ends })),
        Pause::Shown(_) => actions.push(Action::Resume),
        Pause::Never | Pause::Over(_) => {}
    }
}

fn of_agent(world: &World, agent: u8, actions: &mut Vec<Action>) {
    let phase = &world.agents[usize::from(agent)].phase;
    match phase {
        Phase::Down => actions.push(Action::Restart(agent)),
        Phase::Idle => actions.push(Action::Claim(agent)),
        Phase::Claimed(..) => {
            actions.extend([true, false].map(|ends| Action::TakeOver { agent, ends }));
        }
        Phase::Ready(work) => {
            let most = KEYS.saturating_sub(work.rows_after).min(work.most);
            actions.extend((1..=most).map(|rows| Action::Send { agent, rows }));
        }
        Phase::Sent(..) if world.faults.losses > 0 => actions.push(Action::Lose(agent)),
        Phase::Sent(..) => {}
        Phase::Unknown(..) => actions.extend([Action::Learn(agent), Action::GiveUp(agent)]),
    }
    if world.faults.crashes > 0 && !matches!(phase, Phase::Down | Phase::Idle) {
        actions.push(Action::Crash(agent));
    }
}

/// The state after an action; none where nothing comes of it.
pub fn next(variant: Variant, world: &World, action: Action) -> Option<World> {
    let mut next = world.clone();
    match action {
        Action::Assign(agent) => next.assign(variant, agent),
        Action::Expire => next.expire(variant),
        Action::Regress(revision) => next.regress(revision),
        Action::RaiseEra => next.raise_era(variant),
        Action::MintSeal => next.mint_seal(),
        Action::Seal { ends } => next.seal(variant, ends),
        Action::Resume => next.resume(),
        Action::Claim(agent) => next.claim(variant, agent),
        Action::TakeOver { agent, ends } => next.take_over(variant, agent, ends),
        Action::Send { agent, rows } => next.send(variant, agent, rows),
        Action::Lose(agent) => next.lose(agent),
        Action::Learn(agent) => next.learn(variant, agent),
        Action::GiveUp(agent) => next.let_go(variant, agent),
        Action::Crash(agent) => next.crash(agent),
        Action::Restart(agent) => next.restart(agent),
        Action::Move(place) => next.advance(variant, place),
    }?;
    (next != *world).then_some(next)
}
