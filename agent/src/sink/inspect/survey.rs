//! How an entity's rows can be compared: what the start state and the catalog say of its table.

use std::collections::HashSet;

use proto::domain::compiled::ConflictRule;
use proto::domain::failure::Failure;
use proto::domain::frame::Survey;
use proto::domain::key::KeyRange;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::super::stage::is_needed;
use super::super::state::key;
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};
use crate::verify::form::{ColumnType, ValueForm};

const SURVEYING: &str = "survey a table";
/// Pages of a piece, at least: half a gigabyte is read in some seconds.
const PIECE: i64 = 16_384;
/// Pieces of a table, at most.
const PIECES: i64 = 64;
/// From this version on a range of pages is read without the others.
const TID_RANGES: i32 = 140_000;

/// What is known of an entity's table from the start.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct TableState {
    /// It had rows at the start.
    pub had_rows: bool,
    /// Entities of this migration that write it.
    pub writers: i64,
}

/// Reads it.
pub async fn table_state(
    connection: &mut PgConnection,
    entity: &EntityContext,
) -> Result<TableState, Failure> {
    sqlx::query_as(
        "select e.had_rows, (select count(*) from drover.entity o where o.migration_id = e.migration_id \
             and o.destination_schema = e.destination_schema and o.destination_table = e.destination_table) as writers \
         from drover.entity e where e.entity_no = $1",
    )
    .bind(entity.entity_no)
    .fetch_one(connection)
    .in_time(READ)
    .await
    .during(SURVEYING)
}

/// The pieces of an entity, and whether sketches can tell its rows apart.
pub async fn survey(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<Survey, Failure> {
    let compiled = &entity.compiled;
    let state = table_state(&mut *connection, entity).await?;
    let has_sketches = compiled.on_conflict == ConflictRule::Error
        && !is_needed(&compiled.columns)
        && !state.had_rows
        && state.writers == 1;
    Ok(Survey {
        has_sketches,
        ranges: ranges(&mut *connection, run, entity).await?,
        pages: pages(connection, entity).await?,
    })
}

/// Ranges of source keys, as the load had them.
async fn ranges(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<Vec<KeyRange>, Failure> {
    let rows = sqlx::query(
        "select after, upto from drover.partition where entity_no = $1 and attempt = $2 and number >= 0 \
         order by number",
    )
    .bind(entity.entity_no)
    .bind(run.order.attempt)
    .fetch_all(connection)
    .in_time(READ)
    .await
    .during(SURVEYING)?;
    let range = |row: &sqlx::postgres::PgRow| {
        Ok(KeyRange {
            after: key(row, "after")?,
            upto: key(row, "upto")?,
        })
    };
    let found: Result<Vec<KeyRange>, sqlx::Error> = rows.iter().map(range).collect();
    let found = found.during(SURVEYING)?;
    match found.is_empty() {
        true => Ok(vec![KeyRange::default()]),
        false => Ok(found),
    }
}

/// Ranges of the table's pages, the last one open; none where it has to be read as a whole.
async fn pages(
    connection: &mut PgConnection,
    entity: &EntityContext,
) -> Result<Vec<(u64, u64)>, Failure> {
    let (pages, is_plain, version): (i64, bool, i32) = sqlx::query_as(
        "select pg_relation_size(c.oid) / current_setting('block_size')::bigint, \
                c.relkind = 'r' and not exists (select from pg_inherits i where i.inhparent = c.oid), \
                current_setting('server_version_num')::integer \
         from pg_class c where c.oid = $1::regclass",
    )
    .bind(entity.compiled.destination.quoted())
    .fetch_one(connection)
    .in_time(READ)
    .await
    .during(SURVEYING)?;
    if !is_plain || version < TID_RANGES {
        return Ok(Vec::new());
    }
    Ok(cut(pages))
}

fn cut(pages: i64) -> Vec<(u64, u64)> {
    let count = (pages / PIECE).clamp(1, PIECES);
    if count == 1 {
        return Vec::new();
    }
    let bound = |at: i64| u64::try_from(pages * at / count).unwrap_or_default();
    let end = |at: i64| {
        if at == count {
            u64::from(u32::MAX)
        } else {
            bound(at)
        }
    };
    (0..count).map(|at| (bound(at), end(at + 1))).collect()
}

/// The forms of the columns that are written, in their order.
pub async fn forms(
    connection: &mut PgConnection,
    entity: &EntityContext,
) -> Result<Vec<ValueForm>, Failure> {
    let names: Vec<&str> = entity
        .compiled
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let types: Vec<(i64, i32, bool)> = sqlx::query_as(
        "with recursive seen(name, ty, modifier, depth) as ( \
             select a.attname::text, a.atttypid, a.atttypmod, 0 from pg_attribute a \
             where a.attrelid = $1::regclass and a.attname = any($2) and not a.attisdropped \
             union all \
             select s.name, t.typbasetype, t.typtypmod, s.depth + 1 from seen s join pg_type t on t.oid = s.ty \
             where t.typtype = 'd'), \
         base as (select distinct on (name) name, ty, modifier from seen order by name, depth desc) \
         select case when t.typcategory = 'A' then t.typelem else t.oid end::bigint, b.modifier, \
                t.typcategory = 'A' \
         from unnest($2) with ordinality w(name, at) join base b using (name) join pg_type t on t.oid = b.ty \
         order by w.at",
    )
    .bind(entity.compiled.destination.quoted())
    .bind(&names)
    .fetch_all(connection)
    .in_time(READ)
    .await
    .during(SURVEYING)?;
    if types.len() != names.len() {
        let words = format!(
            "{} lacks a column that was written",
            entity.compiled.destination
        );
        return Err(Failure::new(
            proto::domain::failure::FailureKind::SchemaDrift,
            words,
        ));
    }
    let form = |(oid, modifier, is_array): (i64, i32, bool)| {
        let oid = u32::try_from(oid).unwrap_or_default();
        ValueForm::of(ColumnType {
            oid,
            modifier,
            is_array,
        })
    };
    Ok(types.into_iter().map(form).collect())
}

/// Record ids of source rows that were set aside and not written since.
pub async fn set_aside(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<HashSet<String>, Failure> {
    use crate::transform::map_entry::KeyShape;
    let key = match KeyShape::of(&entity.compiled) {
        KeyShape::Int8 => "r.source_record_id::bigint",
        KeyShape::Text => "r.source_record_id",
    };
    let sql = format!(
        "select distinct r.source_record_id from drover.error r join drover.partition p using (partition_id) \
         where r.entity_no = $1 and p.attempt = $2 \
           and not exists (select from drover.id_map_{} m where m.k = {key} and m.is_active)",
        entity.entity_no
    );
    let found: Vec<String> = sqlx::query_scalar(&sql)
        .bind(entity.entity_no)
        .bind(run.order.attempt)
        .fetch_all(connection)
        .in_time(READ)
        .await
        .during("read the rows that were set aside")?;
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_cut_without_a_gap_and_the_last_piece_is_open() {
        assert!(cut(0).is_empty() && cut(PIECE).is_empty());
        for pages in [PIECE * 2, PIECE * 7 + 3, PIECE * 1000] {
            let pieces = cut(pages);
            assert!(pieces.len() > 1 && pieces.len() <= 64);
            assert_eq!(pieces[0].0, 0);
            assert!(pieces.windows(2).all(|pair| pair[0].1 == pair[1].0));
            assert_eq!(pieces.last().unwrap().1, u64::from(u32::MAX));
        }
    }
}
