//! What several messages of the stream hold: keys, failures, and values as JSON text.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::failure::{Failure, FailureKind};
use crate::domain::key::KeyValue;
use crate::pb::agent_stream as pb;
use crate::wire::WireError;

pub(super) fn write_key(key: KeyValue) -> pb::KeyValue {
    pb::KeyValue { parts: key.0 }
}

/// A key has at least one column.
pub(super) fn read_key(field: &'static str, key: pb::KeyValue) -> Result<KeyValue, WireError> {
    if key.parts.is_empty() {
        return Err(WireError::Missing { field });
    }
    Ok(KeyValue(key.parts))
}

/// The serde name of a kind, as it is stored and shown everywhere.
pub(in crate::wire) fn kind_name(kind: FailureKind) -> String {
    match serde_json::to_value(kind) {
        Ok(Value::String(name)) => name,
        // A kind is a bare name; anything else would be read as `Internal`, which is true.
        Ok(_) | Err(_) => "internal".to_owned(),
    }
}

/// The kind of that name.
fn read_kind(name: &str) -> Option<FailureKind> {
    serde_json::from_value(Value::from(name)).ok()
}

pub(super) fn write_failure(failure: Failure) -> pb::Failure {
    pb::Failure {
        kind: kind_name(failure.kind),
        message: failure.message,
        sqlstate: failure.sqlstate,
    }
}

/// A kind that this build does not know is a fault of the two builds: it is kept as text.
pub(super) fn read_failure(failure: pb::Failure) -> Result<Failure, WireError> {
    let field = "Failure.kind";
    if failure.kind.is_empty() {
        return Err(WireError::Missing { field });
    }
    let known = read_kind(&failure.kind);
    let message = match known {
        Some(_) => failure.message,
        None => format!("{}: {}", failure.kind, failure.message),
    };
    Ok(Failure {
        kind: known.unwrap_or(FailureKind::Internal),
        message,
        sqlstate: failure.sqlstate,
    })
}

/// A value of the domain as JSON text.
pub(super) fn write_text<T: Serialize>(
    field: &'static str,
    value: &T,
) -> Result<Vec<u8>, WireError> {
    serde_json::to_vec(value).map_err(|_| WireError::Malformed {
        field,
        what: "value that JSON can hold",
    })
}

/// A value of the domain out of JSON text. What the parser says is not repeated: it may quote data.
pub(super) fn read_text<T: DeserializeOwned>(
    field: &'static str,
    what: &'static str,
    text: &[u8],
) -> Result<T, WireError> {
    if text.is_empty() {
        return Err(WireError::Missing { field });
    }
    serde_json::from_slice(text).map_err(|_| WireError::Malformed { field, what })
}

/// A JSON object as text; anything else has no counterpart.
pub(super) fn write_object_text(field: &'static str, value: &Value) -> Result<Vec<u8>, WireError> {
    if value.is_object() {
        write_text(field, value)
    } else {
        Err(not_an_object(field))
    }
}

pub(super) fn read_object_text(field: &'static str, text: &[u8]) -> Result<Value, WireError> {
    let value: Value = read_text(field, "JSON object", text)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(not_an_object(field))
    }
}

fn not_an_object(field: &'static str) -> WireError {
    WireError::Malformed {
        field,
        what: "JSON object",
    }
}
