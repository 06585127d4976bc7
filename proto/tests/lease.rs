//! The lease store's contract, once against memory and once against a real etcd; then what only a server
//! can do: restart, vanish, freeze, refuse a login, lose its data or a member.

#![allow(clippy::unwrap_used, reason = "tests")]

extern crate drover_proto as proto;

#[path = "lease/contract.rs"]
mod contract;
#[path = "lease/leading.rs"]
mod leading;
#[path = "lease/secured.rs"]
mod secured;
#[path = "lease/server.rs"]
mod server;
mod support;
#[path = "lease/world.rs"]
mod world;

/// Each function of the contract as a test of each store.
macro_rules! contract {
    ($($part:ident::$name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$part::$name(super::world::InMemory::default()).await;
            })*
        }
        mod etcd {
            $(#[tokio::test]
            async fn $name() {
                super::$part::$name(super::world::InEtcd::new().await).await;
            })*
        }
    };
}

contract!(
    contract::only_the_assigned_generation_claims_and_only_once,
    contract::tokens_rise_over_claims_holders_and_mints,
    contract::an_assignment_to_another_ends_the_claim_and_the_right_to_it,
    contract::a_generation_never_falls,
    contract::closed_migrations_take_no_claims,
    contract::leaving_ends_membership_and_claims,
    contract::an_expired_lease_ends_membership_and_claims,
    contract::dropping_the_proof_gives_the_lease_up,
    contract::joining_again_ends_the_earlier_membership,
    leading::a_deposed_leader_is_refused_everything,
    leading::a_candidate_follows_a_resigned_leader,
    leading::a_candidate_follows_an_expired_leader,
    leading::only_one_of_many_candidates_leads,
    leading::the_era_must_be_set_and_never_falls,
    contract::agents_are_listed_while_they_take_part,
    contract::forgetting_removes_everything_of_one_migration,
    contract::every_kind_of_change_wakes,
    contract::claims_race_for_one_winner,
);
