//! Errors of a migration.

use controller::store::ErrorFilter;
use proto::domain::record::{ErrorGroup, MigrationError, RetryProgress};
use proto::pb;
use proto::pb::error_service_client::ErrorServiceClient;
use tonic::transport::Channel;
use uuid::Uuid;

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
                client(channel).get_error(request).await
            })
            .await?;
        record(answer.error)
    }

    /// Errors, the oldest first.
    pub async fn errors(
        &self,
        migration: &str,
        wanted: &ErrorFilter,
        limit: u32,
    ) -> Result<Listed<MigrationError>, Stop> {
        let wanted = &message(wanted, &[]);
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListErrorsRequest {
                migration: migration.to_owned(),
                entity: wanted.entity.clone(),
                page_size,
                page_token,
                code: wanted.code.clone(),
                error_type: wanted.error_type,
                is_resolved: wanted.is_resolved,
            };
            let answer = self
                .connection
                .call("ListErrors", request, |channel, request| async move {
                    client(channel).list_errors(request).await
                })
                .await?;
            Ok((records(answer.errors)?, answer.next_page_token))
        })
        .await
    }

    /// Errors by what they have in common.
    pub async fn error_groups(
        &self,
        migration: &str,
        wanted: &ErrorFilter,
    ) -> Result<Vec<ErrorGroup>, Stop> {
        let request = pb::GroupErrorsRequest {
            migration: migration.to_owned(),
            filter: Some(message(wanted, &[])),
        };
        let answer = self
            .connection
            .call("GroupErrors", request, |channel, request| async move {
                client(channel).group_errors(request).await
            })
            .await?;
        records(answer.groups)
    }

    /// Has rows tried again that failed.
    pub async fn retry_errors(
        &self,
        (migration, etag): (&str, &str),
        wanted: &ErrorFilter,
        ids: &[String],
    ) -> Result<Vec<RetryProgress>, Stop> {
        let request = pb::RetryErrorsRequest {
            migration: migration.to_owned(),
            filter: Some(message(wanted, ids)),
            request_id: self.request_id(),
            etag: etag.to_owned(),
        };
        let answer = self
            .connection
            .call("RetryErrors", request, |channel, request| async move {
                client(channel).retry_errors(request).await
            })
            .await?;
        records(answer.retries)
    }

    /// What became of retries; those that are still to be done where none is named.
    pub async fn retries(&self, migration: &str, ids: &[Uuid]) -> Result<Vec<RetryProgress>, Stop> {
        let request = pb::ListRetriesRequest {
            migration: migration.to_owned(),
            ids: ids.iter().map(Uuid::to_string).collect(),
        };
        let answer = self
            .connection
            .call("ListRetries", request, |channel, request| async move {
                client(channel).list_retries(request).await
            })
            .await?;
        records(answer.retries)
    }

    /// Decides that rows stay away; how many errors that resolved.
    pub async fn skip_errors(
        &self,
        (migration, etag): (&str, &str),
        (wanted, ids): (&ErrorFilter, &[String]),
        reason: &str,
    ) -> Result<i64, Stop> {
        let request = pb::SkipErrorsRequest {
            migration: migration.to_owned(),
            filter: Some(message(wanted, ids)),
            reason: reason.to_owned(),
            request_id: self.request_id(),
            etag: etag.to_owned(),
        };
        let answer = self
            .connection
            .call("SkipErrors", request, |channel, request| async move {
                client(channel).skip_errors(request).await
            })
            .await?;
        Ok(answer.skipped_count)
    }
}

fn client(channel: Channel) -> ErrorServiceClient<Channel> {
    ErrorServiceClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

fn message(wanted: &ErrorFilter, ids: &[String]) -> pb::ErrorFilter {
    pb::ErrorFilter {
        entity: wanted.entity.clone().unwrap_or_default(),
        code: wanted.code.clone().unwrap_or_default(),
        error_type: wanted.error_type.map(|one| pb::ErrorType::from(one).into()),
        is_resolved: wanted.is_resolved,
        ids: ids.to_vec(),
    }
}
