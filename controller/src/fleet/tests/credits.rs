//! Every batch costs the agent a credit, and every credit comes back.

use super::*;

const ONE: Uuid = Uuid::from_u128(1);
const CREDIT: ControllerFrame = ControllerFrame::Acknowledge { credits: 1 };

#[tokio::test]
async fn a_batch_that_nobody_looks_after_is_acknowledged_at_once() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (_inbox, _) = fleet.subscribe(OTHER);
    agent.say(batch(MIGRATION, 1)).await;
    assert_eq!(agent.order().await, CREDIT);
    // Nothing else costs a credit.
    agent.say(released(held(MIGRATION, 1, 1))).await;
    assert!(agent.has_no_order().await);
}

#[tokio::test]
async fn a_batch_that_a_supervisor_takes_is_acknowledged_by_it() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    agent.say(batch(MIGRATION, 1)).await;
    let news = News::Frame {
        holder: ONE,
        frame: batch(MIGRATION, 1),
    };
    assert_eq!(soon(inbox.recv()).await, Some(news));
    assert!(agent.has_no_order().await);
    fleet.acknowledge(ONE, OTHER, 1);
    fleet.acknowledge(Uuid::from_u128(99), MIGRATION, 1);
    assert!(agent.has_no_order().await);
    fleet.acknowledge(ONE, MIGRATION, 1);
    assert_eq!(agent.order().await, CREDIT);
    // Nothing comes back twice, also when the supervisor ends.
    fleet.acknowledge(ONE, MIGRATION, 1);
    drop(inbox);
    assert!(agent.has_no_order().await);
}

#[tokio::test]
async fn credits_of_batches_that_a_supervisor_left_come_back() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    for seq in 1..=3 {
        agent.say(batch(MIGRATION, seq)).await;
    }
    // One was taken and not stored, two were not taken.
    let _ = soon(inbox.recv()).await;
    settle().await;
    drop(inbox);
    let returned = ControllerFrame::Acknowledge { credits: 3 };
    assert_eq!(agent.order().await, returned);
    agent.say(batch(MIGRATION, 4)).await;
    assert_eq!(agent.order().await, CREDIT);
    assert!(agent.has_no_order().await);
}

#[tokio::test]
async fn batches_are_acknowledged_to_the_stream_they_came_over() {
    let fleet = fleet();
    let earlier = connect(&fleet, hello(ONE, "one")).await;
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    earlier.say(batch(MIGRATION, 1)).await;
    let _ = soon(inbox.recv()).await;
    // Its welcome has all credits in it.
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    fleet.acknowledge(ONE, MIGRATION, 1);
    assert!(agent.has_no_order().await);
    agent.say(batch(MIGRATION, 2)).await;
    settle().await;
    fleet.acknowledge(ONE, MIGRATION, 2);
    assert_eq!(agent.order().await, CREDIT);
}

#[tokio::test]
async fn the_end_of_an_earlier_supervisor_does_not_silence_the_next() {
    let fleet = fleet();
    let agent = connect(&fleet, hello(ONE, "one")).await;
    let (earlier, _) = fleet.subscribe(MIGRATION);
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    drop(earlier);
    settle().await;
    agent.say(batch(MIGRATION, 1)).await;
    let news = soon(inbox.recv()).await;
    assert!(matches!(news, Some(News::Frame { holder: ONE, .. })));
    drop(inbox);
    settle().await;
    assert!(fleet.lock().inboxes.is_empty(), "nobody is sent any news");
}
