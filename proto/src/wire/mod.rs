//! The only conversions between the records of the data model, the frames of the agent stream, failures,
//! and their messages.
//!
//! A message that cannot be fully understood is refused with the field's name, never half-read.
//! JSON travels as `google.protobuf.Struct` or `Value`, whose numbers are doubles: an integer that a
//! double cannot hold is decimal text on the wire, and stays text.

mod agent;
pub mod agent_stream;
mod batch;
mod checkpoint;
mod decision;
mod entity;
mod error;
mod event;
mod json;
mod mapping;
mod migration;
mod preflight;
mod rules;
mod schema_change;
pub mod status;
mod validation;
mod validation_run;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use uuid::Uuid;

pub use entity::entity_status;
pub use error::error_type;
use json::{read_json, read_object, write_json, write_object};

/// Port of a controller whose address names none.
pub const PORT: u16 = 7420;

/// A message or record that has no counterpart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field that must be given is not.
    #[error("{field} is missing")]
    Missing {
        /// The message's and the field's name.
        field: &'static str,
    },
    /// A field holds something else than it should.
    #[error("{field} is no {what}")]
    Malformed {
        /// The message's and the field's name.
        field: &'static str,
        /// What it should be.
        what: &'static str,
    },
    /// A number that is none of an enumeration's values.
    #[error("{field} has the unknown value {value}")]
    UnknownValue {
        /// The message's and the field's name.
        field: &'static str,
        /// The number.
        value: i32,
    },
    /// More than the reader keeps, or the writer may send.
    #[error("{field} is larger than {limit}")]
    TooLarge {
        /// The message's and the field's name.
        field: &'static str,
        /// How large it may be, in bytes or items as the field has it.
        limit: usize,
    },
    /// The other end speaks another version.
    #[error("{field} is {theirs}, this build has {ours}")]
    Version {
        /// The message's and the field's name.
        field: &'static str,
        /// The other end's.
        theirs: u32,
        /// This end's.
        ours: u32,
    },
}

impl WireError {
    /// The message's and the field's name.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Missing { field }
            | Self::Malformed { field, .. }
            | Self::UnknownValue { field, .. }
            | Self::TooLarge { field, .. }
            | Self::Version { field, .. } => field,
        }
    }
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

fn read_uuid(field: &'static str, text: &str) -> Result<Uuid, WireError> {
    if text.is_empty() {
        return Err(WireError::Missing { field });
    }
    Uuid::try_parse(text).map_err(|_| WireError::Malformed {
        field,
        what: "uuid",
    })
}

/// A time as a message.
pub fn write_time(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // A leap second, which chrono holds as more than a second, is the one before it.
        nanos: i32::try_from(time.timestamp_subsec_nanos().min(999_999_999)).unwrap_or_default(),
    }
}

fn read_time(field: &'static str, time: Timestamp) -> Result<DateTime<Utc>, WireError> {
    u32::try_from(time.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos))
        .ok_or(WireError::Malformed {
            field,
            what: "time",
        })
}

/// Both directions between an enumeration of the records and the generated one.
macro_rules! wire_enum {
    ($record:ident, $message:path, $read:ident, [$($variant:ident),+]) => {
        impl From<$record> for $message {
            fn from(value: $record) -> Self {
                match value {
                    $($record::$variant => Self::$variant,)+
                }
            }
        }

        fn $read(field: &'static str, value: i32) -> Result<$record, WireError> {
            use $message as Message;
            match Message::try_from(value) {
                $(Ok(Message::$variant) => Ok($record::$variant),)+
                Ok(Message::Unspecified) => Err(WireError::Missing { field }),
                Err(_) => Err(WireError::UnknownValue { field, value }),
            }
        }
    };
}
use wire_enum;

#[cfg(test)]
mod tests;
