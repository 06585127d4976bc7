//! What of an encoded row goes into a sketch: its key, and a fingerprint of all its values. Pure.

use proto::domain::compiled::CompiledEntity;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::fingerprint::fingerprint;
use proto::domain::sketch::{Element, RowKey};

use super::form::{ValueForm, put_sized};

/// Bytes of the number of fields in front of a tuple.
pub const HEAD: usize = 2;
/// Bytes of a field's length.
const LENGTH: usize = 4;
/// Columns of a key that are told apart without memory of their own.
const KEY_COLUMNS: usize = 8;

/// How rows of an entity are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowForm {
    forms: Vec<ValueForm>,
    /// Places of the key's columns.
    key: Vec<usize>,
    is_plain: bool,
}

impl RowForm {
    /// That of an entity whose columns have these forms.
    ///
    /// # Errors
    /// `SchemaDrift` where the key is not among the columns that are written.
    pub fn new(entity: &CompiledEntity, forms: Vec<ValueForm>) -> Result<Self, Failure> {
        let place = |name: &String| {
            entity
                .columns
                .iter()
                .position(|column| column.name == *name)
        };
        let key: Option<Vec<usize>> = entity.id.columns().iter().map(place).collect();
        let key = key.filter(|key| key.len() <= KEY_COLUMNS).ok_or_else(|| {
            let words = format!(
                "the rows of {} are written without their key",
                entity.entity
            );
            Failure::new(FailureKind::SchemaDrift, words)
        })?;
        Ok(Self {
            is_plain: forms.iter().all(|form| *form == ValueForm::Plain),
            forms,
            key,
        })
    }

    /// The row whose fields these are, in the order of the entity's columns; `scratch` is used up.
    ///
    /// # Errors
    /// `Internal` where they are not.
    pub fn element(&self, fields: &[u8], scratch: &mut Vec<u8>) -> Result<Element, Failure> {
        let mut key: [&[u8]; KEY_COLUMNS] = [&[]; KEY_COLUMNS];
        let mut rest = fields;
        scratch.clear();
        for (at, form) in self.forms.iter().enumerate() {
            let (value, behind) = field(rest).ok_or_else(malformed)?;
            rest = behind;
            for (place, wanted) in self.key.iter().enumerate() {
                if *wanted == at {
                    key[place] = value.unwrap_or_default();
                }
            }
            if self.is_plain {
                continue;
            }
            match value {
                None => scratch.extend_from_slice(&(-1i32).to_be_bytes()),
                Some(value) => {
                    let put = put_sized(scratch, |out| {
                        form.write(value, out);
                        Some(())
                    });
                    put.ok_or_else(malformed)?;
                }
            }
        }
        if !rest.is_empty() {
            return Err(malformed());
        }
        let compared = if self.is_plain { fields } else { scratch };
        Ok(Element {
            key: RowKey::of(key[..self.key.len()].iter().copied()),
            hash: fingerprint(compared),
        })
    }
}

/// The first field, and what is behind it.
pub fn field(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_at_checked(LENGTH)?;
    let length = i32::from_be_bytes(length.try_into().ok()?);
    match usize::try_from(length) {
        Ok(length) => {
            let (value, rest) = rest.split_at_checked(length)?;
            Some((Some(value), rest))
        }
        Err(_) => Some((None, rest)),
    }
}

fn malformed() -> Failure {
    Failure::new(FailureKind::Internal, "a row is not as compiled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values
            .iter()
            .for_each(|value| crate::transform::encode::put(&mut bytes, *value));
        bytes
    }

    fn of(
        forms: &[ValueForm],
        key: &[usize],
        values: &[Option<&[u8]>],
    ) -> Result<Element, Failure> {
        let form = RowForm {
            forms: forms.to_vec(),
            key: key.to_vec(),
            is_plain: forms.iter().all(|form| *form == ValueForm::Plain),
        };
        form.element(&row(values), &mut Vec::new())
    }

    #[test]
    fn a_row_is_known_by_its_key_and_compared_by_everything() {
        let plain = [ValueForm::Plain, ValueForm::Plain];
        let one = of(&plain, &[1], &[Some(b"x"), Some(b"key")]).unwrap();
        assert_eq!(one.key.values(1).unwrap(), [b"key"]);
        let other = of(&plain, &[1], &[Some(b"y"), Some(b"key")]).unwrap();
        assert!(one.key == other.key && one.hash != other.hash);
        // What is in one column is not in another, and NULL is no empty text.
        let moved = of(&plain, &[1], &[Some(b""), Some(b"key")]).unwrap();
        let null = of(&plain, &[1], &[None, Some(b"key")]).unwrap();
        assert_ne!(moved.hash, null.hash);
        assert!(of(&plain, &[0], &[Some(b"x")]).is_err());
    }

    #[test]
    fn what_a_type_changes_makes_no_other_row() {
        let padded = [ValueForm::Plain, ValueForm::Padded];
        let sent = of(&padded, &[0], &[Some(b"k"), Some(b"a")]).unwrap();
        let stored = of(&padded, &[0], &[Some(b"k"), Some(b"a   ")]).unwrap();
        assert_eq!(sent, stored);
        let null = of(&padded, &[0], &[Some(b"k"), None]).unwrap();
        assert_ne!(
            of(&padded, &[0], &[Some(b"k"), Some(b"")]).unwrap().hash,
            null.hash
        );
    }
}
