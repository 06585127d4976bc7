//! Texts of a plan: names, references to entities, SQL, decimals.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use uuid::Uuid;

use super::decode::{At, Decode};
use super::document::NodeKind;
use super::scalar::Value;
use super::suggest;

/// Longest name in bytes: PostgreSQL's own limit for identifiers.
const MAX_NAME_BYTES: usize = 63;

impl Decode for String {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(Value::Text(text)) => at.checked_text(&text).map(|()| text),
            Some(Value::Integer(_) | Value::Number(_) | Value::Bool(_)) => {
                at.wrong("a text (put it in quotes)")
            }
            Some(Value::Null) | None => at.wrong("a text"),
        }
    }
}

/// A text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

/// The name of a plan or a connection: letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(pub String);

/// The name of an entity: letters, digits and `_`. Part of every id, so fixed for life.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntityName(pub String);

/// The name of an entity that this plan has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntityRef(pub String);

/// A free SQL expression over one source row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql(pub String);

/// An exact decimal number, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub String);

macro_rules! text_types {
    ($($name:ident: $schema:tt),* $(,)?) => { $(
        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )* };
}

text_types! {
    Name: { "type": "string", "minLength": 1 },
    Label: { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,63}$" },
    EntityName: { "type": "string", "pattern": "^[A-Za-z0-9_]{1,63}$" },
    EntityRef: { "type": "string", "pattern": "^[A-Za-z0-9_]{1,63}$" },
    Sql: { "type": "string", "minLength": 1 },
    Decimal: { "type": "number" },
}

impl Decode for Name {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        if text.is_empty() {
            at.problem("must not be empty");
            return None;
        }
        Some(Self(text))
    }
}

/// Whether a text is 1 to 63 letters, digits and characters of `also`.
fn is_word(text: &str, also: &[u8]) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

impl Decode for Label {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        if !is_word(&text, b"_-") {
            at.problem("must be 1 to 63 letters, digits, _ and -");
            return None;
        }
        Some(Self(text))
    }
}

impl Decode for EntityName {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        if !is_word(&text, b"_") {
            at.problem("must be 1 to 63 letters, digits and _");
            return None;
        }
        Some(Self(text))
    }
}

impl Decode for EntityRef {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        if !at.context.entities.contains(&text) {
            let hint = suggest::hint(&text, at.context.entities.iter().map(String::as_str));
            at.problem(format!("no entity \"{text}\" in this plan{hint}"));
            return None;
        }
        Some(Self(text))
    }
}

impl Decode for Sql {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        if text.trim().is_empty() {
            at.problem("must not be empty");
            return None;
        }
        Some(Self(text))
    }
}

impl Decode for Decimal {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                Some(Self(value.text().into_owned()))
            }
            Some(Value::Text(_) | Value::Bool(_) | Value::Null) | None => at.wrong("a number"),
        }
    }
}

impl Decode for Uuid {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = match &at.node.kind {
            // A uuid may look like a number to YAML (`11111111-…` does not, `1e5…` might).
            NodeKind::Scalar { text, .. } if !at.is_bare => text,
            NodeKind::Scalar { .. } | NodeKind::List(_) | NodeKind::Mapping(_) => {
                return at.wrong("a uuid");
            }
        };
        match Self::try_parse(text) {
            Ok(uuid) if !uuid.is_nil() && text.len() == 36 => Some(uuid),
            Ok(_) | Err(_) => at.wrong("a uuid, as 8-4-4-4-12 hexadecimal digits, not all zero"),
        }
    }
}
