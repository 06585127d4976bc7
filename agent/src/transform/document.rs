//! New ids in the places of references that stand in JSON.

use std::collections::HashMap;

use proto::domain::compiled::{DocumentCall, DocumentReference, RowAction};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::record_id;
use serde::Deserialize;
use serde_json::json;

use super::ids::NamedMaker;
use super::json_path::{as_text, places};
use super::objection::Objection;
use super::overrides::Overrides;
use super::row::KeySet;
use super::steps::jsonb;
use crate::source::tuple::Tuple;

/// The key of a row that is there.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Key {
    One(String),
    Several(Vec<String>),
}

impl Key {
    fn parts(&self) -> Vec<&str> {
        match self {
            Self::One(text) => vec![text],
            Self::Several(texts) => texts.iter().map(String::as_str).collect(),
        }
    }
}

/// A column of JSON: what is to be done, and who makes the ids of each reference.
pub struct Document {
    call: DocumentCall,
    makers: Vec<Option<NamedMaker>>,
}

/// What became of a row's JSON.
pub enum Outcome {
    /// The column's bytes; none for NULL.
    Value(Option<Vec<u8>>),
    /// A row that it refers to is not there.
    Refused(Objection),
}

impl Document {
    /// Prepares a column.
    pub fn new(call: &DocumentCall, maker: impl Fn(&str) -> NamedMaker) -> Self {
        let makers = call.references.iter();
        let makers = makers.map(|reference| reference.entity.as_deref().map(&maker));
        Self {
            makers: makers.collect(),
            call: call.clone(),
        }
    }

    /// The entities that name the ids it makes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.makers
            .iter()
            .flatten()
            .map(|maker| maker.named.as_str())
    }

    /// The JSON of a row with all ids in their places.
    ///
    /// # Errors
    /// `Internal` when a field is not as compiled.
    pub fn encode(
        &self,
        tuple: &Tuple,
        column: &str,
        overrides: Option<&Overrides>,
    ) -> Result<Outcome, Failure> {
        let Some(bytes) = tuple.field(self.call.field) else {
            return Ok(Outcome::Value(None));
        };
        let mut text = utf8(bytes)?.to_owned();
        for (reference, maker) in self.call.references.iter().zip(&self.makers) {
            let found = found(tuple.field(reference.found))?;
            let id = |key: &Key| match maker {
                Some(maker) => format!("\"{}\"", maker.of_texts(&key.parts(), overrides)),
                None => kept(key, reference.is_number),
            };
            match put(&text, reference, (&found, maker.is_none()), id) {
                Some(changed) => text = changed,
                None => return Ok(Outcome::Refused(orphan(reference, column))),
            }
        }
        Ok(Outcome::Value(Some(match self.call.is_jsonb {
            true => jsonb(text.as_bytes()),
            false => text.into_bytes(),
        })))
    }
}

/// The text with every reference replaced; none where one is an orphan that nothing stands for.
fn put(
    text: &str,
    reference: &DocumentReference,
    (found, is_kept): (&HashMap<String, Key>, bool),
    id: impl Fn(&Key) -> String,
) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 64);
    let mut from = 0;
    for place in places(text, &reference.path) {
        let value = &text[place.clone()];
        let new = match as_text(value) {
            // It refers to nothing.
            Ok(None) => continue,
            Ok(Some(name)) => match found.get(&name) {
                // A kept key stays as it is written.
                Some(Key::One(key)) if is_kept && *key == name => continue,
                Some(key) => id(key),
                None if reference.orphan == RowAction::SetNull => "null".to_owned(),
                None => return None,
            },
            Err(_) if reference.orphan == RowAction::SetNull => "null".to_owned(),
            Err(_) => return None,
        };
        out.push_str(&text[from..place.start]);
        out.push_str(&new);
        from = place.end;
    }
    out.push_str(&text[from..]);
    Some(out)
}

fn kept(key: &Key, is_number: bool) -> String {
    match key {
        Key::One(text) if is_number => text.clone(),
        Key::One(text) => json!(text).to_string(),
        Key::Several(texts) => json!(texts).to_string(),
    }
}

fn orphan(reference: &DocumentReference, column: &str) -> Objection {
    Objection {
        code: "DROVER_ORPHAN".to_owned(),
        message: reference.message.clone(),
        context: json!({ "rule": reference.rule, "column": column }),
        action: reference.orphan.clone(),
        is_held: false,
    }
}

/// Whether one of the rows that a field has found is among the failed ones; then `text` is its record id.
///
/// # Errors
/// `Internal` when the field is not as compiled.
pub fn is_held(field: Option<&[u8]>, failed: &KeySet, text: &mut String) -> Result<bool, Failure> {
    for key in found(field)?.values() {
        text.clear();
        text.push_str(&record_id(key.parts().into_iter()));
        if failed.contains(text.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn found(field: Option<&[u8]>) -> Result<HashMap<String, Key>, Failure> {
    match field {
        None => Ok(HashMap::new()),
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| malformed()),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| malformed())
}

fn malformed() -> Failure {
    let words = "a field is not the JSON that it was compiled to be";
    Failure::new(FailureKind::Internal, words)
}

#[cfg(test)]
mod tests {
    use proto::domain::compiled::JsonStep;
    use uuid::Uuid;

    use super::*;

    fn call(entity: Option<&str>, orphan: RowAction) -> DocumentCall {
        DocumentCall {
            field: 0,
            is_jsonb: false,
            references: vec![DocumentReference {
                entity: entity.map(str::to_owned),
                is_number: true,
                path: vec![JsonStep::Item("o".to_owned()), JsonStep::Each],
                found: 1,
                orphan,
                rule: "p".to_owned(),
                message: "m".to_owned(),
            }],
        }
    }

    fn encode(call: &DocumentCall, text: &str, found: &str) -> Option<String> {
        let namespace: Uuid = "6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11".parse().unwrap();
        let document = Document::new(call, |named| NamedMaker::new(namespace, named));
        let tuple = Tuple::of(&[Some(text.into()), Some(found.into())]);
        match document.encode(&tuple, "c", None).unwrap() {
            Outcome::Value(value) => value.map(|bytes| String::from_utf8(bytes).unwrap()),
            Outcome::Refused(objection) => Some(objection.code),
        }
    }

    #[test]
    fn ids_stand_where_the_references_stood_and_nothing_else_changes() {
        let call = call(Some("offices"), RowAction::SetNull);
        let text = r#"{"n": 1.50, "o": [42, "42", null, 7, {"x": 1}]}"#;
        let id = "010cf140-23c9-5ddd-9233-568b1cdbfe96";
        assert_eq!(
            encode(&call, text, r#"{"42": "42"}"#).unwrap(),
            format!(r#"{{"n": 1.50, "o": ["{id}", "{id}", null, null, null]}}"#)
        );
    }

    #[test]
    fn an_orphan_is_a_verdict_unless_null_stands_for_it() {
        let call = call(Some("offices"), RowAction::Quarantine);
        let verdict = encode(&call, r#"{"o": [42, 7]}"#, r#"{"42": "42"}"#);
        assert_eq!(verdict.as_deref(), Some("DROVER_ORPHAN"));
        let none = encode(&call, r#"{"o": [null], "p": 7}"#, "{}");
        assert_eq!(none.as_deref(), Some(r#"{"o": [null], "p": 7}"#));
    }

    #[test]
    fn kept_keys_stay_as_they_are_written_or_become_those_they_name() {
        let call = call(None, RowAction::Quarantine);
        let text = r#"{"o": ["42", 42, "DE"]}"#;
        assert_eq!(
            encode(&call, text, r#"{"42": "42", "DE": "7"}"#).unwrap(),
            r#"{"o": ["42", 42, 7]}"#
        );
    }

    #[test]
    fn a_failed_row_among_those_found_holds() {
        let failed = KeySet::from_iter([r#"["a","1"]"#.to_owned()]);
        let mut text = String::new();
        let mut held = |found: &str| is_held(Some(found.as_bytes()), &failed, &mut text).unwrap();
        assert!(held(r#"{"x": ["a", "1"]}"#));
        assert!(!held(r#"{"x": ["a", "2"], "y": "a"}"#));
    }
}
