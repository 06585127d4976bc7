//! What operators wish beside the state of the whole migration: of single entities, of settings, of rows that
//! failed. Each is stored once; what comes of it is observed and stored by whoever runs the migration.

use proto::domain::frame::{NewPartition, Resolved, RetriedFate};
use proto::domain::key::KeyRange;
use proto::domain::record::{
    EntityIntent, EntityMigrationStatus, ErrorGroup, MigrationOrchestration, RetryState,
};
use proto::domain::settings::Overrides;
use proto::domain::state::Illegal;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::commands::{check_etag, earlier, keep, read_answer};
use super::error::StoreError;
use super::migration::max_quarantined;
use super::query::command::{self, CommandCall};
use super::query::entity_intent::{self, Wished};
use super::query::error_filter::{self, ErrorFilter};
use super::query::retry::{self, Retry};
use super::query::{entity_migration_status, migration_orchestration, partition_progress, plan};
use super::transact::transact;
use super::{Store, Target};
use crate::entity_command::{EntityCommand, EntityNext, Footing, entity_next};

/// Rows of one retry: a question that is answered soon.
const RETRIED_TOGETHER: usize = 500;

/// What operators wish of a run, as it is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wishes {
    /// The entities.
    pub entities: Vec<EntityMigrationStatus>,
    /// Settings over the plan's.
    pub overrides: Overrides,
    /// Seconds that a pause may drain; none: the default.
    pub drain_seconds: Option<i32>,
    /// Rows to be tried again.
    pub retries: Vec<Retry>,
}

/// What became of a retry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryEnd {
    /// Retries of children that were held because of these rows.
    pub released: Vec<Retry>,
    /// Rows that are at the destination now.
    pub written: i64,
}

impl Store {
    /// What operators wish of a migration's run.
    pub async fn wishes(&self, migration_id: Uuid) -> Result<Wishes, StoreError> {
        transact!(&self.pool, "read what is wished", |conn| {
            let id = migration_id;
            let migration = migration_orchestration::get(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })?;
            Ok(Wishes {
                entities: entity_migration_status::list(conn, id).await?,
                overrides: Overrides::stored(&migration.configuration),
                drain_seconds: migration_orchestration::drain(conn, id).await?,
                retries: retry::list(conn, id, None).await?,
            })
        })
    }

    /// Seconds that a pause or a cancel may drain; none: the default.
    pub async fn drain_seconds(&self, migration_id: Uuid) -> Result<Option<i32>, StoreError> {
        transact!(&self.pool, "read how long a pause may drain", |conn| {
            Ok(migration_orchestration::drain(conn, migration_id).await?)
        })
    }

    /// Wishes something of an entity, once; the entity afterwards.
    ///
    /// # Errors
    /// `EtagMismatch`; `NoEntity`; `IllegalEntity` where the state does not allow it; `RequestIdReused`; `Deposed`.
    pub async fn entity_once(
        &self,
        call: &CommandCall,
        target: &Target,
        (entity, what, reason): (&str, EntityCommand, Option<&str>),
    ) -> Result<EntityMigrationStatus, StoreError> {
        transact!(self => "command an entity", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return serde_json::from_value(answer).map_err(|_| StoreError::RequestIdReused);
            }
            let before = check_etag(conn, target).await?;
            let known = find_entity(conn, before.id, entity).await?;
            let next = decide(conn, &before, &known, what).await?;
            apply(conn, &before, (&known, &next), (reason, &call.actor)).await?;
            migration_orchestration::count_command(conn, before.id).await?;
            migration_orchestration::recount(conn, before.id, 0).await?;
            let after = find_entity(conn, before.id, entity).await?;
            let answer = serde_json::to_value(&after).expect("invariant: a record is JSON");
            command::insert(conn, call, Some(before.id), &answer).await?;
            Ok(after)
        })
    }

    /// Notes that what is wished of an entity is so.
    pub async fn reach_intent(
        &self,
        migration_id: Uuid,
        entity: &str,
        intent: EntityIntent,
    ) -> Result<(), StoreError> {
        transact!(self => "reach what is wished of an entity", |conn| {
            Ok(entity_intent::reach_intent(conn, migration_id, entity, intent).await?)
        })
    }

    /// Changes settings of a migration, once; the migration afterwards.
    ///
    /// # Errors
    /// `Setting`; `EtagMismatch`; `NoEntity`; `Illegal` where nothing is left to run; `RequestIdReused`; `Deposed`.
    pub async fn set_once(
        &self,
        call: &CommandCall,
        target: &Target,
        (entity, changes): (Option<&str>, &[(String, String)]),
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "change settings", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return read_answer(answer);
            }
            let before = check_etag(conn, target).await?;
            let id = before.id;
            refuse_at_its_end(&before)?;
            if let Some(entity) = entity {
                find_entity(conn, id, entity).await?;
            }
            let mut overrides = Overrides::stored(&before.configuration);
            for (name, value) in changes {
                overrides.set(entity, name, value)?;
            }
            migration_orchestration::set_overrides(conn, id, &json!(overrides)).await?;
            set_entities(conn, id, &overrides).await?;
            migration_orchestration::count_command(conn, id).await?;
            let after = migration_orchestration::lock(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })?;
            keep(conn, call, &after).await?;
            Ok(after)
        })
    }

    /// Errors by what they have in common.
    pub async fn error_groups(
        &self,
        migration_id: Uuid,
        filter: &ErrorFilter,
    ) -> Result<Vec<ErrorGroup>, StoreError> {
        transact!(&self.pool, "group errors", |conn| {
            Ok(error_filter::group(conn, migration_id, filter).await?)
        })
    }

    /// How many rows' errors are not resolved.
    pub async fn open_errors(&self, migration_id: Uuid) -> Result<i64, StoreError> {
        transact!(&self.pool, "count open errors", |conn| {
            Ok(error_filter::open(conn, migration_id).await?)
        })
    }

    /// Marks errors as resolved by a decision, once: their rows stay away. How many.
    ///
    /// # Errors
    /// `EtagMismatch`; `RequestIdReused`; `Deposed`.
    pub async fn skip_errors_once(
        &self,
        call: &CommandCall,
        target: &Target,
        (filter, reason): (&ErrorFilter, &str),
    ) -> Result<u64, StoreError> {
        transact!(self => "skip errors", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return answer.as_u64().ok_or(StoreError::RequestIdReused);
            }
            let before = check_etag(conn, target).await?;
            let notes = format!("skipped by {}: {reason}", call.actor);
            let skipped = error_filter::resolve(conn, before.id, filter, &notes).await?;
            command::insert(conn, call, Some(before.id), &json!(skipped)).await?;
            Ok(skipped)
        })
    }

    /// Has rows that failed tried again, once: their retries. Rows that wait for one already are left out.
    ///
    /// # Errors
    /// `Illegal` where nothing can be written any more; `EtagMismatch`; `RequestIdReused`; `Deposed`.
    pub async fn retry_once(
        &self,
        call: &CommandCall,
        target: &Target,
        filter: &ErrorFilter,
    ) -> Result<Vec<Retry>, StoreError> {
        transact!(self => "retry errors", |conn| {
            let ids: Vec<Uuid> = match earlier(conn, call).await? {
                Some(answer) => serde_json::from_value(answer).map_err(|_| StoreError::RequestIdReused)?,
                None => {
                    let before = check_etag(conn, target).await?;
                    refuse_retry(&before)?;
                    let rows = error_filter::rows(conn, before.id, filter).await?;
                    let made = add_retries(conn, &before, (rows, &call.actor, None)).await?;
                    migration_orchestration::count_command(conn, before.id).await?;
                    let ids: Vec<Uuid> = made.iter().map(|retry| retry.retry_id).collect();
                    command::insert(conn, call, Some(before.id), &json!(ids)).await?;
                    ids
                }
            };
            Ok(retry::list(conn, target.migration_id, Some(&ids)).await?)
        })
    }

    /// Retries by their ids, with those that follow from them, or all that are still to be done.
    pub async fn retries(
        &self,
        migration_id: Uuid,
        ids: Option<&[Uuid]>,
    ) -> Result<Vec<Retry>, StoreError> {
        transact!(&self.pool, "list retries", |conn| {
            Ok(retry::list(conn, migration_id, ids).await?)
        })
    }

    /// Migrations that stand still and have rows to be tried again.
    pub async fn waiting_retries(&self) -> Result<Vec<Uuid>, StoreError> {
        transact!(&self.pool, "list migrations with retries", |conn| {
            Ok(retry::migrations(conn).await?)
        })
    }

    /// Stores what came of a retry whose batches are stored; children that were held because of rows that are there
    /// now are tried again next.
    pub async fn end_retry(
        &self,
        ended: &Retry,
        (resolved, words): (&[Resolved], &str),
    ) -> Result<RetryEnd, StoreError> {
        transact!(self => "end a retry", |conn| {
            let id = ended.migration_id;
            let migration = migration_orchestration::lock(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })?;
            let count = |fate: RetriedFate| resolved.iter().filter(|one| one.fate == fate).count() as i64;
            let written = count(RetriedFate::Written);
            let counts = (written, count(RetriedFate::Superseded), count(RetriedFate::Gone));
            if !retry::end(conn, ended.retry_id, counts).await? {
                return Ok(RetryEnd::default());
            }
            let notes: Vec<(&Resolved, String)> = resolved
                .iter()
                .map(|one| (one, notes(one.fate, &ended.asked_by, words)))
                .collect();
            retry::resolve_errors(conn, id, &notes).await?;
            let keys: Vec<&str> = resolved
                .iter()
                .filter(|one| one.fate == RetriedFate::Written)
                .map(|one| one.source_record_id.as_str())
                .collect();
            let mut released = Vec::new();
            if !keys.is_empty() {
                retry::note_written(conn, id, written).await?;
                let children = retry::held_children(conn, id, &ended.entity, &keys).await?;
                let root = Some(ended.root_id.unwrap_or(ended.retry_id));
                let rows = (children, &*ended.asked_by, root);
                released = add_retries(conn, &migration, rows).await?;
            }
            Ok(RetryEnd { released, written })
        })
    }

    /// Has rows of an entity tried again that were held while those that they refer to were tried again by these
    /// retries: how many that are.
    pub async fn release_late(
        &self,
        migration_id: Uuid,
        entity: &str,
        retries: &[Uuid],
    ) -> Result<usize, StoreError> {
        transact!(self => "release rows that were held meanwhile", |conn| {
            let id = migration_id;
            let migration = migration_orchestration::lock(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })?;
            let rows = retry::held_late(conn, id, entity, retries).await?;
            let count = rows.len();
            add_retries(conn, &migration, (rows, &migration.created_by, None)).await?;
            Ok(count)
        })
    }

    /// Notes a failed try of a retry; the last one ends it.
    pub async fn fail_retry(
        &self,
        retry_id: Uuid,
        problem: &str,
        is_last: bool,
    ) -> Result<(), StoreError> {
        transact!(self => "note a failed retry", |conn| {
            Ok(retry::fail(conn, retry_id, problem, is_last).await?)
        })
    }
}

fn notes(fate: RetriedFate, by: &str, words: &str) -> String {
    match fate {
        RetriedFate::Written => format!("written by a retry of {by}, {words}"),
        RetriedFate::Superseded => {
            format!("failed again when {by} retried it: another error of the row tells why")
        }
        RetriedFate::Gone => {
            format!(
                "retried by {by}: the row is no longer at the source, or `where` leaves it out now"
            )
        }
    }
}

async fn find_entity(
    conn: &mut PgConnection,
    id: Uuid,
    entity: &str,
) -> Result<EntityMigrationStatus, StoreError> {
    let mut found = entity_migration_status::lock(conn, id, &[entity]).await?;
    found.pop().ok_or_else(|| StoreError::NoEntity {
        entity: entity.to_owned(),
    })
}

/// What a command makes of an entity.
async fn decide(
    conn: &mut PgConnection,
    migration: &MigrationOrchestration,
    known: &EntityMigrationStatus,
    what: EntityCommand,
) -> Result<EntityNext, StoreError> {
    let partitions = partition_progress::list(conn, migration.id).await?;
    let footing = Footing {
        status: migration.status,
        activity: migration.activity,
        has_begun: !partitions.is_empty(),
        has_partitions: partitions.iter().any(|part| part.entity == known.entity),
    };
    entity_next(footing, known, what).map_err(|why| StoreError::IllegalEntity {
        entity: known.entity.clone(),
        verb: what.verb(),
        why,
    })
}

async fn apply(
    conn: &mut PgConnection,
    migration: &MigrationOrchestration,
    (known, next): (&EntityMigrationStatus, &EntityNext),
    (reason, by): (Option<&str>, &str),
) -> Result<(), StoreError> {
    let id = migration.id;
    if next.intent != known.intent {
        let wished = Wished {
            intent: next.intent,
            reason: reason.filter(|reason| !reason.is_empty()),
            by,
            is_reached: next.is_reached,
        };
        entity_intent::set_intent(conn, id, &known.entity, wished).await?;
    }
    if let Some(status) = next.status.filter(|status| *status != known.status) {
        entity_migration_status::set_status(conn, id, &known.entity, status).await?;
    }
    if next.is_unblocked {
        entity_migration_status::set_blocked(conn, id, &known.entity, None).await?;
    }
    if next.resumes {
        super::migration::command(conn, id, &proto::domain::state::Command::Resume).await?;
    }
    Ok(())
}

/// Every entity shows the settings in force.
async fn set_entities(
    conn: &mut PgConnection,
    id: Uuid,
    overrides: &Overrides,
) -> Result<(), StoreError> {
    let compiled = plan::of_migration(conn, id)
        .await?
        .and_then(|plan| plan.compiled);
    let Some(mut compiled) = compiled else {
        return Ok(());
    };
    overrides.apply(&mut compiled);
    for entity in &compiled.entities {
        let settings = (
            i64::from(entity.settings.batch_size),
            &*max_quarantined(entity.settings.max_quarantined),
        );
        entity_intent::set_settings(conn, id, &entity.entity, settings).await?;
    }
    Ok(())
}

/// Adds retries of rows, as (entity, record id), some hundred together; those that wait for one already stay out.
async fn add_retries(
    conn: &mut PgConnection,
    migration: &MigrationOrchestration,
    (rows, by, root_id): (Vec<(String, String)>, &str, Option<Uuid>),
) -> Result<Vec<Retry>, StoreError> {
    let (id, attempt) = (migration.id, migration.attempt);
    let mut made = Vec::new();
    for rows in rows.chunk_by(|a, b| a.0 == b.0) {
        let Some(entity) = rows.first().map(|row| row.0.clone()) else {
            continue;
        };
        let waiting = retry::pending_keys(conn, id, &entity).await?;
        let keys: Vec<String> = rows
            .iter()
            .map(|row| row.1.clone())
            .filter(|key| !waiting.contains(key))
            .collect();
        let lowest = retry::lowest_number(conn, id, &entity, attempt).await?;
        for (at, keys) in (1..).zip(keys.chunks(RETRIED_TOGETHER)) {
            let number = lowest - at;
            made.push(Retry {
                retry_id: crate::partition::partition_id(id, (attempt, 0), &entity, number),
                migration_id: id,
                entity: entity.clone(),
                attempt,
                number,
                keys: keys.to_vec(),
                asked_by: by.to_owned(),
                root_id,
                state: RetryState::Pending,
                tries: 0,
                problem: None,
                rows_written: 0,
                rows_failed: 0,
                rows_gone: 0,
            });
        }
    }
    retry::insert(conn, &made).await?;
    let partitions: Vec<NewPartition> = made
        .iter()
        .map(|retry| NewPartition {
            partition_id: retry.retry_id,
            entity: retry.entity.clone(),
            number: retry.number,
            range: KeyRange::default(),
            entity_hash: String::new(),
        })
        .collect();
    partition_progress::insert(conn, id, attempt, &partitions).await?;
    Ok(made)
}

fn refuse_at_its_end(migration: &MigrationOrchestration) -> Result<(), Illegal> {
    match migration.state().is_at_rest() && migration.started_at.is_some() {
        true => Err(Illegal {
            state: migration.state(),
            verb: "change its settings",
            why: "it has ended",
        }),
        false => Ok(()),
    }
}

/// Rows can be tried again while a migration runs, stands still, or is completed; not after a cancel or amid an undo.
fn refuse_retry(migration: &MigrationOrchestration) -> Result<(), Illegal> {
    use proto::domain::record::MigrationStatus as S;
    let why = match migration.status {
        S::Running | S::Completed => return Ok(()),
        S::Pending => "nothing was copied yet",
        S::Failed => "it was cancelled",
        S::RollingBack => "it is being undone",
    };
    Err(Illegal {
        state: migration.state(),
        verb: "retry rows",
        why,
    })
}
