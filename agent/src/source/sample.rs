//! Bounds of partitions from a sample of keys, and how many rows there are.

use proto::domain::compiled::ReadRule;
use proto::domain::failure::Failure;
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::read::begin;
use crate::connect::{Purpose, run_sql};
use crate::failure::{During, read_refusal};
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};

/// Below this a table is counted: the rows read must be as many.
const COUNTED: i64 = 5_000_000;
/// Below this a table is not cut.
const SMALL: i64 = 160_000;
/// Pages to look at per partition, so that the largest is not far above the mean where neighbours on a page
/// are neighbours in key order: 1/sqrt(500) is a deviation of 5 %.
const PAGES_PER_PART: f64 = 500.0;
/// Keys to take from each of them: more would tell little more.
const KEYS_PER_PAGE: f64 = 4.0;

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
    let (pages, estimate) = size(&mut connection, read).await?;
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
    let parts = i64::from(parts).min(estimate / (SMALL / 2)).max(1);
    let bounds = if estimate < SMALL || parts < 2 {
        Vec::new()
    } else {
        let (percent, share) = shares(estimate, pages, parts);
        // A filter that fails for some row tells nothing; the keys alone do.
        let is_filter_sound = is_exact || estimate >= COUNTED;
        let mut sql = read.select_sample(percent, share, is_filter_sound.then_some(&run.constants));
        let keys = loop {
            match take_keys(&mut connection, &sql, read.key.len()).await {
                Ok(keys) => break keys,
                Err(error)
                    if read_refusal(&error).is_some()
                        && sql != read.select_sample(percent, share, None) =>
                {
                    connection = begin(run, read.time_zone.as_deref()).await?;
                    sql = read.select_sample(percent, share, None);
                }
                Err(error) => return Err(error).during("take a sample of keys"),
            }
        };
        cut(&keys, usize::try_from(parts).unwrap_or(1))
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

/// Pages of a table, and about how many rows they hold.
pub(super) async fn size(
    connection: &mut PgConnection,
    read: &ReadRule,
) -> Result<(i64, i64), Failure> {
    // Pages now, density then: reltuples alone is stale, and -1 where nobody ever analyzed. Of a
    // partitioned table its partitions.
    sqlx::query_as(
        "with recursive member(oid) as ( \
             select $1::regclass::oid \
             union select i.inhrelid from pg_inherits i join member m on i.inhparent = m.oid) \
         select coalesce(sum(pg_relation_size(c.oid) / 8192), 0)::bigint, \
                coalesce(sum(case when c.reltuples > 0 and c.relpages > 0 \
                     then c.reltuples / c.relpages * (pg_relation_size(c.oid) / 8192.0) \
                     else pg_relation_size(c.oid) / 100.0 end), 0)::bigint \
         from pg_class c join member using (oid) where c.relkind in ('r', 'm')",
    )
    .bind(read.source.quoted())
    .fetch_one(connection)
    .in_time(READ)
    .await
    .during("estimate the rows")
}

/// Which share of a table's pages to look at, in percent, and which share of the rows on them to take.
fn shares(rows: i64, pages: i64, parts: i64) -> (f64, f64) {
    let (rows, pages, parts) = (rows.max(1) as f64, pages.max(1) as f64, parts as f64);
    let of_pages = (PAGES_PER_PART * parts / pages).min(1.0);
    let keys = PAGES_PER_PART * KEYS_PER_PAGE * parts;
    (of_pages * 100.0, (keys / (rows * of_pages)).min(1.0))
}

/// The keys that a SELECT gives.
pub(super) async fn take_keys(
    connection: &mut PgConnection,
    sql: &str,
    width: usize,
) -> Result<Vec<KeyValue>, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(connection).in_time(READ).await?;
    let key = |row: &PgRow| {
        let parts: Result<_, _> = (0..width).map(|at| row.try_get(at)).collect();
        parts.map(KeyValue)
    };
    rows.iter().map(key).collect()
}

/// Keys that cut a sorted sample into `parts` equal parts, without repeats.
pub(super) fn cut(keys: &[KeyValue], parts: usize) -> Vec<KeyValue> {
    let mut bounds: Vec<KeyValue> = (1..parts)
        .filter_map(|part| keys.get(part * keys.len() / parts).cloned())
        .collect();
    bounds.dedup();
    bounds
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Keys of a table, in key order, skewed in one of several ways.
    fn skewed(kind: usize, rows: i64, random: &mut StdRng) -> Vec<i64> {
        let mut next = 0;
        let keys = (0..rows).map(|at| {
            next += match kind {
                // Dense; gaps that grow; most in one place; bursts.
                0 => 1,
                1 => at,
                2 if at < rows * 9 / 10 => 1,
                2 => 1_000_000,
                _ if random.random_ratio(1, 1000) => 10_000_000,
                _ => random.random_range(1..4),
            };
            next
        });
        keys.collect()
    }

    /// Rows per partition of a table whose heap is in key order or in none.
    fn sizes(keys: &[i64], (parts, per_page): (i64, usize), random: &mut StdRng) -> Vec<usize> {
        let is_in_order: bool = random.random();
        let mut heap = keys.to_vec();
        if !is_in_order {
            for at in (1..heap.len()).rev() {
                heap.swap(at, random.random_range(0..=at));
            }
        }
        let pages = heap.len().div_ceil(per_page);
        let rows = i64::try_from(heap.len()).unwrap();
        let (percent, share) = shares(rows, i64::try_from(pages).unwrap(), parts);
        let mut taken: Vec<i64> = Vec::new();
        for page in heap.chunks(per_page) {
            if random.random_bool(percent / 100.0) {
                taken.extend(page.iter().filter(|_| random.random_bool(share)));
            }
        }
        taken.sort_unstable();
        let sample: Vec<KeyValue> = taken
            .iter()
            .map(|key| KeyValue(vec![key.to_string()]))
            .collect();
        let bounds = cut(&sample, usize::try_from(parts).unwrap());
        let mut ends: Vec<usize> = bounds
            .iter()
            .map(|bound| keys.partition_point(|key| *key <= bound.0[0].parse::<i64>().unwrap()))
            .collect();
        ends.push(keys.len());
        let starts = [0].into_iter().chain(ends.iter().copied());
        ends.iter()
            .zip(starts)
            .map(|(end, start)| end - start)
            .collect()
    }

    #[test]
    fn the_largest_partition_is_at_most_a_fifth_above_the_mean_however_keys_are_spread() {
        for seed in 0..40 {
            let mut random = StdRng::seed_from_u64(seed);
            let parts = [2, 3, 5, 16][usize::try_from(seed).unwrap() % 4];
            let per_page = random.random_range(8..200);
            let rows = parts * SMALL / 2 + random.random_range(0..20_000);
            let kind = random.random_range(0..4);
            let keys = skewed(kind, rows, &mut random);
            let sizes = sizes(&keys, (parts, per_page), &mut random);
            let largest = sizes.iter().max().copied().unwrap_or_default() as f64;
            let mean = rows as f64 / parts as f64;
            let about = format!("seed {seed}, kind {kind}, {per_page} rows a page: {sizes:?}");
            assert_eq!(sizes.len(), usize::try_from(parts).unwrap(), "{about}");
            assert!(largest <= 1.2 * mean, "{about}");
        }
    }

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
