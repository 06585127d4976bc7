//! Table `migration_error`, as far as many errors are meant at once.

use proto::domain::record::{ErrorGroup, ErrorType, MigrationError};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::migration_error::{COLUMNS, record};
use super::parsed;

/// Which errors of a migration are meant: those that meet every condition there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this code.
    pub code: Option<String>,
    /// Of this type.
    pub error_type: Option<ErrorType>,
    /// Resolved, or not.
    pub is_resolved: Option<bool>,
    /// Those with these ids.
    pub ids: Option<Vec<Uuid>>,
}

const CONDITIONS: &str = "m.migration_id = $1 and ($2::text is null or m.entity = $2)
           and ($3::text is null or m.error_code = $3)
           and ($4::text is null or m.error_type = $4::error_type)
           and ($5::boolean is null or m.is_resolved = $5)
           and ($6::uuid[] is null or m.id = any ($6))";

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(sql: &'q str, migration_id: Uuid, filter: &'q ErrorFilter) -> Query<'q> {
    sqlx::query(sql)
        .bind(migration_id)
        .bind(filter.entity.as_deref())
        .bind(filter.code.as_deref())
        .bind(filter.error_type.map(ErrorType::as_str))
        .bind(filter.is_resolved)
        .bind(filter.ids.as_deref())
}

/// A migration's errors, oldest first, behind the one with id `after`.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
    filter: &ErrorFilter,
    (limit, after): (i64, Option<Uuid>),
) -> Result<Vec<MigrationError>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from migration_error m
         where {CONDITIONS}
           and ($8::uuid is null
                or (m.occurred_at, m.id)
                   > (select a.occurred_at, a.id from migration_error a
                      where a.id = $8 and a.migration_id = $1))
         order by m.occurred_at, m.id limit $7"
    );
    let rows = bound(&sql, migration_id, filter)
        .bind(limit)
        .bind(after)
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

/// Errors by what they have in common, the most open ones first.
pub async fn group(
    conn: &mut PgConnection,
    migration_id: Uuid,
    filter: &ErrorFilter,
) -> Result<Vec<ErrorGroup>, sqlx::Error> {
    let sql = format!(
        "select g.*, e.source_record_id as example_key, e.error_message as example_message
         from (select m.entity, m.error_code, m.error_type::text as error_type,
                      coalesce(m.context ->> 'column', m.context ->> 'rule') as place,
                      count(*) as count, count(*) filter (where not m.is_resolved) as open,
                      (array_agg(m.id order by m.is_resolved, m.occurred_at, m.id))[1] as example_id,
                      min(m.occurred_at) as first_at, max(m.occurred_at) as last_at
               from migration_error m where {CONDITIONS}
               group by 1, 2, 3, 4) g
         join migration_error e on e.id = g.example_id and e.migration_id = $1
         order by g.open desc, g.count desc, g.entity, g.error_code, g.place"
    );
    let rows = bound(&sql, migration_id, filter).fetch_all(conn).await?;
    rows.iter().map(group_record).collect()
}

/// Rows that failed, as (entity, record id), each once; parents before their children.
pub async fn rows(
    conn: &mut PgConnection,
    migration_id: Uuid,
    filter: &ErrorFilter,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let sql = format!(
        "select m.entity, m.source_record_id from migration_error m
         join entity_migration_status s on s.id = m.entity_status_id
         where {CONDITIONS} and m.source_record_id is not null and m.partition_id is not null
         group by 1, 2 order by min(s.dependency_order), 1, min(m.occurred_at), 2"
    );
    let rows = bound(&sql, migration_id, filter).fetch_all(conn).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Marks errors that are open as resolved; how many.
pub async fn resolve(
    conn: &mut PgConnection,
    migration_id: Uuid,
    filter: &ErrorFilter,
    notes: &str,
) -> Result<u64, sqlx::Error> {
    let sql = format!(
        "update migration_error m set is_resolved = true, resolution_notes = $7
         where {CONDITIONS} and not m.is_resolved"
    );
    let done = bound(&sql, migration_id, filter)
        .bind(notes)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// How many errors of rows are not resolved.
pub async fn open(conn: &mut PgConnection, migration_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from migration_error
         where migration_id = $1 and not is_resolved and source_record_id is not null",
    )
    .bind(migration_id)
    .fetch_one(conn)
    .await
}

fn group_record(row: &PgRow) -> Result<ErrorGroup, sqlx::Error> {
    Ok(ErrorGroup {
        entity: row.try_get("entity")?,
        error_code: row.try_get("error_code")?,
        error_type: parsed(row, "error_type")?,
        place: row.try_get("place")?,
        count: row.try_get("count")?,
        open: row.try_get("open")?,
        example_id: row.try_get("example_id")?,
        example_key: row.try_get("example_key")?,
        example_message: row.try_get("example_message")?,
        first_at: row.try_get("first_at")?,
        last_at: row.try_get("last_at")?,
    })
}
