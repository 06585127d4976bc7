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
}
