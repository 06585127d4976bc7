//! Hashes and masks, and the keys of keyed hashes.
//!
//! A key comes from the agent's own environment when a run is taken up. It is in no plan, no hash of one,
//! no message and no log.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use proto::domain::compiled::{AgentOp, CompiledEntity, Digest, ValueRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::runtime::settings::{Environment, Secret};
use sha2::{Digest as _, Sha256, Sha512};

/// The keys of an entity's steps, by where they come from.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, Secret>);

impl Keys {
    /// The keys that an entity's steps name.
    ///
    /// # Errors
    /// `Denied` where the environment lacks one.
    pub fn of(entity: &CompiledEntity, environment: &Environment) -> Result<Self, Failure> {
        let mut keys = BTreeMap::new();
        let matched = entity.matches.iter().flat_map(|rule| &rule.columns);
        let steps = entity
            .columns
            .iter()
            .chain(matched)
            .flat_map(|column| match &column.value {
                ValueRule::Steps { steps, .. } => steps.as_slice(),
                ValueRule::EachSteps(call) => call.steps.as_slice(),
                ValueRule::Field(_)
                | ValueRule::Id(_)
                | ValueRule::FirstId(_)
                | ValueRule::Ids(_)
                | ValueRule::Document(_) => &[],
            });
        for step in steps {
            if let AgentOp::Hmac { key_from, .. } = &step.op {
                let name = key_from.strip_prefix("env:").unwrap_or_default();
                let key = environment.get(name).ok_or_else(|| {
                    let words = format!(
                        "the key of {} is not configured: set {name} in the agent's environment",
                        step.path
                    );
                    Failure::new(FailureKind::Denied, words)
                })?;
                keys.insert(key_from.clone(), Secret::new(key));
            }
        }
        Ok(Self(keys))
    }

    /// A text's keyed hash in hexadecimal digits.
    pub fn hmac(&self, digest: Digest, key_from: &str, text: &str) -> Result<String, &'static str> {
        let key = self.0.get(key_from).ok_or("the key is not configured")?;
        let (key, text) = (key.expose().as_bytes(), text.as_bytes());
        match digest {
            Digest::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| hex::encode(mac.chain_update(text).finalize().into_bytes())),
            Digest::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .map(|mac| hex::encode(mac.chain_update(text).finalize().into_bytes())),
        }
        .map_err(|_| "the key cannot be used")
    }
}

/// A text's hash in hexadecimal digits.
pub fn hash(digest: Digest, text: &str) -> String {
    match digest {
        Digest::Sha256 => hex::encode(Sha256::digest(text)),
        Digest::Sha512 => hex::encode(Sha512::digest(text)),
    }
}

/// A `*` for every character but the last ones.
pub fn mask(text: &str, keep_last: u32) -> String {
    let hidden = text
        .chars()
        .count()
        .saturating_sub(usize::try_from(keep_last).unwrap_or(usize::MAX));
    let shown = text
        .char_indices()
        .nth(hidden)
        .map_or("", |(at, _)| &text[at..]);
    format!("{}{shown}", "*".repeat(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_their_standards() {
        assert_eq!(
            hash(Digest::Sha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(hash(Digest::Sha512, "abc").starts_with("ddaf35a193617abacc417349ae204131"));
        // RFC 4231, test case 2.
        let keys = Keys([("env:K".to_owned(), Secret::new("Jefe"))].into());
        let text = "what do ya want for nothing?";
        assert_eq!(
            keys.hmac(Digest::Sha256, "env:K", text).as_deref(),
            Ok("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
        let long = keys.hmac(Digest::Sha512, "env:K", text).unwrap();
        assert!(long.starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
        assert!(keys.hmac(Digest::Sha256, "env:OTHER", text).is_err());
    }

    #[test]
    fn keys_print_nothing() {
        let keys = Keys([("env:K".to_owned(), Secret::new("Jefe"))].into());
        assert!(!format!("{keys:?}").contains("Jefe"));
    }

    #[test]
    fn masks_keep_the_length_in_characters() {
        let cases = [
            ("123-45-6789", 4, "*******6789"),
            ("zoë", 1, "**ë"),
            ("ab", 5, "ab"),
        ];
        for (text, keep, masked) in cases {
            assert_eq!(mask(text, keep), masked);
        }
        assert_eq!((mask("abc", 0).as_str(), mask("", 3).as_str()), ("***", ""));
    }
}
