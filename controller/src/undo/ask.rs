//! What a rollback would do: asked of an agent, nothing is changed.

use proto::domain::failure::Failure;
use proto::domain::undo::{ConflictPolicy, UndoAnswer, UndoEffect, UndoScope, UndoStep};

use super::{order, step, targets};
use crate::fleet::misfit;
use crate::prepare::{Job, LONG};

/// The effects on these entities, in the order they are undone.
///
/// # Errors
/// Whatever the agent meets.
pub async fn effects(
    job: &Job,
    entities: &[String],
    conflicts: Option<ConflictPolicy>,
) -> Result<Vec<UndoEffect>, Failure> {
    let scope = UndoScope {
        entities: entities.to_vec(),
        conflicts,
    };
    let mut targets = targets(job, entities);
    targets.reverse();
    let order = order(job, 0, &scope, UndoStep::Effects { targets });
    match step(&job.crew, order, LONG).await? {
        UndoAnswer::Effects(effects) => Ok(effects),
        _ => Err(misfit()),
    }
}
