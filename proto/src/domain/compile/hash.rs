//! The hash of a compiled entity: everything that decides what is written, and nothing else.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::compiled::{
    CODEC_VERSION, CompiledEntity, ConstraintMode, EntitySettings, MaxQuarantined,
};

/// sha256 (hex) of an entity without its settings, of the namespace and of the codec's version.
pub(super) fn of(entity: &CompiledEntity, namespace: Uuid) -> String {
    let blank = CompiledEntity {
        settings: EntitySettings {
            batch_size: 0,
            max_quarantined: MaxQuarantined::Rows(0),
            constraints: ConstraintMode::Auto,
        },
        hash: String::new(),
        ..entity.clone()
    };
    let mut sha = Sha256::new();
    sha.update(CODEC_VERSION.to_be_bytes());
    sha.update(namespace.as_bytes());
    // A value of plain data always has a JSON form; were it not so, the Debug form would do.
    match serde_json::to_vec(&blank) {
        Ok(json) => sha.update(json),
        Err(_) => sha.update(format!("{blank:?}")),
    }
    hex::encode(sha.finalize())
}
