//! Ids of the rows that a row refers to.

use std::collections::HashSet;

use proto::domain::compiled::{IdsCall, KeyPart, KeyText, ParentRef};
use proto::domain::failure::Failure;
use proto::domain::id::IdMaker;
use proto::domain::key::record_id;
use uuid::Uuid;

use super::{array, key};
use crate::source::tuple::Tuple;

/// The id behind a reference; `text` is used again for every part.
pub fn make_id(
    maker: &IdMaker,
    parts: &[KeyPart],
    tuple: &Tuple,
    text: &mut String,
) -> Result<Option<Uuid>, Failure> {
    let mut builder = maker.start();
    for part in parts {
        let Some(bytes) = tuple.field(part.field) else {
            return Ok(None);
        };
        text.clear();
        key::push_text(text, part.text, bytes)?;
        builder.push_part(text.as_bytes());
    }
    Ok(Some(builder.finish()))
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
    calls: &[(IdMaker, Vec<KeyPart>)],
    tuple: &Tuple,
    text: &mut String,
) -> Result<Option<Uuid>, Failure> {
    for (maker, parts) in calls {
        if let Some(id) = make_id(maker, parts, tuple, text)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The array of the ids behind an array of keys; NULL elements refer to nothing and are left out.
///
/// # Errors
/// `Internal` when the field is not as compiled.
pub fn make_ids(
    maker: &IdMaker,
    part: KeyPart,
    tuple: &Tuple,
    text: &mut String,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(bytes) = tuple.field(part.field) else {
        return Ok(None);
    };
    let mut ids = Vec::new();
    for element in array::elements(bytes)?.into_iter().flatten() {
        text.clear();
        key::push_text(text, part.text, element)?;
        let mut builder = maker.start();
        builder.push_part(text.as_bytes());
        ids.push(builder.finish());
    }
    Ok(Some(array::of_uuids(&ids)))
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
    failed: &HashSet<String>,
    text: &mut String,
) -> Result<bool, Failure> {
    let (true, [part]) = (parent.is_each, parent.parts.as_slice()) else {
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
        let maker = IdMaker::new(namespace, "offices");
        let tuple = Tuple::of(&[Some(integers(&[42, 7]))]);
        let made = make_ids(&maker, PART, &tuple, &mut String::new())
            .unwrap()
            .unwrap();
        let read = array::elements(&made).unwrap();
        let first: Uuid = "010cf140-23c9-5ddd-9233-568b1cdbfe96".parse().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], Some(&first.as_bytes()[..]));
        let null = Tuple::of(&[None]);
        assert!(
            make_ids(&maker, PART, &null, &mut String::new())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn one_failed_parent_among_the_elements_holds_the_row() {
        let parent = ParentRef {
            entity: "offices".to_owned(),
            column: "c".to_owned(),
            parts: vec![PART],
            is_each: true,
        };
        let tuple = Tuple::of(&[Some(integers(&[1, 2, 3]))]);
        let mut text = String::new();
        let mut held = |key: &str| {
            let failed = HashSet::from([key.to_owned()]);
            is_held(&parent, &tuple, &failed, &mut text).unwrap()
        };
        assert!(held("2"));
        assert!(!held("4"));
    }
}
