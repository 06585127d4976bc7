//! Deterministic ids: `uuid5(namespace, entity ":" key)`.
//!
//! Every agent computes any id from the legacy key alone, so a foreign key needs no lookup and a
//! repeated batch writes the same rows. The name's form is fixed for the life of a project:
//! `uuid_generate_v5(namespace, 'offices:' || id)` says the same in SQL.

use sha1::digest::core_api::Block;
use sha1::{Digest, Sha1, Sha1Core, compress};
use uuid::{Builder, Uuid};

/// Bytes of one block of SHA-1.
const BLOCK: usize = 64;
/// What a block holds beside the end mark and the length.
const ROOM: usize = BLOCK - 9;
/// SHA-1's state before the first block (FIPS 180-4, section 5.3.1).
const START: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

/// Makes the ids of one entity. Holds `namespace` and `entity ":"` at the start of a block: most names fit into
/// one with their key, and then an id costs one compression.
#[derive(Clone)]
pub struct IdMaker {
    start: IdBuilder,
}

impl IdMaker {
    /// Ids of `entity` in `namespace`.
    pub fn new(namespace: Uuid, entity: &str) -> Self {
        let mut start = IdBuilder {
            block: [0; BLOCK],
            used: 0,
            longer: None,
            is_first: true,
        };
        start.update(namespace.as_bytes());
        start.update(entity.as_bytes());
        start.update(b":");
        Self { start }
    }

    /// The id of a key, given as canonical texts in key order.
    pub fn id<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Uuid {
        let mut builder = self.start();
        for part in parts {
            builder.push_part(part.as_bytes());
        }
        builder.finish()
    }

    /// Starts one id; allocates nothing.
    pub fn start(&self) -> IdBuilder {
        self.start.clone()
    }
}

impl std::fmt::Debug for IdMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdMaker")
    }
}

/// One id in the making: parts go in, in key order.
#[derive(Clone)]
pub struct IdBuilder {
    /// The name so far, as long as it fits into one block; zero behind it.
    block: [u8; BLOCK],
    used: usize,
    /// The hash of a name that does not; boxed, since a builder is copied for every id.
    longer: Option<Box<Sha1>>,
    is_first: bool,
}

impl IdBuilder {
    /// Adds a part's canonical text, `\` and `:` escaped by `\`.
    pub fn push_part(&mut self, text: &[u8]) {
        self.separate();
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b':')) {
            self.update(&rest[..at]);
            self.update(&[b'\\', rest[at]]);
            rest = &rest[at + 1..];
        }
        self.update(rest);
    }

    /// Adds a part that holds neither `\` nor `:` (integers, uuids) as it is.
    pub fn push_plain(&mut self, text: &[u8]) {
        debug_assert!(!text.iter().any(|byte| matches!(byte, b'\\' | b':')));
        self.separate();
        self.update(text);
    }

    /// The id.
    pub fn finish(mut self) -> Uuid {
        let mut bytes = [0; 16];
        if let Some(hash) = self.longer {
            bytes.copy_from_slice(&hash.finalize()[..16]);
        } else {
            self.block[self.used] = 0x80;
            let bits = u64::try_from(self.used * 8).unwrap_or_default();
            self.block[BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
            let mut state = START;
            let block = Block::<Sha1Core>::from_slice(&self.block);
            compress(&mut state, std::slice::from_ref(block));
            for (four, word) in bytes.chunks_exact_mut(4).zip(state) {
                four.copy_from_slice(&word.to_be_bytes());
            }
        }
        Builder::from_sha1_bytes(bytes).into_uuid()
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.longer {
            hash.update(bytes);
        } else if self.used + bytes.len() <= ROOM {
            self.block[self.used..self.used + bytes.len()].copy_from_slice(bytes);
            self.used += bytes.len();
        } else {
            let mut hash = Sha1::new();
            hash.update(&self.block[..self.used]);
            hash.update(bytes);
            self.longer = Some(Box::new(hash));
        }
    }

    fn separate(&mut self) {
        if self.is_first {
            self.is_first = false;
        } else {
            self.update(b":");
        }
    }
}

/// The name behind `entity ":"`: parts escaped and joined.
pub fn key_name<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let escaped: Vec<String> = parts
        .map(|part| part.replace('\\', "\\\\").replace(':', "\\:"))
        .collect();
    escaped.join(":")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMESPACE: Uuid = Uuid::from_u128(0x6f1b6c0e_6b3e_5d0a_9a53_0c7d3b5f9e11);

    #[test]
    fn the_published_vectors_hold() {
        let cases: [(&str, &[&str], &str); 4] = [
            ("offices", &["42"], "010cf140-23c9-5ddd-9233-568b1cdbfe96"),
            ("jaws", &["7", "U"], "6bcc036a-e722-55a7-9c03-bffec35bed2e"),
            ("profiles", &["zoë"], "87d8d9be-da76-514b-981f-3837d798fa36"),
            (
                "codes",
                &["a:b", "c\\d"],
                "caaf1636-7c01-54d4-b2b2-a3f2d59cdcba",
            ),
        ];
        for (entity, parts, id) in cases {
            let made = IdMaker::new(NAMESPACE, entity).id(parts.iter().copied());
            assert_eq!(made.to_string(), id, "{entity}");
            let name = format!("{entity}:{}", key_name(parts.iter().copied()));
            assert_eq!(made, Uuid::new_v5(&NAMESPACE, name.as_bytes()));
        }
    }

    #[test]
    fn plain_parts_are_the_same_as_escaped_ones_where_nothing_needs_escaping() {
        let maker = IdMaker::new(NAMESPACE, "offices");
        let mut builder = maker.start();
        builder.push_plain(b"42");
        assert_eq!(builder.finish(), maker.id(["42"].into_iter()));
    }

    fn part() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            proptest::sample::select(vec![':', '\\', 'a', 'ë', '\'']),
            0..5,
        )
        .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn different_keys_have_different_names(
            a in proptest::collection::vec(part(), 1..4),
            b in proptest::collection::vec(part(), 1..4),
        ) {
            let name = |parts: &[String]| key_name(parts.iter().map(String::as_str));
            prop_assert_eq!(a == b, name(&a) == name(&b));
        }

        #[test]
        fn the_builder_hashes_the_name(parts in proptest::collection::vec(part(), 1..4)) {
            let made = IdMaker::new(NAMESPACE, "e").id(parts.iter().map(String::as_str));
            let name = format!("e:{}", key_name(parts.iter().map(String::as_str)));
            prop_assert_eq!(made, Uuid::new_v5(&NAMESPACE, name.as_bytes()));
        }

        #[test]
        fn names_of_any_length_are_hashed_alike(
            entity in "[a-z]{1,70}",
            parts in proptest::collection::vec("[0-9a-f:]{0,40}", 1..4),
        ) {
            let made = IdMaker::new(NAMESPACE, &entity).id(parts.iter().map(String::as_str));
            let name = format!("{entity}:{}", key_name(parts.iter().map(String::as_str)));
            prop_assert_eq!(made, Uuid::new_v5(&NAMESPACE, name.as_bytes()));
        }
    }
}
