use std::collections::BTreeMap;

use proto::domain::compiled::CODEC_VERSION;
use proto::domain::key::KeyRange;
use proto::lease::{AgentEntry, MemoryLeaseStore};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{MIGRATION, desk, run_order, silent_server, soon};

const PARTITION: Uuid = Uuid::from_u128(0xB1);

/// One lane that hangs in whatever it begins: its database never answers.
struct World {
    lanes: Arc<Lanes<MemoryLeaseStore>>,
    outbox: Arc<Outbox>,
    lease: Arc<MemoryLeaseStore>,
    present: watch::Sender<Option<Membership>>,
    _database: TcpListener,
    _working: JoinSet<()>,
}

async fn world() -> World {
    let (database, options) = silent_server().await;
    let desk = desk(&options);
    desk.begin_run(run_order());
    let (lease, outbox) = (Arc::<MemoryLeaseStore>::default(), Arc::default());
    let (present, membership) = watch::channel(None);
    let lanes = Lanes::new(desk, lease.clone(), Arc::clone(&outbox), membership);
    let lanes = Arc::new(lanes);
    let mut working = JoinSet::new();
    working.spawn(lanes.clone().run(1));
    World {
        lanes,
        outbox,
        lease,
        present,
        _database: database,
        _working: working,
    }
}

async fn join(lease: &MemoryLeaseStore) -> Membership {
    let entry = AgentEntry {
        holder: Uuid::from_u128(1),
        agent_id: "one".to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::new(),
        connections: Vec::new(),
        capacity: 1,
        codec_version: CODEC_VERSION,
    };
    lease.join(entry).await.unwrap()
}

fn assignment(generation: i64) -> Assignment {
    Assignment {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        entity: "customers".to_owned(),
        entity_hash: String::new(),
        range: KeyRange::default(),
        generation,
        max_rows_per_second: None,
    }
}

fn drained(generation: i64) -> AgentFrame {
    AgentFrame::Released {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        generation,
        reason: Release::Drained,
    }
}

/// On the one thread of a test: lets everything run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_membership_that_was_lost_and_made_again_unseen_gives_everything_back() {
    let world = world().await;
    let first = join(&world.lease).await;
    world.present.send_replace(Some(first));
    settle().await;
    world.lanes.assign(assignment(1)).await;
    settle().await;
    assert_eq!(world.lanes.held().len(), 1);
    world.present.send_replace(None);
    let second = join(&world.lease).await;
    world.present.send_replace(Some(second));
    assert_eq!(soon(world.outbox.next()).await, drained(1));
    soon(world.lanes.are_idle()).await;
}

#[tokio::test]
async fn a_later_assignment_has_the_earlier_one_given_back_under_its_own_generation() {
    let world = world().await;
    world.lanes.assign(assignment(1)).await;
    settle().await;
    world.lanes.assign(assignment(2)).await;
    assert_eq!(soon(world.outbox.next()).await, drained(1));
    let generations: Vec<i64> = world.lanes.held().iter().map(|it| it.generation).collect();
    assert_eq!(generations, [2]);
    world.lanes.drain(None);
    assert_eq!(soon(world.outbox.next()).await, drained(2));
}

#[tokio::test]
async fn work_ends_with_the_lease_that_its_claim_stands_on() {
    let lease = MemoryLeaseStore::default();
    let (membership, give_back) = (join(&lease).await, CancellationToken::new());
    let work = Box::pin(give_back.cancelled());
    lease.expire(membership.holder);
    soon(while_member(work, &membership, &give_back)).await;
}
