//! What belongs to the operations of the agent: the agent runs them, the compiler chooses them.

use serde::{Deserialize, Serialize};

use super::compiled::AgentOp;

impl AgentOp {
    /// Whether some value does not fit.
    pub fn can_fail(&self) -> bool {
        match self {
            Self::Email
            | Self::ParseDate
            | Self::ParseTimestamp
            | Self::ParseTimestamptz
            | Self::ParseJson
            | Self::ParseJsonb
            | Self::Phone { .. }
            | Self::JsonGet(_) => true,
            Self::Nfc | Self::Hash(_) | Self::Hmac { .. } | Self::Mask { .. } | Self::Redact => {
                false
            }
        }
    }
}

/// What stands in the place of a value that is hidden whole.
pub const REDACTED: &str = "[redacted]";

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}
