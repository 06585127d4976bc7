//! `ErrorService`: what could not be migrated, and what is decided about it.

use proto::domain::record::{ErrorType, RetryProgress};
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::error_service_server::ErrorService;
use proto::wire;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::lists::{messages, stored};
use super::migration::{actor, asked, call, given};
use super::page::Page;
use super::{Gate, status};
use crate::manager::Realm;
use crate::store::{ErrorFilter, Retry};

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
        let filter = ErrorFilter {
            entity: given(body.entity),
            code: given(body.code),
            error_type: error_type(body.error_type)?,
            is_resolved: body.is_resolved,
            ids: None,
        };
        let list = format!("errors of {} {filter:?}", found.id);
        let page = Page::read(body.page_size, &body.page_token, list)?;
        let after = page
            .after
            .as_deref()
            .and_then(|after| Uuid::try_parse(after).ok());
        let errors = realm
            .store
            .errors(found.id, &filter, page.wanted(), after)
            .await;
        let (errors, next_page_token) = page.cut(stored(errors)?, |one| one.id.to_string());
        Ok(Response::new(pb::ListErrorsResponse {
            errors: messages(errors)?,
            next_page_token,
        }))
    }

    async fn group_errors(
        &self,
        request: Request<pb::GroupErrorsRequest>,
    ) -> Result<Response<pb::GroupErrorsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let filter = filter(&realm, found.id, body.filter).await?;
        let groups = stored(realm.store.error_groups(found.id, &filter).await)?;
        Ok(Response::new(pb::GroupErrorsResponse {
            groups: messages(groups)?,
        }))
    }

    async fn retry_errors(
        &self,
        request: Request<pb::RetryErrorsRequest>,
    ) -> Result<Response<pb::RetryErrorsResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let said = [
            body.migration.clone(),
            body.etag.clone(),
            format!("{:?}", body.filter),
        ];
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let call = call(&body.request_id, "retry errors", actor, &said)?;
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let mut filter = filter(&realm, found.id, body.filter).await?;
        if filter.ids.is_none() {
            filter.is_resolved = Some(false);
        }
        let made = realm
            .retry_errors(&found.id.to_string(), &filter, asked(call, body.etag))
            .await
            .map_err(status::of_command)?;
        Ok(Response::new(pb::RetryErrorsResponse {
            retries: retries(made)?,
        }))
    }

    async fn list_retries(
        &self,
        request: Request<pb::ListRetriesRequest>,
    ) -> Result<Response<pb::ListRetriesResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let read = |id: &String| {
            Uuid::try_parse(id).map_err(|_| wire_status::invalid("ids", "must be UUIDs"))
        };
        let ids: Vec<Uuid> = body.ids.iter().map(read).collect::<Result<_, _>>()?;
        let ids = (!ids.is_empty()).then_some(ids.as_slice());
        let found = stored(realm.store.retries(found.id, ids).await)?;
        Ok(Response::new(pb::ListRetriesResponse {
            retries: retries(found)?,
        }))
    }

    async fn skip_errors(
        &self,
        request: Request<pb::SkipErrorsRequest>,
    ) -> Result<Response<pb::SkipErrorsResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        if body.reason.trim().is_empty() {
            return Err(wire_status::invalid("reason", "must say why"));
        }
        let said = [
            body.migration.clone(),
            body.etag.clone(),
            body.reason.clone(),
            format!("{:?}", body.filter),
        ];
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let call = call(&body.request_id, "skip errors", actor, &said)?;
        let found = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        let filter = filter(&realm, found.id, body.filter).await?;
        let what = (&filter, &*body.reason);
        let skipped = realm
            .skip_errors(&found.id.to_string(), what, asked(call, body.etag))
            .await
            .map_err(status::of_command)?;
        Ok(Response::new(pb::SkipErrorsResponse {
            skipped_count: i64::try_from(skipped).unwrap_or(i64::MAX),
        }))
    }
}

fn error_type(value: Option<i32>) -> Result<Option<ErrorType>, Status> {
    let read = |value| {
        wire::error_type("error_type", value)
            .map_err(|error| wire_status::invalid("error_type", error.to_string()))
    };
    value.map(read).transpose()
}

async fn filter<L: LeaseStore>(
    realm: &Realm<L>,
    migration_id: Uuid,
    message: Option<pb::ErrorFilter>,
) -> Result<ErrorFilter, Status> {
    let message = message.unwrap_or_default();
    let ids = realm.error_ids(migration_id, &message.ids).await;
    Ok(ErrorFilter {
        entity: given(message.entity),
        code: given(message.code),
        error_type: error_type(message.error_type)?,
        is_resolved: message.is_resolved,
        ids: ids.map_err(status::of_command)?,
    })
}

fn retries(retries: Vec<Retry>) -> Result<Vec<pb::Retry>, Status> {
    messages(retries.into_iter().map(RetryProgress::from).collect())
}
