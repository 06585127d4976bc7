//! What an operator can do next with a migration, in commands that exist. Pure.

use proto::domain::record::{
    Activity, EntityIntent, EntityMigrationStatus, MigrationOrchestration, MigrationStatus,
};
use proto::domain::state::CANCELLING;

/// What advice is given about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The migration.
    pub migration: &'a MigrationOrchestration,
    /// Its entities.
    pub entities: &'a [EntityMigrationStatus],
    /// Errors of rows that are not resolved.
    pub open_errors: i64,
    /// Retries that are still to be done.
    pub open_retries: usize,
    /// There is no controller: commands read and write the databases themselves.
    pub is_local: bool,
}

/// Commands, the best one first.
pub fn next_steps(subject: &Subject<'_>) -> Vec<String> {
    let Subject {
        migration,
        entities,
        open_errors,
        ..
    } = *subject;
    let name = &migration.name;
    let mut steps: Vec<String> = Vec::new();
    let errors = |steps: &mut Vec<String>| {
        if open_errors > 0 {
            steps.push(format!("drover error group --migration {name}"));
            steps.push(format!("drover error retry --all --migration {name}"));
        }
    };
    match (migration.status, migration.activity) {
        (MigrationStatus::Pending, _) => {
            steps.push(start(subject));
            steps.push(format!("drover migration delete {name}"));
        }
        (MigrationStatus::Running, Some(Activity::Paused)) => {
            steps.push(resume(subject));
            steps.push(rollback(name));
            steps.push(format!("drover migration cancel {name}"));
        }
        (MigrationStatus::Running, Some(Activity::Blocked)) => {
            for entity in entities
                .iter()
                .filter(|entity| entity.blocked_reason.is_some())
            {
                let entity = &entity.entity;
                steps.push(format!(
                    "drover error group --migration {name} --entity {entity}"
                ));
                if open_errors > 0 {
                    steps.push(format!(
                        "drover error retry --migration {name} --entity {entity}"
                    ));
                }
                steps.push(format!("drover entity retry {name} {entity}"));
                steps.push(format!("drover entity skip {name} {entity} --reason TEXT"));
            }
            if steps.is_empty() {
                errors(&mut steps);
            }
            steps.push(resume(subject));
            steps.push(rollback(name));
            steps.push(format!("drover migration cancel {name}"));
        }
        (MigrationStatus::Running, Some(Activity::Pausing)) => {
            let is_cancelling = migration.activity_reason.as_deref() == Some(CANCELLING);
            let goal = if is_cancelling { "failed" } else { "paused" };
            steps.push(format!("drover migration wait {name} --for=state={goal}"));
            steps.push(resume(subject));
        }
        (MigrationStatus::Running, Some(Activity::Running) | None) => {
            steps.push(format!("drover migration watch {name}"));
            steps.push(format!("drover migration pause {name}"));
        }
        (MigrationStatus::Completed, _) => {
            errors(&mut steps);
            steps.push(format!(
                "drover validation start {name} --level full --wait"
            ));
            if migration.finalized_at.is_none() {
                steps.push(rollback(name));
                steps.push(format!("drover migration finalize {name}"));
            }
            steps.push(format!("drover migration delete {name}"));
        }
        (MigrationStatus::Failed, _) => {
            if migration.finalized_at.is_none() {
                steps.push(rollback(name));
                steps.push(format!("drover migration finalize {name}"));
            }
            steps.push(format!("drover migration delete {name}"));
        }
        (MigrationStatus::RollingBack, Some(Activity::Blocked)) => {
            steps.push(rollback(name));
            steps.push(format!(
                "drover migration rollback {name} --conflicts keep|force --confirm {name}"
            ));
            steps.push(resume(subject));
        }
        (MigrationStatus::RollingBack, Some(Activity::Paused)) => steps.push(resume(subject)),
        (MigrationStatus::RollingBack, _) => {
            steps.push(format!("drover migration watch {name}"));
            steps.push(format!("drover migration pause {name}"));
        }
    }
    if migration.status == MigrationStatus::Running {
        steps.extend(held(name, entities));
    }
    steps.into_iter().map(|step| here(subject, step)).collect()
}

/// What is held back waits for the operator.
fn held<'a>(
    name: &'a str,
    entities: &'a [EntityMigrationStatus],
) -> impl Iterator<Item = String> + 'a {
    let paused = entities
        .iter()
        .filter(|entity| entity.intent == Some(EntityIntent::Paused));
    paused.map(move |entity| format!("drover entity resume {name} {}", entity.entity))
}

/// What a rollback would do comes before it.
fn rollback(name: &str) -> String {
    format!("drover migration rollback {name} --dry-run")
}

/// Without a controller a plan is started and goes on by being run.
fn start(subject: &Subject<'_>) -> String {
    match subject.is_local {
        true => "drover run PLAN".to_owned(),
        false => format!("drover migration start {}", subject.migration.name),
    }
}

fn resume(subject: &Subject<'_>) -> String {
    match subject.is_local {
        true => "drover run PLAN".to_owned(),
        false => format!("drover migration resume {}", subject.migration.name),
    }
}

/// The same command for one machine; a watch needs a controller.
fn here(subject: &Subject<'_>, step: String) -> String {
    if !subject.is_local || step.starts_with("drover run") {
        return step;
    }
    if step.starts_with("drover migration watch") || step.starts_with("drover migration wait") {
        return format!("drover migration get {} --local", subject.migration.name);
    }
    format!("{step} --local")
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
