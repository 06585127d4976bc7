//! Migrations: created, told what to do, looked at.

use std::time::Duration;

use controller::preflight::Asked;
use proto::domain::preflight::Preflight;
use proto::domain::record::MigrationOrchestration;
use proto::pb;
use proto::pb::migration_service_client::MigrationServiceClient;
use tonic::transport::Channel;

use super::page::{Listed, pages};
use super::watch::Watch;
use super::{ANSWER_LIMIT, Remote, record, records, unreadable};
use crate::command::Planned;
use crate::render::record::PlannedEntity;
use crate::stop::Stop;

/// A preflight reads and tries rows: it may take longer than other questions.
const PLAN_WITHIN: Duration = Duration::from_secs(600);

/// What a plan that was checked comes to.
#[derive(Debug, serde::Serialize)]
pub struct Checked {
    /// The plan's name.
    pub name: String,
    /// Entities that would be copied.
    pub total_entities: i64,
}

/// Lets a migration start or go on.
#[derive(Debug, Clone)]
pub struct GoOn {
    /// Name, id or beginning of the id.
    pub name: String,
    /// The edited plan file; empty: the stored one.
    pub plan: String,
}

pub(super) fn client(channel: Channel) -> MigrationServiceClient<Channel> {
    MigrationServiceClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

impl Remote {
    /// Checks a plan and stores it.
    pub async fn create(
        &self,
        plan: String,
        regions: Vec<String>,
    ) -> Result<MigrationOrchestration, Stop> {
        record(self.send_create(plan, regions, false).await?.migration)
    }

    /// Checks a plan as `create` would.
    pub async fn validate(&self, plan: String, regions: Vec<String>) -> Result<Checked, Stop> {
        let answer = self.send_create(plan, regions, true).await?;
        let migration = answer.migration.ok_or_else(|| unreadable("it is empty"))?;
        Ok(Checked {
            name: migration.name,
            total_entities: migration.total_entities,
        })
    }

    async fn send_create(
        &self,
        plan: String,
        regions: Vec<String>,
        validate_only: bool,
    ) -> Result<pb::CreateMigrationResponse, Stop> {
        let request = pb::CreateMigrationRequest {
            plan,
            request_id: self.request_id(),
            validate_only,
            regions,
        };
        self.connection
            .call("CreateMigration", request, |channel, request| async move {
                client(channel).create_migration(request).await
            })
            .await
    }

    /// What a plan comes to, and its preflight.
    pub async fn plan(
        &self,
        plan: String,
        regions: Vec<String>,
        asked: &Asked,
    ) -> Result<Planned, Stop> {
        let request = pb::PlanMigrationRequest {
            plan,
            regions,
            sample_rows: asked.sample_rows,
            source_role: asked.grantees.source.clone().unwrap_or_default(),
            destination_role: asked.grantees.destination.clone().unwrap_or_default(),
        };
        let ask = self.connection.patient("PlanMigration", PLAN_WITHIN);
        let answer = self
            .connection
            .ask(ask, request, |channel, request| async move {
                client(channel).plan_migration(request).await
            })
            .await?;
        let preflight = answer
            .preflight
            .ok_or_else(|| unreadable("it has no preflight"))?;
        Ok(Planned {
            name: answer.name,
            entities: answer.entities.into_iter().map(planned).collect(),
            preflight: Preflight::try_from(preflight)
                .map_err(|error| unreadable(&error.to_string()))?,
        })
    }

    /// Starts a pending migration.
    pub async fn start(&self, go_on: GoOn) -> Result<MigrationOrchestration, Stop> {
        let request = pb::StartMigrationRequest {
            name: go_on.name,
            request_id: self.request_id(),
            etag: String::new(),
            plan: go_on.plan,
        };
        let answer = self
            .connection
            .call("StartMigration", request, |channel, request| async move {
                client(channel).start_migration(request).await
            })
            .await?;
        record(answer.migration)
    }

    /// Lets a paused or blocked migration go on.
    pub async fn resume(&self, go_on: GoOn) -> Result<MigrationOrchestration, Stop> {
        let request = pb::ResumeMigrationRequest {
            name: go_on.name,
            request_id: self.request_id(),
            etag: String::new(),
            plan: go_on.plan,
        };
        let answer = self
            .connection
            .call("ResumeMigration", request, |channel, request| async move {
                client(channel).resume_migration(request).await
            })
            .await?;
        record(answer.migration)
    }

    /// Forgets a migration, as long as nobody has commanded it since it was read.
    pub async fn delete(&self, migration: &MigrationOrchestration) -> Result<(), Stop> {
        let request = pb::DeleteMigrationRequest {
            name: migration.id.to_string(),
            request_id: self.request_id(),
            etag: migration.etag(),
        };
        self.connection
            .call("DeleteMigration", request, |channel, request| async move {
                client(channel).delete_migration(request).await
            })
            .await
            .map(|_| ())
    }

    /// One migration, and what can be done next.
    pub async fn migration(
        &self,
        name: &str,
    ) -> Result<(MigrationOrchestration, Vec<String>), Stop> {
        let request = pb::GetMigrationRequest {
            name: name.to_owned(),
        };
        let answer = self
            .connection
            .call("GetMigration", request, |channel, request| async move {
                client(channel).get_migration(request).await
            })
            .await?;
        Ok((record(answer.migration)?, answer.next_steps))
    }

    /// How the tables compare with the start after a migration's last rollback, in words.
    pub async fn rollback_outcome(&self, name: &str) -> Result<String, Stop> {
        let request = pb::GetMigrationRequest {
            name: name.to_owned(),
        };
        let answer = self
            .connection
            .call("GetMigration", request, |channel, request| async move {
                client(channel).get_migration(request).await
            })
            .await?;
        Ok(answer.rollback_outcome)
    }

    /// Migrations, the newest first.
    pub async fn migrations(&self, limit: u32) -> Result<Listed<MigrationOrchestration>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListMigrationsRequest {
                page_size,
                page_token,
            };
            let answer = self
                .connection
                .call("ListMigrations", request, |channel, request| async move {
                    client(channel).list_migrations(request).await
                })
                .await?;
            Ok((records(answer.migrations)?, answer.next_page_token))
        })
        .await
    }

    /// Follows a migration: its name, its id, or the beginning of its id.
    pub fn watch(&self, name: impl Into<String>) -> Watch<'_> {
        Watch::new(&self.connection, name.into())
    }
}

fn planned(message: pb::PlannedEntity) -> PlannedEntity {
    PlannedEntity {
        entity: message.entity,
        entity_name: message.entity_name,
        target_entity: message.target_entity,
        dependency_order: message.dependency_order,
        dependency_entities: message.dependency_entities,
        is_active: message.is_active,
        entity_hash: message.entity_hash,
        select_sql: message.select_sql,
    }
}
