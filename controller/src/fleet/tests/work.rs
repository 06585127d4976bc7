//! What an agent holds, and whether it gets more.

use proto::domain::frame::Assignment;
use proto::domain::key::KeyRange;

use super::*;

const ONE: Uuid = Uuid::from_u128(1);

fn assign(held: HeldPartition) -> ControllerFrame {
    ControllerFrame::Assign(Assignment {
        migration_id: held.migration_id,
        partition_id: held.partition_id,
        entity: "customer".to_owned(),
        entity_hash: String::new(),
        range: KeyRange::default(),
        generation: held.generation,
        max_rows_per_second: None,
    })
}

fn held_by_one(fleet: &Fleet) -> Vec<HeldPartition> {
    let mut held = fleet.members().remove(0).held;
    held.sort_by_key(|one| (one.migration_id, one.partition_id, one.generation));
    held
}

#[tokio::test]
async fn an_assignment_is_sent_and_noted_under_its_latest_generation() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let all = [
        held(MIGRATION, 1, 1),
        held(MIGRATION, 2, 1),
        held(OTHER, 1, 1),
        held(MIGRATION, 1, 2),
    ];
    for one in all {
        fleet.assign(ONE, assign(one), one).unwrap();
        assert_eq!(agent.order().await, assign(one));
    }
    assert_eq!(held_by_one(&fleet), [all[3], all[1], all[2]]);
    // A supervisor that begins later is told of all of it.
    let (_, members) = fleet.subscribe(MIGRATION);
    assert_eq!(members[0].held.len(), 3);
}

#[tokio::test]
async fn what_an_agent_gives_back_is_no_longer_its_own_whoever_listens() {
    let fleet = fleet();
    let mut first = hello(ONE, "one");
    let all = [
        held(MIGRATION, 1, 1),
        held(MIGRATION, 2, 1),
        held(OTHER, 1, 1),
    ];
    first.held = all.to_vec();
    let agent = connect(&fleet, first).await;
    // Of the other migration nobody wants to hear.
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    agent.say(released(all[2])).await;
    agent.say(released(all[0])).await;
    let news = News::Frame {
        holder: ONE,
        frame: released(all[0]),
    };
    assert_eq!(soon(inbox.recv()).await, Some(news));
    assert_eq!(held_by_one(&fleet), [all[1]]);
}

#[tokio::test]
async fn a_late_release_leaves_a_later_assignment_of_the_partition_alone() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    let (earlier, later) = (held(MIGRATION, 1, 1), held(MIGRATION, 1, 2));
    for one in [earlier, later] {
        fleet.assign(ONE, assign(one), one).unwrap();
        assert_eq!(agent.order().await, assign(one));
    }
    for (gone, left) in [(earlier, vec![later]), (later, Vec::new())] {
        agent.say(released(gone)).await;
        soon(inbox.recv()).await;
        assert_eq!(held_by_one(&fleet), left);
    }
}

#[tokio::test]
async fn nothing_is_noted_that_could_not_be_sent() {
    let fleet = fleet();
    let one = held(MIGRATION, 1, 1);
    let kind = |sent: Result<(), Failure>| sent.unwrap_err().kind;
    assert_eq!(
        kind(fleet.assign(ONE, assign(one), one)),
        FailureKind::NoAgent,
        "a stranger"
    );
    let Agent { frames, orders } = connect(&fleet, hello(ONE, "one")).await;
    drop(orders);
    assert_eq!(
        kind(fleet.assign(ONE, assign(one), one)),
        FailureKind::NoAgent,
        "it takes no orders"
    );
    assert_eq!(held_by_one(&fleet), []);
    drop(frames);
    until_disconnected(&fleet, ONE).await;
    assert_eq!(
        kind(fleet.assign(ONE, assign(one), one)),
        FailureKind::NoAgent,
        "its stream is over"
    );
    assert_eq!(held_by_one(&fleet), []);
}

#[tokio::test]
async fn a_full_queue_of_orders_takes_no_assignment() {
    let fleet = fleet();
    let _agent = connect(&fleet, hello(ONE, "one")).await;
    let outcomes: Vec<bool> = (0..9)
        .map(|at| held(MIGRATION, at, 1))
        .map(|one| fleet.assign(ONE, assign(one), one).is_ok())
        .collect();
    assert_eq!(outcomes.iter().filter(|is_sent| **is_sent).count(), 8);
    assert!(!outcomes[8]);
    assert_eq!(held_by_one(&fleet).len(), 8);
}

#[tokio::test]
async fn snapshots_are_noted_until_a_hello_says_otherwise() {
    let fleet = fleet();
    let _earlier = connect(&fleet, hello(ONE, "one")).await;
    fleet.note_snapshot(ONE, MIGRATION);
    fleet.note_snapshot(Uuid::from_u128(99), OTHER);
    assert_eq!(fleet.members()[0].snapshots, BTreeSet::from([MIGRATION]));
    let _agent = connect(&fleet, hello(ONE, "one")).await;
    assert_eq!(fleet.members()[0].snapshots, BTreeSet::new());
}

#[tokio::test]
async fn a_cordoned_agent_keeps_what_it_has_and_a_draining_one_is_told() {
    let fleet = fleet();
    let mut first = hello(ONE, "one");
    first.held = vec![held(MIGRATION, 1, 1)];
    let mut agent = connect(&fleet, first).await;
    let mut changes = fleet.changes();
    assert_eq!(fleet.set_duty(Uuid::from_u128(99), Duty::Draining), None);
    assert!(!has_changed(&mut changes));
    for duty in [Duty::Cordoned, Duty::Active] {
        let view = fleet.set_duty(ONE, duty).unwrap();
        assert_eq!(view.duty, duty);
        assert_eq!(view, fleet.members()[0]);
        assert!(has_changed(&mut changes));
        assert!(agent.has_no_order().await);
    }
    fleet.set_duty(ONE, Duty::Draining).unwrap();
    assert!(has_changed(&mut changes));
    let drain = ControllerFrame::Drain { migration_id: None };
    assert_eq!(agent.order().await, drain);
    // It is its own until it gives it back.
    assert_eq!(held_by_one(&fleet), [held(MIGRATION, 1, 1)]);
    assert!(agent.has_no_order().await);
}

#[tokio::test]
async fn an_agent_that_dials_again_is_told_that_it_is_draining() {
    let fleet = fleet();
    let mut first = hello(ONE, "one");
    first.held = vec![held(MIGRATION, 1, 1)];
    drop(connect(&fleet, first.clone()).await);
    until_disconnected(&fleet, ONE).await;
    // Nobody is there to be told, or the order was lost with the stream.
    fleet.set_duty(ONE, Duty::Draining).unwrap();
    let mut agent = connect(&fleet, first.clone()).await;
    let drain = ControllerFrame::Drain { migration_id: None };
    assert_eq!(agent.order().await, drain);
    fleet.set_duty(ONE, Duty::Cordoned).unwrap();
    let mut again = connect(&fleet, first).await;
    assert!(again.has_no_order().await);
}

#[tokio::test]
async fn what_an_agent_still_has_of_a_migration_that_ended_is_let_go() {
    let fleet = fleet();
    let mut first = hello(Uuid::from_u128(1), "one");
    first.held = vec![held(MIGRATION, 1, 1)];
    first.snapshots = vec![MIGRATION, OTHER];
    let mut agent = connect(&fleet, first).await;
    fleet.tidy(&BTreeSet::from([MIGRATION, OTHER]));
    assert!(agent.has_no_order().await);
    fleet.tidy(&BTreeSet::from([MIGRATION]));
    let forget = |migration_id| ControllerFrame::Forget { migration_id };
    assert_eq!(agent.order().await, forget(OTHER));
    fleet.tidy(&BTreeSet::from([MIGRATION]));
    assert!(agent.has_no_order().await, "once");
    // A partition is asked for until it was given back.
    fleet.tidy(&BTreeSet::new());
    assert_eq!(agent.order().await, forget(MIGRATION));
    fleet.tidy(&BTreeSet::new());
    assert_eq!(agent.order().await, forget(MIGRATION));
    agent.say(released(held(MIGRATION, 1, 1))).await;
    settle().await;
    fleet.tidy(&BTreeSet::new());
    assert!(agent.has_no_order().await);
}
