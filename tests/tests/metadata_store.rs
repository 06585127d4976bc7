//! The store against a real database: a migration from its creation to its end, reports that come
//! twice, late and with gaps, plans that change, and two processes at once.

use controller::store::{
    DEFAULT_SCHEMA, EntityRows, ErrorFilter, Found, NewMapping, NewMigration, NewPlan,
    PartitionPhase, PartitionUpdate, PlanRows, Store, StoreError, Tick,
};
use drover_tests::pg::TestDatabase;
use proto::domain::compiled::{CompiledPlan, Consistency, Limits, MaxQuarantined};
use proto::domain::failure::FailureKind;
use proto::domain::frame::{
    BatchReport, Counts, DatabaseIdentity, NewPartition, PartitionState, RowError,
};
use proto::domain::key::{KeyRange, KeyValue};
use proto::domain::record::{
    Activity, CheckpointType, EntityStatus, ErrorType, MigrationStatus, MigrationType,
};
use proto::domain::state::Command;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

struct World {
    options: PgConnectOptions,
    store: Store,
    _database: TestDatabase,
}

async fn world() -> anyhow::Result<World> {
    let database = TestDatabase::new().await?;
    let options: PgConnectOptions = database.url().parse()?;
    let store = Store::connect(options.clone(), DEFAULT_SCHEMA).await?;
    Ok(World {
        options,
        store,
        _database: database,
    })
}

fn entity(name: &str, needs: &[&str], hash: &str) -> EntityRows {
    EntityRows {
        mapping: NewMapping {
            entity: name.to_owned(),
            source_entity: format!("legacy_{name}"),
            destination_entity: name.to_owned(),
            entity_type: "thing".to_owned(),
            transformation_rules: json!({"name": [{"col": "name"}]}),
            dependency_entities: needs.iter().map(|name| (*name).to_owned()).collect(),
            validation_rules: json!([]),
            is_active: true,
            version: "1".to_owned(),
            entity_hash: hash.to_owned(),
        },
        batch_size: 100,
        max_quarantined: MaxQuarantined::Share(0.001),
    }
}

fn plan(document: &str, entities: Vec<EntityRows>) -> PlanRows {
    PlanRows {
        plan: NewPlan {
            name: "clinic".to_owned(),
            document: document.to_owned(),
            document_hash: format!("hash of {document}"),
            compiled: CompiledPlan {
                name: "clinic".to_owned(),
                namespace: Uuid::from_u128(1),
                source: "legacy".to_owned(),
                destination: "app".to_owned(),
                consistency: Consistency::None,
                limits: Limits {
                    parallel_partitions: 4,
                    max_retries: 5,
                    max_rows_per_second: None,
                    source_max_lag_seconds: None,
                },
                checks: Vec::new(),
                has_own_checks: false,
                warnings: Vec::new(),
                is_cleanup: false,
                schema_changes: Vec::new(),
                entities: Vec::new(),
            },
        },
        configuration: json!({"batch_size": 100}),
        entities,
    }
}

fn two_entities() -> Vec<EntityRows> {
    vec![
        entity("offices", &[], "h1"),
        entity("profiles", &["offices"], "h2"),
    ]
}

fn migration() -> NewMigration {
    let identity = |database: &str| DatabaseIdentity {
        system_identifier: "7".to_owned(),
        database: database.to_owned(),
        timeline: 1,
    };
    NewMigration {
        id: Uuid::now_v7(),
        attempt: 1,
        migration_type: MigrationType::FullMigration,
        created_by: "ann".to_owned(),
        source_identity: identity("legacy"),
        destination_identity: identity("app"),
        rows_estimate: 20,
        plan: plan("first", two_entities()),
    }
}

fn partition(at: u128, number: i32) -> NewPartition {
    let bound = KeyValue(vec!["10".to_owned()]);
    NewPartition {
        partition_id: Uuid::from_u128(at),
        entity: "offices".to_owned(),
        number,
        range: if number == 0 {
            KeyRange {
                after: None,
                upto: Some(bound),
            }
        } else {
            KeyRange {
                after: Some(bound),
                upto: None,
            }
        },
        entity_hash: "h1".to_owned(),
    }
}

/// Batch `seq` of a partition: 5 rows, the last of them failed.
fn batch(at: u128, seq: i64, is_last: bool) -> BatchReport {
    let counts = Counts {
        read: 5,
        written: 4,
        failed: 1,
        ..Counts::default()
    };
    let time = chrono::DateTime::from_timestamp(1_700_000_000 + seq, 0).unwrap();
    BatchReport {
        partition_id: Uuid::from_u128(at),
        entity: "offices".to_owned(),
        attempt: 1,
        seq,
        token: 9,
        cursor: Some(KeyValue(vec![(seq * 5).to_string()])),
        counts,
        totals: Counts {
            read: 5 * seq,
            written: 4 * seq,
            failed: seq,
            ..Counts::default()
        },
        retry_count: 9,
        started_at: time,
        written_at: time + chrono::Duration::milliseconds(250),
        errors: vec![RowError {
            id: Uuid::from_u128(at * 1000 + u128::try_from(seq).unwrap()),
            source_record_id: (seq * 5).to_string(),
            error_code: "23502".to_owned(),
            error_message: "name is missing".to_owned(),
            source_data: json!({"id": seq * 5}),
            context: json!({"column": "name"}),
            is_held: false,
            occurred_at: time,
        }],
        was_bisected: true,
        is_last,
    }
}

fn tick(batches: Vec<BatchReport>) -> Tick {
    Tick {
        max_retries: 5,
        batches,
        ..Tick::default()
    }
}

/// A running migration whose entity offices runs with the partitions 1 and 2.
async fn running(store: &Store) -> anyhow::Result<Uuid> {
    let id = store.create_migration(&migration()).await?.id;
    store.command(id, &Command::Start).await?;
    store.set_entity_total(id, "offices", 20, false).await?;
    store
        .set_entity_status(id, "offices", EntityStatus::Running)
        .await?;
    store
        .save_partitions(id, 1, &[partition(1, 0), partition(2, 1)])
        .await?;
    Ok(id)
}

#[tokio::test]
async fn a_migration_runs_from_its_creation_to_its_end() -> anyhow::Result<()> {
    let World { store, .. } = world().await?;
    let id = running(&store).await?;
    // Transactions can be run from any task.
    let spawned = store.clone();
    let outcome = tokio::spawn(async move {
        spawned
            .apply_tick(id, &tick(vec![batch(2, 1, false), batch(1, 1, false)]))
            .await
    })
    .await??;
    assert_eq!(
        outcome.acked,
        [(Uuid::from_u128(2), 1), (Uuid::from_u128(1), 1)]
    );
    assert_eq!(outcome.new_error_count, 2);
    let offices = &outcome.entities[0];
    assert_eq!((offices.records_processed, offices.records_failed), (8, 2));
    assert_eq!((offices.records_total, offices.last_batch_number), (20, 2));
    // The second partition is beyond the gapless prefix.
    assert_eq!(offices.last_processed_id.as_deref(), Some("5"));
    assert!((outcome.migration.progress_percentage - 50.0).abs() < 1e-9);

    let refused = store.command(id, &Command::Complete).await;
    assert_eq!(
        refused.unwrap_err().rule(),
        Some("orchestration_open_entities")
    );

    store
        .apply_tick(id, &tick(vec![batch(1, 2, true), batch(2, 2, true)]))
        .await?;
    let after = store
        .set_entity_status(id, "offices", EntityStatus::Completed)
        .await?;
    assert_eq!((after.total_entities, after.completed_entities), (2, 1));
    assert!((after.progress_percentage - 99.9).abs() < 1e-9);
    store
        .set_entity_status(id, "profiles", EntityStatus::Running)
        .await?;
    store
        .set_entity_status(id, "profiles", EntityStatus::Completed)
        .await?;
    let done = store.command(id, &Command::Complete).await?;
    assert_eq!(done.status, MigrationStatus::Completed);
    assert_eq!((done.progress_percentage, done.error_count), (100.0, 4));
    assert!(done.completed_at > done.started_at);

    let checkpoints = store.checkpoints(id, None, 100, None).await?;
    assert_eq!(checkpoints.len(), 5);
    assert_eq!(
        checkpoints[0].checkpoint_type,
        CheckpointType::EntityCompletion
    );
    assert_eq!(
        checkpoints[1].checkpoint_type,
        CheckpointType::ErrorRecovery
    );
    assert_eq!(checkpoints[1].records_processed, 16);
    assert_eq!(checkpoints[1].system_state["cursor"], json!(["10"]));

    let batches = store.batches(offices.id, 100, 0).await?;
    assert_eq!(batches.len(), 4);
    assert_eq!(batches[0].processing_duration_ms, 250);
    assert_eq!(batches[0].retry_count, 5);
    assert_eq!(
        batches[0].error_summary.as_deref(),
        Some("1 rows failed: 23502 (1)")
    );

    let of_offices = ErrorFilter {
        entity: Some("offices".to_owned()),
        ..ErrorFilter::default()
    };
    let errors = store.errors(id, &of_offices, 2, None).await?;
    let rest = store
        .errors(id, &ErrorFilter::default(), 100, Some(errors[1].id))
        .await?;
    assert_eq!((errors.len(), rest.len()), (2, 2));
    assert_eq!(errors[0].error_type, ErrorType::ConstraintViolation);
    assert_eq!(
        store.get_error(errors[0].id).await?.as_ref(),
        Some(&errors[0])
    );

    let begun_again = store.command(id, &Command::Start).await;
    assert!(matches!(begun_again, Err(StoreError::Illegal(_))));
    Ok(())
}

#[tokio::test]
async fn reports_that_come_twice_late_or_with_a_gap_count_once() -> anyhow::Result<()> {
    let World { store, options, .. } = world().await?;
    let id = running(&store).await?;
    let first = Uuid::from_u128(1);
    store
        .apply_tick(id, &tick(vec![batch(1, 1, false)]))
        .await?;
    let again = store
        .apply_tick(id, &tick(vec![batch(1, 1, false), batch(1, 1, false)]))
        .await?;
    assert_eq!((again.new_error_count, again.acked), (0, vec![(first, 1)]));
    assert_eq!(again.entities[0].records_processed, 4);

    let gap = store
        .apply_tick(id, &tick(vec![batch(1, 3, false)]))
        .await?;
    assert_eq!(
        (gap.behind, gap.acked),
        (vec![(first, 1)], vec![(first, 1)])
    );
    let closed = store
        .apply_tick(id, &tick(vec![batch(1, 2, false), batch(1, 3, true)]))
        .await?;
    assert_eq!((closed.behind, closed.acked), (vec![], vec![(first, 3)]));
    assert_eq!(closed.entities[0].records_read, 15);

    let mut old = batch(2, 1, false);
    old.attempt = 2;
    let unknown = store
        .apply_tick(id, &tick(vec![old, batch(77, 1, false)]))
        .await?;
    assert_eq!(unknown.unknown, [Uuid::from_u128(77)]);
    assert_eq!(unknown.new_error_count, 0);

    // The cache is lost: the destination's word, and what is stored, bring it back.
    let before = store.entities(id).await?;
    let mut conn = PgConnection::connect_with(&options).await?;
    conn.execute("delete from drover_meta.partition_progress")
        .await?;
    let state = PartitionState {
        partition_id: first,
        entity: "offices".to_owned(),
        number: 0,
        range: KeyRange::default(),
        seq: 4,
        cursor: Some(KeyValue(vec!["20".to_owned()])),
        is_done: true,
        is_closed: false,
        token: 9,
        totals: batch(1, 4, true).totals,
    };
    let partitions = store.sync_partitions(id, 1, &[state]).await?;
    assert_eq!((partitions[0].seq, partitions[0].acked_seq), (4, 3));
    assert_eq!(partitions[0].phase, PartitionPhase::Done);
    let late = store.apply_tick(id, &tick(vec![batch(1, 4, true)])).await?;
    assert_eq!(late.acked, [(first, 4)]);
    assert_eq!(late.entities[0].records_read, before[0].records_read + 5);
    assert_eq!(late.entities[0].last_batch_number, 4);
    Ok(())
}

#[tokio::test]
async fn old_news_about_a_partition_changes_nothing() -> anyhow::Result<()> {
    let World { store, .. } = world().await?;
    let id = running(&store).await?;
    let update = |token, phase| PartitionUpdate {
        partition_id: Uuid::from_u128(1),
        phase,
        holder: Some(Uuid::from_u128(5)),
        token,
    };
    let claimed = Tick {
        partitions: vec![
            update(None, PartitionPhase::Assigned),
            update(Some(7), PartitionPhase::Running),
            update(Some(6), PartitionPhase::Blocked),
        ],
        ..tick(vec![])
    };
    store.apply_tick(id, &claimed).await?;
    let partitions = store.partitions(id).await?;
    assert_eq!(
        (partitions[0].phase, partitions[0].token),
        (PartitionPhase::Running, 7)
    );
    assert_eq!(partitions[0].range, partition(1, 0).range);
    store.apply_tick(id, &tick(vec![batch(1, 1, true)])).await?;
    let released = Tick {
        partitions: vec![update(None, PartitionPhase::Pending)],
        ..tick(vec![])
    };
    store.apply_tick(id, &released).await?;
    assert_eq!(store.partitions(id).await?[0].phase, PartitionPhase::Done);
    Ok(())
}

#[tokio::test]
async fn pause_block_cancel_and_rollback_follow_the_table() -> anyhow::Result<()> {
    let World { store, options, .. } = world().await?;
    let id = running(&store).await?;
    store
        .apply_tick(id, &tick(vec![batch(1, 1, false)]))
        .await?;
    store.command(id, &Command::Pause).await?;
    assert_eq!(
        store.command(id, &Command::Paused).await?.activity,
        Some(Activity::Paused)
    );
    store.command(id, &Command::Resume).await?;
    let block = Command::Block {
        reason: "disk full".to_owned(),
        hint: "give it room".to_owned(),
    };
    let blocked = store.command(id, &block).await?;
    assert_eq!(blocked.activity_reason.as_deref(), Some("disk full"));
    assert_eq!(
        store.command(id, &Command::Resume).await?.activity_reason,
        None
    );
    // What is under way is stopped first.
    let cancelling = store.command(id, &Command::Cancel).await?;
    assert_eq!(
        (cancelling.status, cancelling.activity),
        (MigrationStatus::Running, Some(Activity::Pausing))
    );
    assert_eq!(cancelling.activity_reason.as_deref(), Some("cancelling"));
    let cancelled = store.command(id, &Command::Paused).await?;
    assert_eq!(cancelled.status, MigrationStatus::Failed);
    assert_eq!(cancelled.activity_reason.as_deref(), Some("cancelled"));
    assert_eq!(store.entities(id).await?[0].status, EntityStatus::Failed);

    store.command(id, &Command::Rollback).await?;
    let undone = store.command(id, &Command::RollbackDone).await?;
    assert_eq!(
        (undone.status, undone.attempt),
        (MigrationStatus::Pending, 2)
    );
    assert_eq!((undone.started_at, undone.progress_percentage), (None, 0.0));
    assert_eq!(store.partitions(id).await?, []);
    let entities = store.entities(id).await?;
    assert_eq!(
        (entities[0].status, entities[0].records_read),
        (EntityStatus::Pending, 0)
    );
    assert_eq!(entities[0].last_batch_number, 1);
    assert!(
        store
            .checkpoints(id, None, 9, None)
            .await?
            .iter()
            .all(|checkpoint| !checkpoint.is_resumable)
    );

    let mut conn = PgConnection::connect_with(&options).await?;
    let events: Vec<String> =
        sqlx::query_scalar("select event_type from drover_meta.outbox order by id")
            .fetch_all(&mut conn)
            .await?;
    assert_eq!(
        events,
        [
            "migration_started",
            "migration_pausing",
            "migration_paused",
            "migration_resumed",
            "migration_blocked",
            "migration_resumed",
            "migration_pausing",
            "migration_completed",
            "migration_rollback_started",
            "migration_completed",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn an_edited_plan_takes_effect_unless_rows_were_copied_by_other_rules() -> anyhow::Result<()>
{
    let World { store, .. } = world().await?;
    let id = running(&store).await?;
    let mut edited = two_entities();
    edited[0].max_quarantined = MaxQuarantined::Rows(7);
    edited[1].mapping.entity_hash = "h2, edited".to_owned();
    edited.push(entity("notes", &["profiles"], "h3"));
    edited.swap(1, 2);
    store
        .update_plan(id, &plan("second", edited.clone()))
        .await?;
    let entities = store.entities(id).await?;
    let names: Vec<&str> = entities
        .iter()
        .map(|entity| entity.entity.as_str())
        .collect();
    assert_eq!(names, ["offices", "notes", "profiles"]);
    assert_eq!(entities[0].max_quarantined, "7");
    assert_eq!(entities[2].max_quarantined, "0.1%");
    assert_eq!(entities[2].entity_hash, "h2, edited");
    assert_eq!(
        store.plan(id).await?.map(|plan| plan.document).as_deref(),
        Some("second")
    );

    store
        .apply_tick(id, &tick(vec![batch(1, 1, false)]))
        .await?;
    edited[0].mapping.entity_hash = "h1, edited".to_owned();
    let refused = store.update_plan(id, &plan("third", edited.clone())).await;
    assert!(matches!(refused, Err(StoreError::PlanChanged { entity }) if entity == "offices"));
    let refused = store
        .update_plan(id, &plan("fourth", edited.split_off(1)))
        .await;
    assert!(matches!(refused, Err(StoreError::PlanChanged { entity }) if entity == "offices"));
    assert_eq!(
        store.plan(id).await?.map(|plan| plan.document).as_deref(),
        Some("second")
    );
    Ok(())
}

#[tokio::test]
async fn a_migration_is_found_by_name_id_and_the_beginning_of_its_id() -> anyhow::Result<()> {
    let World { store, .. } = world().await?;
    let one = store.create_migration(&migration()).await?;
    let taken = store.create_migration(&migration()).await;
    assert!(matches!(taken, Err(StoreError::NameTaken { name }) if name == "clinic"));
    let mut other = migration();
    other.id = Uuid::from_u128(one.id.as_u128() ^ 1);
    other.plan.plan.name = "other".to_owned();
    for entity in &mut other.plan.entities {
        entity.mapping.is_active = false;
    }
    let other = store.create_migration(&other).await?;
    assert_eq!(other.total_entities, 0);

    let id = one.id.to_string();
    assert_eq!(
        store.find_migration("clinic").await?,
        Found::One(Box::new(one.clone()))
    );
    assert_eq!(
        store.find_migration(&id).await?,
        Found::One(Box::new(one.clone()))
    );
    let both = store.find_migration(&id[..8]).await?;
    assert_eq!(both, Found::Ambiguous(vec![other.clone(), one.clone()]));
    assert_eq!(store.find_migration(&id[..3]).await?, Found::None);
    assert_eq!(store.find_migration("nobody").await?, Found::None);
    assert_eq!(
        store.list_migrations(1, None).await?,
        std::slice::from_ref(&other)
    );
    assert_eq!(store.list_migrations(9, Some(other.id)).await?, [one]);
    Ok(())
}

#[tokio::test]
async fn the_era_rises_with_every_start() -> anyhow::Result<()> {
    let World { store, .. } = world().await?;
    assert_eq!(store.raise_era(0, "c", 7).await?, 1);
    assert_eq!(store.raise_era(0, "c", 7).await?, 2);
    assert_eq!(store.raise_era(40, "c", 7).await?, 41);
    assert!(
        store
            .raise_era(proto::domain::token::MAX_ERA, "c", 7)
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn one_process_at_a_time_runs_a_migration() -> anyhow::Result<()> {
    let World { store, .. } = world().await?;
    let mut held = store.lock_migration("clinic").await?;
    store.lock_migration("other").await?.release().await?;
    let refused = store.lock_migration("clinic").await.unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyRunning { .. }));
    assert_eq!(refused.failure().kind, FailureKind::AlreadyRunning);
    held.check().await?;
    // A lingering session that ends in time lets the next one in.
    let (next, ()) = tokio::join!(store.lock_migration("clinic"), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        drop(held);
    });
    next?.release().await?;
    Ok(())
}

#[tokio::test]
async fn first_starts_side_by_side_make_one_schema() -> anyhow::Result<()> {
    let database = TestDatabase::new().await?;
    let options: PgConnectOptions = database.url().parse()?;
    let nothing = Store::open_existing(options.clone(), DEFAULT_SCHEMA).await;
    assert!(matches!(nothing, Err(StoreError::NotInstalled { .. })));
    let (one, two, three) = tokio::join!(
        Store::connect(options.clone(), "odd \"name\""),
        Store::connect(options.clone(), "odd \"name\""),
        Store::connect(options.clone(), DEFAULT_SCHEMA),
    );
    one?.create_migration(&migration()).await?;
    assert!(matches!(
        two?.find_migration("clinic").await?,
        Found::One(_)
    ));
    three?.close().await;
    let reader = Store::open_existing(options, DEFAULT_SCHEMA).await?;
    assert_eq!(reader.list_migrations(10, None).await?, []);
    assert!(reader.raise_era(0, "c", 7).await.is_err());
    Ok(())
}
