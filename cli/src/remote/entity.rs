//! Commands to single entities.

use controller::entity_command::EntityCommand;
use proto::domain::record::EntityMigrationStatus;
use proto::pb;
use proto::pb::entity_service_client::EntityServiceClient;

use super::{ANSWER_LIMIT, Remote, record};
use crate::stop::Stop;

/// A command to one entity.
#[derive(Debug, Clone, Default)]
pub struct Steer {
    /// The migration: name, id or beginning of the id.
    pub migration: String,
    /// The plan's name of the entity.
    pub entity: String,
    /// Why, in words.
    pub reason: String,
    /// The migration's etag as last seen; empty: whatever it is.
    pub etag: String,
}

macro_rules! steer {
    ($remote:ident, $steer:ident, $name:literal, $request:ident, $method:ident $(, $more:ident)?) => {{
        let request = pb::$request {
            migration: $steer.migration.clone(),
            entity: $steer.entity.clone(),
            request_id: $remote.request_id(),
            etag: $steer.etag.clone(),
            $($more: $steer.$more.clone(),)?
        };
        let answer = $remote
            .connection
            .call($name, request, |channel, request| async move {
                EntityServiceClient::new(channel)
                    .max_decoding_message_size(ANSWER_LIMIT)
                    .$method(request)
                    .await
            })
            .await?;
        record(answer.entity)
    }};
}

impl Remote {
    /// Wishes something of one entity.
    pub async fn steer(
        &self,
        command: EntityCommand,
        steer: &Steer,
    ) -> Result<EntityMigrationStatus, Stop> {
        match command {
            EntityCommand::Pause => {
                steer!(
                    self,
                    steer,
                    "PauseEntity",
                    PauseEntityRequest,
                    pause_entity,
                    reason
                )
            }
            EntityCommand::Resume => {
                steer!(
                    self,
                    steer,
                    "ResumeEntity",
                    ResumeEntityRequest,
                    resume_entity
                )
            }
            EntityCommand::Retry => {
                steer!(self, steer, "RetryEntity", RetryEntityRequest, retry_entity)
            }
            EntityCommand::Skip => {
                steer!(
                    self,
                    steer,
                    "SkipEntity",
                    SkipEntityRequest,
                    skip_entity,
                    reason
                )
            }
        }
    }
}
