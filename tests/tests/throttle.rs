//! A source is spared: rows a second, and that it is said.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;
use tokio::time::Instant;

#[tokio::test]
async fn a_run_takes_as_long_as_its_rows_a_second_say_and_says_why() -> Result<()> {
    let pair = Pair::new(
        "create table a (id int primary key, v int); insert into a select n, n from generate_series(1, 2400) n;
         create table b (id int primary key, v int); insert into b select n, n from generate_series(1, 1600) n",
        "create table aa (id uuid primary key, v int); create table bb (id uuid primary key, v int)",
    )
    .await?;
    let begun = Instant::now();
    let outcome = pair
        .must_end(
            "limits: {max_rows_per_second: 1000, source_max_lag_seconds: 5}
entities:
- {entity: as, source_entity: a, destination_entity: aa, entity_type: a, transformation_rules: {v: [{col: v}]}}
- {entity: bs, source_entity: b, destination_entity: bb, entity_type: b, transformation_rules: {v: [{col: v}]}}
",
            0,
        )
        .await?;
    let took = begun.elapsed();
    // 4,000 rows in two lanes that share the rate.
    ensure!(took >= Duration::from_secs(4), "{took:?}");
    ensure!(took < Duration::from_secs(30), "{took:?}");
    let words = "throttled: limits.max_rows_per_second, here 1000";
    ensure!(outcome.stderr.contains(words), "{}", outcome.stderr);
    // No batch is larger than what a second lets through.
    let largest = "select max(n_read)::bigint from drover.ledger";
    ensure!(pair.app.number(largest).await? <= 1000);
    Ok(())
}
