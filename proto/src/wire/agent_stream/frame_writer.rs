//! Frames of an agent into messages.

use crate::domain::failure::{Failure, FailureKind};
use crate::domain::frame::{AgentFrame, QueryAnswer, Release};
use crate::pb::agent_stream as pb;
use crate::wire::WireError;

use super::batch::write_batch;
use super::hello::write_hello;
use super::value::{write_failure, write_text};
use super::{MAX_PIECE_BYTES, ReadLimits};
use pb::session_request::Frame;

/// The messages of a frame, in the order in which they must be sent; never none. Each is smaller than
/// [`super::MAX_FRAME_BYTES`]. An answer that no reader would take becomes a failure that says so.
///
/// # Errors
/// For values that no message can hold, such as a row snapshot that is no JSON object.
pub fn write_frame(frame: AgentFrame) -> Result<Vec<pb::SessionRequest>, WireError> {
    let frames = match frame {
        AgentFrame::Hello(hello) => vec![Frame::Hello(write_hello(hello))],
        AgentFrame::Claimed {
            migration_id,
            partition_id,
            generation,
            token,
            seq,
        } => vec![Frame::Claimed(pb::Claimed {
            migration_id: migration_id.to_string(),
            partition_id: partition_id.to_string(),
            generation,
            token,
            seq,
        })],
        AgentFrame::Progress {
            migration_id,
            partition_id,
            rows_in_flight,
            throttle,
        } => vec![Frame::Progress(pb::Progress {
            migration_id: migration_id.to_string(),
            partition_id: partition_id.to_string(),
            rows_in_flight,
            throttle,
        })],
        AgentFrame::Batch {
            migration_id,
            report,
        } => {
            let (errors, batch) = write_batch(migration_id, *report)?;
            let errors = errors.into_iter().map(Frame::BatchErrors);
            errors.chain([Frame::Batch(batch)]).collect()
        }
        AgentFrame::Released {
            migration_id,
            partition_id,
            generation,
            reason,
        } => {
            let (reason, failure) = write_reason(reason);
            vec![Frame::Released(pb::Released {
                migration_id: migration_id.to_string(),
                partition_id: partition_id.to_string(),
                generation,
                reason: reason.into(),
                failure,
            })]
        }
        AgentFrame::QueryResult { query_id, result } => write_answer(query_id, result)?,
    };
    let message = |frame| pb::SessionRequest { frame: Some(frame) };
    Ok(frames.into_iter().map(message).collect())
}

fn write_reason(reason: Release) -> (pb::ReleaseReason, Option<pb::Failure>) {
    match reason {
        Release::Done => (pb::ReleaseReason::Done, None),
        Release::Drained => (pb::ReleaseReason::Drained, None),
        Release::Stale => (pb::ReleaseReason::Stale, None),
        Release::Failed(failure) => (pb::ReleaseReason::Failed, Some(write_failure(failure))),
    }
}

fn write_answer(
    query_id: u64,
    result: Result<Box<QueryAnswer>, Failure>,
) -> Result<Vec<Frame>, WireError> {
    let field = "QueryResult.answer";
    let mut answer = write_text(field, &result)?;
    let limit = ReadLimits::default().answer_bytes;
    if answer.len() > limit {
        let words = format!("the answer has {} bytes, of {limit} at most", answer.len());
        let failure = Failure::new(FailureKind::Internal, words);
        answer = write_text(field, &Err::<Box<QueryAnswer>, Failure>(failure))?;
    }
    let count = answer.chunks(MAX_PIECE_BYTES).len();
    let pieces = answer.chunks(MAX_PIECE_BYTES).enumerate();
    let piece = |(at, bytes): (usize, &[u8])| {
        Frame::QueryResult(pb::QueryResult {
            query_id,
            answer: bytes.to_vec(),
            is_last: at + 1 == count,
        })
    };
    Ok(pieces.map(piece).collect())
}
