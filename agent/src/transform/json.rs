//! text → json and jsonb: parsed for validity, the text itself is what is written.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Checks that a text is JSON; for jsonb also that PostgreSQL can hold its strings. However deep it is: how
/// deep is too deep, the destination says.
pub fn check(text: &str, is_jsonb: bool) -> Result<(), &'static str> {
    let mut parser = serde_json::Deserializer::from_str(text);
    IgnoredAny::deserialize(&mut parser).map_err(|_| "the text is not JSON")?;
    parser.end().map_err(|_| "the text is not one JSON value")?;
    match strange_escape(text) {
        Some(Strange::Half) => Err("half a surrogate pair is no character"),
        Some(Strange::Nul) if is_jsonb => Err("jsonb cannot hold \\u0000"),
        Some(Strange::Nul) | None => Ok(()),
    }
}

/// An escape that JSON's grammar lets through.
#[derive(Debug, PartialEq)]
enum Strange {
    Nul,
    Half,
}

/// The worst escape in valid JSON, not counting `u0000` behind an escaped backslash.
fn strange_escape(text: &str) -> Option<Strange> {
    let mut found = None;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let tail = &rest[at + 1..];
        rest = tail.get(1..).unwrap_or_default();
        let Some(unit) = unit_of(tail) else { continue };
        match unit {
            0 => found = Some(Strange::Nul),
            0xd800..=0xdbff => {
                let low = tail
                    .get(5..)
                    .and_then(|next| unit_of(next.strip_prefix('\\')?));
                match low {
                    Some(0xdc00..=0xdfff) => rest = tail.get(11..).unwrap_or_default(),
                    Some(_) | None => return Some(Strange::Half),
                }
            }
            0xdc00..=0xdfff => return Some(Strange::Half),
            _ => {}
        }
    }
    found
}

/// The number of an escape `uXXXX`, without its backslash.
fn unit_of(tail: &str) -> Option<u16> {
    u16::from_str_radix(tail.strip_prefix('u')?.get(..4)?, 16).ok()
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

    #[test]
    fn halves_of_pairs_are_refused_and_depth_is_not() {
        let half = [
            "\"\\ud800\"",
            "\"\\ude00\"",
            "\"\\ud800\\ud800\\udc00\"",
            "\"\\ud83d x\\ude00\"",
        ];
        for text in half {
            assert!(
                check(text, true).is_err() && check(text, false).is_err(),
                "{text}"
            );
        }
        for text in [
            "\"\\ud83d\\ude00\"",
            "\"\\\\ud800\"",
            "\"\\u00e9\\n\\ud83d\\ude00\\\\\"",
        ] {
            assert_eq!(check(text, true), Ok(()), "{text}");
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(&deep(100_000), true).is_ok());
        assert!(check(&deep(5)[1..], true).is_err());
    }
}
