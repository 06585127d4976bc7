//! What happens to a store when its server does.

use std::time::Duration;

use etcd_client::{Client, Permission, PermissionType, PutOptions};
use proto::domain::token;
use proto::lease::{
    EtcdLeaseStore, EtcdLogin, EtcdSettings, LeaseError, LeaseStore, MemoryLeaseStore,
};
use proto::runtime::settings::Secret;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::contract::{OPEN, agent, candidate, lead, led, partition, to};
use crate::support::etcd::{Etcd, free_ports};
use crate::world::{open, raw, short, within};

/// How much later than its time to live a lease may be known to be lost.
const SLACK: Duration = Duration::from_millis(500);

fn is_unavailable<T>(result: Result<T, LeaseError>) -> bool {
    matches!(result, Err(LeaseError::Unavailable { .. }))
}

fn assert_soon(since: Instant, ttl: Duration) {
    let took = since.elapsed();
    assert!(took <= ttl + SLACK, "known only after {took:?}");
}

#[tokio::test]
async fn a_restart_within_the_time_to_live_is_survived() {
    let mut server = Etcd::start().await;
    let settings = short(&server.endpoint());
    let store = open(&settings);
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(1), to(1, 1)).await.unwrap();
    let first = store.claim(&one, partition(1), 1).await.unwrap();
    server.restart().await;
    // Longer than the leases live: they must have been kept alive over the new connection.
    let ended = timeout(settings.times.agent + SLACK, async {
        tokio::select! {
            () = one.lost.cancelled() => "membership",
            () = leader.lost.cancelled() => "leadership",
        }
    });
    assert_eq!(ended.await.ok(), None);
    store.assign(&leader, partition(2), to(1, 1)).await.unwrap();
    let second = store.claim(&one, partition(2), 1).await.unwrap();
    assert!(second > first);
    assert_eq!(
        store.owners(partition(1).migration_id).await.unwrap().len(),
        2
    );
    assert_eq!(store.agents().await.unwrap(), [agent(1)]);
    // The watch came back too: an event is heard of, and not only the periodic wake-up.
    let mut changes = store.changes();
    changes.mark_unchanged();
    store.release(&one, partition(1)).await.unwrap();
    within(2, "a wake-up", changes.changed()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_for_longer_ends_every_lease() {
    let mut server = Etcd::start().await;
    let settings = short(&server.endpoint());
    let store = open(&settings);
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    let since = Instant::now();
    server.kill();
    let (lost, answer) = tokio::join!(
        within(6, "the loss", async {
            one.lost.cancelled().await;
            leader.lost.cancelled().await;
            assert_soon(since, settings.times.agent);
        }),
        store.agents(),
    );
    let () = lost;
    assert!(is_unavailable(answer));
    let stop = CancellationToken::new();
    let campaign = store.campaign(candidate(), stop.clone());
    tokio::pin!(campaign);
    assert!(timeout(SLACK, &mut campaign).await.is_err(), "it waits");
    server.restart().await;
    // The server gives the leases of before their whole time anew.
    let next = within(10, "an election", campaign).await.unwrap();
    let again = store.join(agent(1)).await.unwrap();
    store.assign(&next, partition(1), to(1, 1)).await.unwrap();
    store.claim(&again, partition(1), 1).await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_is_unavailable_in_time() {
    let server = Etcd::start().await;
    let settings = short(&server.endpoint());
    let store = open(&settings);
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(1), to(1, 1)).await.unwrap();
    let since = Instant::now();
    server.freeze();
    let lost = async {
        one.lost.cancelled().await;
        assert_soon(since, settings.times.agent);
    };
    let call = async {
        let answer = store.claim(&one, partition(1), 1).await;
        assert!(is_unavailable(answer));
        assert!(since.elapsed() <= settings.retry_within + SLACK);
    };
    within(8, "the loss and the answer", async {
        tokio::join!(lost, call)
    })
    .await;
    server.thaw();
    let again = within(10, "joining", store.join(agent(1))).await.unwrap();
    let claimed = store.claim(&again, partition(1), 1).await;
    claimed.unwrap();
}

#[tokio::test]
async fn a_wrong_endpoint_is_said_and_not_waited_for() {
    let nobody = format!("http://127.0.0.1:{}", free_ports(1)[0]);
    let settings = EtcdSettings {
        retry_within: Duration::from_secs(1),
        ..short(&nobody)
    };
    let answer = within(3, "the answer", open(&settings).cluster()).await;
    let Err(LeaseError::Unavailable { reason }) = answer else {
        panic!("{answer:?}");
    };
    assert!(reason.contains("refused"), "{reason}");
    let nonsense = EtcdSettings {
        endpoints: vec!["http://".to_owned()],
        ..settings.clone()
    };
    let answer = within(3, "the answer", open(&nonsense).cluster()).await;
    assert!(is_unavailable(answer));
    let stop = CancellationToken::new();
    let store = open(&settings);
    let campaign = store.campaign(candidate(), stop.clone());
    tokio::pin!(campaign);
    assert!(timeout(SLACK, &mut campaign).await.is_err(), "it waits");
    stop.cancel();
    let stopped = within(1, "stopping", campaign).await;
    assert_eq!(stopped.unwrap_err(), LeaseError::Stopped);
}

#[tokio::test]
async fn a_wrong_member_among_others_is_passed_over() {
    let server = Etcd::start().await;
    let nobody = format!("http://127.0.0.1:{}", free_ports(1)[0]);
    let settings = EtcdSettings {
        endpoints: vec![nobody, server.endpoint()],
        ..short("")
    };
    let store = open(&settings);
    within(2, "the answer", store.cluster()).await.unwrap();
}

#[tokio::test]
async fn a_login_is_asked_for_and_its_token_renewed() {
    let mut server = Etcd::start().await;
    let settings = short(&server.endpoint());
    demand_login(&mut raw(&server.endpoint()).await, &settings.prefix).await;
    let with = |user: &str, password: &str| EtcdSettings {
        login: Some(EtcdLogin {
            user: user.to_owned(),
            password: Secret::new(password),
        }),
        ..settings.clone()
    };
    let denied = Err(LeaseError::Denied);
    assert_eq!(open(&settings).cluster().await, denied);
    assert_eq!(open(&with("drover", "wrong")).cluster().await, denied);
    let stranger = open(&settings);
    let campaign = stranger.campaign(candidate(), CancellationToken::new());
    let refused = within(4, "the refusal", campaign).await;
    assert_eq!(refused.unwrap_err(), LeaseError::Denied);
    let elsewhere = EtcdSettings {
        prefix: "/elsewhere".to_owned(),
        ..with("drover", "right")
    };
    assert_eq!(open(&elsewhere).cluster().await, denied);
    let store = open(&with("drover", "right"));
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(1), to(1, 1)).await.unwrap();
    store.claim(&one, partition(1), 1).await.unwrap();
    // Its tokens are in memory only: after a restart the server knows none of them.
    server.restart().await;
    store.release(&one, partition(1)).await.unwrap();
    store.claim(&one, partition(1), 1).await.unwrap();
    let ended = timeout(settings.times.agent + SLACK, one.lost.cancelled());
    assert!(ended.await.is_err(), "the keep-alive has logged in again");
    store.leave(&one).await.unwrap();
}

/// Users `root` and `drover`, the latter with the keys below the prefix.
async fn demand_login(admin: &mut Client, prefix: &str) {
    for name in ["root", "drover"] {
        admin.role_add(name).await.unwrap();
        admin.user_add(name, "right", None).await.unwrap();
        admin.user_grant_role(name, name).await.unwrap();
    }
    let below = Permission::new(PermissionType::Readwrite, format!("{prefix}/")).with_prefix();
    admin.role_grant_permission("drover", below).await.unwrap();
    admin.auth_enable().await.unwrap();
}

#[tokio::test]
async fn a_cluster_goes_on_without_one_member() {
    let mut members = Etcd::start_cluster(3).await;
    let settings = EtcdSettings {
        endpoints: members.iter().map(Etcd::endpoint).collect(),
        ..short("")
    };
    let store = open(&settings);
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    members[0].kill();
    for at in 0..20 {
        store
            .assign(&leader, partition(at), to(1, 1))
            .await
            .unwrap();
        store.claim(&one, partition(at), 1).await.unwrap();
    }
    let ended = timeout(settings.times.agent + SLACK, one.lost.cancelled());
    assert!(ended.await.is_err(), "kept alive through another member");
    assert!(!leader.lost.is_cancelled());
}

#[tokio::test]
async fn a_server_that_lost_its_data_has_no_era() {
    let mut server = Etcd::start().await;
    let store = open(&short(&server.endpoint()));
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    let before = store.cluster().await.unwrap();
    server.wipe();
    server.restart().await;
    let after = store.cluster().await.unwrap();
    assert_eq!(after.era, None);
    assert!(after.revision < before.revision);
    within(4, "the loss", one.lost.cancelled()).await;
    within(4, "the loss", leader.lost.cancelled()).await;
    assert_eq!(store.mint(&leader).await, Err(LeaseError::Deposed));
    let next = lead(&*store).await;
    store.set_era(&next, 4).await.unwrap();
    assert_eq!(token::era_of(store.mint(&next).await.unwrap()), 4);
}

#[tokio::test]
async fn an_era_of_another_cluster_mints_nothing() {
    let server = Etcd::start().await;
    let settings = short(&server.endpoint());
    let store = open(&settings);
    let leader = led(&*store).await;
    let key = format!("{}/cluster/era", settings.prefix);
    let foreign = r#"{"era":7,"cluster_id":"another"}"#;
    raw(&server.endpoint())
        .await
        .put(key, foreign, None)
        .await
        .unwrap();
    assert_eq!(store.cluster().await.unwrap().era, Some(7));
    assert_eq!(store.mint(&leader).await, Err(LeaseError::NoEra));
    assert_eq!(store.set_era(&leader, 6).await, Err(LeaseError::EraFalls));
    store.set_era(&leader, 8).await.unwrap();
    store.mint(&leader).await.unwrap();
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_made_again_by_its_own_member_only() {
    let server = Etcd::start().await;
    let settings = short(&server.endpoint());
    let store = open(&settings);
    let leader = led(&*store).await;
    let (one, place) = (store.join(agent(1)).await.unwrap(), partition(1));
    store.assign(&leader, place, to(1, 1)).await.unwrap();
    let owner = format!(
        "{}/migrations/{}/owner/{}",
        settings.prefix, place.migration_id, place.partition_id
    );
    let holder = format!(r#"{{"holder":"{}"}}"#, one.holder);
    let mut around = raw(&server.endpoint()).await;
    let under = |lease| Some(PutOptions::new().with_lease(lease));
    // Under another lease it is not ours, whatever it says.
    around
        .put(owner.as_str(), holder.as_str(), under(leader.lease_id))
        .await
        .unwrap();
    let taken = Err(LeaseError::Taken(place.partition_id));
    assert_eq!(store.claim(&one, place, 1).await, taken);
    store.release(&one, place).await.unwrap();
    assert_eq!(store.owners(place.migration_id).await.unwrap().len(), 1);
    around
        .put(owner.as_str(), holder.as_str(), under(one.lease_id))
        .await
        .unwrap();
    let before = store.mint(&leader).await.unwrap();
    assert!(store.claim(&one, place, 1).await.unwrap() > before);
    assert_eq!(store.claim(&one, place, 1).await, taken);
    store.release(&one, place).await.unwrap();
    // One that is left over is let go as well.
    around
        .put(owner, holder, under(one.lease_id))
        .await
        .unwrap();
    store.release(&one, place).await.unwrap();
    assert_eq!(store.owners(place.migration_id).await.unwrap(), []);
}

#[tokio::test]
async fn a_store_that_is_dropped_lets_go() {
    let server = Etcd::start().await;
    let store = EtcdLeaseStore::open(short(&server.endpoint())).unwrap();
    let one = store.join(agent(1)).await.unwrap();
    let mut changes = store.changes();
    drop(store);
    within(1, "the loss", one.lost.cancelled()).await;
    // Its counter is closed once nobody can raise it any more.
    within(1, "the end of the tasks", async {
        while changes.changed().await.is_ok() {}
    })
    .await;
}

#[tokio::test]
async fn more_assignments_than_one_answer_holds_are_listed() {
    let server = Etcd::start().await;
    let store = open(&short(&server.endpoint()));
    let settings = short(&server.endpoint());
    let migration_id = partition(0).migration_id;
    let prefix = format!("{}/migrations/{migration_id}/assign/", settings.prefix);
    let value = format!(r#"{{"holder":"{}","generation":1}}"#, Uuid::nil());
    let mut around = raw(&server.endpoint()).await;
    let ids: Vec<u128> = (0..9000).collect();
    for chunk in ids.chunks(100) {
        let put = |id: &u128| {
            let key = format!("{prefix}{}", Uuid::from_u128(*id));
            etcd_client::TxnOp::put(key, value.as_str(), None)
        };
        let puts: Vec<_> = chunk.iter().map(put).collect();
        around
            .txn(etcd_client::Txn::new().and_then(puts))
            .await
            .unwrap();
    }
    let listed = store.assignments(migration_id).await.unwrap();
    let listed: Vec<u128> = listed.iter().map(|(id, _)| id.as_u128()).collect();
    assert_eq!(listed, ids);
    let leader = led(&*store).await;
    let some: Vec<_> = (0..250).map(partition).collect();
    store.unassign(&leader, &some).await.unwrap();
    assert_eq!(store.assignments(migration_id).await.unwrap().len(), 8750);
}

#[tokio::test]
async fn memory_that_lost_its_data_is_another_cluster() {
    let store = MemoryLeaseStore::default();
    let leader = led(&store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(1), to(1, 1)).await.unwrap();
    store.claim(&one, partition(1), 1).await.unwrap();
    let before = store.cluster().await.unwrap();
    store.regress();
    assert!(one.lost.is_cancelled() && leader.lost.is_cancelled());
    let after = store.cluster().await.unwrap();
    assert_ne!(after.cluster_id, before.cluster_id);
    assert!(after.revision < before.revision && after.era.is_none());
    assert_eq!(store.agents().await.unwrap(), []);
    let refused = store.set_control(&leader, partition(1).migration_id, OPEN);
    assert_eq!(refused.await, Err(LeaseError::Deposed));
    // What is left of the old leases ends nothing of the new ones.
    let next = led(&store).await;
    drop((leader, one));
    assert_eq!(store.leader().await.unwrap(), Some(next.candidate.clone()));
}
