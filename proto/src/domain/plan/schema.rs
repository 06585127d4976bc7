//! The JSON Schema of the plan language, generated from the types that read it.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value as Json, json};

use super::Plan;

/// Marks what is part of the language but not of this version.
pub(super) const SUPPORTED: &str = "x-supported";

/// A word of a choice, as the schema shows it.
pub(super) struct Word {
    pub word: &'static str,
    pub about: String,
    pub arguments: Option<Schema>,
    pub is_supported: bool,
}

impl Word {
    /// The word alone, without arguments.
    fn alone(&self) -> Json {
        self.marked(json!({ "const": self.word }))
    }

    /// A mapping whose key is the word; `beside` are further keys.
    pub(super) fn mapping(&self, arguments: Json, beside: Map<String, Json>) -> Json {
        let mut properties = beside;
        properties.insert(self.word.to_owned(), arguments);
        self.marked(json!({
            "type": "object",
            "properties": properties,
            "required": [self.word],
            "additionalProperties": false,
        }))
    }

    /// `schema` with this word's description and support.
    pub(super) fn marked(&self, mut schema: Json) -> Json {
        if let Some(object) = schema.as_object_mut() {
            if !self.about.is_empty() {
                object.insert("description".to_owned(), Json::String(self.about.clone()));
            }
            if !self.is_supported {
                object.insert(SUPPORTED.to_owned(), Json::Bool(false));
            }
        }
        schema
    }

    /// The arguments' schema; an empty mapping for a word without arguments.
    pub(super) fn arguments_json(&self) -> Json {
        match &self.arguments {
            Some(schema) => schema.as_value().clone(),
            None => json!({ "type": "object", "maxProperties": 0 }),
        }
    }
}

/// Exactly one of the words, those with arguments as a mapping.
pub(super) fn one_of_words(words: Vec<Word>) -> Schema {
    let forms: Vec<Json> = words
        .iter()
        .map(|word| match &word.arguments {
            None => word.alone(),
            Some(_) => word.mapping(word.arguments_json(), Map::new()),
        })
        .collect();
    to_schema(json!({ "oneOf": forms }))
}

/// A JSON object as a schema.
pub(super) fn to_schema(json: Json) -> Schema {
    match Schema::try_from(json) {
        Ok(schema) => schema,
        Err(_) => Schema::from(true),
    }
}

/// The JSON Schema (2020-12) of a plan file. `"x-supported": false` marks what `parse` answers with
/// "not supported yet".
pub fn json_schema() -> Json {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Plan>().to_value();
    forbid_null(&mut schema);
    schema
}

/// A key is left out, never null: takes "or null" from every optional key that is supported.
fn forbid_null(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if object.get(SUPPORTED) == Some(&Json::Bool(false)) {
                return;
            }
            if let Some(Json::Array(types)) = object.get_mut("type")
                && types.len() == 2
            {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Json::Array(forms)) = object.get_mut("anyOf") {
                forms.retain(|form| form != &json!({ "type": "null" }));
            }
            object.values_mut().for_each(forbid_null);
        }
        Json::Array(items) => items.iter_mut().for_each(forbid_null),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
