//! What the language has but this version does not.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::decode::{At, Decode};
use super::document::NodeKind;
use super::scalar::Value;
use super::schema;

/// Part of the language, not of this version: read for its problems, then refused unless empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Later<T>(PhantomData<T>);

impl<T: Decode> Decode for Later<T> {
    fn decode(at: &At<'_>) -> Option<Self> {
        let is_empty = match &at.node.kind {
            NodeKind::Scalar { .. } => at.scalar() == Some(Value::Null),
            NodeKind::List(items) => items.is_empty(),
            NodeKind::Mapping(pairs) => pairs.is_empty(),
        };
        if !is_empty {
            // Only for its problems: the value has no use yet.
            let _ = T::decode(at);
            at.not_yet();
        }
        Some(Self(PhantomData))
    }

    fn absent() -> Option<Self> {
        Some(Self(PhantomData))
    }
}

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: JsonSchema> JsonSchema for Later<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert(schema::SUPPORTED.to_owned(), serde_json::Value::Bool(false));
        schema
    }
}
