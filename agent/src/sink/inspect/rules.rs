//! The plan's own checks at the destination: no two alike, a query that finds nothing, a query that is fast.

use std::time::Duration;

use proto::domain::catalog::quote_ident;
use proto::domain::failure::Failure;
use proto::domain::frame::{CheckOutcome, Finding, FindingKind};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Column, Executor};
use tokio::time::Instant;

use super::{TOLD, key_text};
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::run::EntityContext;

/// Times that a query is measured.
const SAMPLES: usize = 40;
/// Rows among which samples are looked for.
const SAMPLED: usize = 20_000;

/// Rows that have the same values in these columns as another one; NULL equals nothing.
pub async fn unique(
    connection: &mut PgConnection,
    entity: &EntityContext,
    columns: &[String],
) -> Result<CheckOutcome, Failure> {
    let action = "look for duplicates";
    let table = entity.compiled.destination.quoted();
    let names: Vec<String> = columns.iter().map(|name| quote_ident(name)).collect();
    let given: Vec<String> = names
        .iter()
        .map(|name| format!("t.{name} is not null"))
        .collect();
    let key = key_text(&entity.compiled, "t");
    let sql = format!(
        "with grouped as materialized ( \
             select count(*) as rows, (array_agg({key}))[2] as key from {table} t where {} group by {} having count(*) > 1) \
         select (select count(*) from {table}), (select coalesce(sum(rows - 1), 0)::bigint from grouped), \
                array(select key from grouped order by key limit {TOLD})",
        given.join(" and "),
        names
            .iter()
            .map(|name| format!("t.{name}"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    let (rows, issues, keys): (i64, i64, Vec<String>) = sqlx::query_as(&sql)
        .fetch_one(connection)
        .in_time(READ)
        .await
        .during(action)?;
    let finding = |key: String| Finding {
        kind: FindingKind::Duplicate,
        source_id: None,
        destination_id: Some(key),
        columns: columns.to_vec(),
        note: "another row has the same values".to_owned(),
        is_warning: false,
    };
    Ok(CheckOutcome {
        records_validated: rows.max(issues),
        issues_found: issues,
        figures: json!({ "rows": rows, "duplicates": issues }),
        findings: keys.into_iter().map(finding).collect(),
        ..CheckOutcome::default()
    })
}

/// What a query finds; its rows are named where they show the table's key.
pub async fn zero_rows(
    connection: &mut PgConnection,
    entity: &EntityContext,
    sql: &str,
) -> Result<CheckOutcome, Failure> {
    let action = "run a query that is to find nothing";
    let counted = format!("select count(*) from ({sql}\n) as found");
    let issues: i64 = sqlx::query_scalar(&counted)
        .fetch_one(&mut *connection)
        .in_time(READ)
        .await
        .during(action)?;
    let all = format!(
        "select count(*) from {}",
        entity.compiled.destination.quoted()
    );
    let rows: i64 = sqlx::query_scalar(&all)
        .fetch_one(&mut *connection)
        .in_time(READ)
        .await
        .during(action)?;
    let mut findings = Vec::new();
    if issues > 0
        && let [key] = entity.compiled.id.columns()
    {
        let described = (&mut *connection).describe(sql).await.during(action)?;
        let shows_key = described.columns.iter().any(|column| column.name() == key);
        if shows_key {
            let keys = format!(
                "select {}::text from ({sql}\n) as found limit {TOLD}",
                quote_ident(key)
            );
            let keys: Vec<Option<String>> = sqlx::query_scalar(&keys)
                .fetch_all(connection)
                .in_time(READ)
                .await
                .during(action)?;
            findings.extend(keys.into_iter().map(|destination_id| Finding {
                kind: FindingKind::Found,
                source_id: None,
                destination_id,
                columns: Vec::new(),
                note: "the query finds it".to_owned(),
                is_warning: false,
            }));
        }
    }
    Ok(CheckOutcome {
        records_validated: rows.max(issues),
        issues_found: issues,
        figures: json!({ "found": issues }),
        findings,
        ..CheckOutcome::default()
    })
}

/// How long a query takes, with samples of a column where it has any.
pub async fn max_ms(
    connection: &mut PgConnection,
    entity: &EntityContext,
    (sql, sample, p95_ms): (&str, Option<&str>, u32),
) -> Result<CheckOutcome, Failure> {
    let action = "measure a query";
    let samples: Vec<Option<String>> = match sample {
        None => vec![None; SAMPLES],
        Some(column) => {
            let column = quote_ident(column);
            // Spread over the values by a hash, and the same every time.
            let sql = format!(
                "select v from (select distinct v from (select {column}::text as v from {} \
                     where {column} is not null limit {SAMPLED}) s) d \
                 order by hashtextextended(v, 0) limit {SAMPLES}",
                entity.compiled.destination.quoted()
            );
            sqlx::query_scalar(&sql)
                .fetch_all(&mut *connection)
                .in_time(READ)
                .await
                .during(action)?
        }
    };
    let literal = |value: &Option<String>| {
        let value = value.as_deref().map(proto::domain::catalog::quote_literal);
        sql.replace("$1", value.as_deref().unwrap_or("null"))
    };
    let mut times = Vec::with_capacity(samples.len());
    for value in &samples {
        let begun = Instant::now();
        // By the protocol that takes one statement only: it cannot leave the transaction.
        let rows: Vec<PgRow> = sqlx::query(&literal(value))
            .persistent(false)
            .fetch_all(&mut *connection)
            .in_time(READ)
            .await
            .during(action)?;
        drop(rows);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let limit = Duration::from_millis(p95_ms.into());
    let slow = times.iter().filter(|time| **time > limit).count();
    let p95 = percentile(&times, 95);
    let is_slow = p95.is_some_and(|time| time > limit);
    let millis = |time: Option<Duration>| {
        time.map_or(Value::Null, |time| {
            json!((time.as_secs_f64() * 1e5).round() / 1e2)
        })
    };
    Ok(CheckOutcome {
        records_validated: crate::batch::count(times.len()),
        issues_found: if is_slow {
            crate::batch::count(slow)
        } else {
            0
        },
        figures: json!({ "p95_ms": millis(p95), "median_ms": millis(percentile(&times, 50)),
                         "max_ms": millis(times.last().copied()), "limit_ms": p95_ms, "over_limit": slow }),
        ..CheckOutcome::default()
    })
}

/// The time that so many of a hundred are not above; the times are sorted.
fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 95), Some(Duration::from_millis(19)));
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(10)));
        assert_eq!(percentile(&times[..1], 95), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 95), None);
    }
}
