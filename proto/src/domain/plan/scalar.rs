//! Scalars of a plan: what YAML's core schema makes of a text, and the values of rules.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

use super::decode::{At, Decode};
use super::document::NodeKind;

/// A value written in the plan. Numbers keep every digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Only where a rule says NULL on purpose (`const: null`).
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, as written.
    Number(String),
    /// Everything in quotes and everything else.
    Text(String),
}

impl Value {
    /// The value's text, as a map or an id reads it.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Number(text) | Self::Text(text) => Cow::Borrowed(text),
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
        }
    }
}

/// Reads a scalar. A number with leading zeros is a text: nobody who writes `007` means seven.
pub(super) fn resolve(text: &str, is_plain: bool) -> Value {
    if !is_plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if !is_number(text) {
        return Value::Text(text.to_owned());
    }
    match text.parse() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Number(text.trim_start_matches('+').to_owned()),
    }
}

/// `[-+]? digits [. digits] [e digits]` without leading zeros.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|text| {
            is_digits(text.strip_prefix(['-', '+']).unwrap_or(text)) && text.len() <= 4
        })
}

/// The scalar as JSON.
pub(super) fn to_json(text: &str, is_plain: bool) -> Json {
    match resolve(text, is_plain) {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Integer(value) => Json::from(value),
        Value::Number(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Json::from(number),
            Ok(_) | Err(_) => Json::String(text),
        },
        Value::Text(text) => Json::String(text),
    }
}

impl Decode for Value {
    fn decode(at: &At<'_>) -> Option<Self> {
        match &at.node.kind {
            NodeKind::Scalar { text, is_plain } => match resolve(text, *is_plain) {
                Value::Null => at.wrong("a value"),
                value => at.checked_text(text).map(|_| value),
            },
            NodeKind::List(_) | NodeKind::Mapping(_) => at.wrong("a value"),
        }
    }
}

impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A value that may be NULL on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant(pub Value);

impl Decode for Constant {
    fn decode(at: &At<'_>) -> Option<Self> {
        match &at.node.kind {
            NodeKind::Scalar { text, is_plain }
                if matches!(resolve(text, *is_plain), Value::Null) =>
            {
                Some(Self(Value::Null))
            }
            _ => Value::decode(at).map(Self),
        }
    }
}

impl JsonSchema for Constant {
    fn schema_name() -> Cow<'static, str> {
        "Constant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "null"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_read_as_the_core_schema_says() {
        let cases = [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("yes", Value::Text("yes".into())),
            ("12", Value::Integer(12)),
            ("-12", Value::Integer(-12)),
            ("+12", Value::Integer(12)),
            ("0", Value::Integer(0)),
            ("007", Value::Text("007".into())),
            ("0.10", Value::Number("0.10".into())),
            ("1e3", Value::Number("1e3".into())),
            ("1e99999", Value::Text("1e99999".into())),
            (
                "9223372036854775808",
                Value::Number("9223372036854775808".into()),
            ),
            ("1.", Value::Text("1.".into())),
            (".5", Value::Text(".5".into())),
            ("2020-01-01", Value::Text("2020-01-01".into())),
            (".inf", Value::Text(".inf".into())),
        ];
        for (text, value) in cases {
            assert_eq!(resolve(text, true), value, "{text}");
            assert_eq!(resolve(text, false), Value::Text(text.to_owned()));
        }
    }
}
