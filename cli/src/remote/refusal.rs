//! What a controller refuses or cannot do, read out of a gRPC status and its details.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::address::Address;

/// A status, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Its code.
    pub code: Code,
    /// Upper snake case; the code's name where the server gives none.
    pub reason: String,
    /// What is wrong, in words.
    pub message: String,
    /// What programs need to know.
    pub metadata: BTreeMap<String, String>,
    /// Places of the request, and what is wrong there.
    pub violations: Vec<(String, String)>,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
    /// No server said so: the connection failed, or was cut.
    pub is_transport: bool,
}

impl Refusal {
    /// Reads a status. Texts are made fit for a terminal.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let is_transport = info.is_none() && status.source().is_some();
        let violations = details.bad_request().map(|request| {
            let all = request.field_violations.iter();
            all.map(|one| (clean(&one.field), clean(&one.description)))
                .collect()
        });
        let code = if is_transport {
            Code::Unavailable
        } else {
            status.code()
        };
        Self {
            code,
            reason: info.map_or_else(|| name(code).to_owned(), |info| info.reason.clone()),
            message: match is_transport {
                true => root(status),
                false => clean(status.message()),
            },
            metadata: info.map_or_else(BTreeMap::new, |info| {
                let all = info.metadata.iter();
                all.map(|(name, value)| (name.clone(), clean(value)))
                    .collect()
            }),
            violations: violations.unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            is_transport,
        }
    }

    /// Nobody answered in time.
    pub fn late(within: Duration) -> Self {
        Self {
            code: Code::DeadlineExceeded,
            reason: "DEADLINE_EXCEEDED".to_owned(),
            message: format!("no answer within {within:?}"),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
            is_transport: true,
        }
    }

    /// Another try, at the same controller or another one, may do better.
    pub fn is_passing(&self) -> bool {
        self.code == Code::Unavailable
    }

    /// The controller that leads, where this one says that it does not.
    pub fn leader(&self) -> Option<Address> {
        let leader = self.metadata.get("leader")?;
        (self.reason == "NOT_LEADER").then(|| Address::parse(leader).ok())?
    }
}

/// The innermost cause of a failed connection, which says the most.
fn root(status: &Status) -> String {
    let mut cause: Option<&dyn Error> = status.source();
    let mut words = status.message().to_owned();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    clean(&words)
}

fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
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
