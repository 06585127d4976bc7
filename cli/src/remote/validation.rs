//! Validations.

use proto::domain::record::{DataValidationResult, ValidationRun};
use proto::pb;
use proto::pb::validation_service_client::ValidationServiceClient;

use super::page::{Listed, pages};
use super::{ANSWER_LIMIT, Remote, record, records};
use crate::stop::Stop;

impl Remote {
    /// Begins a validation.
    pub async fn start_validation(
        &self,
        migration: &str,
        (level, entities): (Option<String>, &[String]),
    ) -> Result<ValidationRun, Stop> {
        let request = pb::StartValidationRequest {
            migration: migration.to_owned(),
            level: level.unwrap_or_default(),
            entities: entities.to_vec(),
            request_id: self.request_id(),
        };
        let answer = self
            .connection
            .call("StartValidation", request, |channel, request| async move {
                ValidationServiceClient::new(channel)
                    .start_validation(request)
                    .await
            })
            .await?;
        record(answer.validation)
    }

    /// A validation with its results; the newest where no id is given.
    pub async fn validation(
        &self,
        migration: &str,
        id: Option<&str>,
    ) -> Result<(ValidationRun, Vec<DataValidationResult>), Stop> {
        let request = pb::GetValidationRequest {
            migration: migration.to_owned(),
            id: id.unwrap_or_default().to_owned(),
        };
        let answer = self
            .connection
            .call("GetValidation", request, |channel, request| async move {
                ValidationServiceClient::new(channel)
                    .max_decoding_message_size(ANSWER_LIMIT)
                    .get_validation(request)
                    .await
            })
            .await?;
        Ok((record(answer.validation)?, records(answer.results)?))
    }

    /// Validations of a migration, the newest first.
    pub async fn validations(
        &self,
        migration: &str,
        limit: u32,
    ) -> Result<Listed<ValidationRun>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListValidationsRequest {
                migration: migration.to_owned(),
                page_size,
                page_token,
            };
            let answer = self
                .connection
                .call("ListValidations", request, |channel, request| async move {
                    ValidationServiceClient::new(channel)
                        .list_validations(request)
                        .await
                })
                .await?;
            Ok((records(answer.validations)?, answer.next_page_token))
        })
        .await
    }

    /// Ends a validation that is under way.
    pub async fn cancel_validation(&self, migration: &str) -> Result<ValidationRun, Stop> {
        let request = pb::CancelValidationRequest {
            migration: migration.to_owned(),
        };
        let answer = self
            .connection
            .call("CancelValidation", request, |channel, request| async move {
                ValidationServiceClient::new(channel)
                    .cancel_validation(request)
                    .await
            })
            .await?;
        record(answer.validation)
    }
}
