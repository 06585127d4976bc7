//! `kill -9` in the midst of apply and of rollback, and a server whose backends are ended: it goes on, and
//! everything is as it was.
//!
//! `DROVER_KILL_ROUNDS` and `DROVER_KILL_SEED` as for the kills of a run.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::{cleanup_plan, must, must_be, run, state};

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

const TABLES: &str = "
create table p (id int primary key);
create table t (id int primary key, c text not null default 'c', n numeric(9,3), k int not null unique references p (id), w int);
create index t_c on t (c, w);
alter table t enable row level security;
create policy t_p on t for select using (c <> '');
insert into p select generate_series(1, 60000);
insert into t select i, 'value ' || i, i / 7.0, i, i from generate_series(1, 60000) i;
";

const APPLY: &[&str] = &[
    "schema",
    "apply",
    "pair",
    "--yes",
    "--confirm",
    "t",
    "--confirm",
    "t.w",
    "--local",
];
const ROLLBACK: &[&str] = &["schema", "rollback", "pair", "--confirm", "pair", "--local"];

/// Runs a command that is killed at random moments, until it ends by itself; the number of kills.
async fn kill_until_done(
    pair: &Pair,
    args: &[&str],
    length: Duration,
    random: &mut StdRng,
) -> Result<u32> {
    let mut kills = 0;
    for _ in 0..random.random_range(3..=5) {
        let mut child = drover::command(args, &pair.env()).spawn()?;
        let patience = length.mul_f64(random.random_range(0.05..0.9));
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            break;
        }
        child.kill().await?;
        kills += 1;
    }
    let outcome = drover::run(args, &pair.env()).await?;
    ensure!(
        outcome.code == Some(0),
        "{args:?} {:?} {}",
        outcome.code,
        outcome.stderr
    );
    Ok(kills)
}

#[tokio::test]
async fn killed_changes_go_on_and_come_back_whole() -> Result<()> {
    let rounds: u32 = setting("DROVER_KILL_ROUNDS", 2);
    let seed: u64 = setting("DROVER_KILL_SEED", rand::random());
    println!("{rounds} rounds, DROVER_KILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let plan = cleanup_plan(&[
        "operation_type: drop_column, table_name: t, column_name: k".to_owned(),
        "operation_type: drop_column, table_name: t, column_name: c".to_owned(),
        "operation_type: modify_column, table_name: t, column_name: n, type: 'numeric(9,1)'".to_owned(),
        "operation_type: modify_column, table_name: t, column_name: w, type: bigint, not_null: true".to_owned(),
        "operation_type: create_index, table_name: t, object_name: t_w, columns: [w, n]".to_owned(),
        "operation_type: add_constraint, table_name: t, object_name: t_ck, check: w > 0".to_owned(),
    ]);
    let calm = Pair::new("", TABLES).await?;
    let before = state(&calm).await?;
    run(&calm, &plan, 8).await?;
    let begun = Instant::now();
    let outcome = drover::run(APPLY, &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let apply_length = begun.elapsed();
    let changed = state(&calm).await?;
    let begun = Instant::now();
    let outcome = drover::run(ROLLBACK, &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let rollback_length = begun.elapsed();
    must_be(&calm, &before).await?;
    for round in 1..=rounds {
        let pair = calm.with_same_source(TABLES).await?;
        let before = state(&pair).await?;
        run(&pair, &plan, 8).await?;
        let applied = kill_until_done(&pair, APPLY, apply_length, &mut random).await?;
        ensure!(
            state(&pair).await? == changed,
            "round {round}: changed otherwise"
        );
        let undone = kill_until_done(&pair, ROLLBACK, rollback_length, &mut random).await?;
        must_be(&pair, &before).await?;
        println!("round {round} of {rounds}: as before after {applied} and {undone} kills");
        pair.app.discard().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_that_is_held_for_a_while_is_waited_for_without_holding_others_up() -> Result<()> {
    use sqlx::Executor;
    let pair = Pair::new(
        "",
        "create table t (id int primary key); insert into t values (1)",
    )
    .await?;
    let plan = cleanup_plan(&[
        "operation_type: add_column, table_name: t, column_name: c, type: int".to_owned(),
    ]);
    let path = pair.write_as("cleanup.yaml", &plan)?;
    let mut holder = pair.app.connect().await;
    holder
        .execute(sqlx::raw_sql("begin; select * from t"))
        .await?;
    let env = pair.env();
    let running = tokio::spawn(async move { drover::run(&["run", &path], &env).await });
    // Somebody waits for the lock, and gives up after a while; readers behind it get through.
    let waits = "select count(*) from pg_locks where not granted and relation = 't'::regclass";
    let deadline = Instant::now() + Duration::from_secs(60);
    while pair.app.number(waits).await? == 0 {
        ensure!(Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    pair.app.number("select count(*) from t").await?;
    ensure!(
        begun.elapsed() < Duration::from_secs(4),
        "a reader waited {:?}",
        begun.elapsed()
    );
    holder.execute(sqlx::raw_sql("rollback")).await?;
    let outcome = running.await??;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    must(&pair, &["status", "pair"]).await?;
    ensure!(
        pair.app
            .number("select count(*) from t where c is null")
            .await?
            == 1
    );
    Ok(())
}
