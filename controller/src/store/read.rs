//! What can be asked of the store. Each answer is one transaction's view.

use proto::domain::record::{
    BatchProcessingStatus, DataValidationResult, EntityMigrationStatus, Event, LegacyEntityMapping,
    MigrationCheckpoint, MigrationError, MigrationOrchestration, SchemaChangeOperation,
};
use uuid::Uuid;

use super::query::{
    batch_processing_status, data_validation_result, entity_migration_status, error_filter,
    legacy_entity_mapping, migration_checkpoint, migration_error, migration_orchestration, outbox,
    partition_progress, plan, schema_change_operation,
};
use super::transact::transact;
use super::{ErrorFilter, Found, PartitionProgress, Store, StoreError, StoredPlan};

impl Store {
    /// The migration of that id.
    pub async fn migration(&self, id: Uuid) -> Result<MigrationOrchestration, StoreError> {
        transact!(&self.pool, "read a migration", |conn| {
            migration_orchestration::get(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })
        })
    }

    /// The migration of that name, id, or beginning of an id (4 characters or more).
    pub async fn find_migration(&self, wanted: &str) -> Result<Found, StoreError> {
        let mut found = transact!(&self.pool, "find a migration", |conn| {
            Ok(migration_orchestration::find(conn, wanted).await?)
        })?;
        Ok(match (found.pop(), found.is_empty()) {
            (None, _) => Found::None,
            (Some(one), true) => Found::One(Box::new(one)),
            (Some(last), false) => {
                found.push(last);
                Found::Ambiguous(found)
            }
        })
    }

    /// Migrations, newest first, behind the one with id `after`.
    pub async fn list_migrations(
        &self,
        limit: i64,
        after: Option<Uuid>,
    ) -> Result<Vec<MigrationOrchestration>, StoreError> {
        transact!(&self.pool, "list migrations", |conn| {
            Ok(migration_orchestration::list(conn, limit, after).await?)
        })
    }

    /// The plan that a migration runs.
    pub async fn plan(&self, migration_id: Uuid) -> Result<Option<StoredPlan>, StoreError> {
        transact!(&self.pool, "read the plan", |conn| {
            Ok(plan::of_migration(conn, migration_id).await?)
        })
    }

    /// The rules in use by a migration, in dependency order.
    pub async fn rules(&self, migration_id: Uuid) -> Result<Vec<LegacyEntityMapping>, StoreError> {
        transact!(&self.pool, "read the rules", |conn| {
            Ok(legacy_entity_mapping::of_migration(conn, migration_id).await?)
        })
    }

    /// A migration's entities in dependency order.
    pub async fn entities(
        &self,
        migration_id: Uuid,
    ) -> Result<Vec<EntityMigrationStatus>, StoreError> {
        transact!(&self.pool, "list entities", |conn| {
            Ok(entity_migration_status::list(conn, migration_id).await?)
        })
    }

    /// A migration's partitions as they are known here, by entity and number.
    pub async fn partitions(
        &self,
        migration_id: Uuid,
    ) -> Result<Vec<PartitionProgress>, StoreError> {
        transact!(&self.pool, "list partitions", |conn| {
            Ok(partition_progress::list(conn, migration_id).await?)
        })
    }

    /// A migration's errors, oldest first, behind the one with id `after`.
    pub async fn errors(
        &self,
        migration_id: Uuid,
        filter: &ErrorFilter,
        limit: i64,
        after: Option<Uuid>,
    ) -> Result<Vec<MigrationError>, StoreError> {
        transact!(&self.pool, "list errors", |conn| {
            Ok(error_filter::list(conn, migration_id, filter, (limit, after)).await?)
        })
    }

    /// The error of that id.
    pub async fn get_error(&self, id: Uuid) -> Result<Option<MigrationError>, StoreError> {
        transact!(&self.pool, "read an error", |conn| {
            Ok(migration_error::get(conn, id).await?)
        })
    }

    /// An entity's batches with a higher number than `after`.
    pub async fn batches(
        &self,
        entity_status_id: Uuid,
        limit: i64,
        after: i64,
    ) -> Result<Vec<BatchProcessingStatus>, StoreError> {
        transact!(&self.pool, "list batches", |conn| {
            Ok(batch_processing_status::list(conn, entity_status_id, limit, after).await?)
        })
    }

    /// A migration's checkpoints, newest first, before the one with id `before`.
    pub async fn checkpoints(
        &self,
        migration_id: Uuid,
        entity: Option<&str>,
        limit: i64,
        before: Option<Uuid>,
    ) -> Result<Vec<MigrationCheckpoint>, StoreError> {
        transact!(&self.pool, "list checkpoints", |conn| {
            Ok(migration_checkpoint::list(conn, migration_id, entity, limit, before).await?)
        })
    }

    /// A migration with its entities at one moment; none once it is deleted.
    pub async fn whole(
        &self,
        id: Uuid,
    ) -> Result<Option<(MigrationOrchestration, Vec<EntityMigrationStatus>)>, StoreError> {
        transact!(&self.pool, "read a migration with its entities", |conn| {
            let Some(migration) = migration_orchestration::get_live(conn, id).await? else {
                return Ok(None);
            };
            let entities = entity_migration_status::list(conn, id).await?;
            Ok(Some((migration, entities)))
        })
    }

    /// A migration's events behind the one with number `after`.
    pub async fn events(
        &self,
        migration_id: Uuid,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        transact!(&self.pool, "list events", |conn| {
            Ok(outbox::list(conn, migration_id, after, limit).await?)
        })
    }

    /// Number of a migration's newest event; 0 before the first.
    pub async fn newest_event(&self, migration_id: Uuid) -> Result<i64, StoreError> {
        transact!(&self.pool, "read the newest event", |conn| {
            Ok(outbox::newest(conn, migration_id).await?)
        })
    }

    /// One version of an entity's rules; without a version the newest.
    pub async fn find_rules(
        &self,
        plan_name: &str,
        entity: &str,
        version: Option<&str>,
    ) -> Result<Option<LegacyEntityMapping>, StoreError> {
        transact!(&self.pool, "read rules", |conn| {
            Ok(legacy_entity_mapping::find(conn, plan_name, entity, version).await?)
        })
    }

    /// All versions of rules, behind the one with id `after`.
    pub async fn list_rules(
        &self,
        plan_name: Option<&str>,
        limit: i64,
        after: Option<Uuid>,
    ) -> Result<Vec<LegacyEntityMapping>, StoreError> {
        transact!(&self.pool, "list rules", |conn| {
            Ok(legacy_entity_mapping::list(conn, plan_name, limit, after).await?)
        })
    }

    /// Errors whose id is this or begins with it.
    pub async fn find_errors(
        &self,
        wanted: &str,
        migration_id: Option<Uuid>,
    ) -> Result<Vec<MigrationError>, StoreError> {
        transact!(&self.pool, "find an error", |conn| {
            Ok(migration_error::find(conn, wanted, migration_id).await?)
        })
    }

    /// A migration's schema changes in order.
    pub async fn schema_changes(
        &self,
        migration_id: Uuid,
    ) -> Result<Vec<SchemaChangeOperation>, StoreError> {
        transact!(&self.pool, "list schema changes", |conn| {
            Ok(schema_change_operation::list(conn, migration_id).await?)
        })
    }

    /// A migration's validations, oldest first.
    pub async fn validations(
        &self,
        migration_id: Uuid,
    ) -> Result<Vec<DataValidationResult>, StoreError> {
        transact!(&self.pool, "list validations", |conn| {
            Ok(data_validation_result::list(conn, migration_id).await?)
        })
    }
}
