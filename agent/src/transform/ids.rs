//! Ids of the rows that a row refers to.

use proto::domain::compiled::{IdsCall, KeyPart, KeyText, ParentRef, RefShape};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::id::IdMaker;
use proto::domain::key::record_id;
use uuid::Uuid;

use super::overrides::{Match, Overrides};
use super::row::KeySet;
use super::{array, document, key};
use crate::source::tuple::Tuple;

/// Makes the ids of one entity's rows.
pub struct NamedMaker {
    maker: IdMaker,
    /// The entity that names them.
    pub named: String,
}

impl NamedMaker {
    /// Prepares the ids that an entity names.
    pub fn new(namespace: Uuid, named: &str) -> Self {
        Self {
            maker: IdMaker::new(namespace, named),
            named: named.to_owned(),
        }
    }

    /// The id behind a reference, none where a part is NULL; `text` is used again for every part.
    ///
    /// # Errors
    /// `Internal` when a field is not as compiled.
    pub fn id(
        &self,
        parts: &[KeyPart],
        tuple: &Tuple,
        (overrides, text): (Option<&Overrides>, &mut String),
    ) -> Result<Option<Uuid>, Failure> {
        let mut builder = self.maker.start();
        for part in parts {
            let Some(bytes) = tuple.field(part.field) else {
                return Ok(None);
            };
            text.clear();
            key::push_text(text, part.text, bytes)?;
            builder.push_part(text.as_bytes());
        }
        if let Some(overrides) = self.known(overrides)
            && put_record_id(text, tuple, parts)?
            && let Some(Match::Id(other)) = overrides.get(&self.named, text)
        {
            return Ok(Some(other));
        }
        Ok(Some(builder.finish()))
    }

    /// The array of the ids behind an array of keys; NULL elements refer to nothing and are left out.
    ///
    /// # Errors
    /// `Internal` when the field is not as compiled.
    pub fn ids(
        &self,
        (part, width): (KeyPart, usize),
        tuple: &Tuple,
        (overrides, text): (Option<&Overrides>, &mut String),
    ) -> Result<Option<Vec<u8>>, Failure> {
        let Some(bytes) = tuple.field(part.field) else {
            return Ok(None);
        };
        let overrides = self.known(overrides);
        let mut ids = Vec::new();
        for element in array::elements(bytes)?.into_iter().flatten() {
            text.clear();
            key::push_text(text, part.text, element)?;
            if width > 1 {
                let key: Vec<String> = serde_json::from_str(text).map_err(|_| {
                    let words = "an element is not the key that it was compiled to be";
                    Failure::new(FailureKind::Internal, words)
                })?;
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                ids.push(self.of_texts(&key, overrides));
                continue;
            }
            let matched = overrides.and_then(|all| all.get(&self.named, text));
            ids.push(match matched {
                Some(Match::Id(other)) => other,
                Some(Match::Ambiguous | Match::Duplicate | Match::Unreadable) | None => {
                    let mut builder = self.maker.start();
                    builder.push_part(text.as_bytes());
                    builder.finish()
                }
            });
        }
        Ok(Some(array::of_uuids(&ids)))
    }

    /// The id of the row of a key that is given as texts.
    pub fn of_texts(&self, key: &[&str], overrides: Option<&Overrides>) -> Uuid {
        let matched = self.known(overrides).and_then(|all| {
            let record_id = record_id(key.iter().copied());
            all.get(&self.named, &record_id)
        });
        if let Some(Match::Id(other)) = matched {
            return other;
        }
        let mut builder = self.maker.start();
        key.iter()
            .for_each(|part| builder.push_part(part.as_bytes()));
        builder.finish()
    }

    /// The overrides, where there are any of these ids.
    fn known<'a>(&self, overrides: Option<&'a Overrides>) -> Option<&'a Overrides> {
        overrides.filter(|all| all.has(&self.named))
    }
}

/// Puts the record id of a reference into `text`; false where a part is NULL.
fn put_record_id(text: &mut String, tuple: &Tuple, parts: &[KeyPart]) -> Result<bool, Failure> {
    text.clear();
    if let [part] = parts {
        let Some(bytes) = tuple.field(part.field) else {
            return Ok(false);
        };
        key::push_text(text, part.text, bytes)?;
        return Ok(true);
    }
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        let Some(bytes) = tuple.field(part.field) else {
            return Ok(false);
        };
        let mut one = String::new();
        key::push_text(&mut one, part.text, bytes)?;
        texts.push(one);
    }
    text.push_str(&record_id(texts.iter().map(String::as_str)));
    Ok(true)
}

/// The id of the first key that is whole.
///
/// # Errors
/// `Internal` when a field is not as compiled.
pub fn first_id(
    calls: &[(NamedMaker, Vec<KeyPart>)],
    tuple: &Tuple,
    (overrides, text): (Option<&Overrides>, &mut String),
) -> Result<Option<Uuid>, Failure> {
    for (maker, parts) in calls {
        if let Some(id) = maker.id(parts, tuple, (overrides, &mut *text))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// How many elements of an array the SELECT left out.
pub fn dropped(call: &IdsCall, tuple: &Tuple) -> i64 {
    let field = call.dropped.and_then(|field| tuple.field(field));
    field
        .and_then(|bytes| key::as_int8(KeyText::Int8, bytes))
        .unwrap_or(0)
}

/// Whether a row that this one refers to is among the failed ones; then `text` is its record id.
///
/// # Errors
/// `Internal` when the fields are not as compiled.
pub fn is_held(
    parent: &ParentRef,
    tuple: &Tuple,
    failed: &KeySet,
    text: &mut String,
) -> Result<bool, Failure> {
    if let (RefShape::Document(_), [part]) = (&parent.shape, parent.parts.as_slice()) {
        return document::is_held(tuple.field(part.field), failed, text);
    }
    let (RefShape::Each, [part]) = (&parent.shape, parent.parts.as_slice()) else {
        return Ok(put_record_id(text, tuple, &parent.parts)? && failed.contains(text.as_str()));
    };
    let Some(bytes) = tuple.field(part.field) else {
        return Ok(false);
    };
    for element in array::elements(bytes)?.into_iter().flatten() {
        text.clear();
        key::push_text(text, part.text, element)?;
        if failed.contains(text.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A binary `integer[]`.
    fn integers(values: &[i32]) -> Vec<u8> {
        let count = i32::try_from(values.len()).unwrap();
        let mut words = vec![1, 0, 23, count, 1];
        values.iter().for_each(|value| words.extend([4, *value]));
        words.into_iter().flat_map(i32::to_be_bytes).collect()
    }

    const PART: KeyPart = KeyPart {
        field: 0,
        text: KeyText::Int4,
    };

    #[test]
    fn every_element_becomes_the_id_of_its_row() {
        let namespace = "6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11".parse().unwrap();
        let maker = NamedMaker::new(namespace, "offices");
        let tuple = Tuple::of(&[Some(integers(&[42, 7]))]);
        let mut text = String::new();
        let made = maker
            .ids((PART, 1), &tuple, (None, &mut text))
            .unwrap()
            .unwrap();
        let read = array::elements(&made).unwrap();
        let first: Uuid = "010cf140-23c9-5ddd-9233-568b1cdbfe96".parse().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], Some(&first.as_bytes()[..]));
        let null = Tuple::of(&[None]);
        assert!(
            maker
                .ids((PART, 1), &null, (None, &mut text))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_row_that_matched_gives_its_id_to_every_reference() {
        let (namespace, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let matched = |name: &str| {
            let rows = HashMap::from([("42".to_owned(), Match::Id(other))]);
            Overrides(HashMap::from([(name.to_owned(), rows)]))
        };
        let maker = NamedMaker::new(namespace, "offices");
        let array = Tuple::of(&[Some(integers(&[7, 42]))]);
        let one = Tuple::of(&[None, Some(42i32.to_be_bytes().to_vec())]);
        let ids = |overrides: &Overrides| {
            let mut text = String::new();
            let made = maker.ids((PART, 1), &array, (Some(overrides), &mut text));
            let made = made.unwrap().unwrap();
            let read = array::elements(&made).unwrap();
            read[1].map(<[u8]>::to_vec)
        };
        let at = |field| vec![KeyPart { field, ..PART }];
        let calls = [
            (NamedMaker::new(namespace, "people"), at(0)),
            (NamedMaker::new(namespace, "offices"), at(1)),
        ];
        let first = |overrides: &Overrides| {
            let mut text = String::new();
            first_id(&calls, &one, (Some(overrides), &mut text)).unwrap()
        };
        let (own, foreign) = (matched("offices"), matched("people"));
        assert_eq!(ids(&own), Some(other.as_bytes().to_vec()));
        assert_eq!(first(&own), Some(other));
        assert_ne!(ids(&foreign), Some(other.as_bytes().to_vec()));
        assert_ne!(first(&foreign), Some(other));
    }

    #[test]
    fn an_element_may_be_a_key_of_several_columns() {
        let namespace = "6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11".parse().unwrap();
        let key = br#"["7","U"]"#;
        let mut array: Vec<u8> = [1, 0, 25, 1, 1, 9].map(i32::to_be_bytes).concat();
        array.extend_from_slice(key);
        let (tuple, mut text) = (Tuple::of(&[Some(array)]), String::new());
        let part = KeyPart {
            field: 0,
            text: KeyText::Text,
        };
        let maker = NamedMaker::new(namespace, "jaws");
        let made = maker.ids((part, 2), &tuple, (None, &mut text)).unwrap();
        let id: Uuid = "6bcc036a-e722-55a7-9c03-bffec35bed2e".parse().unwrap();
        assert_eq!(made, Some(array::of_uuids(&[id])));
    }

    #[test]
    fn one_failed_parent_among_the_elements_holds_the_row() {
        let parent = ParentRef {
            entity: "offices".to_owned(),
            column: "c".to_owned(),
            parts: vec![PART],
            shape: RefShape::Each,
        };
        let tuple = Tuple::of(&[Some(integers(&[1, 2, 3]))]);
        let mut text = String::new();
        let mut held = |key: &str| {
            let failed = KeySet::from_iter([key.to_owned()]);
            is_held(&parent, &tuple, &failed, &mut text).unwrap()
        };
        assert!(held("2"));
        assert!(!held("4"));
    }
}
