//! Streams that end, processes that dial again, names that change hands, leases that are gone.

use super::*;

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

/// The number of the latest stream.
fn connection(fleet: &Fleet) -> u64 {
    fleet.lock().connections
}

#[tokio::test]
async fn an_agent_whose_stream_ended_is_gone_only_after_its_grace() {
    let fleet = fleet();
    let mut first = hello(ONE, "one");
    first.held = vec![held(MIGRATION, 1, 1)];
    let agent = connect(&fleet, first).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    drop(agent);
    until_disconnected(&fleet, ONE).await;
    let [member] = fleet.members().try_into().unwrap();
    assert!(!member.is_connected);
    assert_eq!(member.held, [held(MIGRATION, 1, 1)], "still its own");
    assert!(inbox.try_recv().is_err(), "nobody is told before the grace");
    let mut changes = fleet.changes();
    fleet.gone(ONE, connection(&fleet));
    assert_eq!(inbox.try_recv(), Ok(News::Left { holder: ONE }));
    assert!(fleet.members().is_empty());
    assert!(has_changed(&mut changes));
    fleet.gone(ONE, connection(&fleet));
    assert!(inbox.try_recv().is_err(), "once");
}

#[tokio::test]
async fn what_was_said_before_a_stream_ended_is_heard() {
    let fleet = fleet();
    let agent = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    for seq in 1..=3 {
        agent.say(batch(MIGRATION, seq)).await;
    }
    drop(agent);
    for seq in 1..=3 {
        let news = News::Frame {
            holder: ONE,
            frame: batch(MIGRATION, seq),
        };
        assert_eq!(soon(inbox.recv()).await, Some(news));
    }
}

#[tokio::test]
async fn a_process_that_dials_again_replaces_its_own_stream() {
    let fleet = fleet();
    let mut first = hello(ONE, "one");
    first.held = vec![held(MIGRATION, 1, 1), held(MIGRATION, 2, 1)];
    let earlier = connect(&fleet, first.clone()).await;
    let earlier_connection = connection(&fleet);
    fleet.set_duty(ONE, Duty::Cordoned);
    let (mut inbox, members) = fleet.subscribe(MIGRATION);
    first.held = vec![held(MIGRATION, 2, 1), held(OTHER, 9, 1)];
    first.region = "us".to_owned();
    let mut agent = connect(&fleet, first.clone()).await;
    // A supervisor hears of its own migration only.
    let news = News::Joined {
        holder: ONE,
        held: vec![held(MIGRATION, 2, 1)],
    };
    assert_eq!(inbox.try_recv(), Ok(news));
    // Its earlier stream is closed; neither that nor the end of its grace is news.
    soon(earlier.frames.closed()).await;
    settle().await;
    fleet.gone(ONE, earlier_connection);
    assert!(inbox.try_recv().is_err());
    let [member] = fleet.members().try_into().unwrap();
    assert!(member.is_connected);
    assert_eq!(member.region, "us", "as it says now");
    assert_eq!(member.held.len(), 2);
    assert!(!member.held.contains(&held(MIGRATION, 1, 1)));
    assert_eq!(member.duty, Duty::Cordoned, "the operator's word stands");
    assert_eq!(member.connected_at, members[0].connected_at);
    assert!(member.last_seen_at >= members[0].last_seen_at);
    let frame = ControllerFrame::Drain { migration_id: None };
    fleet.line(ONE).unwrap().order(frame.clone()).unwrap();
    assert_eq!(agent.order().await, frame, "over the new stream");
}

#[tokio::test]
async fn what_an_earlier_stream_still_says_counts_for_nothing() {
    let fleet = fleet();
    let earlier = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    let mut second = hello(ONE, "one");
    second.held = vec![held(MIGRATION, 1, 2)];
    let (stay, _agent) = dial(&fleet, AgentFrame::Hello(second)).await;
    // The earlier stream's end was not seen yet.
    let _ = earlier.frames.try_send(released(held(MIGRATION, 1, 1)));
    soon(earlier.frames.closed()).await;
    assert_eq!(fleet.members()[0].held, [held(MIGRATION, 1, 2)]);
    assert!(matches!(inbox.try_recv(), Ok(News::Joined { .. })));
    assert!(inbox.try_recv().is_err());
    drop(stay);
}

#[tokio::test]
async fn a_new_process_takes_over_the_name_of_one_whose_stream_ended() {
    let fleet = fleet();
    drop(connect(&fleet, hello(ONE, "one")).await);
    let earlier_connection = connection(&fleet);
    fleet.set_duty(ONE, Duty::Cordoned);
    until_disconnected(&fleet, ONE).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    let _agent = connect(&fleet, hello(TWO, "one")).await;
    assert_eq!(inbox.try_recv(), Ok(News::Left { holder: ONE }));
    let (holder, held) = (TWO, Vec::new());
    assert_eq!(inbox.try_recv(), Ok(News::Joined { holder, held }));
    let [member] = fleet.members().try_into().unwrap();
    assert_eq!(member.holder, TWO);
    assert_eq!(member.duty, Duty::Active, "a restarted agent is active");
    fleet.gone(ONE, earlier_connection);
    assert!(inbox.try_recv().is_err(), "it left once");
}

#[tokio::test]
async fn an_agent_whose_lease_is_gone_loses_its_partitions_at_once() {
    let fleet = fleet();
    let mut first = hello(ONE, "one");
    first.held = vec![held(MIGRATION, 1, 1)];
    let agent = connect(&fleet, first).await;
    let other = connect(&fleet, hello(TWO, "two")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    fleet.expel(Uuid::from_u128(99));
    settle().await;
    assert!(inbox.try_recv().is_err(), "a stranger's lease is no news");
    fleet.expel(ONE);
    assert!(fleet.line(ONE).is_none());
    assert_eq!(soon(inbox.recv()).await, Some(News::Left { holder: ONE }));
    let left: Vec<Uuid> = fleet.members().iter().map(|one| one.holder).collect();
    assert_eq!(left, [TWO]);
    soon(agent.frames.closed()).await;
    settle().await;
    assert!(inbox.try_recv().is_err(), "once");
    assert!(!other.frames.is_closed());
}

#[tokio::test]
async fn an_expelled_process_that_dials_again_at_once_has_lost_what_it_held_and_is_there() {
    let fleet = fleet();
    let _earlier = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    let (ours, theirs) = pipe::pair::<Order, AgentFrame>(8);
    let hello = AgentFrame::Hello(hello(ONE, "one"));
    theirs.tx.send(hello).await.unwrap();
    // On this thread the two are told apart by their order alone.
    fleet.expel(ONE);
    let stay = fleet.greet(ours).await.unwrap();
    settle().await;
    assert_eq!(inbox.try_recv(), Ok(News::Left { holder: ONE }));
    assert!(matches!(inbox.try_recv(), Ok(News::Joined { .. })));
    assert!(inbox.try_recv().is_err());
    assert!(fleet.line(stay.holder).is_some());
}

#[tokio::test]
async fn a_process_that_was_away_is_still_draining() {
    let fleet = fleet();
    let _earlier = connect(&fleet, hello(ONE, "one")).await;
    fleet.set_duty(ONE, Duty::Draining);
    fleet.expel(ONE);
    assert!(fleet.members().is_empty());
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let drain = ControllerFrame::Drain { migration_id: None };
    assert_eq!(agent.order().await, drain);
    assert_eq!(fleet.members()[0].duty, Duty::Draining);
    // Another process of that name is a new one.
    drop(agent);
    until_disconnected(&fleet, ONE).await;
    let _next = connect(&fleet, hello(TWO, "one")).await;
    assert_eq!(fleet.members()[0].duty, Duty::Active);
}
