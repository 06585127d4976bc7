//! `RollbackMigration` and `UninstallDestination`.

use proto::domain::undo::{ConflictKind, ConflictPolicy, UndoConflict, UndoEffect};
use proto::lease::LeaseStore;
use proto::pb;
use proto::wire::status as wire_status;
use tonic::{Request, Response, Status};

use super::migration::{actor, call, given, message};
use super::{Gate, status};
use crate::rollback::Rollback;

pub(super) async fn rollback<L: LeaseStore>(
    gate: &Gate<L>,
    request: Request<pb::RollbackMigrationRequest>,
) -> Result<Response<pb::RollbackMigrationResponse>, Status> {
    let realm = gate.realm().await?;
    let actor = actor(&request);
    let body = request.into_inner();
    let conflicts = policy(body.conflicts)?;
    let word = conflicts.map_or("", ConflictPolicy::as_str);
    let entities = body.entities.join(",");
    let call = call(
        &body.request_id,
        "rollback",
        actor,
        &[&body.name, &body.etag, &entities, word],
    )?;
    let wanted = Rollback {
        name: body.name,
        entities: body.entities,
        conflicts,
        etag: given(body.etag),
        confirm: body.confirm,
    };
    let response = match body.dry_run {
        true => {
            let looked = realm.rollback_effects(wanted).await;
            let (migration, effects) = looked.map_err(status::of_command)?;
            pb::RollbackMigrationResponse {
                migration: Some(message(migration)?),
                entities: effects.iter().map(|effect| effect.entity.clone()).collect(),
                effects: effects.into_iter().map(effect).collect(),
            }
        }
        false => {
            let begun = realm.rollback(&call, wanted).await;
            let (migration, entities) = begun.map_err(status::of_command)?;
            pb::RollbackMigrationResponse {
                migration: Some(message(migration)?),
                entities,
                effects: Vec::new(),
            }
        }
    };
    Ok(Response::new(response))
}

pub(super) async fn uninstall<L: LeaseStore>(
    gate: &Gate<L>,
    request: Request<pb::UninstallDestinationRequest>,
) -> Result<Response<pb::UninstallDestinationResponse>, Status> {
    let realm = gate.realm().await?;
    let body = request.into_inner();
    realm
        .uninstall(&body.connection, &body.confirm)
        .await
        .map_err(status::of_command)?;
    Ok(Response::new(pb::UninstallDestinationResponse {}))
}

fn policy(conflicts: i32) -> Result<Option<ConflictPolicy>, Status> {
    match pb::ConflictPolicy::try_from(conflicts) {
        Ok(pb::ConflictPolicy::Unspecified) => Ok(None),
        Ok(pb::ConflictPolicy::Keep) => Ok(Some(ConflictPolicy::Keep)),
        Ok(pb::ConflictPolicy::Force) => Ok(Some(ConflictPolicy::Force)),
        Err(_) => Err(wire_status::invalid("conflicts", "must be KEEP or FORCE")),
    }
}

fn effect(effect: UndoEffect) -> pb::RollbackEffect {
    pb::RollbackEffect {
        entity: effect.entity,
        target_entity: effect.table,
        batches: effect.batches,
        rows_to_delete: effect.rows_to_delete,
        rows_to_restore: effect.rows_to_restore,
        rows_gone: effect.rows_gone,
        conflicts: effect.conflicts.into_iter().map(conflict).collect(),
        constraints: effect.constraints,
        sequences: effect.sequences,
    }
}

fn conflict(conflict: UndoConflict) -> pb::RollbackConflict {
    let kind = match conflict.kind {
        ConflictKind::Changed => "changed",
        ConflictKind::Referred => "referred",
    };
    pb::RollbackConflict {
        entity: conflict.entity,
        target_entity: conflict.table,
        kind: kind.to_owned(),
        constraint: conflict.constraint.unwrap_or_default(),
        referrer: conflict.referrer.unwrap_or_default(),
        count: conflict.count,
        keys: conflict.keys,
    }
}
