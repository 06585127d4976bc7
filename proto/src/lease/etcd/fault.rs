//! What a failed request means: try again elsewhere, or a definite answer.

use std::error::Error as _;

use etcd_client::Error;
use tonic::Code;

use crate::lease::LeaseError;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The lease is not there (any more).
    LeaseGone,
    /// A lease of this id is there already.
    LeaseExists,
    /// The login is refused.
    Denied,
    /// The token of an accepted login is not taken any more.
    StaleLogin,
    /// No answer, or one that another member or another moment may change.
    Unreachable(String),
}

impl Fault {
    /// Whether the same request may succeed at another member or later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::StaleLogin | Self::Unreachable(_))
    }
}

impl From<Fault> for LeaseError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::LeaseGone => Self::NotMember,
            Fault::LeaseExists => Self::Unavailable {
                reason: "the lease exists already".to_owned(),
            },
            Fault::Denied | Fault::StaleLogin => Self::Denied,
            Fault::Unreachable(reason) => Self::Unavailable { reason },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::GRpcStatus(status) => of_status(&status),
            // The client's own words for an answer with ttl 0.
            Error::LeaseKeepAliveError(text) if text == "lease not found" => Self::LeaseGone,
            Error::TransportError(error) => Self::Unreachable(with_causes(&error)),
            error => Self::Unreachable(error.to_string()),
        }
    }
}

fn of_status(status: &tonic::Status) -> Fault {
    let text = status.message();
    match status.code() {
        Code::NotFound if text.contains("lease not found") => Fault::LeaseGone,
        Code::FailedPrecondition if text.contains("lease already exists") => Fault::LeaseExists,
        Code::Unauthenticated => Fault::StaleLogin,
        Code::InvalidArgument if text.contains("revision of auth store is old") => {
            Fault::StaleLogin
        }
        Code::PermissionDenied => Fault::Denied,
        Code::InvalidArgument if text.contains("authentication failed") => Fault::Denied,
        Code::InvalidArgument if text.contains("user name is empty") => Fault::Denied,
        Code::FailedPrecondition if text.contains("authentication is not enabled") => Fault::Denied,
        _ => Fault::Unreachable(match status.source() {
            Some(cause) => format!("{text}: {}", with_causes(cause)),
            None => text.to_owned(),
        }),
    }
}

/// An error with its causes, each text once.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
