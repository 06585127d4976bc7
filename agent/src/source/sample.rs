//! Bounds of partitions from a sample of keys, and how many rows there are.

use proto::domain::failure::Failure;
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::Row;

use super::read::begin;
use crate::connect::{Purpose, run_sql};
use crate::failure::{During, read_refusal};
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};

/// Below this a table is counted: the rows read must be as many.
const COUNTED: i64 = 5_000_000;
/// Below this a table is not cut.
const SMALL: i64 = 160_000;
/// Keys to take at least per partition, so that the largest is not far above the mean.
const KEYS_PER_PART: i64 = 400;

/// What a sample says of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Inner bounds in key order.
    pub bounds: Vec<KeyValue>,
    /// Rows that the filter lets through.
    pub records_total: i64,
    /// They were counted.
    pub is_exact: bool,
}

/// Samples an entity for about `parts` partitions; never fewer than some 80,000 rows
/// each: every partition hashes its parents' keys again.
pub async fn sample(
    run: &RunContext,
    entity: &EntityContext,
    parts: u32,
) -> Result<Sample, Failure> {
    let read = &entity.compiled.read;
    let mut connection = begin(run, read.time_zone.as_deref()).await?;
    // Pages now, density then: reltuples alone is stale, and -1 where nobody ever analyzed.
    let estimate: i64 = sqlx::query_scalar(
        "select case when c.reltuples > 0 and c.relpages > 0 \
                     then c.reltuples / c.relpages * (pg_relation_size(c.oid) / 8192.0) \
                     else pg_relation_size(c.oid) / 100.0 end::bigint \
         from pg_class c where c.oid = $1::regclass",
    )
    .bind(read.source.quoted())
    .fetch_one(&mut connection)
    .in_time(READ)
    .await
    .during("estimate the rows")?;
    let mut total = None;
    if estimate < COUNTED {
        let count = read.count_rows(&KeyRange::default(), &run.constants);
        match sqlx::query_scalar(&count)
            .fetch_one(&mut connection)
            .in_time(READ)
            .await
        {
            Ok(counted) => total = Some(counted),
            // A `where` that fails for some row: reading will name it.
            Err(error) if read_refusal(&error).is_some() => {
                connection = begin(run, read.time_zone.as_deref()).await?;
            }
            Err(error) => return Err(error).during("count the rows"),
        }
    }
    let (records_total, is_exact) = (total.unwrap_or(estimate), total.is_some());
    let bounds = if estimate < SMALL {
        Vec::new()
    } else {
        let parts = i64::from(parts).min(estimate / (SMALL / 2)).max(1);
        let share = (parts * KEYS_PER_PART) as f64 * 100.0 / estimate as f64;
        let sql = read.select_sample(share.clamp(0.01, 100.0));
        let rows = sqlx::query(&sql)
            .fetch_all(&mut connection)
            .in_time(READ)
            .await
            .during("take a sample of keys")?;
        let width = read.key.len();
        let keys: Result<Vec<KeyValue>, sqlx::Error> = rows
            .iter()
            .map(|row| {
                (0..width)
                    .map(|at| row.try_get(at))
                    .collect::<Result<_, _>>()
                    .map(KeyValue)
            })
            .collect();
        cut(
            &keys.during("take a sample of keys")?,
            parts.unsigned_abs() as usize,
        )
    };
    let found = Sample {
        bounds,
        records_total,
        is_exact,
    };
    run_sql(&mut connection, "commit")
        .in_time(READ)
        .await
        .during("end the sample")?;
    run.source.give_back(Purpose::Read, connection).await;
    Ok(found)
}

/// Keys that cut a sorted sample into `parts` equal parts, without repeats.
fn cut(keys: &[KeyValue], parts: usize) -> Vec<KeyValue> {
    let mut bounds: Vec<KeyValue> = (1..parts)
        .filter_map(|part| keys.get(part * keys.len() / parts).cloned())
        .collect();
    bounds.dedup();
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_cut_into_equal_parts_without_repeats() {
        let keys: Vec<KeyValue> = (0..100).map(|n| KeyValue(vec![n.to_string()])).collect();
        let bounds: Vec<String> = cut(&keys, 4).iter().map(KeyValue::to_record_id).collect();
        assert_eq!(bounds, ["25", "50", "75"]);
        assert!(cut(&keys, 1).is_empty());
        assert!(cut(&[], 4).is_empty());
        assert_eq!(cut(&vec![KeyValue(vec!["1".into()]); 50], 8).len(), 1);
    }
}
