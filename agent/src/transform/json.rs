//! text → json and jsonb: parsed for validity, the text itself is what is written.

use serde::de::{Deserializer, IgnoredAny};

/// Checks that a text is JSON; for jsonb also that PostgreSQL can hold its strings.
pub fn check(text: &str, is_jsonb: bool) -> Result<(), &'static str> {
    let mut parser = serde_json::Deserializer::from_str(text);
    (&mut parser)
        .deserialize_any(IgnoredAny)
        .map_err(|_| "the text is not JSON")?;
    parser.end().map_err(|_| "the text is not one JSON value")?;
    if is_jsonb && has_nul_escape(text) {
        return Err("jsonb cannot hold \\u0000");
    }
    Ok(())
}

/// Whether `\u0000` stands in a string, not counting an escaped backslash before `u0000`.
fn has_nul_escape(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let tail = &rest[at + 1..];
        if tail.starts_with("u0000") {
            return true;
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_value_passes() {
        assert!(check(r#"{"a":[1,2.5e10,null,"x"]}"#, true).is_ok());
        for text in ["", "{", "{'a':1}", "1 2", "[1,]", "nan"] {
            assert!(check(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn a_nul_fits_json_but_not_jsonb() {
        assert!(check(r#""\u0000""#, false).is_ok());
        assert!(check(r#""\u0000""#, true).is_err());
        assert!(check(r#""\\u0000""#, true).is_ok());
    }
}
