//! Fields of a binary tuple, and texts and ids out of them.

use proto::domain::compiled::KeyPart;
use proto::domain::failure::Failure;
use proto::domain::id::IdMaker;
use proto::domain::key::record_id;
use uuid::Uuid;

use super::key;
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
pub fn put_record_id(text: &mut String, tuple: &Tuple, parts: &[KeyPart]) -> Result<bool, Failure> {
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

/// Begins a tuple: the number of fields, and the row's own number where it has one.
pub fn put_head(out: &mut Vec<u8>, fields: usize, number: Option<usize>) {
    let fields = i16::try_from(fields + usize::from(number.is_some())).unwrap_or(i16::MAX);
    out.extend_from_slice(&fields.to_be_bytes());
    if let Some(number) = number {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        put(out, Some(&number.to_be_bytes()));
    }
}

/// Appends a field.
pub fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(bytes) => {
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_tuple_has_its_number_in_front_and_one_field_more() {
        let (mut plain, mut numbered) = (Vec::new(), Vec::new());
        put_head(&mut plain, 2, None);
        put_head(&mut numbered, 2, Some(7));
        assert_eq!(plain, [0, 2]);
        assert_eq!(numbered, [0, 3, 0, 0, 0, 4, 0, 0, 0, 7]);
    }
}
