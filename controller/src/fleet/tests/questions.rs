//! Questions and their answers.

use proto::domain::frame::{Connections, Query, QueryAnswer};
use tokio::task::JoinHandle;

use super::*;

const ONE: Uuid = Uuid::from_u128(1);

type Answered = JoinHandle<Result<QueryAnswer, Failure>>;

fn question() -> Question {
    Question {
        migration_id: Some(MIGRATION),
        connections: Connections {
            source: "legacy".to_owned(),
            destination: "app".to_owned(),
        },
        query: Query::Identify,
        deadline: Duration::from_millis(86_400_000),
    }
}

/// Asks over the agent's line; the number under which the agent was asked.
async fn ask(fleet: &Fleet, agent: &mut Agent) -> (u64, Answered) {
    let line = fleet.line(ONE).unwrap();
    let asking = tokio::spawn(async move { line.ask(question()).await });
    let ControllerFrame::Query(call) = agent.order().await else {
        panic!("no question");
    };
    assert_eq!(call.migration_id, Some(MIGRATION));
    assert_eq!(call.deadline_ms, 86_400_000);
    assert_eq!(call.connections, question().connections);
    assert_eq!(call.query, Query::Identify);
    (call.query_id, asking)
}

fn answer(query_id: u64, result: Result<QueryAnswer, Failure>) -> AgentFrame {
    AgentFrame::QueryResult {
        query_id,
        result: result.map(Box::new),
    }
}

#[tokio::test]
async fn answers_find_the_question_of_their_number() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (first, first_answer) = ask(&fleet, &mut agent).await;
    let (second, second_answer) = ask(&fleet, &mut agent).await;
    let failure = Failure::new(FailureKind::Unreachable, "no route");
    agent.say(answer(999, Ok(QueryAnswer::Done))).await;
    agent.say(answer(second, Ok(QueryAnswer::Done))).await;
    agent.say(answer(second, Err(failure.clone()))).await;
    agent.say(answer(first, Err(failure.clone()))).await;
    assert_eq!(soon(first_answer).await.unwrap(), Err(failure));
    assert_eq!(soon(second_answer).await.unwrap(), Ok(QueryAnswer::Done));
}

#[tokio::test]
async fn nobody_waits_for_an_agent_whose_stream_ended() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (_, answered) = ask(&fleet, &mut agent).await;
    drop(agent);
    let failure = soon(answered).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoAgent);
}

#[tokio::test]
async fn nobody_waits_for_an_agent_that_was_expelled() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let (_, answered) = ask(&fleet, &mut agent).await;
    fleet.expel(ONE);
    let failure = soon(answered).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoAgent);
}

#[tokio::test]
async fn questions_of_an_earlier_stream_fail_and_its_answers_answer_no_later_one() {
    let fleet = fleet();
    let mut earlier = connect(&fleet, hello(ONE, "one")).await;
    let (_, lost) = ask(&fleet, &mut earlier).await;
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    let failure = soon(lost).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoAgent);
    let (number, answered) = ask(&fleet, &mut agent).await;
    // Numbers begin anew with every stream.
    let _ = earlier.frames.try_send(answer(number, Err(misfit())));
    settle().await;
    agent.say(answer(number, Ok(QueryAnswer::Done))).await;
    assert_eq!(soon(answered).await.unwrap(), Ok(QueryAnswer::Done));
}

#[tokio::test]
async fn an_agent_that_takes_no_orders_is_not_waited_for() {
    let (orders, queue) = mpsc::channel(1);
    let line = Line::new(EPOCH, orders);
    line.order(ControllerFrame::Drain { migration_id: None })
        .unwrap();
    let failure = soon(line.ask(question())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoAgent, "the queue is full");
    drop(queue);
    let failure = soon(line.ask(question())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoAgent, "the queue is closed");
}

#[tokio::test]
async fn an_answer_is_not_held_up_by_news_that_nobody_reads() {
    let fleet = fleet();
    let mut agent = connect(&fleet, hello(ONE, "one")).await;
    // A supervisor that waits for an answer reads no news meanwhile.
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    let (number, answered) = ask(&fleet, &mut agent).await;
    for seq in 1..=3000 {
        agent.say(batch(MIGRATION, seq)).await;
        agent.say(progress(MIGRATION)).await;
    }
    agent.say(answer(number, Ok(QueryAnswer::Done))).await;
    assert_eq!(soon(answered).await.unwrap(), Ok(QueryAnswer::Done));
    let mut seen = Vec::new();
    while let Ok(News::Frame { frame, .. }) = inbox.try_recv() {
        if let AgentFrame::Batch { report, .. } = frame {
            seen.push(report.seq);
        }
    }
    assert_eq!(seen, (1..=3000).collect::<Vec<_>>(), "no batch is lost");
}

#[tokio::test]
async fn an_agent_is_hung_up_on_when_there_is_no_room_for_its_news_and_progress_is_dropped() {
    let fleet = fleet();
    let agent = connect(&fleet, hello(ONE, "one")).await;
    let (inbox, _) = fleet.subscribe(MIGRATION);
    for _ in 0..INBOX {
        agent.say(progress(MIGRATION)).await;
    }
    settle().await;
    assert!(inbox.len() < INBOX, "progress leaves room");
    let room = INBOX - inbox.len();
    for seq in 0..room {
        agent.say(batch(MIGRATION, seq as i64)).await;
    }
    settle().await;
    assert!(fleet.line(ONE).is_some());
    agent.say(batch(MIGRATION, room as i64)).await;
    until_disconnected(&fleet, ONE).await;
}
