//! What a server refuses or cannot do, as a client reads it out of a status and its details.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{DOMAIN, Reason};

/// A status, understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Its code; UNAVAILABLE where no server gave one.
    pub code: Code,
    /// The reason in upper snake case; empty where the server gives none of ours.
    pub reason: String,
    /// What is wrong, in words; where no server answered, the innermost cause.
    pub message: String,
    /// What the words vary in, and more for programs.
    pub metadata: BTreeMap<String, String>,
    /// Places of the request, and what is wrong there; or what is in the way, and how.
    pub violations: Vec<(String, String)>,
    /// When it may be tried again, where the server says.
    pub retry_after: Option<Duration>,
    /// No server said so: the connection failed, or was cut.
    pub is_transport: bool,
}

impl Refusal {
    /// Reads a status. Control characters become spaces, since somebody may print it.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let is_transport = details.error_info().is_none() && status.source().is_some();
        let fields = details
            .bad_request()
            .map(|all| all.field_violations.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|one| (clean(&one.field), clean(&one.description)));
        let blockers = details
            .precondition_failure()
            .map(|all| all.violations.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|one| (clean(&one.subject), clean(&one.description)));
        let metadata = info.iter().flat_map(|info| &info.metadata);
        Self {
            code: match is_transport {
                true => Code::Unavailable,
                false => status.code(),
            },
            reason: info.map(|info| clean(&info.reason)).unwrap_or_default(),
            message: match is_transport {
                true => clean(&innermost(status)),
                false => clean(status.message()),
            },
            metadata: metadata
                .map(|(name, value)| (clean(name), clean(value)))
                .collect(),
            violations: fields.chain(blockers).collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            is_transport,
        }
    }

    /// The reason, where this build knows it.
    pub fn reason(&self) -> Option<Reason> {
        Reason::parse(&self.reason)
    }

    /// Another try, here or at another server, may do better.
    pub fn is_passing(&self) -> bool {
        self.code == Code::Unavailable
    }

    /// The address of the controller that leads, where this one says that it does not.
    pub fn leader(&self) -> Option<&str> {
        let leader = self.metadata.get("leader")?;
        (self.reason() == Some(Reason::NotLeader)).then_some(leader.as_str())
    }
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        Self::of(status)
    }
}

fn innermost(status: &Status) -> String {
    let mut cause: Option<&dyn Error> = status.source();
    let mut words = status.message().to_owned();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    words
}

fn clean(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(shown).collect()
}
