//! What the CLI adds to a refusal: one of its own, the names of codes, and the leader's address.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::runtime::channel::Address;
use proto::wire::status::Refusal;
use tonic::Code;

use super::settings::PORT;

/// Nobody answered in time.
pub fn late(within: Duration) -> Refusal {
    Refusal {
        code: Code::DeadlineExceeded,
        reason: String::new(),
        message: format!("no answer within {within:?}"),
        metadata: BTreeMap::new(),
        violations: Vec::new(),
        retry_after: None,
        is_transport: true,
    }
}

/// The controller that leads, where this one says that it does not.
pub fn leader(refusal: &Refusal) -> Option<Address> {
    Address::parse(refusal.leader()?, PORT).ok()
}

/// A reason for programs: the code's name where the server gives none.
pub fn reason(refusal: &Refusal) -> &str {
    match refusal.reason.as_str() {
        "" => name(refusal.code),
        reason => reason,
    }
}

/// A code's name, as in the protocol.
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
