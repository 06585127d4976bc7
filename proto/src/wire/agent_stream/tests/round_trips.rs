//! Every frame, order, question and answer comes back as it was.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::samples::*;
use super::{assert_comes_back, over_the_wire, read_all, sent};
use crate::domain::frame::{
    AgentFrame, ControllerFrame, Order, Query, QueryAnswer, Release, RowError,
};
use crate::domain::key::{KeyRange, KeyValue};
use crate::wire::agent_stream::{FrameReader, query_name, read_order, write_order};

#[test]
fn every_frame_of_an_agent_comes_back() {
    assert_comes_back(AgentFrame::Hello(hello()));
    assert_comes_back(AgentFrame::Claimed {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        generation: 4,
        token: 5,
        seq: 6,
    });
    assert_comes_back(AgentFrame::Progress {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        rows_in_flight: 7,
        throttle: Some("limits.max_rows_per_second is 5".to_owned()),
    });
    assert_comes_back(batch(Vec::new()));
    assert_comes_back(batch((0..3).map(row_error).collect()));
    for reason in [
        Release::Done,
        Release::Drained,
        Release::Stale,
        Release::Failed(failure()),
    ] {
        assert_comes_back(released(reason));
    }
}

#[test]
fn every_answer_comes_back() {
    let mut results: Vec<Result<Box<QueryAnswer>, _>> = answers()
        .into_iter()
        .map(|answer| Ok(Box::new(answer)))
        .collect();
    results.push(Err(failure()));
    for (query_id, result) in (0..).zip(results) {
        assert_comes_back(AgentFrame::QueryResult { query_id, result });
    }
}

fn assert_order_comes_back(frame: ControllerFrame) {
    let order = Order { epoch: 11, frame };
    let message = write_order(&order).expect("the order has a message");
    assert_eq!(read_order(over_the_wire(&message)), Ok(order));
}

#[test]
fn every_order_comes_back_with_its_epoch() {
    assert_order_comes_back(ControllerFrame::Welcome {
        controller_id: Uuid::from_u128(4),
        credits: 8,
    });
    assert_order_comes_back(ControllerFrame::Run(Box::new(run_order())));
    assert_order_comes_back(ControllerFrame::Assign(assignment()));
    for migration_id in [None, Some(MIGRATION)] {
        assert_order_comes_back(ControllerFrame::Drain { migration_id });
        let migration_id = migration_id.unwrap_or_default();
        assert_order_comes_back(ControllerFrame::Forget { migration_id });
    }
    assert_order_comes_back(ControllerFrame::Acknowledge { credits: 1 });
    for query in queries() {
        assert_order_comes_back(ControllerFrame::Query(call(query)));
    }
}

#[test]
fn queries_have_names_of_their_own_and_deadlines_of_any_length() {
    let names: std::collections::BTreeSet<&str> = queries().iter().map(query_name).collect();
    assert_eq!(names.len(), queries().len());
    for deadline_ms in [0, 1, 999, 86_400_000, u64::MAX] {
        let mut call = call(Query::Identify);
        (call.deadline_ms, call.migration_id) = (deadline_ms, None);
        assert_order_comes_back(ControllerFrame::Query(call));
    }
}

#[test]
fn frames_of_several_partitions_and_queries_may_lie_between_each_other() {
    let other = Uuid::from_u128(0x99);
    let mut second = report((0..300).map(row_error).collect());
    second.partition_id = other;
    let second = AgentFrame::Batch {
        migration_id: MIGRATION,
        report: Box::new(second),
    };
    let first = batch((0..300).map(row_error).collect());
    let answer = |query_id| AgentFrame::QueryResult {
        query_id,
        result: Ok(Box::new(QueryAnswer::PlanProblems(vec![(
            "e".to_owned(),
            "x".repeat(3 << 20),
        )]))),
    };
    let mut lanes: Vec<_> = [first.clone(), second.clone(), answer(1), answer(2)]
        .into_iter()
        .map(|frame| sent(frame).into_iter())
        .collect();
    let mut messages = Vec::new();
    loop {
        let before = messages.len();
        messages.extend(lanes.iter_mut().filter_map(Iterator::next));
        if messages.len() == before {
            break;
        }
    }
    let mut reader = FrameReader::default();
    let read = read_all(&mut reader, messages).expect("all whole");
    assert_eq!(read, [first, second, answer(1), answer(2)]);
    assert!(reader.is_idle());
}

fn row_errors() -> impl Strategy<Value = Vec<RowError>> {
    let one = (any::<u128>(), ".{0,40}", 0..3000_usize, any::<bool>());
    proptest::collection::vec(one, 0..700).prop_map(|all| {
        all.into_iter()
            .map(|(number, text, size, is_held)| RowError {
                source_record_id: text.clone(),
                source_data: json!({ "text": text, "pad": "x".repeat(size), "n": null }),
                is_held,
                ..row_error(number)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_with_any_number_of_failed_rows_come_back(errors in row_errors()) {
        assert_comes_back(batch(errors));
    }

    #[test]
    fn answers_of_any_size_come_back(sizes in proptest::collection::vec(0..1_500_000_usize, 0..4)) {
        let problems = sizes.iter().map(|size| ("e".to_owned(), "ä".repeat(*size))).collect();
        assert_comes_back(AgentFrame::QueryResult {
            query_id: 1,
            result: Ok(Box::new(QueryAnswer::PlanProblems(problems))),
        });
    }

    #[test]
    fn any_key_and_range_comes_back(
        after in proptest::option::of(proptest::collection::vec(any::<String>(), 1..4)),
        upto in proptest::option::of(proptest::collection::vec(any::<String>(), 1..4)),
    ) {
        let mut assignment = assignment();
        assignment.range = KeyRange { after: after.map(KeyValue), upto: upto.map(KeyValue) };
        assert_order_comes_back(ControllerFrame::Assign(assignment));
    }
}
