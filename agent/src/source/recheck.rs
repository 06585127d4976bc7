//! What the source says of its rows now: whether they were written since the load, and figures over all of them.

use std::collections::{BTreeSet, HashMap};

use proto::domain::catalog::TableName;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::activity::{SourceActivity, read_activity, wait_for_reports};
use super::baseline::noted;
use super::read::begin;
use crate::connect::{Purpose, open, run_sql};
use crate::failure::{During, from_sqlx, read_refusal};
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};

/// Keys of one question.
const CHUNK: usize = 500;
/// Transaction numbers of one era.
const ERA: &str = "4294967296";

/// Whether rows were written after the snapshot that the load began to read under, by record id; those that
/// are not there are left out. None where there was no snapshot, or rows have no version.
pub async fn newer(
    run: &RunContext,
    entity: &EntityContext,
    keys: &[KeyValue],
) -> Result<Option<HashMap<String, bool>>, Failure> {
    let mut known = HashMap::new();
    let Some(snapshot) = snapshot(run).await? else {
        return Ok(None);
    };
    let read = &entity.compiled.read;
    let width = read.key.len();
    for chunk in keys.chunks(CHUNK) {
        let mut connection = begin(run, None).await?;
        let sql = read.select_versions(
            chunk,
            &format!(
                "case when src.xmin::text::bigint < 3 then false else ( \
                     select case when full_xid < 0 then false \
                            else not txid_visible_in_snapshot(full_xid, '{snapshot}'::txid_snapshot) end \
                     from (select case when guess > last then guess - {ERA} else guess end as full_xid \
                           from (select last, last - last % {ERA} + src.xmin::text::bigint as guess \
                                 from (select txid_snapshot_xmax(txid_current_snapshot()) as last) a) b) c) end"
            ),
        );
        let rows = sqlx::query(&sql)
            .fetch_all(&mut connection)
            .in_time(READ)
            .await;
        let rows = match rows {
            Ok(rows) => rows,
            // A view has no versions.
            Err(sqlx::Error::Database(_)) => return Ok(None),
            Err(error) => return Err(from_sqlx("look when rows were written", &error)),
        };
        finish(run, connection).await?;
        for row in rows {
            let (id, is_newer) = version(&row, width).during("look when rows were written")?;
            known.insert(id, is_newer);
        }
    }
    Ok(Some(known))
}

fn version(row: &PgRow, width: usize) -> Result<(String, bool), sqlx::Error> {
    let key: Result<Vec<String>, _> = (0..width).map(|at| row.try_get(at)).collect();
    Ok((KeyValue(key?).to_record_id(), row.try_get(width)?))
}

/// Which transactions the load's snapshot saw.
async fn snapshot(run: &RunContext) -> Result<Option<String>, Failure> {
    let mut connection = open(&run.destination, Purpose::Write).await?;
    let found: Option<String> =
        sqlx::query_scalar(
            "select to_jsonb(m) ->> 'source_snapshot' from drover.migration m where m.migration_id = $1",
        )
            .bind(run.order.migration_id)
            .fetch_one(&mut connection)
            .in_time(READ)
            .await
            .during("read the load's snapshot")?;
    run.destination.give_back(Purpose::Write, connection).await;
    let is_plain = |text: &String| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':' || byte == b',')
    };
    Ok(found.filter(is_plain))
}

/// Whether the tables of an entity show no write since the load began; false where nobody can tell. Sessions
/// that have not reported their writes yet are waited for, so this is asked only where something differs.
pub async fn is_unwritten(run: &RunContext, entity: &EntityContext) -> Result<bool, Failure> {
    let mut journal = open(&run.destination, Purpose::Write).await?;
    let earlier = noted(&mut journal, run.order.migration_id).await?.activity;
    run.destination.give_back(Purpose::Write, journal).await;
    let Some(earlier) = earlier else {
        return Ok(false);
    };
    let read = &entity.compiled.read;
    let tables: BTreeSet<_> = [&read.source]
        .into_iter()
        .chain(&read.also)
        .cloned()
        .collect();
    let tables: Vec<_> = tables.into_iter().collect();
    let mut connection = open(&run.source, Purpose::Read).await?;
    run.know_source(&mut connection).await?;
    let mut is_same = !is_changed(
        &read_activity(&mut connection, &tables).await?,
        &earlier,
        &tables,
    );
    if is_same {
        let is_certain = wait_for_reports(&mut connection).await?;
        let now = read_activity(&mut connection, &tables).await?;
        is_same = is_certain && !is_changed(&now, &earlier, &tables);
    }
    run.source.give_back(Purpose::Read, connection).await;
    Ok(is_same)
}

fn is_changed(now: &SourceActivity, earlier: &SourceActivity, tables: &[TableName]) -> bool {
    let changed = now.changed_since(earlier);
    changed.iter().any(|changed| tables.contains(changed))
}

/// Rows that the filter and the joins let through; none where that fails for one of them.
pub async fn count_rows(run: &RunContext, entity: &EntityContext) -> Result<Option<i64>, Failure> {
    let read = &entity.compiled.read;
    let mut connection = begin(run, read.time_zone.as_deref()).await?;
    let sql = read.count_rows(&KeyRange::default(), &run.constants);
    let counted = sqlx::query_scalar(&sql)
        .fetch_one(&mut connection)
        .in_time(READ)
        .await;
    match counted {
        Ok(rows) => {
            finish(run, connection).await?;
            Ok(Some(rows))
        }
        Err(error) if read_refusal(&error).is_some() => Ok(None),
        Err(error) => Err(error).during("count the source's rows"),
    }
}

/// Expressions over all rows but those with these keys, each as text.
pub async fn over_rows(
    run: &RunContext,
    entity: &EntityContext,
    (expressions, left_out): (&[String], &[KeyValue]),
) -> Result<Vec<Option<String>>, Failure> {
    let action = "aggregate the source's rows";
    let read = &entity.compiled.read;
    let texts: Vec<String> = expressions
        .iter()
        .map(|expression| format!("({expression}\n)::text"))
        .collect();
    let mut connection = begin(run, read.time_zone.as_deref()).await?;
    let sql = read.select_over(&texts.join(", "), &run.constants, left_out);
    let row = sqlx::query(&sql)
        .fetch_one(&mut connection)
        .in_time(READ)
        .await
        .map_err(|error| match read_refusal(&error) {
            Some((code, words)) => Failure::new(
                FailureKind::RowRefused,
                format!("{action}: {words} ({code})"),
            ),
            None => from_sqlx(action, &error),
        })?;
    finish(run, connection).await?;
    (0..expressions.len())
        .map(|at| row.try_get(at))
        .collect::<Result<_, _>>()
        .during(action)
}

/// Keys of about so many rows, spread over the table.
pub async fn sample_keys(
    run: &RunContext,
    entity: &EntityContext,
    rows: u32,
) -> Result<Vec<KeyValue>, Failure> {
    let action = "take a sample of keys";
    let read = &entity.compiled.read;
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut connection = begin(run, read.time_zone.as_deref()).await?;
    let width = read.key.len();
    let mut keys: Vec<KeyValue> = Vec::new();
    // Few pages first; all of them where that is too few.
    for percent in [1.0, 10.0, 100.0] {
        let sql = read.select_sample(percent, 1.0, None);
        let found = sqlx::query(&sql)
            .fetch_all(&mut connection)
            .in_time(READ)
            .await
            .during(action)?;
        let key = |row: &PgRow| {
            let parts: Result<_, _> = (0..width).map(|at| row.try_get(at)).collect();
            parts.map(KeyValue)
        };
        let found: Result<Vec<KeyValue>, sqlx::Error> = found.iter().map(key).collect();
        keys = found.during(action)?;
        if keys.len() >= wanted {
            break;
        }
    }
    finish(run, connection).await?;
    let count = keys.len();
    if count <= wanted {
        return Ok(keys);
    }
    let spread = (0..wanted).filter_map(|at| keys.get(at * count / wanted).cloned());
    Ok(spread.collect())
}

async fn finish(
    run: &RunContext,
    mut connection: sqlx::postgres::PgConnection,
) -> Result<(), Failure> {
    run_sql(&mut connection, "commit")
        .in_time(READ)
        .await
        .during("end the read")?;
    run.source.give_back(Purpose::Read, connection).await;
    Ok(())
}
