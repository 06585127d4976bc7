//! Commands to migrations that stop them, or change what they run by.

use std::time::Duration;

use proto::domain::record::MigrationOrchestration;
use proto::pb;

use super::migration::client;
use super::{Remote, record};
use crate::stop::Stop;

/// Asks a migration to stand still.
#[derive(Debug, Clone, Default)]
pub struct Halt {
    /// Name, id or beginning of the id.
    pub name: String,
    /// Why, in words.
    pub reason: String,
    /// The etag as last seen; empty: whatever it is.
    pub etag: String,
    /// How long agents may take to give back what they hold.
    pub deadline: Option<Duration>,
}

impl Halt {
    fn deadline(&self) -> Option<prost_types::Duration> {
        // One that is too long for a message is no limit at all.
        self.deadline.and_then(|within| within.try_into().ok())
    }
}

impl Remote {
    /// Asks for a pause.
    pub async fn pause(&self, halt: &Halt) -> Result<MigrationOrchestration, Stop> {
        let request = pb::PauseMigrationRequest {
            name: halt.name.clone(),
            request_id: self.request_id(),
            etag: halt.etag.clone(),
            reason: halt.reason.clone(),
            deadline: halt.deadline(),
        };
        let answer = self
            .connection
            .call("PauseMigration", request, |channel, request| async move {
                client(channel).pause_migration(request).await
            })
            .await?;
        record(answer.migration)
    }

    /// Gives a migration up.
    pub async fn cancel(&self, halt: &Halt) -> Result<MigrationOrchestration, Stop> {
        let request = pb::CancelMigrationRequest {
            name: halt.name.clone(),
            request_id: self.request_id(),
            etag: halt.etag.clone(),
            deadline: halt.deadline(),
        };
        let answer = self
            .connection
            .call("CancelMigration", request, |channel, request| async move {
                client(channel).cancel_migration(request).await
            })
            .await?;
        record(answer.migration)
    }

    /// Rules a rollback out.
    pub async fn finalize(&self, name: &str, etag: &str) -> Result<MigrationOrchestration, Stop> {
        let request = pb::FinalizeMigrationRequest {
            name: name.to_owned(),
            request_id: self.request_id(),
            etag: etag.to_owned(),
        };
        let answer = self
            .connection
            .call(
                "FinalizeMigration",
                request,
                |channel, request| async move { client(channel).finalize_migration(request).await },
            )
            .await?;
        record(answer.migration)
    }

    /// Changes settings, of one entity or of all.
    pub async fn set(
        &self,
        (name, etag): (&str, &str),
        (entity, settings): (&str, &[(String, String)]),
    ) -> Result<MigrationOrchestration, Stop> {
        let settings = settings.iter().map(|(name, value)| pb::Setting {
            name: name.clone(),
            value: value.clone(),
        });
        let request = pb::SetMigrationRequest {
            name: name.to_owned(),
            request_id: self.request_id(),
            etag: etag.to_owned(),
            entity: entity.to_owned(),
            settings: settings.collect(),
        };
        let answer = self
            .connection
            .call("SetMigration", request, |channel, request| async move {
                client(channel).set_migration(request).await
            })
            .await?;
        record(answer.migration)
    }
}
