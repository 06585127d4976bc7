//! Which settings there are and of what kind, read off the JSON schema of the struct that holds them.
//!
//! So the struct is the only list: a setting that is added to it can be set everywhere at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Switch,
    /// Texts.
    List,
    /// Texts by names of the operator's choice.
    Texts,
    /// Something with checks of its own; in the file only.
    Free,
}

impl Kind {
    /// What a value must be.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Text => "must be a text",
            Self::Number => "must be a whole number",
            Self::Switch => "must be true or false",
            Self::List => "must be a list of texts",
            Self::Texts => "must be a table of texts",
            Self::Free => "must be a table, in the configuration file",
        }
    }
}

/// The settings of a process: dotted names, such as `etcd.prefix`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(BTreeMap<String, Kind>);

impl Shape {
    /// The settings that a struct holds: texts, whole numbers, switches, lists of texts, maps of texts, and
    /// structs of these. Whatever is none of them is [`Kind::Free`].
    pub fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        let mut shape = Self::default();
        if let Some(properties) = properties(schema.as_value()) {
            shape.add(properties, "");
        }
        shape
    }

    /// Every setting, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The kind of a setting; a name below a map of texts is a text.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        if let Some(kind) = self.0.get(name) {
            return Some(*kind);
        }
        self.map_of(name).map(|_| Kind::Text)
    }

    /// The map of texts that a name is below, and what is left of the name.
    pub(super) fn map_of<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        name.match_indices('.').find_map(|(at, _)| {
            let (map, rest) = (&name[..at], &name[at + 1..]);
            (self.0.get(map) == Some(&Kind::Texts) && !rest.is_empty()).then_some((map, rest))
        })
    }

    /// Whether settings stand below this name.
    pub(super) fn is_section(&self, name: &str) -> bool {
        let is_below = |known: &String| {
            known
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.0.keys().any(is_below)
    }

    fn add(&mut self, properties: &Map<String, Value>, before: &str) {
        for (name, schema) in properties {
            let name = match before {
                "" => name.clone(),
                before => format!("{before}.{name}"),
            };
            match self::properties(schema) {
                Some(below) => self.add(below, &name),
                None => drop(self.0.insert(name, kind_of(schema))),
            }
        }
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn kind_of(schema: &Value) -> Kind {
    let is = |schema: &Value, wanted: &str| match schema.get("type") {
        Some(Value::String(name)) => name == wanted,
        Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
        _ => false,
    };
    let holds_texts = |part: &str| schema.get(part).is_some_and(|inner| is(inner, "string"));
    if is(schema, "string") {
        Kind::Text
    } else if is(schema, "integer") {
        Kind::Number
    } else if is(schema, "boolean") {
        Kind::Switch
    } else if is(schema, "array") && holds_texts("items") {
        Kind::List
    } else if is(schema, "object") && holds_texts("additionalProperties") {
        Kind::Texts
    } else {
        Kind::Free
    }
}
