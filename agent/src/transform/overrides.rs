//! Ids that are not the uuid5 of their row's key: those of rows that matched at the destination.

use std::collections::HashMap;

use uuid::Uuid;

/// What matching said of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Its id is that of the row it matched.
    Id(Uuid),
    /// It matched several rows.
    Ambiguous,
    /// Others match the same row.
    Duplicate,
    /// What it would match by cannot be read.
    Unreadable,
}

/// Rows whose id is another one, by record id, for each entity that names ids; most have none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides(pub HashMap<String, HashMap<String, Match>>);

impl Overrides {
    /// What matching said of a row; none: its id is its uuid5.
    pub fn get(&self, entity: &str, record_id: &str) -> Option<Match> {
        self.0.get(entity)?.get(record_id).copied()
    }

    /// Whether rows of an entity have other ids.
    pub fn has(&self, entity: &str) -> bool {
        self.0.get(entity).is_some_and(|rows| !rows.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_rows_that_matched_have_another_id(
            matched in proptest::collection::hash_map("[a-c]{1,2}", any::<u128>(), 0..6),
            asked in "[a-c]{1,2}",
        ) {
            let rows: HashMap<String, Match> = matched
                .iter()
                .map(|(key, id)| (key.clone(), Match::Id(Uuid::from_u128(*id))))
                .collect();
            let overrides = Overrides(HashMap::from([("e".to_owned(), rows)]));
            prop_assert_eq!(overrides.has("e"), !matched.is_empty());
            prop_assert!(!overrides.has("f") && overrides.get("f", &asked).is_none());
            let expected = matched.get(&asked).map(|id| Match::Id(Uuid::from_u128(*id)));
            prop_assert_eq!(overrides.get("e", &asked), expected);
        }
    }
}
