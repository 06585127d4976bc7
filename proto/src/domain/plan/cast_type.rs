//! Names of the types that `cast` knows.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::declare::object;
use super::decode::{At, Decode};
use super::document::NodeKind;
use super::later::Later;
use super::suggest;

/// A type that `cast` can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastType {
    /// `smallint`.
    Smallint,
    /// `integer`.
    Integer,
    /// `bigint`.
    Bigint,
    /// `numeric`, with precision and scale where given.
    Numeric(Option<(u16, i16)>),
    /// `real`.
    Real,
    /// `double precision`.
    Double,
    /// `boolean`.
    Boolean,
    /// `text`.
    Text,
    /// `varchar(n)`.
    Varchar(Option<u32>),
    /// `char(n)`.
    Char(u32),
    /// `uuid`.
    Uuid,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`.
    Timestamptz,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
}

/// Names without arguments; the first of each type is the one in messages.
const NAMES: &[(&str, CastType)] = &[
    ("smallint", CastType::Smallint),
    ("int2", CastType::Smallint),
    ("integer", CastType::Integer),
    ("int", CastType::Integer),
    ("int4", CastType::Integer),
    ("bigint", CastType::Bigint),
    ("int8", CastType::Bigint),
    ("numeric", CastType::Numeric(None)),
    ("decimal", CastType::Numeric(None)),
    ("real", CastType::Real),
    ("float4", CastType::Real),
    ("double precision", CastType::Double),
    ("float8", CastType::Double),
    ("boolean", CastType::Boolean),
    ("bool", CastType::Boolean),
    ("text", CastType::Text),
    ("varchar", CastType::Varchar(None)),
    ("character varying", CastType::Varchar(None)),
    ("char", CastType::Char(1)),
    ("character", CastType::Char(1)),
    ("uuid", CastType::Uuid),
    ("date", CastType::Date),
    ("timestamp", CastType::Timestamp),
    ("timestamp without time zone", CastType::Timestamp),
    ("timestamptz", CastType::Timestamptz),
    ("timestamp with time zone", CastType::Timestamptz),
    ("json", CastType::Json),
    ("jsonb", CastType::Jsonb),
];

impl CastType {
    /// Reads a name like `numeric(12,2)`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (name, arguments) = match lower.split_once('(') {
            None => (lower.as_str(), None),
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(inner) => (name.trim_end(), Some(inner)),
                None => return Err(format!("\"{text}\" is no type: a parenthesis is open")),
            },
        };
        let Some((_, ty)) = NAMES.iter().find(|(known, _)| *known == name) else {
            let hint = suggest::hint(name, NAMES.iter().map(|(name, _)| *name));
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "cast knows no type \"{name}\"{hint} (known: {})",
                known.join(", ")
            ));
        };
        match arguments {
            None => Ok(*ty),
            Some(arguments) => ty.with_arguments(arguments).ok_or_else(|| {
                format!("\"{text}\" is no type: wrong arguments in the parentheses")
            }),
        }
    }

    fn with_arguments(self, arguments: &str) -> Option<Self> {
        let mut numbers = arguments.split(',').map(str::trim);
        let (first, second) = (numbers.next()?, numbers.next());
        if numbers.next().is_some() {
            return None;
        }
        let length = || -> Option<u32> {
            let length = first.parse().ok()?;
            (second.is_none() && (1..=10_485_760).contains(&length)).then_some(length)
        };
        match self {
            Self::Numeric(_) => {
                let precision: u16 = first.parse().ok()?;
                let scale: i16 = second.unwrap_or("0").parse().ok()?;
                let is_valid = (1..=1000).contains(&precision) && (-1000..=1000).contains(&scale);
                is_valid.then_some(Self::Numeric(Some((precision, scale))))
            }
            Self::Varchar(_) => length().map(|length| Self::Varchar(Some(length))),
            Self::Char(_) => length().map(Self::Char),
            Self::Smallint
            | Self::Integer
            | Self::Bigint
            | Self::Real
            | Self::Double
            | Self::Boolean
            | Self::Text
            | Self::Uuid
            | Self::Date
            | Self::Timestamp
            | Self::Timestamptz
            | Self::Json
            | Self::Jsonb => None,
        }
    }
}

impl Decode for CastType {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        Self::parse(&text)
            .map_err(|message| at.problem(message))
            .ok()
    }
}

impl JsonSchema for CastType {
    fn schema_name() -> Cow<'static, str> {
        "CastType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        json_schema!({
            "type": "string",
            "pattern": format!("^ *({}) *(\\( *-?[0-9]+ *(, *-?[0-9]+ *)?\\))? *$", names.join("|")),
        })
    }
}

/// Arguments of `cast`: a type, or `{to, format}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cast {
    /// The type to make.
    pub to: CastType,
}

object! {
    /// The long form of `cast`.
    pub struct CastTo {
        /// The type to make.
        "to" to: CastType,
        /// How the text is written, where it is not ISO 8601.
        #[schemars(default)]
        "format" format: Later<String>,
    }
}

impl Decode for Cast {
    fn decode(at: &At<'_>) -> Option<Self> {
        match &at.node.kind {
            NodeKind::Mapping(_) => CastTo::decode(at).map(|long| Self { to: long.to }),
            NodeKind::Scalar { .. } | NodeKind::List(_) => {
                CastType::decode(at).map(|to| Self { to })
            }
        }
    }
}

impl JsonSchema for Cast {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cast".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [generator.subschema_for::<CastType>(), generator.subschema_for::<CastTo>()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_with_their_arguments() {
        let cases = [
            ("integer", Some(CastType::Integer)),
            ("INT8", Some(CastType::Bigint)),
            ("numeric(12,2)", Some(CastType::Numeric(Some((12, 2))))),
            ("numeric( 5 )", Some(CastType::Numeric(Some((5, 0))))),
            ("varchar(40)", Some(CastType::Varchar(Some(40)))),
            ("char", Some(CastType::Char(1))),
            ("integer(4)", None),
            ("numeric(0,0)", None),
            ("varchar(1,2)", None),
            ("varchar(", None),
            ("money", None),
        ];
        for (text, expected) in cases {
            assert_eq!(CastType::parse(text).ok(), expected, "{text}");
        }
        assert!(
            CastType::parse("integr")
                .unwrap_err()
                .contains("did you mean \"integer\"?")
        );
    }
}
