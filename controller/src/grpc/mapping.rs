//! `MappingService`: old and new ids, out of the destination.

use std::time::Duration;

use proto::domain::frame::{Query, QueryAnswer};
use proto::domain::key::KeyValue;
use proto::domain::record::{MigrationMapping, MigrationOrchestration};
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::mapping_service_server::MappingService;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tonic::{Request, Response, Status};

use super::lists::messages;
use super::{Gate, status};
use crate::crew::Crew;
use crate::fleet::misfit;
use crate::manager::Realm;
use crate::placement::Demand;

/// How long a look-up may take; a new id has no index at the destination.
const WITHIN: Duration = Duration::from_secs(60);

#[tonic::async_trait]
impl<L: LeaseStore> MappingService for Gate<L> {
    async fn lookup_mapping(
        &self,
        request: Request<pb::LookupMappingRequest>,
    ) -> Result<Response<pb::LookupMappingResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let migration = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        if body.key.is_empty() {
            return Err(wire_status::invalid("key", "needs one text per key column"));
        }
        let name = format!("{} {}", body.entity, body.key.join(" "));
        let query = Query::LookupMapping {
            migration_id: migration.id,
            entity: body.entity,
            key: KeyValue(body.key),
        };
        let found = ask(&realm, &migration, query).await?;
        let mapping = messages(found)?
            .pop()
            .ok_or_else(|| wire_status::not_found(Reason::MappingNotFound, "mapping", &name))?;
        Ok(Response::new(pb::LookupMappingResponse {
            mapping: Some(mapping),
        }))
    }

    async fn reverse_mapping(
        &self,
        request: Request<pb::ReverseMappingRequest>,
    ) -> Result<Response<pb::ReverseMappingResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let migration = realm
            .find(&body.migration)
            .await
            .map_err(status::of_command)?;
        if body.destination_id.is_empty() {
            return Err(wire_status::invalid("destination_id", "is missing"));
        }
        let query = Query::ReverseMapping {
            migration_id: migration.id,
            entity: (!body.entity.is_empty()).then_some(body.entity),
            destination_id: body.destination_id.clone(),
        };
        let mappings = messages(ask(&realm, &migration, query).await?)?;
        if mappings.is_empty() {
            return Err(wire_status::not_found(
                Reason::MappingNotFound,
                "mapping",
                &body.destination_id,
            ));
        }
        Ok(Response::new(pb::ReverseMappingResponse { mappings }))
    }
}

async fn ask<L: LeaseStore>(
    realm: &Realm<L>,
    migration: &MigrationOrchestration,
    query: Query,
) -> Result<Vec<MigrationMapping>, Status> {
    let demand = Demand::stored(&migration.configuration)
        .ok_or_else(|| wire_status::of_failure(&misfit()))?;
    let crew = Crew::new(realm.fleet.clone(), Some(migration.id), demand);
    match crew.ask(query, WITHIN).await {
        Ok(QueryAnswer::Mappings(found)) => Ok(found),
        Ok(_) => Err(wire_status::of_failure(&misfit())),
        Err(failure) => Err(wire_status::of_failure(&failure)),
    }
}
