//! The fence as a model: a small world in which every order of events is tried.
//!
//! Two agents, one partition of three batches, a lease store, a controller and a destination; crash
//! and restart, expired lease, lost answer, late message, revision that falls and era that rises,
//! seal. The protocol is section 4 of the architecture ("Fence and batch"), the invariants are
//! section 3 of the reliability study, the checker is stateright: breadth first, so that what it
//! finds is as short as can be.
//!
//! `protocol` decides and `variant` breaks it, rule by rule. A broken variant that is not found means
//! that the model lacks the event which makes the rule matter, or that another rule covers it.
//!
//! Left out: rollback, a second controller, the source (its rows do not change), failed rows, and a
//! destination that loses commits. Searches too long for every day are run with
//! `cargo test -p drover-tests --test main -- model --ignored --nocapture`.

mod agent;
mod coordination;
mod destination;
mod properties;
mod protocol;
mod row;
mod step;
mod variant;
mod world;

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tokio::time::Instant;

use step::Action;
use variant::Variant;
use world::{Faults, World};

/// The world under one variant of the protocol, with so many faults.
#[derive(Clone, Debug)]
struct FenceModel {
    variant: Variant,
    faults: Faults,
}

impl Model for FenceModel {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.faults)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        step::possible(state, actions);
    }

    fn next_state(&self, last_state: &World, action: Action) -> Option<World> {
        step::next(self.variant, last_state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::properties(&self.faults)
    }
}

/// Tries everything: nothing is broken, and what must be seen was.
fn holds(variant: Variant, faults: Faults) {
    let begun = Instant::now();
    let checker = FenceModel { variant, faults }.checker().spawn_bfs().join();
    println!(
        "{variant:?} holds: {} states, {} steps deep, {:?} with {faults:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed()
    );
    checker.assert_properties();
}

/// Tries everything until this property is broken; says how, in as few steps as it takes.
fn breaks(variant: Variant, faults: Faults, property: &'static str) {
    let search = |deepest: usize| {
        let broken = HasDiscoveries::AllOf(BTreeSet::from([property]));
        let checker = FenceModel { variant, faults }.checker();
        let checker = checker.finish_when(broken).target_max_depth(deepest);
        let checker = checker.spawn_bfs().join();
        let path = checker.discovery(property)?.into_actions();
        Some((path, checker.unique_state_count()))
    };
    let mut found = search(usize::MAX).expect("the checker finds what is broken");
    // The checker keeps the last path of a block of states, which may not be the shortest. The
    // state before any step has a depth of one, and the deepest itself is left out.
    while let Some(shorter) = search(found.0.len() + 1) {
        found = shorter;
    }
    let (path, states) = found;
    let steps = path.len();
    println!("{variant:?} breaks \"{property}\" in {steps} steps ({states} states): {path:?}");
}

mod sound {
    use super::*;

    #[test]
    fn lost_answers() {
        holds(Variant::Sound, Faults::LOSS);
    }

    #[test]
    fn zombies() {
        holds(Variant::Sound, Faults::ZOMBIE);
    }

    #[test]
    fn a_lease_store_that_goes_back() {
        holds(Variant::Sound, Faults::REGRESS);
    }

    #[test]
    fn a_pause() {
        holds(Variant::Sound, Faults::SEAL);
    }

    #[test]
    #[ignore = "some 40 million states: minutes, and gigabytes of memory"]
    fn more_faults_at_once() {
        holds(Variant::Sound, Faults::ZOMBIE_AND_SEAL);
        holds(Variant::Sound, Faults::ZOMBIE_AND_REGRESS);
    }

    #[test]
    #[ignore = "shows what is guarded twice, and takes minutes"]
    fn rules_that_others_cover() {
        for variant in Variant::COVERED {
            for faults in [Faults::LOSS, Faults::ZOMBIE, Faults::REGRESS, Faults::SEAL] {
                holds(variant, faults);
            }
        }
    }
}

/// One test for each broken variant: the faults that it takes, and what breaks.
macro_rules! broken {
    ($($name:ident: $variant:ident, $faults:ident, $property:ident;)*) => {
        mod broken {
            use super::*;
            $(
                #[test]
                fn $name() {
                    breaks(Variant::$variant, Faults::$faults, properties::$property);
                }
            )*
        }
    };
}

broken! {
    lease_only: LeaseOnly, LOSS, LEDGER;
    position_only: PositionOnly, ZOMBIE, FRESH_TOKEN;
    token_only: TokenOnly, LOSS, ROWS_ONCE;
    compared_first: ComparedFirst, ZOMBIE, FRESH_TOKEN;
    position_apart: PositionApart, LOSS, ROWS_ONCE;
    equal_token_takes_over: EqualTokenTakesOver, REGRESS, ONE_PROCESS;
    era_not_compared: EraNotCompared, REGRESS, TOKENS_RISE;
    era_stays: EraStays, REGRESS, CLAIMS_RISE;
    holder_is_agent: HolderIsAgent, ZOMBIE, ONE_PROCESS;
    read_before_fence: ReadBeforeFence, ZOMBIE, POSITION;
    cached_position: CachedPosition, ZOMBIE, ROWS_ONCE;
    seal_keeps_token: SealKeepsToken, SEAL, SEALED;
    seal_unchecked: SealUnchecked, SEAL, SEALED;
    mode_ignored: ModeIgnored, SEAL, SEALED;
    unknown_is_committed: UnknownIsCommitted, LOSS, COMPLETE;
    unknown_is_aborted: UnknownIsAborted, LOSS, DONE;
    queue_outlives_answer: QueueOutlivesAnswer, LOSS, ROWS_ONCE;
    claim_not_replayed: ClaimNotReplayed, ZOMBIE, REPORTED;
}
