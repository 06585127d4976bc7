//! The one place where what went wrong becomes a gRPC status, and where a client reads it again.
//!
//! Each status of ours has exactly one `google.rpc.ErrorInfo` with a [`Reason`], the domain `drover`, and
//! as metadata whatever its words vary in; beside it a BadRequest, PreconditionFailure, ResourceInfo or
//! RetryInfo where they fit.

mod reason;
mod refusal;

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::failure::{Failure, FailureKind, policy};
use crate::domain::plan::{Problem, Problems};

use super::WireError;
pub use reason::Reason;
pub use refusal::Refusal;

/// Domain of every ErrorInfo of ours.
pub const DOMAIN: &str = "drover";

/// When what is not available now may be asked for again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Problems of a plan that one status lists; a trailer has its limits.
const MAX_VIOLATIONS: usize = 50;

/// A status of this reason, without metadata.
pub fn status(reason: Reason, words: impl Into<String>) -> Status {
    with(reason, words, &[])
}

/// A status of this reason; metadata names are lower camel case.
pub fn with(reason: Reason, words: impl Into<String>, metadata: &[(&str, String)]) -> Status {
    Status::with_error_details(reason.code(), words, details(reason, metadata))
}

/// A field of a request that is not valid.
pub fn invalid(field: &str, words: impl Into<String>) -> Status {
    let (reason, words) = (Reason::FieldInvalid, words.into());
    let mut details = details(reason, &[("field", field.to_owned())]);
    details.add_bad_request_violation(field, words.clone());
    Status::with_error_details(reason.code(), format!("{field}: {words}"), details)
}

/// Something that was asked for is not there: `kind` in words, and its name.
pub fn not_found(reason: Reason, kind: &str, name: &str) -> Status {
    let words = format!("there is no {kind} {name:?}");
    let mut details = details(reason, &[("name", name.to_owned())]);
    details.set_resource_info(kind, name, "", words.clone());
    Status::with_error_details(reason.code(), words, details)
}

/// A command that does not fit the state of its subject: what is in its way, one by one.
pub fn precondition(
    reason: Reason,
    words: impl Into<String>,
    subject: &str,
    blockers: &[String],
) -> Status {
    let mut details = details(reason, &[("hint", blockers.join("; "))]);
    for blocker in blockers {
        details.add_precondition_failure_violation("STATE", subject, blocker);
    }
    Status::with_error_details(reason.code(), words, details)
}

/// This controller does not lead; the address of the one that does, where it is known.
pub fn not_leader(leader: Option<String>) -> Status {
    let words = match &leader {
        Some(address) => format!("this controller does not lead; {address} does"),
        None => "no controller leads now".to_owned(),
    };
    let metadata: Vec<(&str, String)> = leader.into_iter().map(|to| ("leader", to)).collect();
    with(Reason::NotLeader, words, &metadata)
}

/// A plan that is not valid: every problem with its path.
pub fn of_problems(problems: &Problems) -> Status {
    let reason = Reason::PlanInvalid;
    let count = problems.0.len();
    let mut details = details(reason, &[("problems", count.to_string())]);
    for problem in problems.0.iter().take(MAX_VIOLATIONS) {
        details.add_bad_request_violation(&*problem.path, described(problem));
    }
    let words = match count {
        1 => "the plan has one problem".to_owned(),
        _ => format!("the plan has {count} problems"),
    };
    Status::with_error_details(reason.code(), words, details)
}

/// A failure of an agent, a database or the lease store, with its hint.
pub fn of_failure(failure: &Failure) -> Status {
    let reason = reason_of(failure.kind);
    let hint = policy(failure.kind).1.to_owned();
    let mut metadata = vec![("hint", hint.clone())];
    metadata.extend(failure.sqlstate.clone().map(|code| ("sqlstate", code)));
    let mut details = details(reason, &metadata);
    if reason.code() == Code::FailedPrecondition {
        details.add_precondition_failure_violation(reason.as_str(), "migration", hint);
    }
    Status::with_error_details(reason.code(), failure.message.clone(), details)
}

/// A message of another process that cannot be understood.
pub fn of_wire(error: &WireError) -> Status {
    let field = error.field();
    let reason = match error {
        WireError::Version { .. } => Reason::ProtocolVersion,
        WireError::Missing { .. }
        | WireError::Malformed { .. }
        | WireError::UnknownValue { .. }
        | WireError::TooLarge { .. } => Reason::FrameInvalid,
    };
    let mut details = details(reason, &[("field", field.to_owned())]);
    if reason == Reason::FrameInvalid {
        details.add_bad_request_violation(field, error.to_string());
    }
    Status::with_error_details(reason.code(), error.to_string(), details)
}

/// A record of ours that has no message: a bug.
pub fn unwritable(error: &WireError) -> Status {
    status(Reason::Internal, error.to_string())
}

/// The reason that stands for a kind of failure.
pub const fn reason_of(kind: FailureKind) -> Reason {
    match kind {
        FailureKind::Unreachable => Reason::Unreachable,
        FailureKind::NoAgent => Reason::NoAgent,
        FailureKind::AgentsLost => Reason::AgentsLost,
        FailureKind::Denied => Reason::Denied,
        FailureKind::Busy => Reason::Busy,
        FailureKind::Timeout => Reason::Timeout,
        FailureKind::Exhausted => Reason::Exhausted,
        FailureKind::SchemaDrift => Reason::SchemaDrift,
        FailureKind::IdentityChanged => Reason::IdentityChanged,
        FailureKind::PlanChanged => Reason::PlanChanged,
        FailureKind::SnapshotLost => Reason::SnapshotLost,
        FailureKind::SourceWritten => Reason::SourceWritten,
        FailureKind::TooManyErrors => Reason::TooManyErrors,
        FailureKind::RowRefused => Reason::RowRefused,
        FailureKind::ConstraintBroken => Reason::ConstraintBroken,
        FailureKind::UndoConflict => Reason::UndoConflict,
        FailureKind::Unconfirmed => Reason::Unconfirmed,
        FailureKind::ChangeRefused => Reason::ChangeRefused,
        FailureKind::Fenced => Reason::Fenced,
        FailureKind::AlreadyRunning => Reason::AlreadyRunning,
        FailureKind::Internal => Reason::Internal,
    }
}

fn details(reason: Reason, metadata: &[(&str, String)]) -> ErrorDetails {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    if reason.code() == Code::Unavailable {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    details
}

fn described(problem: &Problem) -> String {
    match (problem.line, problem.column) {
        (Some(line), Some(column)) => {
            format!("{} (line {line}, column {column})", problem.message)
        }
        (Some(line), None) => format!("{} (line {line})", problem.message),
        (None, _) => problem.message.clone(),
    }
}

#[cfg(test)]
mod tests;
