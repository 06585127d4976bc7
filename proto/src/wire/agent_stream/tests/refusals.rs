//! What cannot be understood is refused by the field's name.

use serde_json::json;
use uuid::Uuid;

use super::samples::*;
use super::{read_all, sent};
use crate::domain::failure::FailureKind;
use crate::domain::frame::{
    AgentFrame, ControllerFrame, Order, Query, QueryAnswer, Release, RowError,
};
use crate::pb::agent_stream as pb;
use crate::wire::agent_stream::{FrameReader, read_order, write_frame, write_order};
use pb::session_request::Frame;
use pb::session_response::Frame as Down;

/// What the reader says to the only message of a frame after a change.
fn refusal(frame: AgentFrame, change: impl FnOnce(&mut Frame)) -> String {
    let mut message = sent(frame).pop().expect("a message");
    change(message.frame.as_mut().expect("a frame"));
    let refused = FrameReader::default().read(message);
    refused.expect_err("changed").to_string()
}

fn order_refusal(frame: ControllerFrame, change: impl FnOnce(&mut Down)) -> String {
    let mut message = write_order(&Order { epoch: 1, frame }).expect("a message");
    change(message.frame.as_mut().expect("a frame"));
    read_order(message).expect_err("changed").to_string()
}

/// The part of a frame that a case changes.
macro_rules! part {
    ($kind:path, $frame:expr) => {
        match $frame {
            $kind(part) => part,
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn a_hello_of_another_protocol_or_without_a_name_is_refused() {
    let refused = |change: fn(&mut pb::Hello)| {
        refusal(AgentFrame::Hello(hello()), |frame| {
            change(part!(Frame::Hello, frame));
        })
    };
    assert_eq!(
        refused(|hello| hello.protocol_version = 2),
        "Hello.protocol_version is 2, this build has 1"
    );
    assert_eq!(
        refused(|hello| hello.protocol_version = 0),
        "Hello.protocol_version is missing"
    );
    assert_eq!(
        refused(|hello| hello.holder = "7".to_owned()),
        "Hello.holder is no uuid"
    );
    assert_eq!(
        refused(|hello| hello.agent_id.clear()),
        "Hello.agent_id is missing"
    );
    assert_eq!(
        refused(|hello| hello.region.clear()),
        "Hello.region is missing"
    );
    assert_eq!(
        refused(|hello| hello.held[0].partition_id.clear()),
        "HeldPartition.partition_id is missing"
    );
    assert_eq!(
        refused(|hello| hello.snapshots[0] = "x".to_owned()),
        "Hello.snapshots is no uuid"
    );
}

#[test]
fn an_empty_message_is_refused() {
    let refused = FrameReader::default().read(pb::SessionRequest { frame: None });
    assert_eq!(
        refused.map_err(|error| error.to_string()),
        Err("SessionRequest.frame is missing".to_owned())
    );
    let refused = read_order(pb::SessionResponse { frame: None });
    assert_eq!(
        refused.map_err(|error| error.to_string()),
        Err("SessionResponse.frame is missing".to_owned())
    );
}

#[test]
fn a_batch_that_is_not_whole_is_refused() {
    let refused = |change: fn(&mut pb::Batch)| {
        refusal(batch(Vec::new()), |frame| {
            change(part!(Frame::Batch, frame))
        })
    };
    assert_eq!(
        refused(|batch| batch.error_count = 1),
        "Batch.error_count is no count of the failed rows before it"
    );
    assert_eq!(
        refused(|batch| batch.counts = None),
        "Batch.counts is missing"
    );
    assert_eq!(
        refused(|batch| batch.written_at = None),
        "Batch.written_at is missing"
    );
    assert_eq!(
        refused(|batch| batch.cursor = Some(pb::KeyValue { parts: Vec::new() })),
        "Batch.cursor is missing"
    );
    assert_eq!(
        refused(|batch| batch.entity.clear()),
        "Batch.entity is missing"
    );
}

/// What the reader says to a batch of two failed rows after a change of its messages.
fn batch_refusal(change: impl FnOnce(&mut Vec<pb::SessionRequest>)) -> String {
    let mut messages = sent(batch((0..2).map(row_error).collect()));
    change(&mut messages);
    let refused = read_all(&mut FrameReader::default(), messages);
    refused.expect_err("changed").to_string()
}

fn errors(message: &mut pb::SessionRequest) -> &mut pb::BatchErrors {
    part!(Frame::BatchErrors, message.frame.as_mut().expect("a frame"))
}

#[test]
fn failed_rows_that_do_not_fit_their_batch_are_refused() {
    let count = "Batch.error_count is no count of the failed rows before it";
    assert_eq!(batch_refusal(|all| drop(all.remove(0))), count);
    assert_eq!(
        batch_refusal(|all| drop(errors(&mut all[0]).errors.pop())),
        count
    );
    assert_eq!(batch_refusal(|all| all.insert(0, all[0].clone())), count);
    assert_eq!(
        batch_refusal(|all| errors(&mut all[0]).seq = 9),
        "Batch.seq is no seq of the failed rows before it"
    );
    assert_eq!(
        batch_refusal(|all| {
            all.insert(0, all[0].clone());
            errors(&mut all[0]).seq = 9;
        }),
        "BatchErrors.seq is no seq of the failed rows before"
    );
    assert_eq!(
        batch_refusal(|all| errors(&mut all[0]).errors.clear()),
        "BatchErrors.errors is missing"
    );
    assert_eq!(
        batch_refusal(|all| all[1] = sent(released(Release::Drained)).remove(0)),
        "SessionRequest.batch is missing"
    );
}

#[test]
fn a_failed_row_that_is_not_whole_is_refused_and_never_quoted() {
    let refused = |change: fn(&mut pb::RowError)| {
        batch_refusal(|all| change(&mut errors(&mut all[0]).errors[1]))
    };
    assert_eq!(
        refused(|row| row.source_data = b"{\"name\": hunter2}".to_vec()),
        "RowError.source_data is no JSON object"
    );
    assert_eq!(
        refused(|row| row.context = b"[1]".to_vec()),
        "RowError.context is no JSON object"
    );
    assert_eq!(
        refused(|row| row.context.clear()),
        "RowError.context is missing"
    );
    assert_eq!(
        refused(|row| row.error_code.clear()),
        "RowError.error_code is missing"
    );
}

#[test]
fn a_row_whose_snapshot_is_no_object_is_not_sent() {
    let bad = RowError {
        source_data: json!([1]),
        ..row_error(1)
    };
    let refused = write_frame(batch(vec![bad])).expect_err("no object");
    assert_eq!(
        refused.to_string(),
        "RowError.source_data is no JSON object"
    );
}

#[test]
fn a_release_must_give_its_reason() {
    let refused = |reason: Release, change: fn(&mut pb::Released)| {
        refusal(released(reason), |frame| {
            change(part!(Frame::Released, frame));
        })
    };
    assert_eq!(
        refused(Release::Done, |released| released.reason = 0),
        "Released.reason is missing"
    );
    assert_eq!(
        refused(Release::Done, |released| released.reason = 77),
        "Released.reason has the unknown value 77"
    );
    assert_eq!(
        refused(Release::Failed(failure()), |released| released.failure =
            None),
        "Released.failure is missing"
    );
    assert_eq!(
        refused(Release::Failed(failure()), |released| released.reason = 1),
        "Released.failure is no part of this reason"
    );
    assert_eq!(
        refused(Release::Done, |released| released.generation = 0),
        "Released.generation is missing"
    );
}

#[test]
fn a_failure_of_an_unknown_kind_is_read_as_ours_with_its_name() {
    let mut message = sent(released(Release::Failed(failure()))).remove(0);
    let part = part!(Frame::Released, message.frame.as_mut().expect("a frame"));
    part.failure.as_mut().expect("a failure").kind = "moon_phase".to_owned();
    let read = FrameReader::default().read(message).expect("whole");
    let Some(AgentFrame::Released {
        reason: Release::Failed(read),
        ..
    }) = read
    else {
        panic!("{read:?}");
    };
    assert_eq!(read.kind, FailureKind::Internal);
    assert_eq!(read.message, "moon_phase: the key cannot be rebuilt");
    assert_eq!(read.sqlstate.as_deref(), Some("23505"));
}

#[test]
fn an_answer_that_is_not_whole_is_refused_and_never_quoted() {
    let answer = || AgentFrame::QueryResult {
        query_id: 1,
        result: Ok(Box::new(QueryAnswer::Done)),
    };
    let refused = |change: fn(&mut pb::QueryResult)| {
        refusal(answer(), |frame| change(part!(Frame::QueryResult, frame)))
    };
    assert_eq!(
        refused(|piece| piece.answer = b"{\"Ok\":\"hunter2\"}".to_vec()),
        "QueryResult.answer is no answer of this codec version"
    );
    assert_eq!(
        refused(|piece| piece.answer.truncate(3)),
        "QueryResult.answer is no answer of this codec version"
    );
    assert_eq!(
        refused(|piece| piece.answer.clear()),
        "QueryResult.answer is missing"
    );
}

#[test]
fn a_welcome_of_another_protocol_is_refused() {
    let welcome = ControllerFrame::Welcome {
        controller_id: Uuid::from_u128(1),
        credits: 1,
    };
    let refused = order_refusal(welcome, |frame| {
        part!(Down::Welcome, frame).protocol_version = 3;
    });
    assert_eq!(refused, "Welcome.protocol_version is 3, this build has 1");
}

#[test]
fn an_order_that_is_not_whole_is_refused() {
    let run = |change: fn(&mut pb::RunOrder)| {
        order_refusal(ControllerFrame::Run(Box::new(run_order())), |frame| {
            change(part!(Down::RunOrder, frame));
        })
    };
    assert_eq!(
        run(|run| run.compiled_plan.truncate(100)),
        "RunOrder.compiled_plan is no compiled plan of this codec version"
    );
    assert_eq!(
        run(|run| run.compiled_plan.clear()),
        "RunOrder.compiled_plan is missing"
    );
    assert_eq!(run(|run| run.run_now = None), "RunOrder.run_now is missing");
    assert_eq!(
        run(|run| run.source_identity = None),
        "RunOrder.source_identity is missing"
    );
    assert_eq!(
        run(|run| run.destination_identity = None),
        "RunOrder.destination_identity is missing"
    );

    let assign = |change: fn(&mut pb::Assign)| {
        order_refusal(ControllerFrame::Assign(assignment()), |frame| {
            change(part!(Down::Assign, frame));
        })
    };
    assert_eq!(
        assign(|assign| assign.entity_hash.clear()),
        "Assign.entity_hash is missing"
    );
    assert_eq!(
        assign(|assign| assign.after = Some(pb::KeyValue { parts: Vec::new() })),
        "Assign.after is missing"
    );

    let query = |change: fn(&mut pb::Query)| {
        order_refusal(ControllerFrame::Query(call(Query::Identify)), |frame| {
            change(part!(Down::Query, frame));
        })
    };
    assert_eq!(
        query(|query| query.question = b"\"dance\"".to_vec()),
        "Query.question is no question of this codec version"
    );
    assert_eq!(
        query(|query| query.deadline = None),
        "Query.deadline is missing"
    );
    for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0)] {
        let refused = order_refusal(ControllerFrame::Query(call(Query::Identify)), |frame| {
            let span = prost_types::Duration { seconds, nanos };
            part!(Down::Query, frame).deadline = Some(span);
        });
        assert_eq!(
            refused, "Query.deadline is no duration",
            "{seconds} {nanos}"
        );
    }
}
