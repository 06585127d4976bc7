//! How the store gets its connections, and its tables.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use super::error::StoreError;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/controller");

const POOL_CONNECTIONS: u32 = 5;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection with the schema in its search path.
///
/// The path is set after the login, since poolers refuse it as a start-up parameter.
pub(super) async fn connect(
    options: &PgConnectOptions,
    schema: &str,
) -> Result<PgConnection, sqlx::Error> {
    let mut conn = PgConnection::connect_with(options).await?;
    set_search_path(&mut conn, schema).await?;
    Ok(conn)
}

/// The pool of the store; `is_read_only` makes every transaction of it read-only.
pub(super) async fn pool(
    options: PgConnectOptions,
    schema: &str,
    is_read_only: bool,
) -> Result<PgPool, StoreError> {
    let schema = schema.to_owned();
    PgPoolOptions::new()
        .max_connections(POOL_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |conn, _| {
            let schema = schema.clone();
            Box::pin(async move {
                set_search_path(conn, &schema).await?;
                if is_read_only {
                    sqlx::query("set default_transaction_read_only = on")
                        .execute(conn)
                        .await?;
                }
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .map_err(StoreError::Connect)
}

/// Makes the schema and its tables, or upgrades them; one process at a time.
pub(super) async fn install(options: &PgConnectOptions, schema: &str) -> Result<(), StoreError> {
    let mut conn = connect(options, schema)
        .await
        .map_err(StoreError::Connect)?;
    create_schema(&mut conn, schema)
        .await
        .map_err(|source| StoreError::CreateSchema {
            schema: schema.to_owned(),
            source,
        })?;
    MIGRATOR.run(&mut conn).await.map_err(StoreError::Upgrade)?;
    sqlx::query("select ensure_error_partitions()")
        .execute(&mut conn)
        .await?;
    // Ends the advisory lock too.
    conn.close().await.map_err(StoreError::Connect)
}

/// The schema is there and of this version.
pub(super) async fn check_installed(
    options: &PgConnectOptions,
    schema: &str,
) -> Result<(), StoreError> {
    let mut conn = connect(options, schema)
        .await
        .map_err(StoreError::Connect)?;
    let is_there: bool = sqlx::query_scalar(
        "select to_regclass(quote_ident($1) || '._sqlx_migrations') is not null",
    )
    .bind(schema)
    .fetch_one(&mut conn)
    .await?;
    if !is_there {
        return Err(StoreError::NotInstalled {
            schema: schema.to_owned(),
        });
    }
    let found: i64 =
        sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(&mut conn)
            .await?;
    let needed = MIGRATOR
        .iter()
        .map(|step| step.version)
        .max()
        .unwrap_or_default();
    conn.close().await.map_err(StoreError::Connect)?;
    if found == needed {
        Ok(())
    } else {
        Err(StoreError::OtherVersion { found, needed })
    }
}

async fn set_search_path(conn: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('search_path', quote_ident($1), false)")
        .bind(schema)
        .execute(conn)
        .await?;
    Ok(())
}

/// The advisory lock is held until the connection ends: two first starts do not meet.
async fn create_schema(conn: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_lock(hashtextextended('drover install ' || $1, 0))")
        .bind(schema)
        .execute(&mut *conn)
        .await?;
    let is_there: bool =
        sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)")
            .bind(schema)
            .fetch_one(&mut *conn)
            .await?;
    if !is_there {
        // A role that may not create schemas can still use one made for it.
        let quoted = proto::domain::catalog::quote_ident(schema);
        sqlx::query(&format!("create schema {quoted}"))
            .execute(conn)
            .await?;
    }
    Ok(())
}
