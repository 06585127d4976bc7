//! The whole table of an entity's commands.

use chrono::DateTime;
use proto::domain::record::EntityMigrationStatus;
use uuid::Uuid;

use super::*;

fn entity(status: EntityStatus, intent: Option<EntityIntent>, read: i64) -> EntityMigrationStatus {
    EntityMigrationStatus {
        id: Uuid::nil(),
        migration_id: Uuid::nil(),
        legacy_entity_mapping_id: Uuid::nil(),
        entity: "orders".to_owned(),
        entity_name: "shop_order".to_owned(),
        target_entity: "orders".to_owned(),
        entity_type: "order".to_owned(),
        entity_hash: "h".to_owned(),
        dependency_order: 1,
        status,
        blocked_reason: None,
        intent,
        intent_reason: None,
        intent_by: None,
        intent_reached_at: None,
        records_total: read,
        records_total_exact: true,
        records_read: read,
        records_processed: read,
        records_failed: 0,
        records_held: 0,
        records_skipped: 0,
        records_filtered: 0,
        records_written: read,
        max_quarantined: "0".to_owned(),
        started_at: None,
        completed_at: None,
        last_processed_id: None,
        last_batch_number: 0,
        batch_size: 1,
        throughput_per_second: 0.0,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

const COMMANDS: [EntityCommand; 4] = [
    EntityCommand::Pause,
    EntityCommand::Resume,
    EntityCommand::Retry,
    EntityCommand::Skip,
];

fn running() -> Footing {
    Footing {
        status: MigrationStatus::Running,
        activity: Some(Activity::Running),
        has_begun: true,
        has_partitions: true,
    }
}

/// Row: entity and what is wished of it. Columns: pause, resume, retry, skip. `-` is illegal, `0` wishes nothing.
const TABLE: &str = "
pending            paused 0 - skipped
running            paused 0 - skipped
running/paused     paused 0 0 skipped
running/skipped    - 0 0 skipped
skipped/skipped    - 0 0 skipped
skipped            - - - -
completed          - - - -
failed             paused 0 - skipped
";

#[test]
fn every_entity_and_command_has_the_outcome_of_the_table() {
    for row in TABLE.trim().lines() {
        let mut words = row.split_whitespace();
        let name = words.next().unwrap();
        let (status, intent) = name.split_once('/').unwrap_or((name, ""));
        let known = entity(status.parse().unwrap(), intent.parse().ok(), 7);
        for (command, expected) in COMMANDS.into_iter().zip(words) {
            let next = entity_next(running(), &known, command);
            let found = match next {
                Err(why) => {
                    assert!(!why.is_empty());
                    "-"
                }
                Ok(next) => next.intent.map_or("0", |intent| intent.as_str()),
            };
            assert_eq!(found, expected, "{name} {command:?}");
        }
    }
}

#[test]
fn nothing_is_wished_of_entities_of_a_migration_that_is_at_its_end_or_being_undone() {
    for status in [
        MigrationStatus::Completed,
        MigrationStatus::Failed,
        MigrationStatus::RollingBack,
    ] {
        for command in COMMANDS {
            let footing = Footing {
                status,
                ..running()
            };
            let known = entity(EntityStatus::Running, None, 0);
            assert!(
                entity_next(footing, &known, command).is_err(),
                "{status} {command:?}"
            );
        }
    }
}

#[test]
fn a_pause_is_reached_at_once_only_where_nothing_can_commit() {
    for (activity, is_reached) in [
        (Activity::Running, false),
        (Activity::Pausing, false),
        (Activity::Blocked, false),
        (Activity::Paused, true),
    ] {
        let footing = Footing {
            activity: Some(activity),
            ..running()
        };
        let known = entity(EntityStatus::Running, None, 7);
        let next = entity_next(footing, &known, EntityCommand::Pause).unwrap();
        assert_eq!(next.is_reached, is_reached, "{activity}");
    }
}

#[test]
fn one_that_never_began_is_skipped_at_once_and_comes_in_again_before_the_start_only() {
    let pending = Footing {
        status: MigrationStatus::Pending,
        activity: None,
        has_begun: false,
        has_partitions: false,
    };
    let known = entity(EntityStatus::Pending, None, 0);
    let next = entity_next(pending, &known, EntityCommand::Skip).unwrap();
    assert_eq!(
        (next.status, next.is_reached),
        (Some(EntityStatus::Skipped), true)
    );
    let skipped = entity(EntityStatus::Skipped, Some(EntityIntent::Skipped), 0);
    let back = entity_next(pending, &skipped, EntityCommand::Resume).unwrap();
    assert_eq!(back.status, Some(EntityStatus::Pending));
    let begun = Footing {
        has_partitions: false,
        ..running()
    };
    assert!(entity_next(begun, &skipped, EntityCommand::Resume).is_err());
    // One that had begun goes on where it was.
    let half = entity(EntityStatus::Skipped, Some(EntityIntent::Skipped), 7);
    let back = entity_next(running(), &half, EntityCommand::Resume).unwrap();
    assert_eq!(back.status, Some(EntityStatus::Running));
}

#[test]
fn a_retry_of_what_blocks_the_migration_lets_it_go_on() {
    let mut known = entity(EntityStatus::Running, None, 7);
    known.blocked_reason = Some("too many bad rows".to_owned());
    let blocked = Footing {
        activity: Some(Activity::Blocked),
        ..running()
    };
    let next = entity_next(blocked, &known, EntityCommand::Retry).unwrap();
    assert!(next.is_unblocked && next.resumes);
    let next = entity_next(running(), &known, EntityCommand::Retry).unwrap();
    assert!(next.is_unblocked && !next.resumes);
}
