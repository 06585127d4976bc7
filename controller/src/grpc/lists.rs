//! `EntityService`, `BatchService`, `CheckpointService`: what is stored of a migration.

use proto::domain::record::EntityStatus;
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::batch_service_server::BatchService;
use proto::pb::checkpoint_service_server::CheckpointService;
use proto::pb::entity_service_server::EntityService;
use proto::wire::WireError;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::migration::{actor, asked, call};
use super::page::Page;
use super::{Gate, status};
use crate::commands::Asked;
use crate::entity_command::EntityCommand;
use crate::store::StoreError;

/// Records as messages.
pub(super) fn messages<R, M>(records: Vec<R>) -> Result<Vec<M>, Status>
where
    M: TryFrom<R, Error = WireError>,
{
    records
        .into_iter()
        .map(|record| M::try_from(record).map_err(|error| wire_status::unwritable(&error)))
        .collect()
}

pub(super) fn stored<T>(outcome: Result<T, StoreError>) -> Result<T, Status> {
    outcome.map_err(|error| status::of_store(&error))
}

#[tonic::async_trait]
impl<L: LeaseStore> EntityService for Gate<L> {
    async fn list_entities(
        &self,
        request: Request<pb::ListEntitiesRequest>,
    ) -> Result<Response<pb::ListEntitiesResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let list = format!("entities of {} in {:?}", found.id, body.statuses);
        let page = Page::read(body.page_size, &body.page_token, list)?;
        let after: i32 = page
            .after
            .as_deref()
            .and_then(|after| after.parse().ok())
            .unwrap_or(0);
        let mut entities = stored(realm.store.entities(found.id).await)?;
        let wanted: Vec<EntityStatus> = body
            .statuses
            .iter()
            .map(|value| proto::wire::entity_status("statuses", *value))
            .collect::<Result<_, _>>()
            .map_err(|error| wire_status::invalid("statuses", error.to_string()))?;
        entities.retain(|entity| {
            entity.dependency_order > after
                && (wanted.is_empty() || wanted.contains(&entity.status))
        });
        let (entities, next_page_token) =
            page.cut(entities, |entity| entity.dependency_order.to_string());
        Ok(Response::new(pb::ListEntitiesResponse {
            entities: messages(entities)?,
            next_page_token,
        }))
    }

    async fn pause_entity(
        &self,
        request: Request<pb::PauseEntityRequest>,
    ) -> Result<Response<pb::PauseEntityResponse>, Status> {
        let actor = actor(&request);
        let body = request.into_inner();
        let said = [&*body.migration, &*body.entity, &*body.etag, &*body.reason];
        let asked = asked(
            call(&body.request_id, "pause entity", actor, &said)?,
            body.etag.clone(),
        );
        let what = (&*body.entity, EntityCommand::Pause, Some(&*body.reason));
        let entity = Some(self.steer(&body.migration, what, asked).await?);
        Ok(Response::new(pb::PauseEntityResponse { entity }))
    }

    async fn resume_entity(
        &self,
        request: Request<pb::ResumeEntityRequest>,
    ) -> Result<Response<pb::ResumeEntityResponse>, Status> {
        let actor = actor(&request);
        let body = request.into_inner();
        let said = [&*body.migration, &*body.entity, &*body.etag];
        let asked = asked(
            call(&body.request_id, "resume entity", actor, &said)?,
            body.etag.clone(),
        );
        let what = (&*body.entity, EntityCommand::Resume, None);
        let entity = Some(self.steer(&body.migration, what, asked).await?);
        Ok(Response::new(pb::ResumeEntityResponse { entity }))
    }

    async fn retry_entity(
        &self,
        request: Request<pb::RetryEntityRequest>,
    ) -> Result<Response<pb::RetryEntityResponse>, Status> {
        let actor = actor(&request);
        let body = request.into_inner();
        let said = [&*body.migration, &*body.entity, &*body.etag];
        let asked = asked(
            call(&body.request_id, "retry entity", actor, &said)?,
            body.etag.clone(),
        );
        let what = (&*body.entity, EntityCommand::Retry, None);
        let entity = Some(self.steer(&body.migration, what, asked).await?);
        Ok(Response::new(pb::RetryEntityResponse { entity }))
    }

    async fn skip_entity(
        &self,
        request: Request<pb::SkipEntityRequest>,
    ) -> Result<Response<pb::SkipEntityResponse>, Status> {
        let actor = actor(&request);
        let body = request.into_inner();
        if body.reason.trim().is_empty() {
            return Err(wire_status::invalid("reason", "must say why"));
        }
        let said = [&*body.migration, &*body.entity, &*body.etag, &*body.reason];
        let asked = asked(
            call(&body.request_id, "skip entity", actor, &said)?,
            body.etag.clone(),
        );
        let what = (&*body.entity, EntityCommand::Skip, Some(&*body.reason));
        let entity = Some(self.steer(&body.migration, what, asked).await?);
        Ok(Response::new(pb::SkipEntityResponse { entity }))
    }
}

impl<L: LeaseStore> Gate<L> {
    async fn steer(
        &self,
        migration: &str,
        what: (&str, EntityCommand, Option<&str>),
        asked: Asked,
    ) -> Result<pb::EntityMigrationStatus, Status> {
        let realm = self.realm().await?;
        let after = realm.command_entity(migration, what, asked).await;
        let after = after.map_err(status::of_command)?;
        pb::EntityMigrationStatus::try_from(after).map_err(|error| wire_status::unwritable(&error))
    }
}

#[tonic::async_trait]
impl<L: LeaseStore> BatchService for Gate<L> {
    async fn list_batches(
        &self,
        request: Request<pb::ListBatchesRequest>,
    ) -> Result<Response<pb::ListBatchesResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let entities = stored(realm.store.entities(found.id).await)?;
        let entity = entities
            .iter()
            .find(|entity| entity.entity == body.entity)
            .ok_or_else(|| {
                wire_status::not_found(Reason::EntityNotFound, "entity", &body.entity)
            })?;
        let page = Page::read(
            body.page_size,
            &body.page_token,
            format!("batches of {}", entity.id),
        )?;
        let after = page
            .after
            .as_deref()
            .and_then(|after| after.parse().ok())
            .unwrap_or(0);
        let batches = stored(realm.store.batches(entity.id, page.wanted(), after).await)?;
        let (batches, next_page_token) = page.cut(batches, |batch| {
            batch.batch_number.unwrap_or_default().to_string()
        });
        Ok(Response::new(pb::ListBatchesResponse {
            batches: messages(batches)?,
            next_page_token,
        }))
    }
}

#[tonic::async_trait]
impl<L: LeaseStore> CheckpointService for Gate<L> {
    async fn list_checkpoints(
        &self,
        request: Request<pb::ListCheckpointsRequest>,
    ) -> Result<Response<pb::ListCheckpointsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let list = format!("checkpoints of {} {:?}", found.id, body.entity);
        let page = Page::read(body.page_size, &body.page_token, list)?;
        let before = page
            .after
            .as_deref()
            .and_then(|after| Uuid::try_parse(after).ok());
        let entity = (!body.entity.is_empty()).then_some(body.entity.as_str());
        let checkpoints = realm
            .store
            .checkpoints(found.id, entity, page.wanted(), before)
            .await;
        let (checkpoints, next_page_token) =
            page.cut(stored(checkpoints)?, |one| one.id.to_string());
        Ok(Response::new(pb::ListCheckpointsResponse {
            checkpoints: messages(checkpoints)?,
            next_page_token,
        }))
    }
}
