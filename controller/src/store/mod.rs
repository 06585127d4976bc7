//! The metadata database: intent, and a cache of progress.
//!
//! Stored here: plans, migrations with their desired state, entities, batches, checkpoints, errors,
//! schema changes, validations, events. Not stored here: credentials, and the authoritative position
//! of any partition, which the destination holds. Deleting `partition_progress` changes no outcome.
//!
//! Each method is one whole transaction, named by its operation in spans and errors. SQL is in
//! [`query`], one file per table; what only reads is in `read`.

mod commands;
mod connect;
mod error;
mod lock;
mod migration;
mod operator;
pub mod query;
mod read;
mod rollback;
mod tick;
mod transact;
mod validation;

pub use commands::Target;
pub use error::StoreError;
pub use lock::MigrationLock;
pub use migration::{EntityRows, NewMigration, PlanRows};
pub use operator::{RetryEnd, Wishes};
pub use query::command::CommandCall;
pub use query::data_validation_result::NewResult;
pub use query::era::StoredEra;
pub use query::error_filter::ErrorFilter;
pub use query::legacy_entity_mapping::NewMapping;
pub use query::outbox::NewEvent;
pub use query::partition_progress::{PartitionPhase, PartitionProgress, PartitionUpdate};
pub use query::plan::{NewPlan, StoredPlan};
pub use query::retry::Retry;
pub use query::validation_unit::StoredUnit;
pub use tick::{Tick, TickOutcome};
pub use validation::NewRun;

use proto::domain::compiled::ConsistencyHeld;
use proto::domain::frame::{NewPartition, PartitionState};
use proto::domain::record::{EntityStatus, MigrationOrchestration, SchemaChangeOperation};
use proto::domain::state::Command;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use query::{
    data_validation_result, entity_migration_status, era, leader_epoch, migration_checkpoint,
    migration_error, migration_orchestration, partition_progress, schema_change_operation,
};
use transact::transact;

/// Schema of the metadata where nothing else is said.
pub const DEFAULT_SCHEMA: &str = "drover_meta";

/// The metadata database. Not printable: its options hold a password.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
    schema: String,
    /// Epoch of the leadership that it writes under; none where one process alone writes.
    epoch: Option<i64>,
}

/// What a name, an id or the beginning of an id leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// That migration.
    One(Box<MigrationOrchestration>),
    /// Nothing.
    None,
    /// Several, newest first.
    Ambiguous(Vec<MigrationOrchestration>),
}

impl Store {
    /// Connects, and makes or upgrades the schema.
    pub async fn connect(options: PgConnectOptions, schema: &str) -> Result<Self, StoreError> {
        let options = options.application_name("drover controller");
        connect::install(&options, schema).await?;
        let pool = connect::pool(options.clone(), schema, false).await?;
        Ok(Self {
            pool,
            options,
            schema: schema.to_owned(),
            epoch: None,
        })
    }

    /// Connects to what is there, only to read; makes nothing.
    pub async fn open_existing(
        options: PgConnectOptions,
        schema: &str,
    ) -> Result<Self, StoreError> {
        let options = options.application_name("drover");
        connect::check_installed(&options, schema).await?;
        let pool = connect::pool(options.clone(), schema, true).await?;
        Ok(Self {
            pool,
            options,
            schema: schema.to_owned(),
            epoch: None,
        })
    }

    /// The same records, to be written too: brought up to this version first.
    pub async fn writable(&self) -> Result<Self, StoreError> {
        Self::connect(self.options.clone(), &self.schema).await
    }

    /// Ends every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Waits up to 10 s for the right to run the migration of that name.
    pub async fn lock_migration(&self, name: &str) -> Result<MigrationLock, StoreError> {
        MigrationLock::acquire(&self.options, &self.schema, name).await
    }

    /// Whether a process runs the migration of that name.
    pub async fn is_run(&self, name: &str) -> Result<bool, StoreError> {
        MigrationLock::is_held(&self.options, &self.schema, name).await
    }

    /// The era that was settled last.
    pub async fn era(&self) -> Result<StoredEra, StoreError> {
        transact!(&self.pool, "read the era", |conn| Ok(era::get(conn).await?))
    }

    /// Raises the era above every one before, and above `floor` (the highest the destination has seen).
    /// Harmless in the hands of a deposed leader: an era more is used up.
    pub async fn raise_era(
        &self,
        floor: u32,
        cluster_id: &str,
        revision: u64,
    ) -> Result<u32, StoreError> {
        transact!(&self.pool, "raise the era", |conn| {
            Ok(era::raise(conn, floor, cluster_id, revision).await?)
        })
    }

    /// Notes how far the lease store's revisions are: one that falls is another history.
    pub async fn note_revision(&self, cluster_id: &str, revision: u64) -> Result<(), StoreError> {
        transact!(self => "note the revision", |conn| {
            Ok(era::note_revision(conn, cluster_id, revision).await?)
        })
    }

    /// The same store, writing under an epoch: entered now, for ever above those before.
    ///
    /// # Errors
    /// `Deposed` when this epoch or a later one was entered already.
    pub async fn lead(&self, epoch: i64, holder: Uuid, address: &str) -> Result<Self, StoreError> {
        let is_entered = transact!(&self.pool, "enter an epoch", |conn| {
            Ok(leader_epoch::enter(conn, epoch, holder, address).await?)
        })?;
        if !is_entered {
            return Err(StoreError::Deposed { epoch });
        }
        Ok(Self {
            epoch: Some(epoch),
            ..self.clone()
        })
    }

    /// Creates a migration with its plan, rules and entities; it is pending.
    pub async fn create_migration(
        &self,
        new: &NewMigration,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "create a migration", |conn| {
            migration::create(conn, new).await
        })
    }

    /// Lets an edited plan take effect; refused where rows were copied by other rules.
    pub async fn update_plan(
        &self,
        migration_id: Uuid,
        rows: &PlanRows,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "update the plan", |conn| {
            migration::update_plan(conn, migration_id, rows).await
        })
    }

    /// Applies a command to the migration's state; everything that follows from it is stored too.
    pub async fn command(
        &self,
        migration_id: Uuid,
        command: &Command,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "change the migration's state", |conn| {
            migration::command(conn, migration_id, command).await
        })
    }

    /// Stores what the reads of a run have in common, beside its settings.
    pub async fn set_consistency_held(
        &self,
        migration_id: Uuid,
        held: ConsistencyHeld,
    ) -> Result<(), StoreError> {
        transact!(self => "store what consistency holds", |conn| {
            Ok(migration_orchestration::set_consistency_held(conn, migration_id, held).await?)
        })
    }

    /// Stores what is known of an entity's number of rows; an estimate never undoes a count.
    pub async fn set_entity_total(
        &self,
        migration_id: Uuid,
        entity: &str,
        records_total: i64,
        is_exact: bool,
    ) -> Result<(), StoreError> {
        self.set_entity_totals(migration_id, &[(entity, records_total, is_exact)])
            .await
    }

    /// Stores what is known of the numbers of rows of several entities.
    pub async fn set_entity_totals(
        &self,
        migration_id: Uuid,
        totals: &[(&str, i64, bool)],
    ) -> Result<(), StoreError> {
        transact!(self => "store entities' totals", |conn| {
            Ok(entity_migration_status::set_totals(conn, migration_id, totals).await?)
        })
    }

    /// Moves an entity to a status. Completed also stores its last checkpoint; every change counts
    /// the migration again.
    pub async fn set_entity_status(
        &self,
        migration_id: Uuid,
        entity: &str,
        status: EntityStatus,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "change an entity's status", |conn| {
            let id = migration_id;
            let missing = || StoreError::NoMigration { id };
            migration_orchestration::lock(conn, id)
                .await?
                .ok_or_else(missing)?;
            if entity_migration_status::lock(conn, id, &[entity])
                .await?
                .is_empty()
            {
                return Err(StoreError::NoEntity {
                    entity: entity.to_owned(),
                });
            }
            entity_migration_status::recount(conn, id, &[entity]).await?;
            entity_migration_status::set_status(conn, id, entity, status).await?;
            if status == EntityStatus::Completed {
                migration_checkpoint::insert_completion(conn, id, entity).await?;
            }
            migration_orchestration::recount(conn, id, 0).await?;
            migration_orchestration::get(conn, id)
                .await?
                .ok_or_else(missing)
        })
    }

    /// Says why an entity alone stands still, or that it does not.
    pub async fn set_entity_blocked(
        &self,
        migration_id: Uuid,
        entity: &str,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        transact!(self => "block an entity", |conn| {
            Ok(entity_migration_status::set_blocked(conn, migration_id, entity, reason).await?)
        })
    }

    /// Keeps the partitions of an attempt; those that are there stay as they are.
    pub async fn save_partitions(
        &self,
        migration_id: Uuid,
        attempt: i32,
        partitions: &[NewPartition],
    ) -> Result<(), StoreError> {
        transact!(self => "save partitions", |conn| {
            Ok(partition_progress::insert(conn, migration_id, attempt, partitions).await?)
        })
    }

    /// Takes over the destination's word on every partition, and counts entities again.
    pub async fn sync_partitions(
        &self,
        migration_id: Uuid,
        attempt: i32,
        states: &[PartitionState],
    ) -> Result<Vec<PartitionProgress>, StoreError> {
        transact!(self => "take over positions", |conn| {
            let id = migration_id;
            migration_orchestration::lock(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })?;
            partition_progress::upsert_states(conn, id, attempt, states).await?;
            let entities: Vec<&str> = states.iter().map(|state| state.entity.as_str()).collect();
            entity_migration_status::recount(conn, id, &entities).await?;
            migration_orchestration::recount(conn, id, 0).await?;
            Ok(partition_progress::list(conn, id).await?)
        })
    }

    /// Stores everything that arrived since the last tick.
    pub async fn apply_tick(
        &self,
        migration_id: Uuid,
        tick: &Tick,
    ) -> Result<TickOutcome, StoreError> {
        transact!(self => "persist", |conn| {
            tick::apply(conn, migration_id, tick).await
        })
    }

    /// Stores a fault of the run, outside of any batch.
    pub async fn add_fault(
        &self,
        migration_id: Uuid,
        entity: Option<&str>,
        error_code: &str,
        error_message: &str,
    ) -> Result<Uuid, StoreError> {
        transact!(self => "store a fault", |conn| {
            let id = migration_error::insert_fault(
                conn,
                migration_id,
                entity,
                error_code,
                error_message,
            )
            .await?;
            migration_orchestration::recount(conn, migration_id, 1).await?;
            Ok(id)
        })
    }

    /// Stores the schema changes of a migration as the journals have them.
    pub async fn save_schema_changes(
        &self,
        migration_id: Uuid,
        operations: &[SchemaChangeOperation],
    ) -> Result<(), StoreError> {
        transact!(self => "save schema changes", |conn| {
            Ok(schema_change_operation::save(conn, migration_id, operations).await?)
        })
    }

    /// Stores the outcome of a check of the data.
    pub async fn add_validation(
        &self,
        migration_id: Uuid,
        result: &NewResult,
    ) -> Result<Uuid, StoreError> {
        transact!(self => "store a validation", |conn| {
            Ok(data_validation_result::insert(conn, migration_id, result).await?)
        })
    }
}
