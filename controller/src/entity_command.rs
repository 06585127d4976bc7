//! What an operator can wish of one entity, and what follows. Pure.

use proto::domain::record::{
    Activity, EntityIntent, EntityMigrationStatus, EntityStatus, MigrationStatus,
};

/// A command to one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityCommand {
    /// Hand nothing of it out.
    Pause,
    /// Hand it out again, after a pause or a skip.
    Resume,
    /// Try again what stands still because of it.
    Retry,
    /// Go on without it.
    Skip,
}

impl EntityCommand {
    /// The verb, as the CLI has it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Skip => "skip",
        }
    }
}

/// What an entity stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footing {
    /// The migration's status.
    pub status: MigrationStatus,
    /// What happens inside it.
    pub activity: Option<Activity>,
    /// Partitions were made.
    pub has_begun: bool,
    /// Also of this entity.
    pub has_partitions: bool,
}

/// What follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityNext {
    /// What is wished from now on.
    pub intent: Option<EntityIntent>,
    /// It is so already: nothing of the entity can commit.
    pub is_reached: bool,
    /// Its status, where it changes at once; otherwise it follows from what is seen.
    pub status: Option<EntityStatus>,
    /// What it stands still for is tried again.
    pub is_unblocked: bool,
    /// The migration, which stands still, goes on.
    pub resumes: bool,
}

/// What a command makes of an entity, or why it does not fit.
pub fn entity_next(
    footing: Footing,
    entity: &EntityMigrationStatus,
    command: EntityCommand,
) -> Result<EntityNext, &'static str> {
    use EntityIntent::{Paused, Skipped};
    match footing.status {
        MigrationStatus::Pending | MigrationStatus::Running => {}
        MigrationStatus::Completed => return Err("the migration is completed"),
        MigrationStatus::Failed => return Err("the migration was cancelled"),
        MigrationStatus::RollingBack => return Err("the migration is being undone"),
    }
    if entity.status == EntityStatus::Completed {
        return Err("every row of it is accounted for; `drover entity reset` would undo it");
    }
    if entity.status == EntityStatus::Skipped && entity.intent.is_none() {
        return Err("the plan leaves it out; set `is_active: true` there");
    }
    let same = EntityNext {
        intent: entity.intent,
        is_reached: entity.intent_reached_at.is_some(),
        status: None,
        is_unblocked: false,
        resumes: false,
    };
    // Nothing commits as it is.
    let stands_still = matches!(footing.activity, None | Some(Activity::Paused));
    match (command, entity.intent) {
        (EntityCommand::Pause, Some(Paused)) | (EntityCommand::Skip, Some(Skipped)) => Ok(same),
        (EntityCommand::Pause, Some(Skipped)) => Err("it is skipped; resume it first"),
        (EntityCommand::Pause, None) => Ok(EntityNext {
            intent: Some(Paused),
            is_reached: stands_still,
            ..same
        }),
        (EntityCommand::Skip, _) => {
            // One without partitions has nothing that could be closed.
            let at_once = !footing.has_partitions
                && entity.status == EntityStatus::Pending
                && footing.status == MigrationStatus::Pending;
            Ok(EntityNext {
                intent: Some(Skipped),
                is_reached: at_once,
                status: at_once.then_some(EntityStatus::Skipped),
                is_unblocked: true,
                ..same
            })
        }
        (EntityCommand::Resume | EntityCommand::Retry, Some(Skipped))
            if footing.has_begun && !footing.has_partitions =>
        {
            Err("it was left out when the migration began; migrate it by a plan of its own")
        }
        (EntityCommand::Resume | EntityCommand::Retry, Some(Skipped)) => {
            let status = match (entity.status, entity.records_read) {
                (EntityStatus::Skipped, 0) => Some(EntityStatus::Pending),
                (EntityStatus::Skipped, _) => Some(EntityStatus::Running),
                _ => None,
            };
            Ok(EntityNext {
                intent: None,
                is_reached: false,
                status,
                ..same
            })
        }
        (EntityCommand::Resume | EntityCommand::Retry, Some(Paused)) => Ok(EntityNext {
            intent: None,
            is_reached: false,
            ..same
        }),
        (EntityCommand::Resume, None) => Ok(same),
        (EntityCommand::Retry, None) if entity.blocked_reason.is_some() => Ok(EntityNext {
            is_unblocked: true,
            resumes: footing.activity == Some(Activity::Blocked),
            ..same
        }),
        (EntityCommand::Retry, None) => Err(
            "it does not stand still; `drover error retry --entity` tries its failed rows again",
        ),
    }
}

#[cfg(test)]
#[path = "entity_command_tests.rs"]
mod tests;
