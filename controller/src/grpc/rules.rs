//! `RulesService`: every version of every plan's rules.

use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::rules_service_server::RulesService;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::lists::messages;
use super::page::Page;
use super::{Gate, status};

#[tonic::async_trait]
impl<L: LeaseStore> RulesService for Gate<L> {
    async fn get_legacy_entity_mapping(
        &self,
        request: Request<pb::GetLegacyEntityMappingRequest>,
    ) -> Result<Response<pb::GetLegacyEntityMappingResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let version = (!body.version.is_empty()).then_some(body.version.as_str());
        let found = realm
            .store
            .find_rules(&body.plan_name, &body.entity, version)
            .await
            .map_err(|error| status::of_store(&error))?;
        let name = format!("{}/{}", body.plan_name, body.entity);
        let found =
            found.ok_or_else(|| wire_status::not_found(Reason::RulesNotFound, "rules", &name))?;
        let message = found
            .try_into()
            .map_err(|error| wire_status::unwritable(&error))?;
        Ok(Response::new(pb::GetLegacyEntityMappingResponse {
            legacy_entity_mapping: Some(message),
        }))
    }

    async fn list_legacy_entity_mappings(
        &self,
        request: Request<pb::ListLegacyEntityMappingsRequest>,
    ) -> Result<Response<pb::ListLegacyEntityMappingsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let page = Page::read(
            body.page_size,
            &body.page_token,
            format!("rules of {:?}", body.plan_name),
        )?;
        let plan = (!body.plan_name.is_empty()).then_some(body.plan_name.as_str());
        let after = page
            .after
            .as_deref()
            .and_then(|after| Uuid::try_parse(after).ok());
        let found = realm
            .store
            .list_rules(plan, page.wanted(), after)
            .await
            .map_err(|error| status::of_store(&error))?;
        let (found, next_page_token) = page.cut(found, |one| one.id.to_string());
        Ok(Response::new(pb::ListLegacyEntityMappingsResponse {
            legacy_entity_mappings: messages(found)?,
            next_page_token,
        }))
    }
}
