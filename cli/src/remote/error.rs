//! Errors of a migration.

use proto::domain::record::MigrationError;
use proto::pb;
use proto::pb::error_service_client::ErrorServiceClient;

use super::page::{Listed, pages};
use super::{ANSWER_LIMIT, Remote, record, records};
use crate::stop::Stop;

impl Remote {
    /// One error: its id, or the beginning of it together with the migration.
    pub async fn error(&self, id: &str, migration: Option<&str>) -> Result<MigrationError, Stop> {
        let request = pb::GetErrorRequest {
            id: id.to_owned(),
            migration: migration.unwrap_or_default().to_owned(),
        };
        let answer = self
            .connection
            .call("GetError", request, |channel, request| async move {
                ErrorServiceClient::new(channel)
                    .max_decoding_message_size(ANSWER_LIMIT)
                    .get_error(request)
                    .await
            })
            .await?;
        record(answer.error)
    }

    /// Errors, the oldest first; of one entity, or of all where none is named.
    pub async fn errors(
        &self,
        migration: &str,
        entity: Option<&str>,
        limit: u32,
    ) -> Result<Listed<MigrationError>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListErrorsRequest {
                migration: migration.to_owned(),
                entity: entity.unwrap_or_default().to_owned(),
                page_size,
                page_token,
            };
            let answer = self
                .connection
                .call("ListErrors", request, |channel, request| async move {
                    ErrorServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_LIMIT)
                        .list_errors(request)
                        .await
                })
                .await?;
            Ok((records(answer.errors)?, answer.next_page_token))
        })
        .await
    }
}
