//! `ValidationService`.

use proto::domain::compiled::Level;
use proto::domain::record::ValidationRunStatus;
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::validation_service_server::ValidationService;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::lists::messages;
use super::migration::{actor, call};
use super::page::Page;
use super::{Gate, status};
use crate::manager::Realm;
use crate::store::{NewRun, StoreError};

#[tonic::async_trait]
impl<L: LeaseStore> ValidationService for Gate<L> {
    async fn start_validation(
        &self,
        request: Request<pb::StartValidationRequest>,
    ) -> Result<Response<pb::StartValidationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        if !body.level.is_empty() && body.level.parse::<Level>().is_err() {
            let words = proto::domain::compiled::NoLevel.to_string();
            return Err(wire_status::invalid("level", words));
        }
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        check_entities(&realm, found.id, &body.entities).await?;
        let parts = [&body.migration, &body.level, &body.entities.join(",")];
        let parts = parts.map(String::as_str);
        let call = call(&body.request_id, "validate", actor, &parts)?;
        let new = NewRun {
            migration_id: found.id,
            level: (!body.level.is_empty()).then_some(body.level),
            entities: body.entities,
        };
        let run = stored(realm.store.start_validation(&call, &new).await)?;
        realm.poke.notify_one();
        Ok(Response::new(pb::StartValidationResponse {
            validation: Some(run.into()),
        }))
    }

    async fn get_validation(
        &self,
        request: Request<pb::GetValidationRequest>,
    ) -> Result<Response<pb::GetValidationResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let migration = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let not_found =
            || wire_status::not_found(Reason::ValidationNotFound, "validation", &body.id);
        let run = match body.id.as_str() {
            "" => stored(realm.store.validation_runs(migration.id, 1, None).await)?.pop(),
            id => {
                let id = Uuid::try_parse(id).map_err(|_| not_found())?;
                stored(realm.store.validation_run(id).await)?
                    .filter(|run| run.migration_id == migration.id)
            }
        };
        let run = run.ok_or_else(not_found)?;
        let results = stored(realm.store.validation_results(run.id).await)?;
        Ok(Response::new(pb::GetValidationResponse {
            validation: Some(run.into()),
            results: messages(results)?,
        }))
    }

    async fn list_validations(
        &self,
        request: Request<pb::ListValidationsRequest>,
    ) -> Result<Response<pb::ListValidationsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let migration = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let list = format!("validations of {}", migration.id);
        let page = Page::read(body.page_size, &body.page_token, list)?;
        let after = page
            .after
            .as_deref()
            .and_then(|after| Uuid::try_parse(after).ok());
        let runs = realm
            .store
            .validation_runs(migration.id, page.wanted(), after)
            .await;
        let (runs, next_page_token) = page.cut(stored(runs)?, |run| run.id.to_string());
        Ok(Response::new(pb::ListValidationsResponse {
            validations: runs.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn cancel_validation(
        &self,
        request: Request<pb::CancelValidationRequest>,
    ) -> Result<Response<pb::CancelValidationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let migration = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let running = stored(realm.store.running_validation(migration.id).await)?;
        let running = running.ok_or_else(|| {
            wire_status::not_found(Reason::ValidationNotFound, "running validation", "")
        })?;
        let reason = format!("cancelled by {actor}");
        let status = ValidationRunStatus::Cancelled;
        let run = stored(
            realm
                .store
                .end_validation(running.id, status, &reason)
                .await,
        )?;
        realm.poke.notify_one();
        Ok(Response::new(pb::CancelValidationResponse {
            validation: Some(run.into()),
        }))
    }
}

async fn check_entities<L: LeaseStore>(
    realm: &Realm<L>,
    migration_id: Uuid,
    wanted: &[String],
) -> Result<(), Status> {
    let known = stored(realm.store.entities(migration_id).await)?;
    let is_unknown = |name: &&String| !known.iter().any(|entity| entity.entity == **name);
    match wanted.iter().find(is_unknown) {
        Some(name) => Err(wire_status::not_found(
            Reason::EntityNotFound,
            "entity",
            name,
        )),
        None => Ok(()),
    }
}

fn stored<T>(outcome: Result<T, StoreError>) -> Result<T, Status> {
    outcome.map_err(|error| status::of_store(&error))
}
