//! Values of the plan as SQL literals of a type, checked here so that no row has to find out.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use uuid::Uuid;

use super::decimal::shape;
use super::ty::Ty;
use crate::domain::catalog::quote_literal;
use crate::domain::plan::Value;

/// `value` as SQL of type `ty`, or why it is none.
pub fn literal(value: &Value, ty: &Ty) -> Result<String, String> {
    match ty {
        Ty::Int2 => integer(value, i64::from(i16::MIN), i64::from(i16::MAX), ty),
        Ty::Int4 => integer(value, i64::from(i32::MIN), i64::from(i32::MAX), ty),
        Ty::Int8 => integer(value, i64::MIN, i64::MAX, ty),
        Ty::Numeric(bounds) => numeric(value, *bounds, ty),
        Ty::Float4 | Ty::Float8 => match value {
            Value::Integer(_) | Value::Number(_) => Ok(typed(&value.text(), ty)),
            Value::Null | Value::Bool(_) | Value::Text(_) => Err(wrong(value, ty)),
        },
        Ty::Bool => match value {
            Value::Bool(value) => Ok(value.to_string()),
            Value::Null | Value::Integer(_) | Value::Number(_) | Value::Text(_) => {
                Err(wrong(value, ty))
            }
        },
        Ty::Null => Err("NULL has no type; put a cast before this".to_owned()),
        Ty::Text(max) | Ty::Char(max) => {
            let text = text(value, ty)?;
            match max {
                Some(max) if text.chars().count() > *max as usize => {
                    Err(format!("longer than {max} characters"))
                }
                Some(_) | None => Ok(typed(text, ty)),
            }
        }
        Ty::Enum(labels) => match text(value, ty)? {
            text if labels.iter().any(|label| label == text) => Ok(typed(text, ty)),
            text => Err(format!(
                "\"{text}\" is no label of the enum ({})",
                labels.join(", ")
            )),
        },
        Ty::Citext => text(value, ty).map(|text| typed(text, ty)),
        Ty::Uuid => checked(value, ty, |text| Uuid::try_parse(text).is_ok()),
        Ty::Date => checked(value, ty, is_date),
        Ty::Timestamp(_) => checked(value, ty, |text| is_date(text) || is_timestamp(text)),
        Ty::Timestamptz(_) => checked(value, ty, is_timestamptz),
        Ty::Json | Ty::Jsonb => checked(value, ty, |text| {
            serde_json::from_str::<serde_json::Value>(text).is_ok()
        }),
        Ty::Array(_) | Ty::Builtin { .. } | Ty::User(_) => Err(format!(
            "a value of type {ty} cannot be written in a plan; use sql"
        )),
    }
}

fn typed(text: &str, ty: &Ty) -> String {
    format!("{}::{}", quote_literal(text), ty.sql())
}

fn wrong(value: &Value, ty: &Ty) -> String {
    format!("{} is no {ty}", value.kind())
}

fn text<'a>(value: &'a Value, ty: &Ty) -> Result<&'a str, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Number(_) => {
            Err(format!("{} (put a text in quotes)", wrong(value, ty)))
        }
    }
}

fn checked(value: &Value, ty: &Ty, is_valid: impl Fn(&str) -> bool) -> Result<String, String> {
    let text = text(value, ty)?;
    if is_valid(text) {
        Ok(typed(text, ty))
    } else {
        Err(format!("\"{text}\" is no {ty}"))
    }
}

fn integer(value: &Value, low: i64, high: i64, ty: &Ty) -> Result<String, String> {
    match value {
        Value::Integer(number) if (low..=high).contains(number) => {
            Ok(typed(&number.to_string(), ty))
        }
        Value::Integer(_) => Err(format!("out of range for {ty}")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Err(wrong(value, ty)),
    }
}

fn numeric(value: &Value, bounds: Option<(u16, i16)>, ty: &Ty) -> Result<String, String> {
    match value {
        Value::Integer(_) | Value::Number(_) => {}
        Value::Null | Value::Bool(_) | Value::Text(_) => return Err(wrong(value, ty)),
    }
    let text = value.text();
    if let Some((precision, scale)) = bounds {
        let (shape, scale) = (shape(&text), i32::from(scale));
        let whole_digits = i32::from(precision) - scale;
        if shape.scale > scale.max(0) || shape.digits > whole_digits {
            return Err(format!("does not fit into {ty}"));
        }
    }
    Ok(typed(&text, ty))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_timestamp(text: &str) -> bool {
    [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ]
    .iter()
    .any(|format| NaiveDateTime::parse_from_str(text, format).is_ok())
}

fn is_timestamptz(text: &str) -> bool {
    DateTime::parse_from_rfc3339(text).is_ok()
        || ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z"]
            .iter()
            .any(|format| DateTime::parse_from_str(text, format).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn literals_are_typed_and_checked() {
        let number = |text: &str| Value::Number(text.to_owned());
        let cases = [
            (Value::Integer(5), Ty::Int2, Some("'5'::smallint")),
            (Value::Integer(40_000), Ty::Int2, None),
            (text("5"), Ty::Int4, None),
            (
                number("1.50"),
                Ty::Numeric(Some((12, 2))),
                Some("'1.50'::numeric"),
            ),
            (number("1.505"), Ty::Numeric(Some((12, 2))), None),
            (Value::Integer(100), Ty::Numeric(Some((2, 0))), None),
            (text("O'x\\"), Ty::Text(None), Some("E'O''x\\\\'::text")),
            (text("toolong"), Ty::Text(Some(3)), None),
            (Value::Integer(1), Ty::Text(None), None),
            (Value::Bool(true), Ty::Bool, Some("true")),
            (text("2020-02-30"), Ty::Date, None),
            (text("2020-02-28"), Ty::Date, Some("'2020-02-28'::date")),
            (
                text("2020-02-28 01:00"),
                Ty::Timestamp(None),
                Some("'2020-02-28 01:00'::timestamp"),
            ),
            (
                text("2020-02-28T01:00:00Z"),
                Ty::Timestamptz(None),
                Some("'2020-02-28T01:00:00Z'::timestamptz"),
            ),
            (text("2020-02-28 01:00"), Ty::Timestamptz(None), None),
            (text("{}"), Ty::Jsonb, Some("'{}'::jsonb")),
            (text("{"), Ty::Jsonb, None),
            (text("b"), Ty::Enum(vec!["a".into()]), None),
        ];
        for (value, ty, expected) in cases {
            assert_eq!(
                literal(&value, &ty).ok().as_deref(),
                expected,
                "{value:?} {ty}"
            );
        }
    }
}
