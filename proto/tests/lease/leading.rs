//! What every lease store does with leaders, and with the era that they set.

use std::sync::Arc;

use proto::domain::token;
use proto::lease::{Leadership, LeaseError, LeaseStore};
use tokio_util::sync::CancellationToken;

use crate::contract::{OPEN, agent, candidate, lead, led, owners, partition, to};
use crate::world::{World, within};

pub async fn a_deposed_leader_is_refused_everything(world: impl World) {
    let store = world.store();
    let old = led(&*store).await;
    world.expire_leader(&old).await;
    assert_eq!(store.mint(&old).await, Err(LeaseError::Deposed));
    let other = world.another();
    let new = lead(&*other).await;
    assert!(new.revision > old.revision);
    let (place, migration_id) = (partition(7), partition(7).migration_id);
    store.assign(&new, place, to(1, 5)).await.unwrap();
    let refused = Err(LeaseError::Deposed);
    assert_eq!(store.set_era(&old, 4).await, refused);
    assert_eq!(store.set_control(&old, migration_id, OPEN).await, refused);
    assert_eq!(store.assign(&old, place, to(2, 6)).await, refused);
    assert_eq!(store.assign(&old, place, to(2, 1)).await, refused);
    assert_eq!(store.unassign(&old, &[place]).await, refused);
    assert_eq!(store.forget(&old, migration_id).await, refused);
    assert_eq!(store.mint(&old).await, Err(LeaseError::Deposed));
    store.resign(&old).await.unwrap();
    within(3, "learning of it", old.lost.cancelled()).await;
    let leader = store.leader().await.unwrap();
    assert_eq!(leader, Some(new.candidate.clone()));
    assert_eq!(store.assignments(migration_id).await.unwrap().len(), 1);
    assert!(!new.lost.is_cancelled());
}

async fn follow<W: World>(world: &W) -> tokio::task::JoinHandle<Leadership> {
    let other = world.another();
    let waiting = tokio::spawn(async move { lead_and_hold(other).await });
    // It must have seen the present leader before that one goes.
    tokio::task::yield_now().await;
    waiting
}

async fn lead_and_hold<S: LeaseStore>(store: Arc<S>) -> Leadership {
    let leadership = lead(&*store).await;
    // Dropping the store would end the lease.
    Box::leak(Box::new(store));
    leadership
}

pub async fn a_candidate_follows_a_resigned_leader(world: impl World) {
    let store = world.store();
    let first = lead(&*store).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = store.campaign(candidate(), stop).await;
    assert_eq!(stopped.unwrap_err(), LeaseError::Stopped);
    let waiting = follow(&world).await;
    assert!(!waiting.is_finished());
    store.resign(&first).await.unwrap();
    assert!(first.lost.is_cancelled());
    let second = within(3, "the next leader", waiting).await.unwrap();
    assert!(second.revision > first.revision);
    assert_eq!(
        store.leader().await.unwrap(),
        Some(second.candidate.clone())
    );
    store.resign(&first).await.unwrap();
    assert_eq!(
        store.leader().await.unwrap(),
        Some(second.candidate.clone())
    );
}

pub async fn a_candidate_follows_an_expired_leader(world: impl World) {
    let store = world.store();
    let first = lead(&*store).await;
    let waiting = follow(&world).await;
    world.expire_leader(&first).await;
    let second = within(3, "the next leader", waiting).await.unwrap();
    assert!(second.revision > first.revision);
    within(3, "learning of the loss", first.lost.cancelled()).await;
}

pub async fn only_one_of_many_candidates_leads(world: impl World) {
    let stores: Vec<_> = (0..4).map(|_| world.another()).collect();
    let stop = CancellationToken::new();
    let campaigns = stores
        .iter()
        .map(|store| store.campaign(candidate(), stop.clone()));
    let mut campaigns: Vec<_> = campaigns.map(Box::pin).collect();
    let first = futures::future::select_all(campaigns.iter_mut());
    let (first, at, _) = within(5, "an election", first).await;
    let first = first.unwrap();
    drop(campaigns.remove(at));
    let leader = world.store().leader().await.unwrap();
    assert_eq!(leader, Some(first.candidate.clone()));
    stop.cancel();
    for campaign in campaigns {
        assert_eq!(campaign.await.unwrap_err(), LeaseError::Stopped);
    }
}

pub async fn the_era_must_be_set_and_never_falls(world: impl World) {
    let store = world.store();
    let leader = lead(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    let place = partition(7);
    store
        .set_control(&leader, place.migration_id, OPEN)
        .await
        .unwrap();
    store.assign(&leader, place, to(1, 1)).await.unwrap();
    assert_eq!(store.cluster().await.unwrap().era, None);
    assert_eq!(store.mint(&leader).await, Err(LeaseError::NoEra));
    assert_eq!(store.claim(&one, place, 1).await, Err(LeaseError::NoEra));
    assert_eq!(owners(&*store).await, []);
    store.set_era(&leader, 4).await.unwrap();
    store.set_era(&leader, 4).await.unwrap();
    assert_eq!(store.set_era(&leader, 3).await, Err(LeaseError::EraFalls));
    let token = store.claim(&one, place, 1).await.unwrap();
    assert_eq!(token::era_of(token), 4);
    let cluster = store.cluster().await.unwrap();
    assert_eq!(cluster.era, Some(4));
    store.set_era(&leader, token::MAX_ERA + 1).await.unwrap();
    assert_eq!(store.mint(&leader).await, Err(LeaseError::Exhausted));
    let later = store.cluster().await.unwrap();
    assert_eq!(later.cluster_id, cluster.cluster_id);
    assert!(later.revision > cluster.revision);
}
