//! What can go wrong in the store, and what kind of failure that is.
//!
//! The only file of the controller that looks at sqlx errors.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::settings::SettingError;
use proto::domain::state::Illegal;
use uuid::Uuid;

/// An operation of the store that did not happen. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The metadata database was not reached, or refused the login.
    #[error("connect to the metadata database")]
    Connect(#[source] sqlx::Error),
    /// The schema was not made.
    #[error("create schema {schema:?} in the metadata database")]
    CreateSchema {
        /// The schema.
        schema: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The tables were not made or upgraded.
    #[error("upgrade the metadata schema")]
    Upgrade(#[source] sqlx::migrate::MigrateError),
    /// There is no Drover here.
    #[error("the database holds no schema {schema:?} of Drover's")]
    NotInstalled {
        /// The schema.
        schema: String,
    },
    /// The tables are of another version of Drover.
    #[error("the metadata schema is of version {found}, this Drover needs {needed}")]
    OtherVersion {
        /// Version found.
        found: i64,
        /// Version needed.
        needed: i64,
    },
    /// Another process holds the migration's lock.
    #[error("another process runs migration {name:?}")]
    AlreadyRunning {
        /// The migration.
        name: String,
    },
    /// The lock was not asked for, or was lost.
    #[error("lock migration {name:?}")]
    Lock {
        /// The migration.
        name: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// Another controller leads.
    #[error("this controller does not lead any more")]
    Deposed {
        /// Its epoch.
        epoch: i64,
    },
    /// The request's number was used for another request.
    #[error("this request_id was used for another request")]
    RequestIdReused,
    /// The migration is not as the command believes.
    #[error("the migration has changed: its etag is {etag:?} now")]
    EtagMismatch {
        /// Its etag.
        etag: String,
    },
    /// The migration is under way.
    #[error("migration {id} is under way")]
    UnderWay {
        /// The migration.
        id: Uuid,
    },
    /// A migration of that name exists.
    #[error("a migration named {name:?} exists")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No such migration.
    #[error("there is no migration {id}")]
    NoMigration {
        /// The id.
        id: Uuid,
    },
    /// The migration has no such entity.
    #[error("the migration has no entity {entity:?}")]
    NoEntity {
        /// The entity.
        entity: String,
    },
    /// Rows were copied by other rules under the same version.
    #[error("entity {entity:?} was copied by other rules; its plan may not change any more")]
    PlanChanged {
        /// The entity.
        entity: String,
    },
    /// The command does not fit the migration's state.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The command does not fit the entity's state.
    #[error("entity {entity:?} cannot {verb}: {why}")]
    IllegalEntity {
        /// The entity.
        entity: String,
        /// The command's verb.
        verb: &'static str,
        /// Why, or what to do instead.
        why: &'static str,
    },
    /// No such setting, or no such value of it.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The database refused or broke off.
    #[error("{operation} in the metadata database")]
    Database {
        /// The operation.
        operation: &'static str,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        Self::Database {
            operation: "run a statement",
            source,
        }
    }
}

impl StoreError {
    /// The same error, named after the operation it ended.
    pub(super) fn during(self, operation: &'static str) -> Self {
        match self {
            Self::Database { source, .. } => Self::Database { operation, source },
            other => other,
        }
    }

    /// Another try of the same transaction may work.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.sqlstate().as_deref(), Some("40001" | "40P01"))
    }

    /// Name of the rule (constraint) of the schema that refused the data.
    pub fn rule(&self) -> Option<&str> {
        self.sqlx()?.as_database_error()?.constraint()
    }

    /// SQLSTATE, where a database gave one.
    pub fn sqlstate(&self) -> Option<String> {
        Some(self.sqlx()?.as_database_error()?.code()?.into_owned())
    }

    fn sqlx(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Connect(source)
            | Self::CreateSchema { source, .. }
            | Self::Lock { source, .. }
            | Self::Database { source, .. } => Some(source),
            Self::Upgrade(sqlx::migrate::MigrateError::Execute(source)) => Some(source),
            Self::Upgrade(_)
            | Self::NotInstalled { .. }
            | Self::OtherVersion { .. }
            | Self::AlreadyRunning { .. }
            | Self::Deposed { .. }
            | Self::RequestIdReused
            | Self::EtagMismatch { .. }
            | Self::UnderWay { .. }
            | Self::NameTaken { .. }
            | Self::NoMigration { .. }
            | Self::NoEntity { .. }
            | Self::IllegalEntity { .. }
            | Self::Setting(_)
            | Self::PlanChanged { .. }
            | Self::Illegal(_) => None,
        }
    }

    /// The failure's kind and words, with every cause, for people and other processes.
    pub fn failure(&self) -> Failure {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let words = error.to_string();
            // Some errors of the driver say their cause already.
            if !message.ends_with(&words) {
                message = format!("{message}: {words}");
            }
            cause = error.source();
        }
        Failure {
            kind: self.kind(),
            message,
            sqlstate: self.sqlstate(),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::AlreadyRunning { .. } => FailureKind::AlreadyRunning,
            Self::Deposed { .. } => FailureKind::Fenced,
            Self::PlanChanged { .. } => FailureKind::PlanChanged,
            Self::NotInstalled { .. } | Self::OtherVersion { .. } => FailureKind::SchemaDrift,
            Self::Connect(source)
            | Self::CreateSchema { source, .. }
            | Self::Lock { source, .. }
            | Self::Database { source, .. }
            | Self::Upgrade(sqlx::migrate::MigrateError::Execute(source)) => sqlx_kind(source),
            Self::Upgrade(_) => FailureKind::SchemaDrift,
            Self::NameTaken { .. }
            | Self::RequestIdReused
            | Self::EtagMismatch { .. }
            | Self::UnderWay { .. }
            | Self::NoMigration { .. }
            | Self::NoEntity { .. }
            | Self::IllegalEntity { .. }
            | Self::Setting(_)
            | Self::Illegal(_) => FailureKind::Internal,
        }
    }
}

/// The kind of failure of an sqlx error.
fn sqlx_kind(error: &sqlx::Error) -> FailureKind {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => {
            FailureKind::Unreachable
        }
        sqlx::Error::Database(error) => sqlstate_kind(error.code().as_deref().unwrap_or_default()),
        _ => FailureKind::Internal,
    }
}

fn sqlstate_kind(sqlstate: &str) -> FailureKind {
    match sqlstate {
        "42501" => return FailureKind::Denied,
        "3D000" => return FailureKind::Unreachable,
        "53300" | "55P03" => return FailureKind::Busy,
        "57014" => return FailureKind::Timeout,
        "25006" => return FailureKind::Exhausted,
        _ => {}
    }
    match sqlstate.get(..2).unwrap_or_default() {
        "08" | "57" => FailureKind::Unreachable,
        "28" => FailureKind::Denied,
        "40" => FailureKind::Busy,
        "53" | "54" | "58" => FailureKind::Exhausted,
        "42" => FailureKind::SchemaDrift,
        _ => FailureKind::Internal,
    }
}
