//! States as words of the command line, and limits of lists.

use clap::ValueEnum;
use clap::builder::RangedI64ValueParser;
use proto::domain::record::{
    Activity, EntityStatus, ErrorType, MigrationOrchestration, MigrationStatus,
};

/// Most items of one list.
pub(super) fn limit() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=100_000)
}

/// A state that a migration can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedState {
    /// A status, and inside it the work is under way where it has activities.
    Status(MigrationStatus),
    /// What happens inside `running` and `rolling_back`.
    Activity(Activity),
}

impl WantedState {
    const ALL: [Self; 8] = [
        Self::Status(MigrationStatus::Pending),
        Self::Status(MigrationStatus::Completed),
        Self::Status(MigrationStatus::Failed),
        Self::Status(MigrationStatus::RollingBack),
        Self::Activity(Activity::Running),
        Self::Activity(Activity::Pausing),
        Self::Activity(Activity::Paused),
        Self::Activity(Activity::Blocked),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Activity(activity) => activity.as_str(),
        }
    }

    /// Whether a migration is in that state.
    pub fn holds(self, migration: &MigrationOrchestration) -> bool {
        match self {
            Self::Status(status) => migration.status == status,
            Self::Activity(activity) => migration.activity == Some(activity),
        }
    }

    /// Reads `state=completed`, or the state alone.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let word = text.strip_prefix("state=").unwrap_or(text);
        let known = Self::ALL.map(Self::as_str);
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| format!("state= and one of {}", known.join(", ")))
    }
}

/// A state of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WantedEntity {
    /// Waits for others
    Pending,
    /// Is being copied
    Running,
    /// Every row is accounted for
    Completed,
    /// Given up
    Failed,
    /// Left out by the plan or the operator
    Skipped,
}

impl From<WantedEntity> for EntityStatus {
    fn from(wanted: WantedEntity) -> Self {
        match wanted {
            WantedEntity::Pending => Self::Pending,
            WantedEntity::Running => Self::Running,
            WantedEntity::Completed => Self::Completed,
            WantedEntity::Failed => Self::Failed,
            WantedEntity::Skipped => Self::Skipped,
        }
    }
}

/// A type of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum WantedError {
    /// A server was not reached
    ConnectionError,
    /// A value does not fit a rule or a type
    DataValidation,
    /// The destination's constraints refuse a row
    ConstraintViolation,
    /// Something took too long
    Timeout,
    /// Everything else
    Unknown,
}

impl From<WantedError> for ErrorType {
    fn from(wanted: WantedError) -> Self {
        match wanted {
            WantedError::ConnectionError => Self::ConnectionError,
            WantedError::DataValidation => Self::DataValidation,
            WantedError::ConstraintViolation => Self::ConstraintViolation,
            WantedError::Timeout => Self::Timeout,
            WantedError::Unknown => Self::Unknown,
        }
    }
}
