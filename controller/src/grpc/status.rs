//! The one place where what went wrong becomes a gRPC status: code, one ErrorInfo, and details that fit.

use std::collections::HashMap;
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind, policy};
use proto::domain::plan::Problems;
use proto::wire::WireError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::commands::CommandError;
use crate::fleet::Refusal;
use crate::store::StoreError;

/// Domain of every ErrorInfo.
pub const DOMAIN: &str = "drover";
/// When what is unavailable may be asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A status with its ErrorInfo.
pub fn status(code: Code, reason: &str, words: impl Into<String>) -> Status {
    with(code, reason, words, &[])
}

/// A status whose ErrorInfo has metadata; UNAVAILABLE tells when to try again.
pub fn with(
    code: Code,
    reason: &str,
    words: impl Into<String>,
    metadata: &[(&str, String)],
) -> Status {
    Status::with_error_details(code, words, details(code, reason, metadata))
}

fn details(code: Code, reason: &str, metadata: &[(&str, String)]) -> ErrorDetails {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    if code == Code::Unavailable {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    details
}

/// This controller does not lead.
pub fn not_leader(leader: Option<String>) -> Status {
    let words = match &leader {
        Some(address) => format!("this controller does not lead; {address} does"),
        None => "no controller leads now".to_owned(),
    };
    let metadata: Vec<(&str, String)> = leader
        .into_iter()
        .map(|address| ("leader", address))
        .collect();
    with(Code::Unavailable, "NOT_LEADER", words, &metadata)
}

/// A field of a request that is not valid.
pub fn invalid(field: &str, words: impl Into<String>) -> Status {
    let words = words.into();
    let code = Code::InvalidArgument;
    let mut details = details(code, "FIELD_INVALID", &[("field", field.to_owned())]);
    details.add_bad_request_violation(field, words.clone());
    Status::with_error_details(code, format!("{field}: {words}"), details)
}

/// Something that was asked for is not there.
pub fn not_found(reason: &str, kind: &str, name: &str) -> Status {
    let code = Code::NotFound;
    let words = format!("there is no {kind} {name:?}");
    let mut details = details(code, reason, &[("name", name.to_owned())]);
    details.set_resource_info(kind, name, "", words.clone());
    Status::with_error_details(code, words, details)
}

fn plan_invalid(problems: &Problems) -> Status {
    let code = Code::InvalidArgument;
    let count = problems.0.len();
    let mut details = details(code, "PLAN_INVALID", &[("problems", count.to_string())]);
    for problem in &problems.0 {
        let place = match (problem.line, problem.column) {
            (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
            _ => String::new(),
        };
        details.add_bad_request_violation(&*problem.path, format!("{}{place}", problem.message));
    }
    Status::with_error_details(code, format!("the plan has {count} problem(s)"), details)
}

/// A command that was not done.
pub fn of_command(error: CommandError) -> Status {
    match error {
        CommandError::Plan(problems) => plan_invalid(&problems),
        CommandError::NoMigration { wanted } => {
            not_found("MIGRATION_NOT_FOUND", "migration", &wanted)
        }
        CommandError::Ambiguous { wanted, candidates } => {
            let names: Vec<String> = candidates
                .iter()
                .map(|(id, name)| format!("{id} {name}"))
                .collect();
            with(
                Code::NotFound,
                "NAME_AMBIGUOUS",
                format!(
                    "{wanted:?} means more than one migration: {}",
                    names.join(", ")
                ),
                &[("name", wanted), ("candidates", names.join(", "))],
            )
        }
        CommandError::Store(error) => of_store(&error),
        CommandError::Failed(failure) => of_failure(&failure),
    }
}

/// A refusal or failure of the metadata.
pub fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::NameTaken { name } => with(
            Code::AlreadyExists,
            "NAME_TAKEN",
            error.to_string(),
            &[("name", name.clone())],
        ),
        StoreError::EtagMismatch { etag } => with(
            Code::Aborted,
            "ETAG_MISMATCH",
            error.to_string(),
            &[("etag", etag.clone())],
        ),
        StoreError::RequestIdReused => status(
            Code::InvalidArgument,
            "REQUEST_ID_REUSED",
            error.to_string(),
        ),
        StoreError::Deposed { .. } => not_leader(None),
        StoreError::UnderWay { .. } => illegal(
            "UNDER_WAY",
            &error.to_string(),
            "pause it, and cancel or roll it back",
        ),
        StoreError::Illegal(refused) => illegal("ILLEGAL_STATE", &error.to_string(), refused.why),
        StoreError::NoMigration { id } => {
            not_found("MIGRATION_NOT_FOUND", "migration", &id.to_string())
        }
        StoreError::NoEntity { entity } => not_found("ENTITY_NOT_FOUND", "entity", entity),
        StoreError::PlanChanged { .. }
        | StoreError::Connect(_)
        | StoreError::CreateSchema { .. }
        | StoreError::Upgrade(_)
        | StoreError::NotInstalled { .. }
        | StoreError::OtherVersion { .. }
        | StoreError::AlreadyRunning { .. }
        | StoreError::Lock { .. }
        | StoreError::Database { .. } => of_failure(&error.failure()),
    }
}

fn illegal(reason: &str, words: &str, why: &str) -> Status {
    let code = Code::FailedPrecondition;
    let mut details = details(code, reason, &[("hint", why.to_owned())]);
    details.add_precondition_failure_violation("STATE", "migration", why);
    Status::with_error_details(code, words, details)
}

/// A failure of an agent, a database or the lease store, with its hint.
pub fn of_failure(failure: &Failure) -> Status {
    let (code, reason) = match failure.kind {
        FailureKind::NoAgent => (Code::Unavailable, "NO_AGENT"),
        FailureKind::Unreachable => (Code::Unavailable, "UNREACHABLE"),
        FailureKind::Busy => (Code::Unavailable, "BUSY"),
        FailureKind::Denied => (Code::PermissionDenied, "DENIED"),
        FailureKind::Timeout => (Code::DeadlineExceeded, "TIMEOUT"),
        FailureKind::Exhausted => (Code::ResourceExhausted, "EXHAUSTED"),
        FailureKind::SchemaDrift => (Code::FailedPrecondition, "SCHEMA_DRIFT"),
        FailureKind::IdentityChanged => (Code::FailedPrecondition, "IDENTITY_CHANGED"),
        FailureKind::PlanChanged => (Code::FailedPrecondition, "PLAN_CHANGED"),
        FailureKind::SnapshotLost => (Code::FailedPrecondition, "SNAPSHOT_LOST"),
        FailureKind::TooManyErrors => (Code::FailedPrecondition, "TOO_MANY_ERRORS"),
        FailureKind::RowRefused => (Code::FailedPrecondition, "ROW_REFUSED"),
        FailureKind::ConstraintBroken => (Code::FailedPrecondition, "CONSTRAINT_BROKEN"),
        FailureKind::AlreadyRunning => (Code::FailedPrecondition, "ALREADY_RUNNING"),
        FailureKind::Fenced => return not_leader(None),
        FailureKind::Internal => (Code::Internal, "INTERNAL"),
    };
    let mut metadata = vec![("hint", policy(failure.kind).1.to_owned())];
    metadata.extend(failure.sqlstate.clone().map(|code| ("sqlstate", code)));
    with(code, reason, failure.message.clone(), &metadata)
}

/// An agent that was not taken.
pub fn of_refusal(refusal: &Refusal) -> Status {
    let (code, reason) = match refusal {
        Refusal::NoHello => (Code::DeadlineExceeded, "HELLO_MISSING"),
        Refusal::CodecVersion { .. } => (Code::FailedPrecondition, "CODEC_VERSION"),
        Refusal::NameTaken { .. } => (Code::AlreadyExists, "AGENT_NAME_TAKEN"),
    };
    status(code, reason, refusal.to_string())
}

/// A message that cannot be understood.
pub fn of_wire(error: &WireError) -> Status {
    status(Code::InvalidArgument, "FRAME_INVALID", error.to_string())
}

/// A record of ours that has no message: a bug.
pub fn unwritable(error: &WireError) -> Status {
    status(Code::Internal, "INTERNAL", error.to_string())
}
