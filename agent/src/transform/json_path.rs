//! The step `json_get` behind `json_parse`: what PostgreSQL's `json #>> path` gives, on text that was checked.

use std::ops::Range;

use proto::domain::compiled::JsonStep;

/// What stands at a path, as text: strings without quotes, everything else as it is written; `None` where
/// nothing or null is.
pub fn get(text: &str, path: &[String]) -> Result<Option<String>, &'static str> {
    match find(text, path) {
        Some(found) => as_text(found),
        None => Ok(None),
    }
}

/// A value as text; `None` where it is null.
pub fn as_text(found: &str) -> Result<Option<String>, &'static str> {
    if found == "null" {
        return Ok(None);
    }
    if !found.starts_with('"') {
        return Ok(Some(found.to_owned()));
    }
    match serde_json::from_str::<String>(found) {
        Ok(text) if !text.contains('\0') => Ok(Some(text)),
        Ok(_) | Err(_) => Err("the text in the JSON has characters that PostgreSQL cannot hold"),
    }
}

/// The value at a path. Where a name stands twice, the last that leads to a value counts.
fn find<'a>(text: &'a str, path: &[String]) -> Option<&'a str> {
    let text = text.trim_matches(is_space);
    let Some((first, rest)) = path.split_first() else {
        return Some(text);
    };
    let items = Items::of(text)?;
    if items.is_object {
        let named = items.filter(|(name, _)| name.is_some_and(|name| is_named(name, first)));
        return named.filter_map(|(_, value)| find(value, rest)).last();
    }
    let index: i64 = first.trim_start().parse::<i32>().ok()?.into();
    let elements: Vec<&str> = items.map(|(_, value)| value).collect();
    let from_end = if index < 0 { elements.len() } else { 0 };
    let at = index.checked_add(i64::try_from(from_end).ok()?)?;
    find(elements.get(usize::try_from(at).ok()?)?, rest)
}

/// Where the values at a path stand in a text, in order. An array has elements, nothing else has.
pub fn places(text: &str, path: &[JsonStep]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    collect(text, text.trim_matches(is_space), path, &mut found);
    found
}

fn collect(whole: &str, text: &str, path: &[JsonStep], found: &mut Vec<Range<usize>>) {
    match path.split_first() {
        None => {
            // Every text on the way is a piece of the whole.
            let start = text.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
            found.push(start..start + text.len());
        }
        Some((JsonStep::Each, rest)) => {
            let elements = Items::of(text).filter(|items| !items.is_object);
            for (_, element) in elements.into_iter().flatten() {
                collect(whole, element, rest, found);
            }
        }
        Some((JsonStep::Item(name), rest)) => {
            if let Some(item) = find(text, std::slice::from_ref(name)) {
                collect(whole, item, rest, found);
            }
        }
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

fn is_named(quoted: &str, name: &str) -> bool {
    serde_json::from_str::<String>(quoted).is_ok_and(|text| text == name)
}

/// The members or elements of an object or an array.
struct Items<'a> {
    rest: &'a str,
    is_object: bool,
}

impl<'a> Items<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let is_object = text.starts_with('{');
        let rest = text.strip_prefix(['{', '['])?;
        Some(Self { rest, is_object })
    }

    /// Takes a value and what separates it from the next.
    fn take(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches(is_space);
        let (value, behind) = self.rest.split_at_checked(end_of_value(self.rest))?;
        let behind = behind.trim_start_matches(is_space);
        self.rest = behind.strip_prefix([',', ':']).unwrap_or(behind);
        (!value.is_empty()).then_some(value)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (Option<&'a str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name = if self.is_object {
            Some(self.take()?)
        } else {
            None
        };
        Some((name, self.take()?))
    }
}

/// Where the value at the begin of a text ends; 0 where none is.
fn end_of_value(text: &str) -> usize {
    let (mut depth, mut is_in_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if is_in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    is_in_string = false;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_where_the_values_stand() {
        let text = r#" {"a": [{"b": 1}, 2, {"b": "x,]"}, {"c": 0}], "d": {"0": [3, [4]]}} "#;
        let item = |name: &str| JsonStep::Item(name.to_owned());
        let at = |path: &[JsonStep]| {
            let found = places(text, path).into_iter();
            found
                .map(|place| text[place].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            at(&[item("a"), JsonStep::Each, item("b")]),
            ["1", "\"x,]\""]
        );
        assert_eq!(at(&[item("d"), item("0"), JsonStep::Each]), ["3", "[4]"]);
        assert_eq!(at(&[item("a"), item("1")]), ["2"]);
        assert!(at(&[item("d"), JsonStep::Each]).is_empty());
        assert!(at(&[item("z")]).is_empty());
    }

    #[test]
    fn values_are_found_by_names_and_numbers() {
        let text = r#" {"a" : [1, {"b":"x\"}\u00eb"}, null, [ ] ], "c":{ "d": 1.50 },"":{"e":true},
                        "c": {"x": [-1]} } "#;
        let cases = [
            ("a,0", Some("1")),
            ("a,1,b", Some("x\"}ë")),
            ("a,1", Some(r#"{"b":"x\"}\u00eb"}"#)),
            ("a,2", None),
            ("a,3", Some("[ ]")),
            ("a,3,0", None),
            ("a,4", None),
            ("a,-3,b", Some("x\"}ë")),
            ("a,b", None),
            ("c,d", Some("1.50")),
            ("c,x,0", Some("-1")),
            (",e", Some("true")),
            ("z", None),
            ("a,0,0", None),
        ];
        for (path, found) in cases {
            let path: Vec<String> = path.split(',').map(str::to_owned).collect();
            assert_eq!(get(text, &path).unwrap().as_deref(), found, "{path:?}");
        }
        assert_eq!(get("[1]", &[]).unwrap().as_deref(), Some("[1]"));
        assert_eq!(get(r#""x""#, &[]).unwrap().as_deref(), Some("x"));
        assert!(get(r#"["\u0000"]"#, &["0".to_owned()]).is_err());
    }
}
