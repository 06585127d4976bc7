//! Mappings whose keys the writer of the plan chooses, in the order of the document.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{At, Decode};

/// Key and value pairs in the order of the document; keys are unique and read as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Ordered<T> {
    /// The pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl<T: Decode> Decode for Ordered<T> {
    fn decode(at: &At<'_>) -> Option<Self> {
        let pairs = at.pairs()?;
        if pairs.is_empty() {
            at.problem("must not be empty");
            return None;
        }
        let decoded: Vec<Option<(String, T)>> = pairs
            .iter()
            .map(|(key, node)| {
                let at = at.child(&key.text, node);
                at.checked_text(&key.text)?;
                T::decode(&at).map(|value| (key.text.clone(), value))
            })
            .collect();
        decoded.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Ordered_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>(),
            "minProperties": 1,
        })
    }
}

/// A list with at least one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Several<T>(pub Vec<T>);

impl<T> std::ops::Deref for Several<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Decode> Decode for Several<T> {
    fn decode(at: &At<'_>) -> Option<Self> {
        let items = Vec::<T>::decode(at)?;
        if items.is_empty() {
            at.problem("must not be empty");
            return None;
        }
        Some(Self(items))
    }
}

impl<T: JsonSchema> JsonSchema for Several<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Several_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<T>(),
            "minItems": 1,
        })
    }
}
