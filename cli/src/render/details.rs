//! One thing with all it says: a line per attribute, JSON below its name.

use std::fmt::Display;

use serde_json::Value;

/// Attributes that are being gathered.
#[derive(Debug, Default)]
pub struct Details {
    lines: Vec<(&'static str, String)>,
    blocks: Vec<(&'static str, String)>,
}

impl Details {
    /// An attribute; an empty one is not known.
    pub fn add(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        let text = value.to_string();
        let text = if text.is_empty() {
            "-".to_owned()
        } else {
            text
        };
        self.lines.push((name, text));
        self
    }

    /// An attribute that is JSON.
    pub fn json(&mut self, name: &'static str, value: &Value) -> &mut Self {
        self.blocks.push((name, format!("{value:#}")));
        self
    }

    /// The lines, then the JSON.
    pub fn render(&self) -> String {
        let wide = self
            .lines
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        let mut text: String = self
            .lines
            .iter()
            .map(|(name, value)| {
                format!("{:<wide$}  {value}\n", format!("{name}:"), wide = wide + 1)
            })
            .collect();
        for (name, value) in &self.blocks {
            text.push_str(&format!("{name}:\n"));
            for line in value.lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_line_up_and_json_stands_below() {
        let mut details = Details::default();
        details
            .add("id", 7)
            .add("entity", "")
            .json("row", &serde_json::json!({"a": 1}));
        assert_eq!(
            details.render(),
            "id:      7\nentity:  -\nrow:\n  {\n    \"a\": 1\n  }\n"
        );
    }
}
