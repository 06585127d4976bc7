//! JSON values as `google.protobuf.Struct` and `Value`.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Number, Value};

use super::WireError;

/// Integers of at most this size are the same as a double.
const EXACT: u64 = 1 << 53;

/// A JSON object; anything else has no counterpart.
pub(super) fn write_object(field: &'static str, value: Value) -> Result<Struct, WireError> {
    match value {
        Value::Object(members) => Ok(write_members(members)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(WireError::Malformed {
                field,
                what: "JSON object",
            })
        }
    }
}

/// Any JSON value.
pub(super) fn write_json(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(value) => write_number(&value),
        Value::String(value) => Kind::StringValue(value),
        Value::Array(items) => Kind::ListValue(ListValue {
            values: items.into_iter().map(write_json).collect(),
        }),
        Value::Object(members) => Kind::StructValue(write_members(members)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The JSON object of a struct.
pub(super) fn read_object(field: &'static str, value: Struct) -> Result<Value, WireError> {
    let members: Result<Map<String, Value>, WireError> = value
        .fields
        .into_iter()
        .map(|(name, value)| Ok((name, read_json(field, value)?)))
        .collect();
    Ok(Value::Object(members?))
}

/// The JSON value of a value; one without a kind, or a number that is none, is refused.
pub(super) fn read_json(
    field: &'static str,
    value: prost_types::Value,
) -> Result<Value, WireError> {
    let malformed = WireError::Malformed {
        field,
        what: "JSON value",
    };
    match value.kind.ok_or(malformed.clone())? {
        Kind::NullValue(_) => Ok(Value::Null),
        Kind::BoolValue(value) => Ok(Value::Bool(value)),
        Kind::NumberValue(value) => read_number(value).ok_or(malformed),
        Kind::StringValue(value) => Ok(Value::String(value)),
        Kind::ListValue(list) => list
            .values
            .into_iter()
            .map(|value| read_json(field, value))
            .collect(),
        Kind::StructValue(value) => read_object(field, value),
    }
}

fn write_members(members: Map<String, Value>) -> Struct {
    Struct {
        fields: members
            .into_iter()
            .map(|(name, value)| (name, write_json(value)))
            .collect(),
    }
}

fn write_number(number: &Number) -> Kind {
    let size = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
    match (size, number.as_f64()) {
        (Some(size), _) if size > EXACT => Kind::StringValue(number.to_string()),
        (_, Some(value)) => Kind::NumberValue(value),
        (_, None) => Kind::StringValue(number.to_string()),
    }
}

fn read_number(value: f64) -> Option<Value> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked: whole and small enough"
    )]
    if value.fract() == 0.0 && value.abs() <= EXACT as f64 {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}
