//! Every state has a next step.

use proto::domain::record::MigrationType;
use uuid::Uuid;

use super::*;

fn migration(status: MigrationStatus, activity: Option<Activity>) -> MigrationOrchestration {
    let at = chrono::DateTime::UNIX_EPOCH;
    MigrationOrchestration {
        id: Uuid::nil(),
        name: "shop".to_owned(),
        plan_id: Uuid::nil(),
        migration_type: MigrationType::FullMigration,
        status,
        activity,
        activity_reason: None,
        activity_hint: None,
        attempt: 1,
        generation: 1,
        started_at: None,
        completed_at: None,
        finalized_at: None,
        progress_percentage: 0.0,
        total_entities: 1,
        completed_entities: 0,
        error_count: 0,
        configuration: serde_json::json!({}),
        created_by: "ann".to_owned(),
        source_identity: None,
        destination_identity: None,
        created_at: at,
        updated_at: at,
    }
}

fn states() -> Vec<MigrationOrchestration> {
    use {Activity as A, MigrationStatus as S};
    let inside = [A::Running, A::Pausing, A::Paused, A::Blocked];
    let mut all = vec![
        migration(S::Pending, None),
        migration(S::Completed, None),
        migration(S::Failed, None),
    ];
    for status in [S::Running, S::RollingBack] {
        all.extend(inside.map(|activity| migration(status, Some(activity))));
    }
    all
}

fn steps(migration: &MigrationOrchestration, open_errors: i64, is_local: bool) -> Vec<String> {
    next_steps(&Subject {
        migration,
        entities: &[],
        open_errors,
        open_retries: 0,
        is_local,
    })
}

#[test]
fn every_state_has_a_next_step_with_a_controller_and_without() {
    for migration in states() {
        for is_local in [false, true] {
            let steps = steps(&migration, 0, is_local);
            let state = migration.state().describe();
            assert!(!steps.is_empty(), "{state}");
            for step in steps {
                assert!(step.starts_with("drover "), "{step}");
                assert!(
                    !is_local || step.ends_with("--local") || step == "drover run PLAN",
                    "{state}: {step}"
                );
            }
        }
    }
}

#[test]
fn rows_that_were_set_aside_and_blocks_and_holds_are_pointed_at() {
    let completed = migration(MigrationStatus::Completed, None);
    assert_eq!(
        steps(&completed, 3, false)[..2],
        [
            "drover error group --migration shop",
            "drover error retry --all --migration shop"
        ]
    );
    assert!(
        !steps(&completed, 0, false)
            .iter()
            .any(|step| step.contains("error"))
    );
    let blocked = migration(MigrationStatus::Running, Some(Activity::Blocked));
    let found = steps(&blocked, 3, false);
    assert!(
        found.contains(&"drover migration resume shop".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"drover migration cancel shop".to_owned()),
        "{found:?}"
    );
    let mut cancelling = migration(MigrationStatus::Running, Some(Activity::Pausing));
    cancelling.activity_reason = Some(CANCELLING.to_owned());
    assert_eq!(
        steps(&cancelling, 0, false)[0],
        "drover migration wait shop --for=state=failed"
    );
}
