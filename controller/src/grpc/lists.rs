//! `EntityService`, `BatchService`, `CheckpointService`, `ErrorService`: what is stored of a migration.

use proto::domain::record::EntityStatus;
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::batch_service_server::BatchService;
use proto::pb::checkpoint_service_server::CheckpointService;
use proto::pb::entity_service_server::EntityService;
use proto::pb::error_service_server::ErrorService;
use proto::wire::WireError;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::page::Page;
use super::{Gate, status};
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

fn stored<T>(outcome: Result<T, StoreError>) -> Result<T, Status> {
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

#[tonic::async_trait]
impl<L: LeaseStore> ErrorService for Gate<L> {
    async fn get_error(
        &self,
        request: Request<pb::GetErrorRequest>,
    ) -> Result<Response<pb::GetErrorResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let migration_id = match body.migration.as_str() {
            "" => None,
            name => Some(realm.find(name).await.map_err(status::of_command)?.id),
        };
        if migration_id.is_none() && Uuid::try_parse(&body.id).is_err() {
            return Err(wire_status::invalid(
                "migration",
                "is needed with the beginning of an id",
            ));
        }
        let mut found = stored(realm.store.find_errors(&body.id, migration_id).await)?;
        let error = match (found.pop(), found.is_empty()) {
            (None, _) => {
                return Err(wire_status::not_found(
                    Reason::ErrorNotFound,
                    "error",
                    &body.id,
                ));
            }
            (Some(error), true) => error,
            (Some(_), false) => {
                let words = format!("more than one error's id begins with {:?}", body.id);
                return Err(wire_status::status(Reason::NameAmbiguous, words));
            }
        };
        let error =
            pb::MigrationError::try_from(error).map_err(|error| wire_status::unwritable(&error))?;
        Ok(Response::new(pb::GetErrorResponse { error: Some(error) }))
    }

    async fn list_errors(
        &self,
        request: Request<pb::ListErrorsRequest>,
    ) -> Result<Response<pb::ListErrorsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let list = format!("errors of {} {:?}", found.id, body.entity);
        let page = Page::read(body.page_size, &body.page_token, list)?;
        let after = page
            .after
            .as_deref()
            .and_then(|after| Uuid::try_parse(after).ok());
        let entity = (!body.entity.is_empty()).then_some(body.entity.as_str());
        let errors = realm
            .store
            .errors(found.id, entity, page.wanted(), after)
            .await;
        let (errors, next_page_token) = page.cut(stored(errors)?, |one| one.id.to_string());
        Ok(Response::new(pb::ListErrorsResponse {
            errors: messages(errors)?,
            next_page_token,
        }))
    }
}
