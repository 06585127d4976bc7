//! Messages of an agent into frames, with a bounded amount of what is not whole yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use prost::Message;
use uuid::Uuid;

use crate::domain::failure::Failure;
use crate::domain::frame::{AgentFrame, QueryAnswer, Release, RowError};
use crate::pb::agent_stream as pb;
use crate::wire::{WireError, read_uuid, required};

use super::batch::{read_batch, read_error};
use super::hello::read_hello;
use super::value::{read_failure, read_text};
use pb::session_request::Frame;

/// How much of what is not whole yet a reader keeps, of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Partitions with failed rows whose batch did not come yet.
    pub partitions: usize,
    /// Failed rows whose batch did not come yet.
    pub errors: usize,
    /// The same in bytes, as they were sent.
    pub error_bytes: usize,
    /// Answers whose last piece did not come yet.
    pub answers: usize,
    /// Their bytes, together; so no answer is larger.
    pub answer_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            partitions: 256,
            errors: 1_000_000,
            error_bytes: 256 << 20,
            answers: 256,
            answer_bytes: 256 << 20,
        }
    }
}

/// Reads the messages of one stream, in their order.
///
/// After an error the stream is out of step: it must be ended, and a new one needs a new reader.
#[derive(Debug, Default)]
pub struct FrameReader {
    limits: ReadLimits,
    batches: HashMap<Uuid, PendingErrors>,
    error_count: usize,
    error_bytes: usize,
    answers: HashMap<u64, Vec<u8>>,
    answer_bytes: usize,
}

/// Failed rows of a batch that is to come.
#[derive(Debug)]
struct PendingErrors {
    seq: i64,
    errors: Vec<RowError>,
    bytes: usize,
}

impl FrameReader {
    /// A reader with limits of its own.
    pub fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The frame that this message makes whole; none while more must come.
    ///
    /// # Errors
    /// Names the field that is missing, malformed, unknown or too large.
    pub fn read(&mut self, message: pb::SessionRequest) -> Result<Option<AgentFrame>, WireError> {
        let frame = match required("SessionRequest.frame", message.frame)? {
            Frame::Hello(hello) => AgentFrame::Hello(read_hello(hello)?),
            Frame::Claimed(claimed) => AgentFrame::Claimed {
                migration_id: read_uuid("Claimed.migration_id", &claimed.migration_id)?,
                partition_id: read_uuid("Claimed.partition_id", &claimed.partition_id)?,
                generation: read_generation("Claimed.generation", claimed.generation)?,
                token: claimed.token,
                seq: claimed.seq,
            },
            Frame::Progress(progress) => AgentFrame::Progress {
                migration_id: read_uuid("Progress.migration_id", &progress.migration_id)?,
                partition_id: read_uuid("Progress.partition_id", &progress.partition_id)?,
                rows_in_flight: progress.rows_in_flight,
                throttle: progress.throttle,
            },
            Frame::BatchErrors(errors) => {
                self.keep_errors(errors)?;
                return Ok(None);
            }
            Frame::Batch(batch) => self.finish_batch(batch)?,
            Frame::Released(released) => self.release(released)?,
            Frame::QueryResult(piece) => return self.take_piece(piece),
        };
        Ok(Some(frame))
    }

    /// Whether nothing is half-way: no rows that wait for their batch, no piece of an answer.
    pub fn is_idle(&self) -> bool {
        let rest = (self.error_count, self.error_bytes, self.answer_bytes);
        self.batches.is_empty() && self.answers.is_empty() && rest == (0, 0, 0)
    }

    fn keep_errors(&mut self, message: pb::BatchErrors) -> Result<(), WireError> {
        let partition_id = read_uuid("BatchErrors.partition_id", &message.partition_id)?;
        let field = "BatchErrors.errors";
        if message.errors.is_empty() {
            return Err(WireError::Missing { field });
        }
        let (count, bytes) = (message.errors.len(), message.encoded_len());
        let count = within(field, self.error_count, count, self.limits.errors)?;
        let all_bytes = within(field, self.error_bytes, bytes, self.limits.error_bytes)?;
        let errors: Result<Vec<RowError>, WireError> =
            message.errors.into_iter().map(read_error).collect();
        let partition_count = self.batches.len();
        match self.batches.entry(partition_id) {
            Entry::Occupied(mut pending) => {
                let pending = pending.get_mut();
                if pending.seq != message.seq {
                    return Err(WireError::Malformed {
                        field: "BatchErrors.seq",
                        what: "seq of the failed rows before",
                    });
                }
                pending.errors.extend(errors?);
                pending.bytes += bytes;
            }
            Entry::Vacant(place) => {
                let field = "BatchErrors.partition_id";
                within(field, partition_count, 1, self.limits.partitions)?;
                place.insert(PendingErrors {
                    seq: message.seq,
                    errors: errors?,
                    bytes,
                });
            }
        }
        (self.error_count, self.error_bytes) = (count, all_bytes);
        Ok(())
    }

    fn finish_batch(&mut self, message: pb::Batch) -> Result<AgentFrame, WireError> {
        let partition_id = read_uuid("Batch.partition_id", &message.partition_id)?;
        let errors = match self.batches.remove(&partition_id) {
            Some(pending) if pending.seq != message.seq => {
                return Err(WireError::Malformed {
                    field: "Batch.seq",
                    what: "seq of the failed rows before it",
                });
            }
            Some(pending) => {
                self.error_count -= pending.errors.len();
                self.error_bytes -= pending.bytes;
                pending.errors
            }
            None => Vec::new(),
        };
        let (migration_id, report) = read_batch(message, errors)?;
        Ok(AgentFrame::Batch {
            migration_id,
            report: Box::new(report),
        })
    }

    fn release(&mut self, message: pb::Released) -> Result<AgentFrame, WireError> {
        let partition_id = read_uuid("Released.partition_id", &message.partition_id)?;
        if self.batches.contains_key(&partition_id) {
            // Its failed rows came, and it never will.
            return Err(WireError::Missing {
                field: "SessionRequest.batch",
            });
        }
        Ok(AgentFrame::Released {
            migration_id: read_uuid("Released.migration_id", &message.migration_id)?,
            partition_id,
            generation: read_generation("Released.generation", message.generation)?,
            reason: read_reason(message.reason, message.failure)?,
        })
    }

    fn take_piece(&mut self, piece: pb::QueryResult) -> Result<Option<AgentFrame>, WireError> {
        let field = "QueryResult.answer";
        let query_id = piece.query_id;
        if piece.answer.is_empty() {
            return Err(WireError::Missing { field });
        }
        let bytes = piece.answer.len();
        let all_bytes = within(field, self.answer_bytes, bytes, self.limits.answer_bytes)?;
        if !piece.is_last {
            let field = "QueryResult.query_id";
            if !self.answers.contains_key(&query_id) {
                within(field, self.answers.len(), 1, self.limits.answers)?;
            }
            let kept = self.answers.entry(query_id).or_default();
            kept.extend_from_slice(&piece.answer);
            self.answer_bytes = all_bytes;
            return Ok(None);
        }
        let answer = match self.answers.remove(&query_id) {
            Some(mut kept) => {
                self.answer_bytes -= kept.len();
                kept.extend_from_slice(&piece.answer);
                kept
            }
            None => piece.answer,
        };
        let what = "answer of this codec version";
        let result: Result<Box<QueryAnswer>, Failure> = read_text(field, what, &answer)?;
        Ok(Some(AgentFrame::QueryResult { query_id, result }))
    }
}

/// `have + more`, if that is within the limit.
fn within(field: &'static str, have: usize, more: usize, limit: usize) -> Result<usize, WireError> {
    have.checked_add(more)
        .filter(|sum| *sum <= limit)
        .ok_or(WireError::TooLarge { field, limit })
}

/// Generations begin at 1: none is what a build before them sends.
fn read_generation(field: &'static str, generation: i64) -> Result<i64, WireError> {
    if generation < 1 {
        return Err(WireError::Missing { field });
    }
    Ok(generation)
}

fn read_reason(reason: i32, failure: Option<pb::Failure>) -> Result<Release, WireError> {
    use pb::ReleaseReason as Reason;
    let field = "Released.reason";
    let reason = Reason::try_from(reason).map_err(|_| WireError::UnknownValue {
        field,
        value: reason,
    })?;
    let release = match reason {
        Reason::Unspecified => return Err(WireError::Missing { field }),
        Reason::Failed => {
            let failure = required("Released.failure", failure)?;
            return Ok(Release::Failed(read_failure(failure)?));
        }
        Reason::Done => Release::Done,
        Reason::Drained => Release::Drained,
        Reason::Stale => Release::Stale,
    };
    match failure {
        None => Ok(release),
        Some(_) => Err(WireError::Malformed {
            field: "Released.failure",
            what: "part of this reason",
        }),
    }
}
