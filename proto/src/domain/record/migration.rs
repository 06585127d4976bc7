//! `MigrationOrchestration`: one migration, its intent and its state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::text_enum;
use crate::domain::state::State;

text_enum! {
    /// What a migration is for.
    pub enum MigrationType {
        /// Every row of every entity is copied.
        FullMigration = "full_migration",
        /// Rows that changed since a full migration are copied.
        Incremental = "incremental",
        /// Only schema changes: what the copy left behind is removed.
        SchemaCleanup = "schema_cleanup",
    }
}

text_enum! {
    /// Where a migration stands. Stored; changed only by [`crate::domain::state::next`].
    pub enum MigrationStatus {
        /// Set when created, and when a rollback is done. A restart leaves it alone.
        Pending = "pending",
        /// Set by start. A restart goes on where the destination says it stopped.
        Running = "running",
        /// Set when every entity is completed or skipped. A restart says so and ends.
        Completed = "completed",
        /// Set by cancel and by nothing else: every other stop blocks. A restart refuses.
        Failed = "failed",
        /// Set by rollback. A restart goes on undoing.
        RollingBack = "rolling_back",
    }
}

text_enum! {
    /// What happens inside `running` and `rolling_back`. Stored; absent in every other status.
    pub enum Activity {
        /// Set by start, resume and rollback: work is handed out. A restart hands it out again.
        Running = "running",
        /// Set by pause: partitions are being released. A restart goes on with that.
        Pausing = "pausing",
        /// Set once nothing can commit any more. A restart waits for resume.
        Paused = "paused",
        /// Set by the controller when only the operator can help; the reason is beside it. Starting
        /// again tries again.
        Blocked = "blocked",
    }
}

/// The central record of one migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationOrchestration {
    /// The migration.
    pub id: Uuid,
    /// The plan's name, unique among migrations that are not deleted. Beside the data model.
    pub name: String,
    /// The plan file it runs. Beside the data model.
    pub plan_id: Uuid,
    /// What it is for.
    pub migration_type: MigrationType,
    /// Where it stands.
    pub status: MigrationStatus,
    /// What happens inside `running` and `rolling_back`. Beside the data model.
    pub activity: Option<Activity>,
    /// Why it is paused or blocked; `cancelled` when failed. Beside the data model.
    pub activity_reason: Option<String>,
    /// The next step for the operator. Beside the data model.
    pub activity_hint: Option<String>,
    /// From 1; one higher each time a rollback is done. Beside the data model.
    pub attempt: i32,
    /// Rises with each change of status, activity, attempt or plan. Beside the data model.
    pub generation: i64,
    /// Start of this attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// End of this attempt, always after its start.
    pub completed_at: Option<DateTime<Utc>>,
    /// When rolling it back was ruled out. Beside the data model.
    pub finalized_at: Option<DateTime<Utc>>,
    /// 0 to 100; never falls within an attempt, at most 99.9 until completed.
    pub progress_percentage: f64,
    /// Entities that are not skipped.
    pub total_entities: i64,
    /// Entities in status completed.
    pub completed_entities: i64,
    /// Errors ever stored, resolved ones included.
    pub error_count: i64,
    /// Settings in force at the last start: a JSON object.
    pub configuration: Value,
    /// User or system that created it.
    pub created_by: String,
    /// The source's identity, recorded at create. Beside the data model.
    pub source_identity: Option<Value>,
    /// The destination's identity, recorded at create. Beside the data model.
    pub destination_identity: Option<Value>,
    /// When it was created. Beside the data model.
    pub created_at: DateTime<Utc>,
    /// When the record last changed. Beside the data model.
    pub updated_at: DateTime<Utc>,
}

impl MigrationOrchestration {
    /// Where it stands, as far as commands care.
    pub const fn state(&self) -> State {
        State {
            status: self.status,
            activity: self.activity,
            is_finalized: self.finalized_at.is_some(),
        }
    }

    /// Changes whenever the migration is commanded or edited, never with mere progress: a command that
    /// names an older one is refused.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.attempt, self.generation)
    }
}
