//! The SQL: one file per table, one function per statement, each on a connection that is passed in,
//! so that the transaction is the caller's. Only `store` calls these.
//!
//! Times are the database's own, apart from those of the destination's ledger in errors.

pub mod batch_processing_status;
pub mod command;
pub mod data_validation_result;
pub mod entity_intent;
pub mod entity_migration_status;
pub mod era;
pub mod error_filter;
pub mod leader_epoch;
pub mod legacy_entity_mapping;
pub mod migration_checkpoint;
pub mod migration_error;
pub mod migration_orchestration;
pub mod outbox;
pub mod partition_progress;
pub mod plan;
pub mod retry;
pub mod rollback;
pub mod schema_change_operation;
pub mod validation_run;
pub mod validation_unit;

use std::str::FromStr;

use sqlx::Row;
use sqlx::postgres::PgRow;

/// A column that holds one of an enumeration's texts.
fn parsed<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| undecodable(column, error))
}

/// As [`parsed`], where NULL is none.
fn parsed_option<T>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error| undecodable(column, error)))
        .transpose()
}

fn undecodable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
