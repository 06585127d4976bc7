//! Old and new ids.

use proto::domain::record::MigrationMapping;
use proto::pb;
use proto::pb::mapping_service_client::MappingServiceClient;

use super::{Remote, record, records};
use crate::stop::Stop;

impl Remote {
    /// The new id of a legacy row.
    pub async fn lookup(
        &self,
        migration: &str,
        entity: &str,
        key: &[String],
    ) -> Result<MigrationMapping, Stop> {
        let request = pb::LookupMappingRequest {
            migration: migration.to_owned(),
            entity: entity.to_owned(),
            key: key.to_vec(),
        };
        let answer = self
            .connection
            .call("LookupMapping", request, |channel, request| async move {
                MappingServiceClient::new(channel)
                    .lookup_mapping(request)
                    .await
            })
            .await?;
        record(answer.mapping)
    }

    /// The legacy rows of a new id.
    pub async fn reverse(
        &self,
        migration: &str,
        entity: Option<&str>,
        id: &str,
    ) -> Result<Vec<MigrationMapping>, Stop> {
        let request = pb::ReverseMappingRequest {
            migration: migration.to_owned(),
            entity: entity.unwrap_or_default().to_owned(),
            destination_id: id.to_owned(),
        };
        let answer = self
            .connection
            .call("ReverseMapping", request, |channel, request| async move {
                MappingServiceClient::new(channel)
                    .reverse_mapping(request)
                    .await
            })
            .await?;
        records(answer.mappings)
    }
}
