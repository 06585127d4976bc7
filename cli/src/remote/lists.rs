//! What is stored of a migration: entities, batches, checkpoints.

use proto::domain::record::{
    BatchProcessingStatus, EntityMigrationStatus, EntityStatus, MigrationCheckpoint,
};
use proto::pb;
use proto::pb::batch_service_client::BatchServiceClient;
use proto::pb::checkpoint_service_client::CheckpointServiceClient;
use proto::pb::entity_service_client::EntityServiceClient;

use super::page::{Listed, pages};
use super::{ANSWER_LIMIT, Remote, records};
use crate::stop::Stop;

impl Remote {
    /// Entities in dependency order; in these states, or in any where none is named.
    pub async fn entities(
        &self,
        migration: &str,
        statuses: &[EntityStatus],
        limit: u32,
    ) -> Result<Listed<EntityMigrationStatus>, Stop> {
        let statuses = statuses.iter().copied();
        let statuses: Vec<i32> = statuses
            .map(|one| pb::EntityStatus::from(one).into())
            .collect();
        let statuses = &statuses;
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListEntitiesRequest {
                migration: migration.to_owned(),
                page_size,
                page_token,
                statuses: statuses.clone(),
            };
            let answer = self
                .connection
                .call("ListEntities", request, |channel, request| async move {
                    EntityServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_LIMIT)
                        .list_entities(request)
                        .await
                })
                .await?;
            Ok((records(answer.entities)?, answer.next_page_token))
        })
        .await
    }

    /// Batches of an entity by number.
    pub async fn batches(
        &self,
        migration: &str,
        entity: &str,
        limit: u32,
    ) -> Result<Listed<BatchProcessingStatus>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListBatchesRequest {
                migration: migration.to_owned(),
                entity: entity.to_owned(),
                page_size,
                page_token,
            };
            let answer = self
                .connection
                .call("ListBatches", request, |channel, request| async move {
                    BatchServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_LIMIT)
                        .list_batches(request)
                        .await
                })
                .await?;
            Ok((records(answer.batches)?, answer.next_page_token))
        })
        .await
    }

    /// Checkpoints, the newest first; of one entity, or of all where none is named.
    pub async fn checkpoints(
        &self,
        migration: &str,
        entity: Option<&str>,
        limit: u32,
    ) -> Result<Listed<MigrationCheckpoint>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListCheckpointsRequest {
                migration: migration.to_owned(),
                entity: entity.unwrap_or_default().to_owned(),
                page_size,
                page_token,
            };
            let answer = self
                .connection
                .call("ListCheckpoints", request, |channel, request| async move {
                    CheckpointServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_LIMIT)
                        .list_checkpoints(request)
                        .await
                })
                .await?;
            Ok((records(answer.checkpoints)?, answer.next_page_token))
        })
        .await
    }
}
