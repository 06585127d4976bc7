//! What every lease store does with agents, assignments and claims.

use std::collections::BTreeMap;

use proto::domain::token;
use proto::lease::{
    AgentEntry, Assigned, Candidate, Control, Leadership, LeaseError, LeaseStore, PartitionKey,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{World, until, within};

pub const OPEN: Control = Control {
    generation: 1,
    attempt: 1,
    is_open: true,
};

pub fn candidate() -> Candidate {
    Candidate {
        controller_id: Uuid::new_v4(),
        address: "http://127.0.0.1:1".to_owned(),
    }
}

pub fn agent(number: u128) -> AgentEntry {
    AgentEntry {
        holder: Uuid::from_u128(number),
        agent_id: format!("agent-{number}"),
        region: "eu".to_owned(),
        labels: BTreeMap::from([("disk".to_owned(), "fast".to_owned())]),
        connections: vec!["source".to_owned()],
        capacity: 4,
        codec_version: 1,
    }
}

pub fn partition(number: u128) -> PartitionKey {
    PartitionKey {
        migration_id: Uuid::from_u128(1 << 64),
        partition_id: Uuid::from_u128(number),
    }
}

pub fn to(number: u128, generation: i64) -> Assigned {
    Assigned {
        holder: Uuid::from_u128(number),
        generation,
    }
}

pub async fn lead<S: LeaseStore>(store: &S) -> Leadership {
    let campaign = store.campaign(candidate(), CancellationToken::new());
    within(10, "an election", campaign).await.unwrap()
}

/// A leader, in era 3, with one open migration.
pub async fn led<S: LeaseStore>(store: &S) -> Leadership {
    let leader = lead(store).await;
    store.set_era(&leader, 3).await.unwrap();
    let migration_id = partition(0).migration_id;
    store
        .set_control(&leader, migration_id, OPEN)
        .await
        .unwrap();
    leader
}

pub async fn owners<S: LeaseStore>(store: &S) -> Vec<(Uuid, Uuid)> {
    let owners = store.owners(partition(0).migration_id).await.unwrap();
    let pair = |owner: proto::lease::Owner| (owner.partition_id, owner.holder);
    owners.into_iter().map(pair).collect()
}

pub async fn only_the_assigned_generation_claims_and_only_once(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let (one, two) = (
        store.join(agent(1)).await.unwrap(),
        store.join(agent(2)).await.unwrap(),
    );
    let (place, id) = (partition(7), partition(7).partition_id);
    let refused = Err(LeaseError::NotAssigned(id));
    assert_eq!(store.claim(&one, place, 5).await, refused);
    store.assign(&leader, place, to(1, 5)).await.unwrap();
    assert_eq!(store.claim(&one, place, 4).await, refused);
    assert_eq!(store.claim(&one, place, 6).await, refused);
    assert_eq!(store.claim(&two, place, 5).await, refused);
    store.release(&one, place).await.unwrap();
    let first = store.claim(&one, place, 5).await.unwrap();
    let taken = Err(LeaseError::Taken(id));
    assert_eq!(store.claim(&one, place, 5).await, taken);
    store.release(&two, place).await.unwrap();
    assert_eq!(owners(&*store).await, [(id, one.holder)]);
    store.release(&one, place).await.unwrap();
    assert_eq!(owners(&*store).await, []);
    assert!(store.claim(&one, place, 5).await.unwrap() > first);
    store
        .unassign(&leader, &[place, partition(8)])
        .await
        .unwrap();
    assert_eq!(owners(&*store).await, [(id, one.holder)], "claims stand");
    store.release(&one, place).await.unwrap();
    assert_eq!(store.claim(&one, place, 5).await, refused);
}

pub async fn tokens_rise_over_claims_holders_and_mints(world: impl World) {
    let (store, other) = (world.store(), world.another());
    let leader = led(&*store).await;
    let (one, two) = (
        store.join(agent(1)).await.unwrap(),
        other.join(agent(2)).await.unwrap(),
    );
    let mut tokens = vec![store.mint(&leader).await.unwrap()];
    for round in 0..3 {
        store
            .assign(&leader, partition(1), to(1, 2 * round))
            .await
            .unwrap();
        tokens.push(store.claim(&one, partition(1), 2 * round).await.unwrap());
        tokens.push(store.mint(&leader).await.unwrap());
        store
            .assign(&leader, partition(1), to(2, 2 * round + 1))
            .await
            .unwrap();
        tokens.push(
            other
                .claim(&two, partition(1), 2 * round + 1)
                .await
                .unwrap(),
        );
    }
    store.set_era(&leader, 9).await.unwrap();
    tokens.push(store.mint(&leader).await.unwrap());
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    assert_eq!(token::era_of(tokens[0]), 3);
    assert_eq!(token::era_of(tokens[tokens.len() - 1]), 9);
}

pub async fn an_assignment_to_another_ends_the_claim_and_the_right_to_it(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let (one, two) = (
        store.join(agent(1)).await.unwrap(),
        store.join(agent(2)).await.unwrap(),
    );
    let place = partition(7);
    store.assign(&leader, place, to(1, 1)).await.unwrap();
    let first = store.claim(&one, place, 1).await.unwrap();
    store.assign(&leader, place, to(1, 2)).await.unwrap();
    assert_eq!(
        owners(&*store).await.len(),
        1,
        "the same holder keeps its claim"
    );
    store.assign(&leader, place, to(2, 3)).await.unwrap();
    assert_eq!(owners(&*store).await, []);
    let refused = Err(LeaseError::NotAssigned(place.partition_id));
    assert_eq!(store.claim(&one, place, 1).await, refused);
    assert!(store.claim(&two, place, 3).await.unwrap() > first);
    store.release(&one, place).await.unwrap();
    assert_eq!(owners(&*store).await, [(place.partition_id, two.holder)]);
    assert!(!one.lost.is_cancelled());
    store.assign(&leader, place, to(1, 4)).await.unwrap();
    store.claim(&one, place, 4).await.unwrap();
}

pub async fn a_generation_never_falls(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let place = partition(7);
    let outdated = Err(LeaseError::Outdated(place.partition_id));
    store.assign(&leader, place, to(1, 5)).await.unwrap();
    assert_eq!(store.assign(&leader, place, to(1, 4)).await, outdated);
    assert_eq!(store.assign(&leader, place, to(2, 5)).await, outdated);
    store.assign(&leader, place, to(1, 5)).await.unwrap();
    let migration_id = place.migration_id;
    let listed = store.assignments(migration_id).await.unwrap();
    assert_eq!(listed, [(place.partition_id, to(1, 5))]);
}

pub async fn closed_migrations_take_no_claims(world: impl World) {
    let store = world.store();
    let leader = lead(&*store).await;
    store.set_era(&leader, 1).await.unwrap();
    let one = store.join(agent(1)).await.unwrap();
    let (place, migration_id) = (partition(7), partition(7).migration_id);
    store.assign(&leader, place, to(1, 1)).await.unwrap();
    let closed = Err(LeaseError::Closed(migration_id));
    assert_eq!(store.claim(&one, place, 1).await, closed, "never opened");
    store
        .set_control(&leader, migration_id, OPEN)
        .await
        .unwrap();
    store.claim(&one, place, 1).await.unwrap();
    let shut = Control {
        is_open: false,
        ..OPEN
    };
    store
        .set_control(&leader, migration_id, shut)
        .await
        .unwrap();
    assert_eq!(owners(&*store).await.len(), 1, "claims stand");
    store.release(&one, place).await.unwrap();
    assert_eq!(store.claim(&one, place, 1).await, closed);
}

pub async fn leaving_ends_membership_and_claims(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(7), to(1, 1)).await.unwrap();
    store.claim(&one, partition(7), 1).await.unwrap();
    store.leave(&one).await.unwrap();
    assert!(one.lost.is_cancelled());
    assert_eq!(owners(&*store).await, []);
    assert_eq!(store.agents().await.unwrap(), []);
    let refused = Err(LeaseError::NotMember);
    assert_eq!(store.claim(&one, partition(7), 1).await, refused);
    store.leave(&one).await.unwrap();
}

pub async fn an_expired_lease_ends_membership_and_claims(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(7), to(1, 1)).await.unwrap();
    store.claim(&one, partition(7), 1).await.unwrap();
    world.expire(&one).await;
    assert_eq!(
        store.claim(&one, partition(7), 1).await,
        Err(LeaseError::NotMember)
    );
    assert_eq!(owners(&*store).await, []);
    within(3, "learning of the loss", one.lost.cancelled()).await;
    let again = store.join(agent(1)).await.unwrap();
    store.claim(&again, partition(7), 1).await.unwrap();
}

pub async fn dropping_the_proof_gives_the_lease_up(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(7), to(1, 1)).await.unwrap();
    store.claim(&one, partition(7), 1).await.unwrap();
    let (clone, lost) = (one.clone(), one.lost.clone());
    drop(one);
    assert!(!lost.is_cancelled());
    drop(clone);
    within(3, "giving up", lost.cancelled()).await;
    until(&*store, "no owner", async || {
        owners(&*store).await.is_empty()
    })
    .await;
    drop(leader);
    until(&*store, "no leader", async || {
        store.leader().await.unwrap().is_none()
    })
    .await;
}

pub async fn joining_again_ends_the_earlier_membership(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let earlier = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(7), to(1, 1)).await.unwrap();
    let first = store.claim(&earlier, partition(7), 1).await.unwrap();
    let moved = AgentEntry {
        region: "us".to_owned(),
        ..agent(1)
    };
    let later = world.another();
    let later_member = later.join(moved.clone()).await.unwrap();
    assert_eq!(owners(&*store).await, []);
    assert_eq!(store.agents().await.unwrap(), [moved]);
    assert_eq!(
        store.claim(&earlier, partition(7), 1).await,
        Err(LeaseError::NotMember)
    );
    within(3, "learning of it", earlier.lost.cancelled()).await;
    assert!(later.claim(&later_member, partition(7), 1).await.unwrap() > first);
    store.release(&earlier, partition(7)).await.unwrap();
    store.leave(&earlier).await.unwrap();
    drop(earlier);
    assert_eq!(owners(&*store).await.len(), 1);
    assert!(!later_member.lost.is_cancelled());
}

pub async fn agents_are_listed_while_they_take_part(world: impl World) {
    let store = world.store();
    let _two = store.join(agent(2)).await.unwrap();
    let one = store.join(agent(1)).await.unwrap();
    let listed = store.agents().await.unwrap();
    assert_eq!(listed, [agent(1), agent(2)]);
    store.leave(&one).await.unwrap();
    assert_eq!(store.agents().await.unwrap(), [agent(2)]);
}

pub async fn forgetting_removes_everything_of_one_migration(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    let kept = PartitionKey {
        migration_id: Uuid::from_u128(5),
        ..partition(1)
    };
    store
        .set_control(&leader, kept.migration_id, OPEN)
        .await
        .unwrap();
    for place in [partition(1), partition(2), kept] {
        store.assign(&leader, place, to(1, 1)).await.unwrap();
        store.claim(&one, place, 1).await.unwrap();
    }
    let migration_id = partition(1).migration_id;
    store.forget(&leader, migration_id).await.unwrap();
    assert_eq!(store.assignments(migration_id).await.unwrap(), []);
    assert_eq!(store.owners(migration_id).await.unwrap(), []);
    assert_eq!(store.owners(kept.migration_id).await.unwrap().len(), 1);
    assert_eq!(store.assignments(kept.migration_id).await.unwrap().len(), 1);
    store.assign(&leader, partition(1), to(1, 1)).await.unwrap();
    let closed = Err(LeaseError::Closed(migration_id));
    assert_eq!(store.claim(&one, partition(1), 1).await, closed);
}

pub async fn every_kind_of_change_wakes(world: impl World) {
    let (store, watcher) = (world.store(), world.another());
    let leader = lead(&*store).await;
    // The watch is under way once a change is heard of at all.
    let mut changes = watcher.changes();
    changes.mark_unchanged();
    let mut era = 0;
    loop {
        era += 1;
        store.set_era(&leader, era).await.unwrap();
        let heard = tokio::time::timeout(std::time::Duration::from_millis(100), changes.changed());
        if heard.await.is_ok() {
            break;
        }
    }
    let place = partition(7);
    macro_rules! wakes {
        ($what:expr) => {{
            // Nothing else changes here: what is left to be heard of is what came before.
            while tokio::time::timeout(std::time::Duration::from_millis(30), changes.changed())
                .await
                .is_ok()
            {}
            let result = $what.await;
            within(2, stringify!($what), changes.changed())
                .await
                .unwrap();
            result.unwrap()
        }};
    }
    wakes!(store.set_control(&leader, place.migration_id, OPEN));
    let one = wakes!(store.join(agent(1)));
    wakes!(store.assign(&leader, place, to(1, 1)));
    wakes!(store.claim(&one, place, 1));
    wakes!(store.release(&one, place));
    wakes!(store.unassign(&leader, &[place]));
    wakes!(store.forget(&leader, place.migration_id));
    wakes!(store.set_era(&leader, 1000));
    wakes!(store.leave(&one));
    wakes!(store.resign(&leader));
    let _next = wakes!(store.campaign(candidate(), CancellationToken::new()));
}

pub async fn claims_race_for_one_winner(world: impl World) {
    let store = world.store();
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(7), to(1, 1)).await.unwrap();
    let tries = (0..8).map(|_| store.claim(&one, partition(7), 1));
    let results = futures::future::join_all(tries).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1, "{results:?}");
    let taken = Err(LeaseError::Taken(partition(7).partition_id));
    assert_eq!(results.iter().filter(|result| **result == taken).count(), 7);
}
