//! One process at a time runs a migration: a session lock on a connection of its own.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::connect;
use super::error::StoreError;

/// How long a lock is waited for: the session of a killed run may linger.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held until released or dropped, and as long as its connection lives.
#[derive(Debug)]
pub struct MigrationLock {
    name: String,
    conn: PgConnection,
}

impl MigrationLock {
    /// Waits for the lock of the migration of that name.
    pub(super) async fn acquire(
        options: &PgConnectOptions,
        schema: &str,
        name: &str,
    ) -> Result<Self, StoreError> {
        let mut conn = connect::connect(options, schema)
            .await
            .map_err(StoreError::Connect)?;
        let failed = |source| StoreError::Lock {
            name: name.to_owned(),
            source,
        };
        sqlx::query("select set_config('lock_timeout', $1, false)")
            .bind(format!("{}ms", PATIENCE.as_millis()))
            .execute(&mut conn)
            .await
            .map_err(failed)?;
        let locked = sqlx::query(
            "select pg_advisory_lock(
                 hashtextextended('drover migration ' || current_schema() || ' ' || $1, 0))",
        )
        .bind(name)
        .execute(&mut conn)
        .await;
        match locked {
            Ok(_) => Ok(Self {
                name: name.to_owned(),
                conn,
            }),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
                Err(StoreError::AlreadyRunning {
                    name: name.to_owned(),
                })
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Whether somebody holds the lock of the migration of that name.
    pub(super) async fn is_held(
        options: &PgConnectOptions,
        schema: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        let mut conn = connect::connect(options, schema)
            .await
            .map_err(StoreError::Connect)?;
        let is_free: bool = sqlx::query_scalar(
            "select pg_try_advisory_lock(
                 hashtextextended('drover migration ' || current_schema() || ' ' || $1, 0))",
        )
        .bind(name)
        .fetch_one(&mut conn)
        .await?;
        // The lock ends with its session.
        conn.close().await.map_err(StoreError::Connect)?;
        Ok(!is_free)
    }

    /// Fails when the connection, and so the lock, is lost.
    pub async fn check(&mut self) -> Result<(), StoreError> {
        let name = self.name.clone();
        self.conn
            .ping()
            .await
            .map_err(|source| StoreError::Lock { name, source })
    }

    /// Gives the lock back.
    pub async fn release(self) -> Result<(), StoreError> {
        let name = self.name;
        self.conn
            .close()
            .await
            .map_err(|source| StoreError::Lock { name, source })
    }
}
