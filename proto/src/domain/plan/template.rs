//! Templates: text with `${column}` in it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{At, Decode};

/// A template; NULL reads as the empty text, all NULL gives NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it is.
    Text(String),
    /// A column's value as text.
    Column(String),
}

impl Template {
    /// Reads a template; `$${` is a dollar sign and a brace.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            literal.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            if literal.ends_with('$') {
                literal.push('{');
                rest = inner;
                continue;
            }
            let Some(end) = inner.find('}') else {
                return Err("\"${\" is not closed".to_owned());
            };
            if !literal.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
            }
            parts.push(TemplatePart::Column(inner[..end].trim().to_owned()));
            rest = &inner[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(TemplatePart::Text(literal));
        }
        let has_column = parts.iter().any(|part| match part {
            TemplatePart::Column(_) => true,
            TemplatePart::Text(_) => false,
        });
        if !has_column {
            return Err("names no column; write \"${column}\", or use const".to_owned());
        }
        if parts.contains(&TemplatePart::Column(String::new())) {
            return Err("\"${}\" names no column".to_owned());
        }
        Ok(Self(parts))
    }

    /// The columns in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            TemplatePart::Column(name) => Some(name.as_str()),
            TemplatePart::Text(_) => None,
        })
    }
}

impl Decode for Template {
    fn decode(at: &At<'_>) -> Option<Self> {
        let text = String::decode(at)?;
        Self::parse(&text)
            .map_err(|message| at.problem(message))
            .ok()
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "\\$\\{[^}]+\\}" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> TemplatePart {
        TemplatePart::Column(name.to_owned())
    }

    fn text(text: &str) -> TemplatePart {
        TemplatePart::Text(text.to_owned())
    }

    #[test]
    fn columns_stand_in_braces() {
        let parsed = Template::parse("${a} and ${ b }, $5 $${c}").unwrap();
        assert_eq!(
            parsed.0,
            [column("a"), text(" and "), column("b"), text(", $5 ${c}")]
        );
        assert!(Template::parse("${a").is_err());
        assert!(Template::parse("plain").is_err());
        assert!(Template::parse("${}").is_err());
    }
}
