//! The id map entry of a row: its id, its legacy key, and the destination's own key where that is no uuid of ours.

use proto::domain::compiled::{CompiledEntity, IdRule, KeyText, ValueRule};
use proto::domain::key::push_record_id;
use uuid::Uuid;

use super::encode::{put, put_head, put_with};
use super::key;
use crate::source::tuple::Tuple;

/// How an entity's id map stores the legacy key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyShape {
    /// One integer.
    Int8,
    /// One text: the key itself, or a JSON array.
    Text,
}

impl KeyShape {
    /// The shape of an entity's key.
    pub fn of(entity: &CompiledEntity) -> Self {
        match entity.read.key.as_slice() {
            [only] => match only.text {
                KeyText::Int2 | KeyText::Int4 | KeyText::Int8 => Self::Int8,
                KeyText::Text | KeyText::Uuid => Self::Text,
            },
            _ => Self::Text,
        }
    }
}

/// What an entry holds.
pub struct MapEntry {
    shape: KeyShape,
    /// Type of the first key column.
    first: KeyText,
    /// Columns of a join table's key as JSON names, with their places among the row's ids.
    identity: Vec<(String, usize)>,
}

impl MapEntry {
    /// The entries of an entity.
    pub fn new(entity: &CompiledEntity) -> Self {
        let identity = match &entity.id {
            IdRule::Uuid5 { .. } | IdRule::Keep { .. } => Vec::new(),
            IdRule::None { columns } => identity(entity, columns),
        };
        let first = entity.read.key.first();
        Self {
            shape: KeyShape::of(entity),
            first: first.map_or(KeyText::Text, |column| column.text),
            identity,
        }
    }

    /// Whether entries carry metadata as a third field.
    pub fn has_meta(&self) -> bool {
        !self.identity.is_empty()
    }

    /// Appends the entry of a row whose id is `own`; `ids` are those of its columns that hold one.
    pub fn append<'a>(
        &self,
        out: &mut Vec<u8>,
        (tuple, key): (&Tuple, impl ExactSizeIterator<Item = &'a str>),
        (own, number): (Uuid, Option<usize>),
        (ids, text): (&[Option<Uuid>], &mut String),
    ) {
        put_head(out, if self.has_meta() { 3 } else { 2 }, number);
        put(out, Some(own.as_bytes()));
        match self.shape {
            KeyShape::Int8 => {
                let key = tuple
                    .field(0)
                    .and_then(|bytes| key::as_int8(self.first, bytes))
                    .map(i64::to_be_bytes);
                put(out, key.as_ref().map(<[u8; 8]>::as_slice));
            }
            KeyShape::Text => {
                text.clear();
                push_record_id(text, key);
                put(out, Some(text.as_bytes()));
            }
        }
        if self.has_meta() {
            put_with(out, |out| self.put_meta(out, ids));
        }
    }

    /// `{"destination_key": {…}}` as jsonb.
    fn put_meta(&self, out: &mut Vec<u8>, ids: &[Option<Uuid>]) {
        out.push(1);
        out.extend_from_slice(br#"{"destination_key":{"#);
        let mut is_first = true;
        for (name, at) in &self.identity {
            let Some(id) = ids.get(*at).copied().flatten() else {
                continue;
            };
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b":\"");
            let mut buffer = Uuid::encode_buffer();
            out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"}}");
    }
}

/// Identity columns of a join table that hold ids, and their places among all columns that do.
fn identity(entity: &CompiledEntity, names: &[String]) -> Vec<(String, usize)> {
    let ids = entity
        .columns
        .iter()
        .filter(|column| matches!(column.value, ValueRule::Id(_) | ValueRule::FirstId(_)));
    let ids: Vec<&str> = ids.map(|column| column.name.as_str()).collect();
    let place = |name: &String| {
        let at = ids.iter().position(|id| id == name)?;
        Some((serde_json::Value::from(name.as_str()).to_string(), at))
    };
    names.iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_a_join_row_names_both_ids() {
        let entry = MapEntry {
            shape: KeyShape::Text,
            first: KeyText::Int4,
            identity: vec![("\"a\"".to_owned(), 1), ("\"b \\\"\"".to_owned(), 0)],
        };
        let key = [7i32, 8].map(|part| Some(part.to_be_bytes().to_vec()));
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut out = Vec::new();
        entry.append(
            &mut out,
            (&Tuple::of(&key), ["7", "8"].into_iter()),
            (own, None),
            (&[Some(other), Some(own)], &mut String::new()),
        );
        let mut expected = vec![0, 3, 0, 0, 0, 16];
        expected.extend_from_slice(own.as_bytes());
        expected.extend_from_slice(&[0, 0, 0, 9]);
        expected.extend_from_slice(br#"["7","8"]"#);
        let meta = format!(r#"{{"destination_key":{{"a":"{own}","b \"":"{other}"}}}}"#);
        let length = i32::try_from(meta.len() + 1).unwrap();
        expected.extend_from_slice(&length.to_be_bytes());
        expected.push(1);
        expected.extend_from_slice(meta.as_bytes());
        assert_eq!(out, expected);
    }
}
