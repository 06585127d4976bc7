//! Whether the row that a reference means is there.

use std::sync::Arc;

use proto::domain::compiled::{OrphanAction, OrphanCheck};
use proto::domain::failure::{Failure, FailureKind};
use roaring::RoaringTreemap;

use super::key;
use crate::source::tuple::Tuple;

/// The keys of a parent: a bit each where they lie close together, a few bytes where they do not.
#[derive(Debug, Default)]
pub struct ParentKeys(RoaringTreemap);

impl ParentKeys {
    /// Adds a key.
    pub fn insert(&mut self, key: i64) {
        self.0.insert(ordered(key));
    }

    /// Whether the key is there.
    pub fn contains(&self, key: i64) -> bool {
        self.0.contains(ordered(key))
    }

    /// Bytes of memory, roughly.
    pub fn bytes(&self) -> usize {
        self.0.serialized_size()
    }
}

/// Negative keys before positive ones, so that keys that follow each other stay neighbours.
const fn ordered(key: i64) -> u64 {
    key.cast_unsigned() ^ (1 << 63)
}

/// Where the answer for one check comes from.
#[derive(Debug, Clone)]
pub enum Known {
    /// All keys of the parent.
    Keys(Arc<ParentKeys>),
    /// A field of the SELECT, behind the rule's own: there are too many keys to know.
    Field(usize),
}

/// The answers for all checks of an entity.
#[derive(Debug, Clone, Default)]
pub struct Presence(pub Vec<Known>);

impl Presence {
    /// Sets references to rows that are not there to NULL; the bits of verdicts on the row.
    ///
    /// # Errors
    /// `Internal` when the tuple is not as compiled.
    pub fn judge(&self, checks: &[OrphanCheck], tuple: &mut Tuple) -> Result<u64, Failure> {
        let mut bits = 0;
        for (check, known) in checks.iter().zip(&self.0) {
            let Some(bytes) = tuple.field(check.part.field) else {
                continue;
            };
            let is_there = match known {
                Known::Keys(keys) => keys.contains(
                    key::as_int8(check.part.text, bytes).ok_or_else(|| mistyped("a reference"))?,
                ),
                Known::Field(field) => match tuple.field(*field) {
                    Some([value]) => *value != 0,
                    _ => return Err(mistyped("a check")),
                },
            };
            if is_there {
                continue;
            }
            match check.action {
                OrphanAction::SetNull => tuple.set_null(check.part.field),
                OrphanAction::Fault(bit) => bits |= 1 << bit,
            }
        }
        Ok(bits)
    }
}

fn mistyped(what: &str) -> Failure {
    let words = format!("{what} is not of its compiled type");
    Failure::new(FailureKind::Internal, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use proto::domain::compiled::{KeyPart, KeyText};

    fn check(field: usize, action: OrphanAction) -> OrphanCheck {
        OrphanCheck {
            entity: "e".to_owned(),
            part: KeyPart {
                field,
                text: KeyText::Int4,
            },
            keys: String::new(),
            exists: String::new(),
            action,
        }
    }

    fn keys(all: &[i64]) -> Known {
        let mut keys = ParentKeys::default();
        all.iter().for_each(|key| keys.insert(*key));
        Known::Keys(Arc::new(keys))
    }

    fn tuple(fields: &[Option<i32>]) -> Tuple {
        let fields: Vec<Option<Vec<u8>>> = fields
            .iter()
            .map(|field| field.map(|value| value.to_be_bytes().to_vec()))
            .collect();
        Tuple::of(&fields)
    }

    #[test]
    fn orphans_are_null_or_a_verdict_and_null_is_no_orphan() {
        let checks = [
            check(0, OrphanAction::SetNull),
            check(1, OrphanAction::Fault(3)),
        ];
        let presence = Presence(vec![keys(&[1, -7]), keys(&[2])]);
        let judge = |fields: &[Option<i32>]| {
            let mut tuple = tuple(fields);
            let bits = presence.judge(&checks, &mut tuple).unwrap();
            (tuple.field(0).map(Bytes::copy_from_slice), bits)
        };
        let there = |value: i32| Some(Bytes::copy_from_slice(&value.to_be_bytes()));
        assert_eq!(judge(&[Some(1), Some(2)]), (there(1), 0));
        assert_eq!(judge(&[Some(-7), Some(3)]), (there(-7), 8));
        assert_eq!(judge(&[Some(5), None]), (None, 0));
        assert_eq!(judge(&[None, Some(2)]), (None, 0));
    }

    #[test]
    fn a_field_of_the_select_says_the_same() {
        let checks = [check(0, OrphanAction::SetNull)];
        let presence = Presence(vec![Known::Field(1)]);
        for (verdict, is_kept) in [(1u8, true), (0, false)] {
            let mut tuple = Tuple::of(&[Some(vec![0, 0, 0, 9]), Some(vec![verdict])]);
            assert_eq!(presence.judge(&checks, &mut tuple).unwrap(), 0);
            assert_eq!(tuple.field(0).is_some(), is_kept);
        }
    }

    proptest! {
        #[test]
        fn exactly_the_keys_that_were_inserted_are_there(
            inserted in proptest::collection::hash_set(any::<i64>(), 0..50),
            asked in any::<i64>(),
        ) {
            let mut keys = ParentKeys::default();
            inserted.iter().for_each(|key| keys.insert(*key));
            prop_assert!(inserted.iter().all(|key| keys.contains(*key)));
            prop_assert_eq!(keys.contains(asked), inserted.contains(&asked));
        }
    }
}
