//! The metadata schema refuses nonsense and accepts what is true: each rule of the data model once
//! with data that breaks it, once with data that just does not.
//!
//! Every case runs in a transaction of its own on top of the same fixture: a running migration with
//! the entities offices (running), profiles (needs offices) and notes (needs profiles and itself).

use std::collections::BTreeMap;

use controller::store::{DEFAULT_SCHEMA, Store};
use drover_tests::pg::TestDatabase;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};

/// What a case must end in.
enum Expect {
    /// Every statement succeeds, deferred rules included.
    Fine,
    /// The last statement is refused by this constraint or rule.
    Rule(&'static str),
    /// The last statement is refused with this SQLSTATE.
    State(&'static str),
}
use Expect::{Fine, Rule, State};

/// (what, SQL, what it must end in)
type Case = (&'static str, &'static str, Expect);

const FIXTURE: &str = "
insert into plan (id, name, document, document_hash, namespace)
    values ({p}, 'clinic', 'version: 1', 'd1', gen_random_uuid());
insert into legacy_entity_mapping (id, plan_name, entity, source_entity, destination_entity,
        entity_type, transformation_rules, dependency_entities, version, entity_hash) values
    ({r1}, 'clinic', 'offices', 'dispatch_office', 'offices', 'office', '{\"a\": []}', '{}', '1', 'h1'),
    ({r2}, 'clinic', 'profiles', 'dispatch_user', 'profiles', 'profile', '{\"a\": []}', '{offices}', '1', 'h2'),
    ({r3}, 'clinic', 'notes', 'dispatch_note', 'notes', 'note', '{\"a\": []}', '{profiles,notes}', '1', 'h3');
insert into migration_orchestration (id, name, plan_id, migration_type, created_by)
    values ({m}, 'clinic', {p}, 'full_migration', 'ann');
insert into entity_migration_status (id, migration_id, legacy_entity_mapping_id, entity, entity_name,
        target_entity, entity_type, entity_hash, dependency_order, batch_size, records_total) values
    ({e1}, {m}, {r1}, 'offices', 'dispatch_office', 'offices', 'office', 'h1', 1, 100, 1000),
    ({e2}, {m}, {r2}, 'profiles', 'dispatch_user', 'profiles', 'profile', 'h2', 2, 100, 1000),
    ({e3}, {m}, {r3}, 'notes', 'dispatch_note', 'notes', 'note', 'h3', 3, 100, 1000);
update migration_orchestration set status = 'running', activity = 'running', total_entities = 3
    where id = {m};
update entity_migration_status set status = 'running' where id = {e1};
insert into partition_progress (partition_id, migration_id, entity, number)
    values ({t}, {m}, 'offices', 0);
insert into batch_processing_status (id, migration_id, entity_status_id, batch_number, batch_size,
        status, records_successful, records_failed, started_at, completed_at, partition_id, attempt,
        seq, entity_hash)
    values ({b}, {m}, {e1}, 1, 10, 'completed', 9, 1, now() - interval '1 s', now(), {t}, 1, 1, 'h1');
insert into migration_checkpoint (id, migration_id, entity, entity_name, checkpoint_type,
        batch_number, records_processed, system_state)
    values ({c}, {m}, 'offices', 'dispatch_office', 'batch_completion', 1, 9, {state});
insert into migration_error (id, migration_id, entity_status_id, entity, batch_id, error_type,
        error_code, error_message, occurred_at)
    values ({x}, {m}, {e1}, 'offices', {b}, 'data_validation', '22003', 'too large', now());
insert into schema_change_operation (id, migration_id, position, operation_type, table_name,
        column_name, operation_sql, rollback_sql)
    values ({s}, {m}, 1, 'add_column', 'profiles', 'legacy_id', 'alter …', 'alter …');
";

#[tokio::test]
async fn every_rule_refuses_nonsense_and_accepts_the_truth() -> anyhow::Result<()> {
    let database = TestDatabase::new().await?;
    let options: PgConnectOptions = database.url().parse()?;
    Store::connect(options.clone(), DEFAULT_SCHEMA)
        .await?
        .close()
        .await;
    // The rules pin their schema: a session may have any search path that finds the tables.
    let mut conn = PgConnection::connect_with(&options).await?;
    conn.execute("set search_path = public, drover_meta")
        .await?;
    conn.execute(sqlx::raw_sql(&filled(FIXTURE))).await?;

    let mut wrong = Vec::new();
    let groups: [(&str, &[Case]); 9] = [
        ("migration", MIGRATION),
        ("entity", ENTITY),
        ("checkpoint", CHECKPOINT),
        ("batch", BATCH),
        ("error", ERROR),
        ("schema change", SCHEMA_CHANGE),
        ("rules", RULES),
        ("validation", VALIDATION),
        ("own tables", OWN),
    ];
    for (group, cases) in groups {
        for (what, sql, expected) in cases {
            let mut transaction = conn.begin().await?;
            let outcome = async {
                transaction.execute(sqlx::raw_sql(&filled(sql))).await?;
                transaction.execute("set constraints all immediate").await
            }
            .await;
            if let Some(words) = disagreement(&outcome, expected) {
                wrong.push(format!("{group}: {what}: {words}"));
            }
            transaction.rollback().await?;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn disagreement<T>(outcome: &Result<T, sqlx::Error>, expected: &Expect) -> Option<String> {
    let refusal = outcome
        .as_ref()
        .err()
        .and_then(|error| error.as_database_error());
    match (expected, outcome) {
        (Fine, Ok(_)) => None,
        (Fine, Err(error)) => Some(format!("refused: {error}")),
        (Rule(_) | State(_), Ok(_)) => Some("accepted".to_owned()),
        (Rule(rule), Err(error)) => (refusal.and_then(|refusal| refusal.constraint())
            != Some(*rule))
        .then(|| format!("not refused by {rule}: {error}")),
        (State(state), Err(error)) => (refusal.and_then(|refusal| refusal.code()).as_deref()
            != Some(*state))
        .then(|| format!("not refused with {state}: {error}")),
    }
}

/// `{m}` and the like become ids, `{state}` a sound system state.
fn filled(sql: &str) -> String {
    let mut filled = sql.to_owned();
    let names = [
        "p", "m", "r1", "r2", "r3", "e1", "e2", "e3", "t", "b", "c", "x", "s", "new",
    ];
    for (at, name) in names.iter().enumerate() {
        let id = format!("'00000000-0000-7000-8000-{:012}'::uuid", at + 1);
        filled = filled.replace(&format!("{{{name}}}"), &id);
    }
    filled.replace(
        "{state}",
        r#"'{"partition": "p", "attempt": 1, "seq": 1, "cursor": ["7"], "token": 5, "entity_hash": "h1"}'::jsonb"#,
    )
}

const MIGRATION: &[Case] = &[
    (
        "a progress above 100",
        "update migration_orchestration set progress_percentage = 100.001",
        Rule("migration_orchestration_progress_percentage_check"),
    ),
    (
        "a progress below 0",
        "update migration_orchestration set progress_percentage = -1",
        State("23514"),
    ),
    (
        "99.9 while running",
        "update migration_orchestration set progress_percentage = 99.9",
        Fine,
    ),
    (
        "more than 99.9 while running",
        "update migration_orchestration set progress_percentage = 99.901",
        Rule("orchestration_progress_open"),
    ),
    (
        "progress falls",
        "update migration_orchestration set progress_percentage = 50; update migration_orchestration set progress_percentage = 49",
        Rule("orchestration_progress_falls"),
    ),
    (
        "more entities completed than there are",
        "update migration_orchestration set completed_entities = 4",
        Rule("orchestration_completed_entities"),
    ),
    (
        "all entities completed",
        "update migration_orchestration set completed_entities = 3",
        Fine,
    ),
    (
        "an unknown type",
        "update migration_orchestration set migration_type = 'partial'",
        State("22P02"),
    ),
    (
        "an unknown status",
        "update migration_orchestration set status = 'paused'",
        State("22P02"),
    ),
    (
        "created as running",
        "insert into migration_orchestration (name, plan_id, migration_type, created_by, status, activity, started_at) values ('n', {p}, 'incremental', 'a', 'running', 'running', now())",
        Rule("orchestration_transition"),
    ),
    (
        "a second of the name",
        "insert into migration_orchestration (name, plan_id, migration_type, created_by) values ('clinic', {p}, 'incremental', 'a')",
        Rule("migration_orchestration_name"),
    ),
    (
        "the name of a deleted one",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled'; update migration_orchestration set deleted_at = now(); insert into migration_orchestration (name, plan_id, migration_type, created_by) values ('clinic', {p}, 'incremental', 'a')",
        Fine,
    ),
    (
        "deleted while running",
        "update migration_orchestration set deleted_at = now()",
        Rule("orchestration_deleted_at_rest"),
    ),
    (
        "running to pending",
        "update migration_orchestration set status = 'pending', activity = null",
        Rule("orchestration_transition"),
    ),
    (
        "running without activity",
        "update migration_orchestration set activity = null",
        Rule("orchestration_activity"),
    ),
    (
        "completed with activity",
        "update migration_orchestration set status = 'failed', activity_reason = 'cancelled'",
        Rule("orchestration_activity"),
    ),
    (
        "failed for another reason",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'disk full'",
        Rule("orchestration_failed_is_cancelled"),
    ),
    (
        "cancelled",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled'",
        Fine,
    ),
    (
        "failed and running again",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled'; update migration_orchestration set status = 'running', activity = 'running', activity_reason = null",
        Rule("orchestration_transition"),
    ),
    (
        "blocked without a reason",
        "update migration_orchestration set activity = 'blocked'",
        Rule("orchestration_blocked_reason"),
    ),
    (
        "blocked with a reason",
        "update migration_orchestration set activity = 'blocked', activity_reason = 'disk full'",
        Fine,
    ),
    (
        "paused at once",
        "update migration_orchestration set activity = 'paused'",
        Rule("orchestration_paused"),
    ),
    (
        "pausing, then paused",
        "update migration_orchestration set activity = 'pausing'; update migration_orchestration set activity = 'paused'",
        Fine,
    ),
    (
        "completed with open entities",
        "update migration_orchestration set status = 'completed', activity = null, progress_percentage = 100",
        Rule("orchestration_open_entities"),
    ),
    (
        "completed with skipped entities",
        "update entity_migration_status set status = 'skipped', records_total = 0 where status = 'pending'; update entity_migration_status set status = 'completed', records_total = 0, records_total_exact = true where id = {e1}; update migration_orchestration set status = 'completed', activity = null, progress_percentage = 100",
        Fine,
    ),
    (
        "completed at 50 %",
        "update entity_migration_status set status = 'skipped' where status = 'pending'; update entity_migration_status set status = 'completed', records_total = 0, records_total_exact = true where id = {e1}; update migration_orchestration set status = 'completed', activity = null, progress_percentage = 50",
        Rule("orchestration_progress_done"),
    ),
    (
        "another start time",
        "update migration_orchestration set started_at = 'infinity'; do $$ begin assert (select isfinite(started_at) from migration_orchestration); end $$",
        Fine,
    ),
    (
        "ended after it started",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled', completed_at = '-infinity'; do $$ begin assert (select completed_at > started_at from migration_orchestration); end $$",
        Fine,
    ),
    (
        "the attempt rises by itself",
        "update migration_orchestration set attempt = 2",
        Rule("orchestration_attempt"),
    ),
    (
        "a rollback without a new attempt",
        "update migration_orchestration set status = 'rolling_back'; update migration_orchestration set status = 'pending', activity = null, progress_percentage = 0",
        Rule("orchestration_attempt"),
    ),
    (
        "a rollback that keeps its progress",
        "update migration_orchestration set progress_percentage = 50; update migration_orchestration set status = 'rolling_back'; update migration_orchestration set status = 'pending', activity = null, attempt = 2",
        Rule("orchestration_progress_attempt"),
    ),
    (
        "a rollback",
        "update migration_orchestration set status = 'rolling_back'; update migration_orchestration set status = 'pending', activity = null, attempt = 2; do $$ begin assert (select started_at is null and completed_at is null from migration_orchestration); end $$",
        Fine,
    ),
    (
        "progress rises in a rollback",
        "update migration_orchestration set status = 'rolling_back'; update migration_orchestration set progress_percentage = 5",
        Rule("orchestration_progress_rollback"),
    ),
    (
        "some entities are undone, the others stay: paused at once, with less progress",
        "update migration_orchestration set progress_percentage = 50; update migration_orchestration set status = 'rolling_back'; update migration_orchestration set status = 'running', activity = 'paused', progress_percentage = 0",
        Fine,
    ),
    (
        "more progress after some entities are undone",
        "update migration_orchestration set progress_percentage = 50; update migration_orchestration set status = 'rolling_back'; update migration_orchestration set status = 'running', activity = 'paused', progress_percentage = 60",
        Rule("orchestration_progress_rollback"),
    ),
    (
        "another attempt after some entities are undone",
        "update migration_orchestration set status = 'rolling_back'; update migration_orchestration set status = 'running', activity = 'paused', attempt = 2",
        Rule("orchestration_attempt"),
    ),
    (
        "a rollback of a cancelled one",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled'; update migration_orchestration set status = 'rolling_back', activity = 'running', activity_reason = null",
        Fine,
    ),
    (
        "finalized while running",
        "update migration_orchestration set finalized_at = now()",
        Rule("orchestration_finalized"),
    ),
    (
        "a rollback of a finalized one",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled'; update migration_orchestration set finalized_at = now(); update migration_orchestration set status = 'rolling_back', activity = 'running', activity_reason = null, finalized_at = null",
        Rule("orchestration_finalized"),
    ),
    (
        "a configuration that is no object",
        "update migration_orchestration set configuration = '[]'",
        Rule("migration_orchestration_configuration_check"),
    ),
    (
        "the generation follows the state only",
        "update migration_orchestration set error_count = 1, generation = 99; do $$ begin assert (select generation = 2 from migration_orchestration); end $$; update migration_orchestration set activity = 'pausing'; do $$ begin assert (select generation = 3 from migration_orchestration); end $$",
        Fine,
    ),
];

const ENTITY: &[Case] = &[
    (
        "an order twice",
        "update entity_migration_status set dependency_order = 1 where id = {e2}",
        Rule("entity_migration_status_migration_id_dependency_order_key"),
    ),
    (
        "orders exchanged",
        "update entity_migration_status set dependency_order = 4 - dependency_order",
        Fine,
    ),
    (
        "more rows than there are",
        "update entity_migration_status set records_read = 1001, records_processed = 1001 where id = {e1}",
        Rule("entity_records_within_total"),
    ),
    (
        "processed and failed above the total",
        "update entity_migration_status set records_read = 1001, records_processed = 1000, records_failed = 1 where id = {e1}",
        Rule("entity_records_within_total"),
    ),
    (
        "as many rows as there are",
        "update entity_migration_status set records_read = 1000, records_processed = 999, records_failed = 1 where id = {e1}",
        Fine,
    ),
    (
        "rows that nobody read",
        "update entity_migration_status set records_read = 9, records_processed = 10 where id = {e1}",
        Rule("entity_records_read"),
    ),
    (
        "more skipped than processed",
        "update entity_migration_status set records_read = 2, records_processed = 1, records_failed = 1, records_skipped = 2 where id = {e1}",
        Rule("entity_records_skipped"),
    ),
    (
        "more held than failed",
        "update entity_migration_status set records_read = 1, records_failed = 1, records_held = 2 where id = {e1}",
        Rule("entity_records_held"),
    ),
    (
        "skipped rows are not written",
        "update entity_migration_status set records_read = 10, records_processed = 10, records_skipped = 4 where id = {e1}; do $$ begin assert (select records_written = 6 from entity_migration_status where entity = 'offices'); end $$",
        Fine,
    ),
    (
        "completed with rows missing",
        "update entity_migration_status set status = 'completed', records_total_exact = true where id = {e1}",
        Rule("entity_records_complete"),
    ),
    (
        "completed without a count",
        "update entity_migration_status set status = 'completed', records_total = 0 where id = {e1}",
        Rule("entity_records_complete"),
    ),
    (
        "completed",
        "update entity_migration_status set status = 'completed', records_total_exact = true, records_read = 1000, records_processed = 1000 where id = {e1}",
        Fine,
    ),
    (
        "running before its dependency",
        "update entity_migration_status set status = 'running' where id = {e2}",
        Rule("entity_dependencies"),
    ),
    (
        "running after it, itself apart",
        "update entity_migration_status set status = 'skipped' where id = {e2}; update entity_migration_status set status = 'running' where id = {e3}",
        Fine,
    ),
    (
        "pending to completed",
        "update entity_migration_status set status = 'completed', records_total = 0, records_total_exact = true where id = {e2}",
        Rule("entity_transition"),
    ),
    (
        "rows in a pending entity",
        "update entity_migration_status set records_read = 1, records_processed = 1 where id = {e2}",
        Rule("entity_records_untouched"),
    ),
    (
        "reset with its rows",
        "update entity_migration_status set records_read = 1, records_processed = 1 where id = {e1}; update entity_migration_status set status = 'pending' where id = {e1}",
        Rule("entity_records_untouched"),
    ),
    (
        "skipped with its rows",
        "update entity_migration_status set records_read = 1, records_processed = 1, status = 'skipped', intent = 'skipped', intent_by = 'ann' where id = {e1}; update entity_migration_status set status = 'running' where id = {e1}",
        Fine,
    ),
    (
        "a wish that nobody wished",
        "update entity_migration_status set intent_reason = 'why not' where id = {e1}",
        Rule("entity_intent"),
    ),
    (
        "reset",
        "update entity_migration_status set status = 'pending' where id = {e1}; do $$ begin assert (select started_at is null and last_batch_number = 1 from entity_migration_status where entity = 'offices'); end $$",
        Fine,
    ),
    (
        "inserted as running",
        "insert into entity_migration_status (migration_id, legacy_entity_mapping_id, entity, entity_name, target_entity, entity_type, entity_hash, dependency_order, batch_size, status, started_at) values ({m}, {r1}, 'offices', 'dispatch_office', 'offices', 'office', 'h1', 9, 1, 'running', now())",
        Rule("entity_transition"),
    ),
    (
        "a source that the mapping does not have",
        "update entity_migration_status set entity_name = 'dispatch_offices' where id = {e1}",
        Rule("entity_mapping_match"),
    ),
    (
        "a target that the mapping does not have",
        "update entity_migration_status set target_entity = 'office' where id = {e1}",
        Rule("entity_mapping_match"),
    ),
    (
        "a hash that the mapping does not have",
        "update entity_migration_status set entity_hash = 'h9' where id = {e1}",
        Rule("entity_mapping_match"),
    ),
    (
        "another entity's mapping",
        "update entity_migration_status set legacy_entity_mapping_id = {r2} where id = {e1}",
        Rule("entity_mapping_match"),
    ),
    (
        "another name",
        "update entity_migration_status set entity = 'office' where id = {e1}",
        Rule("entity_identity"),
    ),
    (
        "batch numbers fall",
        "update entity_migration_status set last_batch_number = 0 where id = {e1}",
        Rule("entity_batch_number_falls"),
    ),
    (
        "a quarantine limit in words",
        "update entity_migration_status set max_quarantined = 'many' where id = {e1}",
        Rule("entity_migration_status_max_quarantined_check"),
    ),
    (
        "a quarantine limit in percent",
        "update entity_migration_status set max_quarantined = '0.1%' where id = {e1}",
        Fine,
    ),
    (
        "an endless rate",
        "update entity_migration_status set throughput_per_second = 'infinity' where id = {e1}",
        Rule("entity_migration_status_throughput_per_second_check"),
    ),
    (
        "no batch size",
        "update entity_migration_status set batch_size = 0 where id = {e1}",
        Rule("entity_migration_status_batch_size_check"),
    ),
];

const CHECKPOINT: &[Case] = &[
    (
        "the same number",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'error_recovery', 1, 9, {state})",
        Rule("checkpoint_batch_number"),
    ),
    (
        "a lower number",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'entity_completion', 0, 9, {state})",
        Rule("checkpoint_batch_number"),
    ),
    (
        "the end of the entity",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'entity_completion', 1, 9, {state})",
        Fine,
    ),
    (
        "the same position twice",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, {state})",
        Rule("migration_checkpoint_position"),
    ),
    (
        "a time before the last",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state, created_at) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, {state} || '{\"seq\": 2}', '2000-01-01'); do $$ begin assert (select count(distinct created_at) = 2 and min(created_at) > '2020-01-01' from migration_checkpoint); end $$",
        Fine,
    ),
    (
        "many at once keep their order",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) select {m}, 'offices', 'dispatch_office', 'batch_completion', n, n, {state} || jsonb_build_object('seq', n) from generate_series(2, 50) n; do $$ begin assert (select bool_and(ok) from (select created_at > lag(created_at) over (order by batch_number) as ok from migration_checkpoint) t); end $$",
        Fine,
    ),
    (
        "a clock that went back",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, {state} || '{\"seq\": 2}'); alter table migration_checkpoint disable trigger a_guard; update migration_checkpoint set created_at = '2999-01-01' where batch_number = 2; alter table migration_checkpoint enable trigger a_guard; insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 3, 9, {state} || '{\"seq\": 3}'); do $$ begin assert (select max(created_at) = '2999-01-01 00:00:00.000001' from migration_checkpoint); end $$",
        Fine,
    ),
    (
        "a state without a token",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, {state} - 'token')",
        Rule("checkpoint_system_state"),
    ),
    (
        "a state without a cursor",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, {state} - 'cursor')",
        Rule("checkpoint_system_state"),
    ),
    (
        "a state whose cursor is null",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, {state} || '{\"cursor\": null, \"seq\": 2}')",
        Fine,
    ),
    (
        "a state without an attempt, seq, partition, hash",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, '{\"cursor\": null, \"token\": 1}')",
        Rule("checkpoint_system_state"),
    ),
    (
        "a state that is no object",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_office', 'batch_completion', 2, 9, '[]')",
        Rule("checkpoint_system_state"),
    ),
    (
        "an entity that is not there",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'office', 'dispatch_office', 'batch_completion', 2, 9, {state})",
        Rule("checkpoint_entity"),
    ),
    (
        "another source",
        "insert into migration_checkpoint (migration_id, entity, entity_name, checkpoint_type, batch_number, records_processed, system_state) values ({m}, 'offices', 'dispatch_user', 'batch_completion', 2, 9, {state})",
        Rule("checkpoint_entity"),
    ),
    (
        "changed afterwards",
        "update migration_checkpoint set records_processed = 10",
        Rule("checkpoint_immutable"),
    ),
    (
        "no longer resumable",
        "update migration_checkpoint set is_resumable = false",
        Fine,
    ),
    (
        "an unknown type",
        "update migration_checkpoint set checkpoint_type = 'batch'",
        State("22P02"),
    ),
];

const BATCH: &[Case] = &[
    (
        "rows that do not add up",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, batch_size, status, records_successful, records_failed, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 2, 10, 'completed', 9, 0, now() - interval '1 s', now(), {t}, 1, 2, 'h1')",
        Rule("batch_rows"),
    ),
    (
        "rows that do not add up in a failed batch",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, batch_size, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 2, 10, 'failed', now() - interval '1 s', now(), {t}, 1, 2, 'h1')",
        Rule("batch_rows"),
    ),
    (
        "rows that do not add up yet",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_size, status, started_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 10, 'processing', now(), {t}, 1, 2, 'h1')",
        Fine,
    ),
    (
        "a number left out",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 3, 'completed', now() - interval '1 s', now(), {t}, 1, 2, 'h1')",
        Rule("batch_number_sequential"),
    ),
    (
        "a number given twice",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 1, 'completed', now() - interval '1 s', now(), {t}, 1, 2, 'h1')",
        State("23505"),
    ),
    (
        "the next number",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 2, 'completed', now() - interval '1 s', now(), {t}, 1, 2, 'h1'); do $$ begin assert (select last_batch_number = 2 from entity_migration_status where entity = 'offices'); end $$",
        Fine,
    ),
    (
        "many next numbers",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) select {m}, {e1}, n, 'completed', now() - interval '1 s', now(), {t}, 1, n, 'h1' from generate_series(2, 100) n",
        Fine,
    ),
    (
        "completed without a number",
        "insert into batch_processing_status (migration_id, entity_status_id, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 'completed', now() - interval '1 s', now(), {t}, 1, 2, 'h1')",
        Rule("batch_numbered"),
    ),
    (
        "a number when it ends",
        "insert into batch_processing_status (id, migration_id, entity_status_id, status, started_at, partition_id, attempt, seq, entity_hash) values ({new}, {m}, {e1}, 'processing', now(), {t}, 1, 2, 'h1'); update batch_processing_status set status = 'completed', batch_number = 2, completed_at = now() + interval '1 s' where id = {new}",
        Fine,
    ),
    (
        "another number",
        "update batch_processing_status set batch_number = 2",
        Rule("batch_number_changes"),
    ),
    (
        "a batch twice",
        "insert into batch_processing_status (migration_id, entity_status_id, batch_number, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 2, 'completed', now() - interval '1 s', now(), {t}, 1, 1, 'h1')",
        State("23505"),
    ),
    (
        "too many tries",
        "update batch_processing_status set retry_count = 6",
        Rule("batch_retries"),
    ),
    (
        "as many tries as allowed",
        "update batch_processing_status set retry_count = 5",
        Fine,
    ),
    (
        "completed is final",
        "update batch_processing_status set status = 'failed'",
        Rule("batch_transition"),
    ),
    (
        "ended before it started",
        "update batch_processing_status set completed_at = started_at",
        Rule("batch_times"),
    ),
    (
        "an entity of another migration",
        "insert into batch_processing_status (migration_id, entity_status_id, status, partition_id, attempt, seq, entity_hash) values ({p}, {e1}, 'pending', {t}, 1, 2, 'h1')",
        State("23503"),
    ),
    (
        "an unknown status",
        "update batch_processing_status set status = 'done'",
        State("22P02"),
    ),
    (
        "a partition of its own",
        "delete from migration_error; delete from batch_processing_status; do $$ begin assert drover_meta.create_batch_partition({m}); assert not drover_meta.create_batch_partition({m}); end $$; insert into batch_processing_status (migration_id, entity_status_id, batch_number, status, started_at, completed_at, partition_id, attempt, seq, entity_hash) values ({m}, {e1}, 2, 'completed', now() - interval '1 s', now(), {t}, 1, 2, 'h1'); do $$ begin assert not exists (select from batch_processing_status_default); assert (select last_batch_number = 2 from entity_migration_status where entity = 'offices'); end $$",
        Fine,
    ),
];

const ERROR: &[Case] = &[
    (
        "an empty message",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'unknown', 'XX000', '', now())",
        Rule("migration_error_error_message_check"),
    ),
    (
        "a blank message",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'unknown', 'XX000', ' ', now())",
        Rule("migration_error_error_message_check"),
    ),
    (
        "a fault without an entity",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'connection_error', 'DROVER_UNREACHABLE', 'gone', now())",
        Fine,
    ),
    (
        "an unknown type",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'fatal', 'XX000', 'x', now())",
        State("22P02"),
    ),
    (
        "a code in words",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'unknown', 'oops', 'x', now())",
        Rule("migration_error_error_code_check"),
    ),
    (
        "a context that is no JSON",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at, context) values ({new}, {m}, 'unknown', 'XX000', 'x', now(), 'x')",
        State("22P02"),
    ),
    (
        "a context that is no object",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at, context) values ({new}, {m}, 'unknown', 'XX000', 'x', now(), '1')",
        Rule("migration_error_context_check"),
    ),
    (
        "a batch that is not there",
        "insert into migration_error (id, migration_id, entity_status_id, entity, batch_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, {e1}, 'offices', {new}, 'unknown', 'XX000', 'x', now())",
        Rule("error_batch"),
    ),
    (
        "a batch of another entity",
        "insert into migration_error (id, migration_id, entity_status_id, entity, batch_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, {e2}, 'profiles', {b}, 'unknown', 'XX000', 'x', now())",
        Rule("error_batch"),
    ),
    (
        "a batch that is dropped later",
        "alter table batch_processing_status detach partition batch_processing_status_default",
        Fine,
    ),
    (
        "another name for its entity",
        "insert into migration_error (id, migration_id, entity_status_id, entity, error_type, error_code, error_message, occurred_at) values ({new}, {m}, {e1}, 'profiles', 'unknown', 'XX000', 'x', now())",
        Rule("error_entity_name"),
    ),
    (
        "half a position",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at, seq) values ({new}, {m}, 'unknown', 'XX000', 'x', now(), 1)",
        Rule("error_position"),
    ),
    (
        "sent again",
        "insert into migration_error select * from migration_error on conflict do nothing; do $$ begin assert (select count(*) = 1 from migration_error); end $$",
        Fine,
    ),
    (
        "resolved without notes",
        "update migration_error set is_resolved = true",
        Rule("error_resolution"),
    ),
    (
        "resolved with notes",
        "update migration_error set is_resolved = true, resolution_notes = 'retried by ann'",
        Fine,
    ),
    (
        "changed afterwards",
        "update migration_error set error_message = 'y'",
        Rule("error_immutable"),
    ),
    (
        "a month without a partition",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'unknown', 'XX000', 'x', '2001-05-05'); do $$ begin assert (select tableoid::regclass::text = 'migration_error_default' from migration_error where id = {new}); end $$",
        Fine,
    ),
    (
        "a month that gets its partition later",
        "insert into migration_error (id, migration_id, error_type, error_code, error_message, occurred_at) values ({new}, {m}, 'unknown', 'XX000', 'x', '2031-05-05'); do $$ begin assert drover_meta.ensure_error_partitions('2031-03-31 23:59:59+00') = 4; assert drover_meta.ensure_error_partitions('2031-03-31 23:59:59+00') = 0; assert (select tableoid::regclass::text = 'migration_error_2031_05' from migration_error where id = {new}); end $$; update migration_error set error_message = 'y' where id = {new}",
        Rule("error_immutable"),
    ),
    (
        "this month has one",
        "do $$ begin assert (select tableoid::regclass::text like 'migration_error_2%' from migration_error); end $$",
        Fine,
    ),
];

const SCHEMA_CHANGE: &[Case] = &[
    (
        "reversible without the way back",
        "update schema_change_operation set rollback_sql = null",
        Rule("schema_change_rollback_sql"),
    ),
    (
        "irreversible without the way back",
        "update schema_change_operation set rollback_sql = null, is_reversible = false",
        Fine,
    ),
    (
        "a column change without a column",
        "update schema_change_operation set column_name = null",
        Rule("schema_change_column"),
    ),
    (
        "executed without a risk",
        "update schema_change_operation set status = 'completed', executed_at = now()",
        Rule("schema_change_risk"),
    ),
    (
        "executed without a time",
        "update schema_change_operation set status = 'completed', risk_level = 'low'",
        Rule("schema_change_executed"),
    ),
    (
        "executed",
        "update schema_change_operation set status = 'completed', risk_level = 'low', executed_at = now()",
        Fine,
    ),
    (
        "critical, not validated",
        "update schema_change_operation set status = 'completed', risk_level = 'critical', executed_at = now()",
        Rule("schema_change_validated"),
    ),
    (
        "critical, validated by nothing",
        "update schema_change_operation set status = 'completed', risk_level = 'critical', executed_at = now(), validation_results = '{}'",
        Rule("schema_change_validated"),
    ),
    (
        "critical, validated",
        "update schema_change_operation set status = 'completed', risk_level = 'critical', executed_at = now(), validation_results = '{\"rows\": 0}'",
        Fine,
    ),
    (
        "critical, still pending",
        "update schema_change_operation set risk_level = 'critical'",
        Fine,
    ),
    (
        "pending to rolled back",
        "update schema_change_operation set status = 'rolled_back', risk_level = 'low', executed_at = now()",
        Rule("schema_change_transition"),
    ),
    (
        "dropping and adding keys",
        "insert into schema_change_operation (migration_id, position, operation_type, table_name, object_name, operation_sql, rollback_sql) values ({m}, 2, 'drop_constraint', 't', 'k', 'a', 'b'), ({m}, 3, 'add_constraint', 't', 'k', 'a', 'b'), ({m}, 4, 'drop_index', 't', 'i', 'a', 'b'), ({m}, 5, 'create_index', 't', 'i', 'a', 'b')",
        Fine,
    ),
    (
        "dropping a key without a name",
        "insert into schema_change_operation (migration_id, position, operation_type, table_name, operation_sql, rollback_sql) values ({m}, 2, 'drop_constraint', 't', 'a', 'b')",
        Rule("schema_change_object"),
    ),
    (
        "a backup without a table",
        "insert into schema_change_operation (migration_id, position, operation_type, table_name, operation_sql, rollback_sql) values ({m}, 2, 'create_backup', 't', 'a', 'b')",
        Rule("schema_change_backup"),
    ),
    (
        "an unknown type",
        "update schema_change_operation set operation_type = 'truncate'",
        State("22P02"),
    ),
];

const RULES: &[Case] = &[
    (
        "no rules",
        "update legacy_entity_mapping set transformation_rules = '{}' where id = {r1}",
        Rule("legacy_entity_mapping_transformation_rules_check"),
    ),
    (
        "rules that are no object",
        "update legacy_entity_mapping set transformation_rules = '[1]' where id = {r1}",
        Rule("legacy_entity_mapping_transformation_rules_check"),
    ),
    (
        "a version twice",
        "insert into legacy_entity_mapping (plan_name, entity, source_entity, destination_entity, entity_type, transformation_rules, version, entity_hash) values ('clinic', 'offices', 'a', 'b', 'c', '{\"a\": 1}', '1', 'h')",
        Rule("legacy_entity_mapping_plan_name_entity_version_key"),
    ),
    (
        "two versions in use",
        "insert into legacy_entity_mapping (plan_name, entity, source_entity, destination_entity, entity_type, transformation_rules, version, entity_hash) values ('clinic', 'offices', 'a', 'b', 'c', '{\"a\": 1}', '2', 'h')",
        Rule("legacy_entity_mapping_active"),
    ),
    (
        "a newer version in use",
        "update legacy_entity_mapping set is_active = false where id = {r1}; insert into legacy_entity_mapping (plan_name, entity, source_entity, destination_entity, entity_type, transformation_rules, version, entity_hash) values ('clinic', 'offices', 'a', 'b', 'c', '{\"a\": 1}', '2', 'h')",
        Fine,
    ),
    (
        "another hash after a batch",
        "update legacy_entity_mapping set entity_hash = 'h9' where id = {r1}",
        Rule("mapping_hash_written"),
    ),
    (
        "another hash before a batch",
        "update legacy_entity_mapping set entity_hash = 'h9' where id = {r2}",
        Fine,
    ),
    (
        "a cycle",
        "update legacy_entity_mapping set dependency_entities = '{notes}' where id = {r1}",
        Rule("mapping_dependency_cycle"),
    ),
    (
        "a cycle that is resolved in time",
        "set constraints all deferred; update legacy_entity_mapping set dependency_entities = '{notes}' where id = {r1}; update legacy_entity_mapping set dependency_entities = '{}' where id = {r3}",
        Fine,
    ),
    (
        "a cycle of versions out of use",
        "update legacy_entity_mapping set is_active = false where id = {r2}; update legacy_entity_mapping set dependency_entities = '{notes}' where id = {r1}",
        Fine,
    ),
    (
        "an edge to itself",
        "update legacy_entity_mapping set dependency_entities = '{offices}' where id = {r1}",
        Fine,
    ),
    (
        "an edge to nothing",
        "update legacy_entity_mapping set dependency_entities = '{clinics}' where id = {r1}",
        Rule("mapping_dependency_unknown"),
    ),
    (
        "another plan's cycle",
        "insert into legacy_entity_mapping (plan_name, entity, source_entity, destination_entity, entity_type, transformation_rules, dependency_entities, version, entity_hash) values ('other', 'offices', 'a', 'b', 'c', '{\"a\": 1}', '{notes}', '1', 'h'), ('other', 'notes', 'a', 'b', 'c', '{\"a\": 1}', '{}', '1', 'h')",
        Fine,
    ),
];

const VALIDATION: &[Case] = &[
    (
        "more issues than rows",
        "insert into data_validation_result (migration_id, validation_type, entity, entity_name, status, records_validated, issues_found, issue_details, validation_criteria, execution_duration_ms) values ({m}, 'business_rules', 'offices', 'dispatch_office', 'failed', 1, 2, '{\"a\": 1}', '{\"check\": \"unique\"}', 1)",
        Rule("validation_issues"),
    ),
    (
        "failed without details",
        "insert into data_validation_result (migration_id, validation_type, entity, entity_name, status, records_validated, issues_found, validation_criteria, execution_duration_ms) values ({m}, 'business_rules', 'offices', 'dispatch_office', 'failed', 1, 1, '{\"check\": \"unique\"}', 1)",
        Rule("validation_details"),
    ),
    (
        "a warning without details",
        "insert into data_validation_result (migration_id, validation_type, entity, entity_name, status, records_validated, issues_found, issue_details, validation_criteria, execution_duration_ms) values ({m}, 'business_rules', 'offices', 'dispatch_office', 'warning', 1, 1, '{}', '{\"check\": \"unique\"}', 1)",
        Rule("validation_details"),
    ),
    (
        "passed without details",
        "insert into data_validation_result (migration_id, validation_type, entity, entity_name, status, records_validated, issues_found, validation_criteria, execution_duration_ms) values ({m}, 'performance', '*', '*', 'passed', 1, 0, '{\"check\": \"unique\"}', 1)",
        Fine,
    ),
    (
        "without criteria",
        "insert into data_validation_result (migration_id, validation_type, entity, entity_name, status, records_validated, issues_found, validation_criteria, execution_duration_ms) values ({m}, 'performance', '*', '*', 'passed', 1, 0, '{}', 1)",
        Rule("data_validation_result_validation_criteria_check"),
    ),
    (
        "an unknown type",
        "insert into data_validation_result (migration_id, validation_type, entity, entity_name, status, records_validated, issues_found, validation_criteria, execution_duration_ms) values ({m}, 'speed', '*', '*', 'passed', 1, 0, '{\"a\": 1}', 1)",
        State("22P02"),
    ),
];

const OWN: &[Case] = &[
    (
        "a position that goes back",
        "update partition_progress set seq = 5; update partition_progress set seq = 4",
        Rule("partition_goes_back"),
    ),
    (
        "a token that goes back",
        "update partition_progress set token = 5; update partition_progress set token = 4",
        Rule("partition_goes_back"),
    ),
    (
        "more acknowledged than done",
        "update partition_progress set acked_seq = 1",
        Rule("partition_acked"),
    ),
    (
        "rows that nobody read",
        "update partition_progress set rows_written = 1",
        Rule("partition_rows_read"),
    ),
    (
        "rows taken back by a settling partition",
        "insert into partition_progress (partition_id, migration_id, entity, number, rows_written, rows_failed) values ({new}, {m}, 'offices', -1, -2, 2)",
        Fine,
    ),
    (
        "rows taken back by another",
        "update partition_progress set rows_written = -2, rows_failed = 2",
        Rule("partition_rows_signs"),
    ),
    (
        "a retry moves rows from failed to written",
        "insert into partition_progress (partition_id, migration_id, entity, number, rows_written, rows_failed, rows_held) values ({new}, {m}, 'offices', -2, 3, -3, -1)",
        Fine,
    ),
    (
        "running without a holder",
        "update partition_progress set state = 'running'",
        Rule("partition_holder"),
    ),
    (
        "the era falls",
        "update era set era = 5; update era set era = 4",
        Rule("era_falls"),
    ),
    (
        "an era that does not fit",
        "update era set era = 1048576",
        Rule("era_era_check"),
    ),
    (
        "a second era",
        "insert into era default values",
        State("23505"),
    ),
    (
        "no leader epoch",
        "delete from leader_epoch",
        Rule("single_row"),
    ),
    (
        "an event without throughput",
        "insert into outbox (event_type, migration_id, data) values ('migration_progress', {m}, '{\"entity\": \"*\", \"progress_percentage\": 1}')",
        Rule("outbox_data"),
    ),
    (
        "an event",
        "insert into outbox (event_type, migration_id, data) values ('migration_progress', {m}, '{\"entity\": \"*\", \"progress_percentage\": 1, \"throughput\": 0, \"more\": true}')",
        Fine,
    ),
    (
        "a migration goes with all it has",
        "update migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled'; delete from migration_orchestration; do $$ begin assert not exists (select from entity_migration_status) and not exists (select from batch_processing_status) and not exists (select from migration_error) and not exists (select from migration_checkpoint); end $$",
        Fine,
    ),
];

/// The data model's attributes per table, typed in from the data model.
const ATTRIBUTES: &[(&str, &str)] = &[
    (
        "migration_orchestration",
        "id migration_type status started_at completed_at progress_percentage total_entities completed_entities error_count configuration created_by",
    ),
    (
        "entity_migration_status",
        "id migration_id entity_name target_entity dependency_order status records_total records_processed records_failed started_at completed_at last_processed_id batch_size throughput_per_second",
    ),
    (
        "migration_checkpoint",
        "id migration_id entity_name checkpoint_type batch_number last_source_id records_processed system_state created_at is_resumable",
    ),
    (
        "batch_processing_status",
        "id entity_status_id batch_number batch_size status records_successful records_failed started_at completed_at processing_duration_ms retry_count error_summary",
    ),
    (
        "migration_error",
        "id migration_id entity_status_id batch_id error_type error_code error_message source_record_id source_data context stack_trace occurred_at is_resolved resolution_notes",
    ),
    (
        "schema_change_operation",
        "id migration_id operation_type table_name column_name operation_sql status executed_at rollback_sql backup_table_name risk_level validation_results",
    ),
    (
        "legacy_entity_mapping",
        "id source_entity destination_entity transformation_rules dependency_entities validation_rules is_active version created_at updated_at",
    ),
    (
        "data_validation_result",
        "id migration_id validation_type entity_name status records_validated issues_found issue_details validation_criteria executed_at execution_duration_ms",
    ),
];

#[tokio::test]
async fn every_attribute_is_a_column_and_every_table_says_what_it_is() -> anyhow::Result<()> {
    let database = TestDatabase::new().await?;
    let options: PgConnectOptions = database.url().parse()?;
    Store::connect(options.clone(), DEFAULT_SCHEMA)
        .await?
        .close()
        .await;
    let mut conn = PgConnection::connect_with(&options).await?;

    let rows: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text from information_schema.columns
         where table_schema = 'drover_meta'",
    )
    .fetch_all(&mut conn)
    .await?;
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in rows {
        columns.entry(table).or_default().push(column);
    }
    for (table, attributes) in ATTRIBUTES {
        for attribute in attributes.split(' ') {
            assert!(
                columns[*table].iter().any(|column| column == attribute),
                "{table}.{attribute}"
            );
        }
    }

    let silent: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'drover_meta'::regnamespace and relkind in ('r', 'p')
           and not relispartition and relname <> '_sqlx_migrations'
           and obj_description(oid) is null",
    )
    .fetch_all(&mut conn)
    .await?;
    assert_eq!(silent, Vec::<String>::new());
    Ok(())
}
