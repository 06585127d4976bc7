//! What is large goes in pieces; what is too large goes nowhere.

use prost::Message;
use serde_json::json;

use super::samples::*;
use super::{read_all, sent};
use crate::domain::failure::FailureKind;
use crate::domain::frame::{AgentFrame, ControllerFrame, Order, Query, QueryAnswer, RowError};
use crate::pb::agent_stream::session_request::Frame;
use crate::wire::agent_stream::{
    FrameReader, MAX_FRAME_BYTES, MAX_ORDER_BYTES, ReadLimits, write_order,
};

fn padded(number: u128, bytes: usize) -> RowError {
    RowError {
        source_data: json!({ "pad": "x".repeat(bytes) }),
        ..row_error(number)
    }
}

fn answer(bytes: usize) -> AgentFrame {
    let problem = ("e".to_owned(), "x".repeat(bytes));
    AgentFrame::QueryResult {
        query_id: 1,
        result: Ok(Box::new(QueryAnswer::PlanProblems(vec![problem]))),
    }
}

fn refusal(limits: ReadLimits, frame: AgentFrame) -> String {
    let mut reader = FrameReader::new(limits);
    let refused = read_all(&mut reader, sent(frame)).expect_err("too large");
    refused.to_string()
}

#[test]
fn failed_rows_go_at_most_256_in_a_message() {
    let messages = sent(batch((0..600).map(row_error).collect()));
    let counts: Vec<usize> = messages
        .iter()
        .filter_map(|message| match &message.frame {
            Some(Frame::BatchErrors(errors)) => Some(errors.errors.len()),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [256, 256, 88]);
    assert_eq!(messages.len(), 4);
}

#[test]
fn no_message_of_an_agent_is_larger_than_the_limit() {
    let errors = (0..40).map(|number| padded(number, 900_000)).collect();
    for frame in [batch(errors), answer(9 << 20)] {
        for message in sent(frame) {
            assert!(message.encoded_len() < MAX_FRAME_BYTES);
        }
    }
}

#[test]
fn a_row_that_would_fill_a_message_goes_without_its_snapshot() {
    let messages = sent(batch(vec![padded(1, 9 << 20), padded(2, 10)]));
    let read = read_all(&mut FrameReader::default(), messages).expect("whole");
    let [AgentFrame::Batch { report, .. }] = read.as_slice() else {
        panic!("{read:?}");
    };
    assert_eq!(report.errors.len(), 2);
    assert!(report.errors[0].source_data["left_out_bytes"].is_u64());
    assert_eq!(report.errors[1], padded(2, 10));
}

#[test]
fn more_pending_rows_than_the_reader_keeps_are_refused() {
    let errors: Vec<RowError> = (0..20).map(row_error).collect();
    let limits = ReadLimits {
        errors: 19,
        ..ReadLimits::default()
    };
    assert_eq!(
        refusal(limits, batch(errors.clone())),
        "BatchErrors.errors is larger than 19"
    );
    let limits = ReadLimits {
        error_bytes: 1000,
        ..ReadLimits::default()
    };
    assert_eq!(
        refusal(limits, batch(errors.clone())),
        "BatchErrors.errors is larger than 1000"
    );
    let limits = ReadLimits {
        partitions: 0,
        ..ReadLimits::default()
    };
    assert_eq!(
        refusal(limits, batch(errors)),
        "BatchErrors.partition_id is larger than 0"
    );
}

#[test]
fn larger_answers_than_the_reader_keeps_are_refused() {
    let limits = ReadLimits {
        answer_bytes: 2 << 20,
        ..ReadLimits::default()
    };
    assert_eq!(
        refusal(limits, answer(3 << 20)),
        "QueryResult.answer is larger than 2097152"
    );
    let limits = ReadLimits {
        answers: 0,
        ..ReadLimits::default()
    };
    assert_eq!(
        refusal(limits, answer(3 << 20)),
        "QueryResult.query_id is larger than 0"
    );
}

#[test]
fn an_answer_that_nobody_would_take_becomes_a_failure() {
    let messages = sent(answer(ReadLimits::default().answer_bytes + 1));
    assert_eq!(messages.len(), 1);
    let read = read_all(&mut FrameReader::default(), messages).expect("whole");
    let [AgentFrame::QueryResult { result, .. }] = read.as_slice() else {
        panic!("{read:?}");
    };
    let failure = result.as_ref().expect_err("too large");
    assert_eq!(failure.kind, FailureKind::Internal);
}

#[test]
fn an_order_that_does_not_fit_is_not_sent() {
    let name = "x".repeat(MAX_ORDER_BYTES);
    let order = Order {
        epoch: 1,
        frame: ControllerFrame::Query(call(Query::ReadState { name })),
    };
    assert_eq!(
        write_order(&order).expect_err("too large").to_string(),
        "SessionResponse.frame is larger than 67108864"
    );
}
