//! Shares and counts: `max_quarantined: 0.1%` or a number.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{At, Decode};
use super::scalar::Value;

/// A number of rows or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// So many rows.
    Rows(u64),
    /// This part of them, from 0 to 1.
    Part(f64),
}

impl Decode for Share {
    fn decode(at: &At<'_>) -> Option<Self> {
        const EXPECTED: &str = "a number of rows, or a share from 0% to 100%";
        match at.scalar() {
            Some(Value::Integer(rows)) if rows >= 0 => u64::try_from(rows).ok().map(Self::Rows),
            Some(Value::Text(text)) => match percent(&text) {
                Some(part) => Some(Self::Part(part)),
                None => at.wrong(EXPECTED),
            },
            Some(Value::Integer(_) | Value::Number(_) | Value::Bool(_) | Value::Null) | None => {
                at.wrong(EXPECTED)
            }
        }
    }
}

fn percent(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?.trim();
    let is_decimal = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = number.parse().ok().filter(|_| is_decimal)?;
    (percent <= 100.0).then_some(percent / 100.0)
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *%$" },
            ],
        })
    }
}

/// A whole number from 1 on, or none: null and left out are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ceiling(pub Option<u32>);

impl Decode for Ceiling {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(Value::Null) => Some(Self(None)),
            Some(_) | None => Positive::decode(at).map(|limit| Self(Some(limit.0))),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self(None))
    }
}

impl JsonSchema for Ceiling {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ceiling".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "null"], "minimum": 1 })
    }
}

/// A whole number from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positive(pub u32);

impl Decode for Positive {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(Value::Integer(value)) if value > 0 && u32::try_from(value).is_ok() => {
                u32::try_from(value).ok().map(Self)
            }
            _ => at.wrong("a whole number from 1 on"),
        }
    }
}

impl JsonSchema for Positive {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Positive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_shares() {
        assert_eq!(percent("0.1%"), Some(0.001));
        assert_eq!(percent("100 %"), Some(1.0));
        for text in ["101%", "-1%", "1e1%", "%", "5", "nan%"] {
            assert_eq!(percent(text), None, "{text}");
        }
    }
}
